//! How TLS is spoken to a cluster, as pages show it: where certificates and keys are, never what is in them.

use serde_json::{Value, json};

use crate::model::{
    Cluster, Protocol,
    tls::{Identity, NameMatch, Revoked, Roots, Tls, Verify},
};

/// Istio's word for it.
pub(super) fn mode(tls: &Tls) -> &'static str {
    match tls.identity {
        Some(_) => "MUTUAL",
        None => "SIMPLE",
    }
}

/// Whom the server's chain must lead to.
pub(super) fn roots(tls: &Tls) -> String {
    match &tls.verify {
        Verify::Nothing => "not verified".to_owned(),
        Verify::Chain { roots, .. } => match roots {
            Roots::System => "system".to_owned(),
            Roots::File(path) => format!("file {}", path.display()),
            Roots::Secret(name) => format!("secret {name}"),
        },
    }
}

/// The names of which the server's certificate must have one, in Istio's notation.
pub(super) fn names(tls: &Tls) -> Vec<String> {
    match &tls.verify {
        Verify::Nothing => Vec::new(),
        Verify::Chain { names, .. } if names.is_empty() => {
            tls.server_name.iter().cloned().collect()
        }
        Verify::Chain { names, .. } => names.iter().map(ToString::to_string).collect(),
    }
}

fn identity(tls: &Tls) -> Option<String> {
    Some(match tls.identity.as_ref()? {
        Identity::Files { certificate, .. } => format!("file {}", certificate.display()),
        Identity::Secret(name) => format!("secret {name}"),
    })
}

/// What is said of it, by name.
pub(super) fn lines(tls: &Tls) -> Vec<(&'static str, String)> {
    let mut all = vec![("mode", mode(tls).to_owned())];
    all.extend(tls.server_name.clone().map(|sni| ("sni", sni)));
    all.push(("roots", roots(tls)));
    let names = names(tls);
    if !names.is_empty() {
        all.push(("subject_alt_names", names.join(",")));
    }
    all.extend(identity(tls).map(|from| ("certificate", from)));
    all.extend(tls.unmet.clone().map(|why| ("unmet", why)));
    all
}

/// The same as JSON.
pub(super) fn summary(tls: &Tls) -> Value {
    json!({
        "mode": mode(tls),
        "sni": tls.server_name,
        "roots": roots(tls),
        "subject_alt_names": names(tls),
        "certificate": identity(tls),
        "unmet": tls.unmet,
    })
}

/// As Envoy's transport socket.
pub(super) fn transport_socket(cluster: &Cluster, tls: &Tls) -> Value {
    let mut common = json!({"alpn_protocols": alpn(cluster.pool.protocol)});
    match &tls.identity {
        Some(Identity::Files { certificate, key }) => {
            common["tls_certificates"] = json!([{
                "certificate_chain": {"filename": certificate},
                "private_key": {"filename": key},
            }]);
        }
        Some(Identity::Secret(name)) => {
            common["tls_certificate_sds_secret_configs"] = json!([{"name": name}]);
        }
        None => {}
    }
    match &tls.verify {
        Verify::Nothing => {
            common["validation_context"] = json!({"trust_chain_verification": "ACCEPT_UNTRUSTED"});
        }
        Verify::Chain {
            roots,
            names,
            revoked,
        } => {
            let matchers: Vec<_> = names.iter().map(matcher).collect();
            let mut context = json!({"match_typed_subject_alt_names": matchers});
            match roots {
                Roots::System => context["system_root_certs"] = json!({}),
                Roots::File(path) => context["trusted_ca"] = json!({"filename": path}),
                Roots::Secret(name) => {
                    common["validation_context_sds_secret_config"] = json!({"name": name});
                }
            }
            // A secret's own list goes with its authorities.
            if let Some(Revoked::File(path)) = revoked {
                context["crl"] = json!({"filename": path});
            }
            common["validation_context"] = context;
        }
    }
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": tls.server_name,
            "common_tls_context": common,
        },
    })
}

fn alpn(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Http1 => &["http/1.1"],
        Protocol::Http2 => &["h2"],
        Protocol::Negotiated | Protocol::AsCaller => &["h2", "http/1.1"],
    }
}

fn matcher(name: &NameMatch) -> Value {
    let (how, text) = match name {
        NameMatch::Exact(text) => ("exact", text),
        NameMatch::Prefix(text) => ("prefix", text),
        NameMatch::Suffix(text) => ("suffix", text),
    };
    json!({"matcher": {how: text}})
}
