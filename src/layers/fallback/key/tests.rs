use http::{HeaderMap, Request, header};

use super::*;
use crate::{
    base::ext::{KEY_HEADERS, OurKey},
    fallback::{Credential, OwnKey},
    llm::{Dialect, Provider, credential::sent},
};

fn head(headers: &[(&str, &str)], uri: &str) -> Parts {
    let mut request = Request::builder().uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn a_key_is_printed_nowhere() {
    let key = Key::new(" sk-secret\n").unwrap();
    assert!(!format!("{key:?} {:?}", key.hash()).contains("secret"));
    assert_eq!(key.hash(), Fingerprint::of(b"sk-secret"));
    let (mut head, ()) = Request::new(()).into_parts();
    for header in [KeyHeader::Authorization, KeyHeader::ApiKey] {
        key.put(&mut head, header);
    }
    assert_eq!(head.headers[header::AUTHORIZATION], "Bearer sk-secret");
    assert!(!format!("{head:?}").contains("secret"));
}

#[test]
fn a_key_that_cannot_be_used_is_told_without_it() {
    for (text, why) in [
        ("", "empty"),
        (" \r\n", "empty"),
        ("\u{feff}", "empty"),
        ("sk-\nsecret", "several lines"),
        ("Bearer secret", "blanks"),
        ("OPENAI = secret", "blanks"),
        ("secret\u{e9}", "not ASCII"),
        ("secret\0", "control characters"),
    ] {
        let error = Key::new(text).unwrap_err();
        let all = format!("{error} {error:?}");
        assert!(all.contains(why) && !all.contains("secret"), "{all}");
    }
    for good in ["\u{feff}sk-1\r\n", "sk-1  \t", "sk-1"] {
        assert_eq!(Key::new(good).unwrap().hash(), Fingerprint::of(b"sk-1"));
    }
    assert_eq!(
        Key::new("abc").unwrap().sha256()[..4],
        [0xba, 0x78, 0x16, 0xbf]
    );
}

#[test]
fn the_callers_key_is_taken_in_every_form() {
    for (headers, uri) in [
        (vec![("authorization", "Bearer k1")], "/v1/x?a=b"),
        (vec![("authorization", "bearer  k1 ")], "/v1/x?a=b"),
        (vec![("x-api-key", "k1")], "/v1/x?a=b"),
        (vec![("api-key", "k1")], "http://h/v1/x?a=b"),
        (vec![("x-goog-api-key", "k1")], "/v1/x?a=b"),
        (vec![], "/v1/x?key=k1&a=b"),
        (
            vec![("ocp-apim-subscription-key", "k2"), ("x-api-key", "k1")],
            "/v1/x?a=b&%6bey=k1&access_token=k1&ke%79",
        ),
        (
            vec![("openai-organization", "o")],
            "http://h/v1/x?a=b&key=k1",
        ),
    ] {
        let with_session = [headers.as_slice(), &[("cookie", "s=1")]].concat();
        let mut abroad = head(&with_session, uri);
        assert_eq!(
            sent(&abroad.headers, &abroad.uri),
            Some(Fingerprint::of(b"k1")),
            "{headers:?} {uri}"
        );
        let mut here = abroad.clone();
        secrets(&mut abroad);
        keys(&mut here, &[]);
        assert!(abroad.headers.is_empty(), "{headers:?}");
        assert_eq!(here.headers.keys().collect::<Vec<_>>(), ["cookie"]);
        for head in [abroad, here] {
            assert_eq!(head.uri.path_and_query().unwrap(), "/v1/x?a=b");
            assert_eq!(sent(&head.headers, &head.uri), None);
        }
    }
    let mut only = head(
        &[("x-envoy-original-path", "/o?key=k1&c=d")],
        "/v1/x?key=k1",
    );
    keys(&mut only, &[]);
    assert_eq!(only.uri, "/v1/x");
    assert_eq!(only.headers["x-envoy-original-path"], "/o?c=d");
}

#[test]
fn the_header_is_the_apis() {
    let none = HeaderMap::new();
    let azure = head(&[("api-key", "k")], "/").headers;
    for (dialect, provider, sent, expected) in [
        (Some(Dialect::OpenAi), None, &none, KeyHeader::Authorization),
        (Some(Dialect::OpenAi), None, &azure, KeyHeader::ApiKey),
        (
            Some(Dialect::OpenAi),
            Some(Provider::Azure),
            &none,
            KeyHeader::ApiKey,
        ),
        (
            Some(Dialect::OpenAi),
            Some(Provider::OpenAi),
            &azure,
            KeyHeader::Authorization,
        ),
        (
            Some(Dialect::OpenAi),
            Some(Provider::Gemini),
            &none,
            KeyHeader::Authorization,
        ),
        (None, Some(Provider::Anthropic), &none, KeyHeader::XApiKey),
        (
            Some(Dialect::Gemini),
            Some(Provider::Gemini),
            &none,
            KeyHeader::XGoogApiKey,
        ),
        (Some(Dialect::Anthropic), None, &none, KeyHeader::XApiKey),
        (
            Some(Dialect::Anthropic),
            Some(Provider::Vertex),
            &none,
            KeyHeader::Authorization,
        ),
        (Some(Dialect::Gemini), None, &none, KeyHeader::XGoogApiKey),
        (None, None, &none, KeyHeader::Authorization),
    ] {
        assert_eq!(KeyHeader::of(dialect, provider, sent), expected);
    }
}

#[test]
fn the_own_targets_key_takes_the_callers_place_or_stands_in_for_it() {
    let key = || Some(Key::new("ours").unwrap());
    let own = OwnKey::new(Credential::Env("K".to_owned()));
    let passing = own.clone().with_passthrough(true);
    let outbound = "outbound|443||llm.example";
    let sees = |keyed: OwnKeyed, headers: &[(&str, &str)], uri: &str| {
        let request = Request::from_parts(head(headers, uri), ());
        let (head, ()) = keyed.apply(request).into_parts();
        let key = KEY_HEADERS
            .iter()
            .find_map(|name| Some((name.as_str().to_owned(), head.headers.get(name)?.clone())));
        let key = key.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        let marks = (
            head.extensions.get::<OurKey>().is_some(),
            head.extensions.get::<NoKey>().is_some(),
        );
        (key.unwrap_or_default(), head.uri.to_string(), marks)
    };
    let ours = (true, false);
    for (keyed, headers, uri, expected) in [
        (
            OwnKeyed::new(own.clone(), key(), outbound),
            &[("authorization", "Bearer theirs"), ("x-api-key", "theirs")][..],
            "/v1/chat/completions?key=theirs&a=b",
            ("x-api-key: ours", "/v1/chat/completions?a=b", ours),
        ),
        (
            OwnKeyed::new(own.clone(), key(), outbound),
            &[],
            "/v1/messages",
            ("x-api-key: ours", "/v1/messages", (true, false)),
        ),
        (
            OwnKeyed::new(own.clone(), key(), "outbound|443||x.openai.azure.com"),
            &[("authorization", "Basic theirs")],
            "/v1/models",
            ("api-key: ours", "/v1/models", ours),
        ),
        (
            OwnKeyed::new(
                own.clone().with_header(KeyHeader::XGoogApiKey),
                key(),
                outbound,
            ),
            &[("api-key", "theirs")],
            "/v1/chat/completions",
            ("x-goog-api-key: ours", "/v1/chat/completions", ours),
        ),
        (
            OwnKeyed::new(passing.clone(), key(), outbound),
            &[("api-key", "theirs")],
            "/v1/x?key=theirs",
            ("api-key: theirs", "/v1/x?key=theirs", (false, false)),
        ),
        (
            OwnKeyed::new(passing.clone(), key(), outbound),
            &[],
            "/v1/x?key=theirs",
            ("", "/v1/x?key=theirs", (false, false)),
        ),
        (
            OwnKeyed::new(passing.clone(), key(), outbound),
            &[("authorization", "Bearer ")],
            "/v1/chat/completions",
            ("authorization: Bearer ours", "/v1/chat/completions", ours),
        ),
        (
            OwnKeyed::new(own, None, outbound),
            &[("authorization", "Bearer theirs")],
            "/v1/x",
            ("", "/v1/x", (false, true)),
        ),
        (
            OwnKeyed::new(passing, None, outbound),
            &[("authorization", "Bearer theirs")],
            "/v1/x",
            ("authorization: Bearer theirs", "/v1/x", (false, false)),
        ),
        (
            OwnKeyed::new(OwnKey::default(), None, outbound),
            &[("authorization", "Bearer theirs")],
            "/v1/x",
            ("", "/v1/x", (false, false)),
        ),
        (
            OwnKeyed::new(OwnKey::default(), None, outbound).with_kept(vec![header::AUTHORIZATION]),
            &[("authorization", "Bearer routes"), ("x-api-key", "theirs")],
            "/v1/x",
            ("authorization: Bearer routes", "/v1/x", (false, false)),
        ),
    ] {
        let (key, left, marks) = expected;
        let expected = (key.to_owned(), left.to_owned(), marks);
        assert_eq!(sees(keyed, headers, uri), expected, "{headers:?} {uri}");
    }
}
