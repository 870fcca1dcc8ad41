//! `tls` towards an upstream (Istio semantics 2.6).

use crate::config::decode::{
    Field,
    shape::{Fields, Rule, Shape},
};

pub(super) static TLS: Shape = Shape::Object(&Fields {
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
