use http::{HeaderMap, HeaderName, Uri};

use super::*;
use crate::base::{ext::Arrival, time::Instant};

struct Asked {
    headers: HeaderMap,
    uri: Uri,
    arrival: Option<Arrival>,
}

impl Asked {
    fn new(uri: &'static str, headers: &[(&'static str, &'static str)]) -> Self {
        let pairs = headers.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        let mut map = HeaderMap::new();
        pairs.for_each(|(name, value)| {
            map.append(name, value);
        });
        Self {
            headers: map,
            uri: Uri::from_static(uri),
            arrival: None,
        }
    }

    fn from(mut self, peer: &str) -> Self {
        self.arrival = Some(Arrival {
            at: Instant::now(),
            peer: Some(peer.parse().unwrap()),
            local: None,
            tls: false,
        });
        self
    }

    fn key(&self, of: &HashKey) -> Option<Key> {
        let context = PickContext {
            headers: &self.headers,
            uri: &self.uri,
            arrival: self.arrival.as_ref(),
            tried: None,
            model: None,
        };
        key(of, &context, &SharedRng::seeded(1))
    }

    fn hash(&self, of: &HashKey) -> Option<u64> {
        self.key(of).map(|k| k.hash)
    }
}

fn cookie_key(path: Option<&str>, ttl: Option<u64>) -> HashKey {
    HashKey::Cookie {
        name: "affinity".to_owned(),
        path: path.map(str::to_owned),
        ttl: ttl.map(Duration::from_secs),
    }
}

#[test]
fn a_header_is_a_key_even_if_empty() {
    let of = HashKey::Header(HeaderName::from_static("x-session-id"));
    let hash = |headers: &[_]| Asked::new("/", headers).hash(&of);
    assert_eq!(hash(&[]), None);
    assert_eq!(hash(&[("x-session-id", "")]), Some(xxh64(b"", 0)));
    assert_eq!(hash(&[("x-session-id", "s1")]), Some(xxh64(b"s1", 0)));
    // Repeated: all count, in any order.
    let twice = hash(&[("x-session-id", "a"), ("x-session-id", "b")]);
    let swapped = hash(&[("x-session-id", "b"), ("x-session-id", "a")]);
    assert_eq!(twice, swapped);
    assert_ne!(twice, hash(&[("x-session-id", "a")]));
}

#[test]
fn a_query_parameter_counts_as_sent_and_first() {
    let of = HashKey::Query("user".to_owned());
    let hash = |uri| Asked::new(uri, &[]).hash(&of);
    assert_eq!(hash("/"), None);
    assert_eq!(hash("/?users=1&xuser=2"), None);
    assert_eq!(hash("/?a=b&user=%41&user=z"), Some(xxh64(b"%41", 0)));
    assert_eq!(hash("/?user"), Some(xxh64(b"", 0)));
}

#[test]
fn the_peers_address_counts_without_its_port() {
    let of = HashKey::SourceIp;
    let hash = |peer| Asked::new("/", &[]).from(peer).hash(&of);
    assert_eq!(Asked::new("/", &[]).hash(&of), None);
    assert_eq!(hash("10.1.2.3:1"), hash("10.1.2.3:2"));
    assert_eq!(hash("10.1.2.3:1"), hash("[::ffff:10.1.2.3]:2"));
    assert_ne!(hash("10.1.2.3:1"), hash("10.1.2.4:1"));
}

#[test]
fn a_cookie_of_the_callers_is_found_among_others() {
    let of = cookie_key(None, None);
    let asked = Asked::new(
        "/",
        &[("cookie", "xaffinity=1; a=b;affinity=\"v=1\" ; c=d")],
    );
    assert_eq!(asked.hash(&of), Some(xxh64(b"v=1", 0)));
    assert_eq!(
        Asked::new("/", &[("cookie", "affinity; x")]).hash(&of),
        None
    );
}

#[test]
fn an_absent_cookie_with_a_lifetime_is_made_and_leads_to_the_same_place() {
    let made = |path, ttl, peer| {
        let asked = Asked::new("/", &[]).from(peer);
        let key = asked.key(&cookie_key(path, ttl)).unwrap();
        let line = key.set_cookie.unwrap().to_str().unwrap().to_owned();
        (key.hash, line)
    };
    let (hash, line) = made(Some("/chat"), Some(60), "10.1.2.3:4");
    let value = line.strip_prefix("affinity=\"").unwrap();
    let (value, attributes) = value.split_at(16);
    assert_eq!(attributes, "\"; Max-Age=60; Path=/chat; HttpOnly");
    // The caller sends it back and stays where it was.
    assert_eq!(hash, xxh64(value.as_bytes(), 0));
    // Zero is a session cookie.
    let (_, session) = made(None, Some(0), "10.1.2.3:4");
    assert!(session.ends_with("\"; HttpOnly"), "{session}");
    // The same connection makes the same cookie, another one another.
    assert_eq!(made(None, Some(1), "10.1.2.3:4").0, hash);
    assert_ne!(made(None, Some(1), "10.1.2.3:5").0, hash);
}

#[test]
fn a_cookie_no_header_can_carry_is_not_sent() {
    let asked = Asked::new("/", &[]).from("10.1.2.3:4");
    let key = asked.key(&cookie_key(Some("/\r\nx: y"), Some(1))).unwrap();
    assert_eq!(key.set_cookie, None);
}
