//! YAML to a model.

use http::{HeaderValue, Request, header::HOST};

use crate::{
    config::{Diagnostic, Loaded, Options, Severity, Source, load},
    model::MeshModel,
    route::{Outcome, RequestView, Table, params::Action, rewrite},
};

/// Input: a configuration file; what follows a line `%overlay` is a second one, laid over the first.
///
/// Findings name places that exist; there is a model unless there is an error, and read leniently always, with what is
/// wrong left out by name; loading is a function of its input; a
/// model's routes serve requests to all of its domains.
///
/// # Panics
/// If one of these does not hold.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (base, overlay) = text.split_once("\n%overlay\n").unwrap_or((&text, ""));
    let mut sources = vec![Source::new("a.yaml", base)];
    if !overlay.is_empty() {
        sources.push(Source::new("b.yaml", overlay).as_overlay());
    }
    for (strict, lenient) in [(false, false), (true, false), (false, true), (true, true)] {
        let options = Options::default().with_strict(strict).with_lenient(lenient);
        let loaded = load(&sources, &options);
        for found in &loaded.diagnostics {
            let source = sources.iter().find(|s| s.name == *found.file);
            let source = source.expect("a finding names one of the files");
            check(found, &source.text);
        }
        let failed = loaded.count(Severity::Error) > 0;
        assert_eq!(
            loaded.model.is_none(),
            failed && !lenient,
            "a model unless an error"
        );
        assert_eq!(
            loaded.left_out.is_empty(),
            !(failed && lenient),
            "what is wrong has a name: {:?}",
            loaded.diagnostics
        );
        let again = load(&sources, &options);
        assert!(same(&loaded, &again), "two loads differ");
        if let Some(model) = &loaded.model {
            serve(model);
        }
    }
}

fn check(found: &Diagnostic, text: &str) {
    // YAML ends lines with CR, LF or both; an error at the end of the text is in the line after the last.
    let breaks = text.bytes().filter(|b| matches!(b, b'\n' | b'\r')).count();
    let line = usize::try_from(found.line).unwrap_or(usize::MAX);
    assert!(line <= breaks + 1, "line of {found}");
    assert_eq!(
        found.line == 0,
        found.column == 0,
        "both or neither: {found}"
    );
    assert!(!found.rule.is_empty() && !found.message.is_empty());
    let shown = found.to_json().to_string();
    assert!(!shown.contains('\n'), "one finding is one line of JSON");
}

/// Models are compared by what they show: a number that is not one is not equal to itself.
fn same(a: &Loaded, b: &Loaded) -> bool {
    a.diagnostics == b.diagnostics && a.model == b.model
}

fn serve(model: &MeshModel) {
    let mut table = Table::builder();
    for host in &model.virtual_hosts {
        table = table.virtual_host(
            host.name.clone(),
            &host.domains,
            host.ports.clone(),
            host.routes.iter().cloned(),
        );
    }
    let table = table.build();
    assert_eq!(
        table.len(),
        model
            .virtual_hosts
            .iter()
            .map(|h| h.routes.len())
            .sum::<usize>()
    );
    let domains = model.virtual_hosts.iter().flat_map(|host| &host.domains);
    for domain in domains.take(20) {
        let Ok(host) = HeaderValue::from_str(&domain.replacen('*', "x", 1)) else {
            panic!("{domain:?} is no host name");
        };
        for path in ["/", "/api/knowledge/query?q=1"] {
            let mut request = Request::new(());
            *request.uri_mut() = http::Uri::from_static(path);
            request.headers_mut().insert(HOST, host.clone());
            let outcome = table.find(&RequestView::new(&request));
            assert!(
                !matches!(outcome, Outcome::NoHost | Outcome::UnknownHost),
                "{domain:?} is not claimed"
            );
            if let Outcome::Route(found) = outcome
                && let Action::Forward(forward) = &found.route.action
            {
                let (mut head, ()) = request.into_parts();
                // It may refuse a rewrite that makes no URI, but must not panic.
                let _ = rewrite::apply_request(forward, found.matched, 0, &mut head);
            }
        }
    }
}
