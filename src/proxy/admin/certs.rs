//! `/certs`: the certificates in force, as Envoy lists them. Never a key.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, prelude::FromDer, time::ASN1Time,
};

use crate::{
    base::time::{format_rfc3339, wall_now},
    mesh::tls::InForce,
    proxy::snapshot::Snapshot,
};

const DAY: i64 = 86_400;

/// The page.
#[must_use]
pub(super) fn to_json(snapshot: &Snapshot) -> Value {
    let mut all: BTreeMap<(bool, String, Vec<u8>), Vec<&str>> = BTreeMap::new();
    for (name, cluster) in &snapshot.clusters {
        for InForce { own, origin, der } in cluster.certificates() {
            // Own ones first.
            let key = (!own, origin, der.to_vec());
            all.entry(key).or_default().push(name);
        }
    }
    let now = wall_now();
    let shown = all.iter().map(|((root, origin, der), clusters)| {
        let kind = if *root { "ca_cert" } else { "cert_chain" };
        let mut certificate = details(der, now);
        certificate["path"] = json!(origin);
        json!({kind: [certificate], "clusters": clusters})
    });
    json!({"certificates": shown.collect::<Vec<_>>()})
}

/// What a certificate says of itself.
fn details(der: &[u8], now: SystemTime) -> Value {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return json!({"error": "no X.509 certificate"});
    };
    let validity = certificate.validity();
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|names| &names.value.general_names);
    let names: Vec<_> = names.into_iter().flatten().filter_map(name).collect();
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(seconds).unwrap_or(i64::MAX);
    let left = validity.not_after.timestamp().saturating_sub(now);
    json!({
        "subject": certificate.subject().to_string(),
        "issuer": certificate.issuer().to_string(),
        "serial_number": certificate.raw_serial_as_string().replace(':', ""),
        "subject_alt_names": names,
        "valid_from": date(validity.not_before),
        "expiration_time": date(validity.not_after),
        // Negative once it has expired.
        "days_until_expiration": left.div_euclid(DAY),
    })
}

fn name(name: &GeneralName<'_>) -> Option<Value> {
    Some(match name {
        GeneralName::DNSName(name) => json!({"dns": name}),
        GeneralName::URI(uri) => json!({"uri": uri}),
        GeneralName::RFC822Name(name) => json!({"email": name}),
        GeneralName::IPAddress(bytes) => {
            let ip = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            let ip = ip.or_else(|_| <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from));
            json!({"ip_address": ip.ok()?.to_string()})
        }
        _ => return None,
    })
}

fn date(time: ASN1Time) -> String {
    let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
    format_rfc3339(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    #[test]
    fn a_certificate_is_told_by_its_names_and_dates() {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        let uri = "spiffe://b/ns/c".try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(uri));
        let ip = SanType::IpAddress([127, 0, 0, 1].into());
        params.subject_alt_names.push(ip);
        params.serial_number = Some(vec![0x0a, 0xff].into());
        params.not_before = rcgen::date_time_ymd(2024, 1, 1);
        params.not_after = rcgen::date_time_ymd(2024, 1, 11);
        params.distinguished_name = rcgen::DistinguishedName::new();
        let subject = rcgen::DnType::CommonName;
        params.distinguished_name.push(subject, "me");
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();

        let at = |day: u64| UNIX_EPOCH + Duration::from_secs(1_704_067_200 + day * 86_400);
        let shown = details(&der, at(3));
        assert_eq!(shown["subject"], "CN=me");
        assert_eq!(shown["serial_number"], "0aff");
        let names =
            json!([{"dns": "a.example"}, {"uri": "spiffe://b/ns/c"}, {"ip_address": "127.0.0.1"}]);
        assert_eq!(shown["subject_alt_names"], names);
        assert_eq!(shown["valid_from"], "2024-01-01T00:00:00.000Z");
        assert_eq!(shown["expiration_time"], "2024-01-11T00:00:00.000Z");
        assert_eq!(shown["days_until_expiration"], 7);
        assert_eq!(details(&der, at(12))["days_until_expiration"], -2);
        assert_eq!(details(b"x", at(0))["error"], "no X.509 certificate");
    }
}
