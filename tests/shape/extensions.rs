//! Which types the layers put into the extensions of requests and responses: a list that only shrinks.
//!
//! What belongs to an attempt travels in its body (`body::Context`), where no other attempt sees it and no layer that rebuilds a
//! request loses it. So nothing new goes into extensions; what is not needed there any more is struck from here.

use std::collections::BTreeSet;

use crate::source;

/// All that is read from extensions by its type.
const TYPES: [&str; 40] = [
    "Allowance",
    "Allowed",
    "Answered",
    "AnsweredBy",
    "AnsweredHere",
    "AnswersTo",
    "Arrival",
    "AsksTls",
    "AttemptObserver",
    "Buffered",
    "Call",
    "Caller",
    "Chain",
    "Classified",
    // Where a body is not ours.
    "Context",
    "Decided",
    "DialectMode",
    "Ended",
    "EndpointRef",
    "Guarded",
    "Ledger",
    "LlmCall",
    "NoKey",
    "OnUpgrade",
    "Ordinary",
    "OurKey",
    // Debug builds only.
    "Passed",
    // Who a caller proved to be, for the service behind.
    "PeerIdentity",
    "Policy",
    "ReadAs",
    "Record",
    "Refusal",
    "RequestedModel",
    "RetryHeaders",
    "RouteMeta",
    // The span of what comes in, which an application may read.
    "Span",
    "Spoken",
    "Tunnelled",
    "Upgrade",
    "Uploading",
];

/// Files that leave it to the compiler to find out which type they read.
const UNNAMED: [&str; 11] = [
    "layers/balance/context.rs",
    "layers/callers/models.rs",
    "layers/fallback/run.rs",
    "layers/limit/tokens/admit.rs",
    "layers/limit/tokens/key.rs",
    "layers/models/list.rs",
    "layers/outlier/phases.rs",
    "layers/route/headers.rs",
    "layers/route/matcher.rs",
    "mesh/client.rs",
    "stack/served.rs",
];

const READS: [&str; 5] = [
    "get",
    "get_mut",
    "remove",
    "get_or_insert_default",
    "get_or_insert_with",
];

/// The types between `::<` and `>(` behind a method that extensions have.
fn types(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for method in READS {
        for part in code.split(&format!(".{method}::<")).skip(1) {
            let path = part.split_once(">(").unwrap().0;
            let name = path.rsplit("::").next().unwrap().trim();
            found.insert(name.to_owned());
        }
    }
    // A type that speaks of itself.
    found.remove("Self");
    found
}

/// Whether a type is read that is not named there.
fn unnamed(code: &str) -> bool {
    let dense: String = code.split_whitespace().collect();
    [
        "extensions.get()",
        "extensions().get()",
        "extensions.remove()",
        "extensions_mut().remove()",
    ]
    .iter()
    .any(|read| dense.contains(read))
}

fn assert_list(found: &BTreeSet<String>, list: &[&str], what: &str) {
    let listed: BTreeSet<String> = list.iter().map(|name| (*name).to_owned()).collect();
    let new: Vec<_> = found.difference(&listed).collect();
    assert!(
        new.is_empty(),
        "{what}: {new:?} is new; what belongs to an attempt goes into `body::Context`"
    );
    let gone: Vec<_> = listed.difference(found).collect();
    assert!(
        gone.is_empty(),
        "{what}: strike {gone:?}, it is not needed any more"
    );
}

#[test]
fn nothing_new_goes_into_extensions() {
    let files = source::files();
    let found = files.iter().flat_map(|file| types(&file.code)).collect();
    assert_list(&found, &TYPES, "types in extensions");
}

#[test]
fn reads_of_extensions_name_their_type() {
    let files = source::files();
    let files = files.iter().filter(|file| unnamed(&file.code));
    let found = files.map(|file| file.path.clone()).collect();
    assert_list(&found, &UNNAMED, "files");
}

#[test]
fn a_read_is_seen_in_each_of_its_forms() {
    let code = "request.get::<ext::Chain>(); e\n    .get_or_insert_default::<Record>()";
    assert_eq!(types(code), ["Chain", "Record"].map(str::to_owned).into());
    assert!(unnamed("head.extensions\n    .get()\n    .cloned()"));
    assert!(!unnamed("head.extensions.get::<Record>()"));
}
