//! From a request to the keys whose allowances it takes from.

use http::{HeaderMap, HeaderName, Request};

use super::params::By;
use crate::{
    base::{
        Fingerprint,
        ext::{Caller, RouteMeta},
    },
    llm::{credential, request::Call},
};

/// The keys of a request. None: it lacks what the limit is for.
pub(super) fn of<B>(by: &By, request: &Request<B>) -> Vec<Fingerprint> {
    match by {
        By::Route => vec![route(request.extensions().get())],
        By::Header { name, value } => header(request.headers(), name, value.as_deref())
            .into_iter()
            .collect(),
        By::Credential => credentials(request),
        By::Caller => request
            .extensions()
            .get::<Caller>()
            .map(|Caller(name)| Fingerprint::of(name.as_bytes()))
            .into_iter()
            .collect(),
        By::Model => request
            .extensions()
            .get::<Call>()
            .and_then(|call| call.model.as_deref())
            .map(|model| Fingerprint::of(model.as_bytes()))
            .into_iter()
            .collect(),
    }
}

/// A route without a name is known by its place in the table.
fn route(meta: Option<&RouteMeta>) -> Fingerprint {
    let Some(meta) = meta else {
        return Fingerprint::of(b"");
    };
    let (host, route) = (meta.virtual_host.as_bytes(), meta.route.as_bytes());
    let id = meta.id.to_le_bytes();
    let place = if route == b"-" { &id[..] } else { &[] };
    Fingerprint::of_all([host, route, place])
}

/// With a value, a request is limited if any of its fields has it: a second field does not get around the limit.
fn header(headers: &HeaderMap, name: &HeaderName, only: Option<&str>) -> Option<Fingerprint> {
    let values = || {
        headers
            .get_all(name)
            .iter()
            .map(|v| v.as_bytes().trim_ascii())
    };
    match only {
        Some(only) => values()
            .any(|v| v == only.as_bytes())
            .then(|| Fingerprint::of(only.as_bytes())),
        None => {
            values().next()?;
            Some(Fingerprint::of_all(values()))
        }
    }
}

/// Each different one.
fn credentials<B>(request: &Request<B>) -> Vec<Fingerprint> {
    let mut keys: Vec<_> = credential::all(request.headers(), request.uri()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn a_credential_is_the_same_wherever_it_stands_and_another_does_not_hide_it() {
        let keys = |uri, headers: &[(&str, &str)]| of(&By::Credential, &request(uri, headers));
        let one = keys("/", &[("authorization", "Bearer k1")]);
        assert_eq!(one.len(), 1);
        for same in [
            keys("/", &[("x-api-key", "k1")]),
            keys("/", &[("api-key", " k1 ")]),
            keys("/", &[("authorization", "bearer  k1"), ("x-api-key", "k1")]),
            keys("/?alt=sse&key=k1", &[]),
        ] {
            assert_eq!(same, one);
        }
        let both = keys(
            "/",
            &[("authorization", "Bearer junk"), ("x-api-key", "k1")],
        );
        assert!(both.len() == 2 && both.contains(&one[0]));
        let twice = keys("/", &[("x-api-key", "junk"), ("x-api-key", "k1")]);
        assert!(twice.contains(&one[0]));
        let aws = |signature| {
            let value = format!(
                "AWS4-HMAC-SHA256 Credential=AKID/20261122/us-east-1/bedrock/aws4_request, Signature={signature}"
            );
            keys("/", &[("authorization", &value)])
        };
        assert_eq!(aws("a"), aws("b"));
        assert_eq!(keys("/?keys=1", &[("authorization", "Bearer ")]), []);
    }

    #[test]
    fn a_header_limits_each_value_or_one() {
        let by = |value: Option<&str>| By::Header {
            name: HeaderName::from_static("x-user-tier"),
            value: value.map(str::to_owned),
        };
        let tier = |tier: &str| request("/", &[("x-user-tier", tier)]);
        assert_ne!(of(&by(None), &tier("free")), of(&by(None), &tier("pro")));
        assert_eq!(of(&by(None), &request("/", &[])), []);
        assert_eq!(of(&by(Some("free")), &tier("pro")), []);
        let two = request("/", &[("x-user-tier", "pro"), ("x-user-tier", "free")]);
        let free = of(&by(Some("free")), &tier("free"));
        assert_eq!(of(&by(Some("free")), &two), free);
    }

    #[test]
    fn a_route_is_known_by_its_names() {
        let with = |id, name: &str| {
            let mut request = request("/", &[]);
            request.extensions_mut().insert(RouteMeta {
                id,
                route: name.into(),
                virtual_host: "h".into(),
                cluster: "c".into(),
            });
            of(&By::Route, &request)
        };
        assert_eq!(with(1, "chat"), with(2, "chat"));
        assert_ne!(with(1, "-"), with(2, "-"));
        assert_ne!(with(1, "chat"), with(1, "other"));
    }
}
