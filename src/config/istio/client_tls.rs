//! `tls` towards an upstream (Istio semantics 2.6).

use std::path::{Path, PathBuf};

use crate::{
    config::{
        decode::{
            Field, Object,
            shape::{Fields, Rule, Shape},
        },
        diagnostic::Place,
    },
    model::tls::NameMatch,
};

/// A `tls` block: one whole, whatever it leaves out is the default.
#[derive(Clone, Debug)]
pub(in crate::config) struct TlsBlock {
    pub(in crate::config) mode: Mode,
    /// Of its mode.
    pub(in crate::config) place: Place,
    pub(in crate::config) sni: Option<String>,
    pub(in crate::config) names: Vec<NameMatch>,
    /// `insecureSkipVerify`.
    pub(in crate::config) unverified: Option<Place>,
    pub(in crate::config) credential: Option<(String, Place)>,
    pub(in crate::config) certificate: Option<Named>,
    pub(in crate::config) key: Option<Named>,
    pub(in crate::config) authorities: Option<Named>,
    pub(in crate::config) revoked: Option<Named>,
}

/// What is spoken to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Mode {
    Disable,
    Simple,
    Mutual,
    IstioMutual,
}

/// A file, and where it is named.
#[derive(Clone, Debug)]
pub(in crate::config) struct Named {
    pub(in crate::config) path: PathBuf,
    pub(in crate::config) place: Place,
}

/// What a mode needs that is not there.
pub(in crate::config) const NO_IDENTITY: &str =
    "ISTIO_MUTUAL needs an identity of the mesh, which llmesh does not have";

/// The words for them.
const MODES: [(&str, Mode); 4] = [
    ("DISABLE", Mode::Disable),
    ("SIMPLE", Mode::Simple),
    ("MUTUAL", Mode::Mutual),
    ("ISTIO_MUTUAL", Mode::IstioMutual),
];

static TLS: Shape = Shape::Object(&Fields {
    fields: &[
        (
            "mode",
            Shape::Word(&["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]),
        ),
        ("clientCertificate", Shape::Str),
        ("privateKey", Shape::Str),
        ("caCertificates", Shape::Str),
        ("caCrl", Shape::Str),
        ("credentialName", Shape::Str),
        ("subjectAltNames", Shape::List(&Shape::Str)),
        ("sni", Shape::Str),
        ("insecureSkipVerify", Shape::Bool),
    ],
    rules: &[Rule::Check(check)],
});

/// The fields that name files.
const FILES: [&str; 4] = ["clientCertificate", "privateKey", "caCertificates", "caCrl"];

/// Reads a `tls`. One that names no mode says nothing: no port that waits for TLS is spoken to in plain text for it.
pub(super) fn read(field: &Field<'_>) -> Option<TlsBlock> {
    field.check(&TLS);
    let tls = field.object()?.lenient();
    let Some(mode) = tls.get("mode") else {
        let message = "`mode` is missing, so this block says nothing of TLS";
        field.warn("tls-mode", message, "add `mode`, such as SIMPLE");
        return None;
    };
    let spoken = mode.word(&MODES)?;
    if spoken == Mode::IstioMutual {
        let message = format!(
            "{NO_IDENTITY}: its clusters answer 503 (UF), and nothing is sent in plain text"
        );
        let hint = "use mode DISABLE where plain text is acceptable, or SIMPLE or MUTUAL with certificates of your own";
        mode.warn("tls-not-in-force", message, hint);
    }
    let text = |name| {
        let value: Field<'_> = tls.get(name)?;
        let text = value.str_quietly().filter(|text| !text.is_empty())?;
        Some((text.to_owned(), value.place()))
    };
    let names = field.items("subjectAltNames");
    let names = names.iter().filter_map(Field::str_quietly);
    Some(TlsBlock {
        mode: spoken,
        place: mode.place(),
        sni: text("sni").map(|(sni, _)| sni),
        names: names
            .filter(|name| !name.is_empty())
            .map(NameMatch::parse)
            .collect(),
        unverified: tls
            .get("insecureSkipVerify")
            .filter(|skip| skip.bool_quietly() == Some(true))
            .map(|skip| skip.place()),
        credential: text("credentialName"),
        certificate: file(&tls, "clientCertificate"),
        key: file(&tls, "privateKey"),
        authorities: file(&tls, "caCertificates"),
        revoked: file(&tls, "caCrl"),
    })
}

/// A path is of the file that names it, wherever the process was started.
fn file(tls: &Object<'_>, name: &'static str) -> Option<Named> {
    let field = tls.get(name)?;
    let path = field.str_quietly().filter(|path| !path.is_empty())?;
    let folder = Path::new(&*field.origin().file).parent();
    Some(Named {
        path: folder.unwrap_or_else(|| Path::new("")).join(path),
        place: field.place(),
    })
}

fn check(tls: &Field<'_>) {
    let given = |name: &str| tls.given(name);
    let refuse = |names: &[&'static str], why: &str, hint: &str| {
        for (name, field) in names.iter().filter_map(|name| Some((name, given(name)?))) {
            field.error("tls-mode", format!("`{name}`: {why}"), hint);
        }
    };
    let mode = tls.peek_str(&["mode"]).unwrap_or("DISABLE");
    let skip = tls
        .step("insecureSkipVerify")
        .and_then(|skip| skip.bool_quietly());
    let by_name = given("credentialName").is_some();
    match mode {
        "ISTIO_MUTUAL" => {
            let why = "ISTIO_MUTUAL has certificates of its own";
            refuse(&FILES, why, "remove it, or use MUTUAL");
            refuse(&["credentialName"], why, "remove it, or use MUTUAL");
        }
        "SIMPLE" | "MUTUAL" => {
            if skip == Some(true) {
                let why = "nothing is verified with `insecureSkipVerify`";
                refuse(
                    &["caCertificates", "subjectAltNames"],
                    why,
                    "remove one of the two",
                );
                if mode == "SIMPLE" {
                    refuse(&["credentialName"], why, "remove one of the two");
                }
            }
            if by_name {
                let why = "`credentialName` stands for the files";
                refuse(&FILES, why, "remove one of the two");
            } else if mode == "MUTUAL" {
                for name in ["clientCertificate", "privateKey"] {
                    if given(name).is_none() {
                        let message = format!("MUTUAL needs `{name}`");
                        tls.error("tls-mode", message, "or give `credentialName`");
                    }
                }
            }
        }
        _ => {}
    }
}
