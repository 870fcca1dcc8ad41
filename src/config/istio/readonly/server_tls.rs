//! `tls` of a server: of a Gateway's, and of a Sidecar's ingress listener.

use crate::config::decode::{
    Field,
    shape::{Fields, Rule, Shape},
};

const VERSION: Shape = Shape::Word(&["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]);

const STRINGS: Shape = Shape::List(&Shape::Str);

pub(super) static TLS: Fields = Fields {
    fields: &[
        ("httpsRedirect", Shape::Bool),
        (
            "mode",
            Shape::Word(&[
                "PASSTHROUGH",
                "SIMPLE",
                "MUTUAL",
                "AUTO_PASSTHROUGH",
                "ISTIO_MUTUAL",
                "OPTIONAL_MUTUAL",
            ]),
        ),
        ("serverCertificate", Shape::Str),
        ("privateKey", Shape::Str),
        ("caCertificates", Shape::Str),
        ("caCrl", Shape::Str),
        ("credentialName", Shape::Str),
        ("credentialNames", STRINGS),
        ("caCertCredentialName", Shape::Str),
        ("tlsCertificates", Shape::List(&CERTIFICATE)),
        ("subjectAltNames", STRINGS),
        ("verifyCertificateSpki", STRINGS),
        ("verifyCertificateHash", STRINGS),
        ("minProtocolVersion", VERSION),
        ("maxProtocolVersion", VERSION),
        ("cipherSuites", STRINGS),
        ("ecdhCurves", STRINGS),
    ],
    rules: &[Rule::Check(check)],
};

static CERTIFICATE: Shape = Shape::Object(&Fields {
    fields: &[
        ("serverCertificate", Shape::Str),
        ("privateKey", Shape::Str),
        ("caCertificates", Shape::Str),
    ],
    rules: &[],
});

fn check(tls: &Field<'_>) {
    let mode = tls.peek_str(&["mode"]).unwrap_or("PASSTHROUGH");
    if mode == "ISTIO_MUTUAL" {
        for name in [
            "serverCertificate",
            "privateKey",
            "caCertificates",
            "tlsCertificates",
            "credentialName",
            "credentialNames",
        ] {
            if let Some(field) = tls.given(name) {
                let message = format!("ISTIO_MUTUAL has its own certificates, not `{name}`");
                field.error("tls-mode", message, "remove it, or use MUTUAL");
            }
        }
        return;
    }
    let given = |name| tls.given(name).is_some();
    let files = given("serverCertificate") && given("privateKey");
    let sources = [
        files,
        given("credentialName"),
        given("credentialNames"),
        given("tlsCertificates"),
    ];
    if sources.iter().filter(|given| **given).count() > 1 {
        let message = "the certificate is given in more than one way";
        let hint = "keep one of credentialName, credentialNames, tlsCertificates, and serverCertificate with privateKey";
        tls.error("one-of", message, hint);
    }
    let mutual = matches!(mode, "MUTUAL" | "OPTIONAL_MUTUAL");
    let by_name = given("credentialName") || given("credentialNames");
    if (mutual || mode == "SIMPLE") && !by_name {
        check_files(tls, mode, mutual);
    }
    if let Some(list) = tls.given("caCrl").filter(|_| mode == "SIMPLE" && !by_name) {
        let message = "SIMPLE asks clients for no certificate, so none is revoked";
        list.error("tls-mode", message, "remove it, or use MUTUAL");
    }
}

/// What a mode needs where the certificate is not fetched by name.
fn check_files(tls: &Field<'_>, mode: &str, mutual: bool) {
    let missing = |field: &Field<'_>, name: &str| {
        if field.given(name).is_none() {
            let hint = "or give `credentialName`";
            field.error("tls-mode", format!("{mode} needs `{name}`"), hint);
        }
    };
    if mutual {
        missing(tls, "caCertificates");
    }
    let own = tls.items("tlsCertificates");
    for holder in if own.is_empty() {
        vec![tls.clone()]
    } else {
        own
    } {
        missing(&holder, "serverCertificate");
        missing(&holder, "privateKey");
    }
}
