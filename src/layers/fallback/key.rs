//! Keys: where they are read from, and in which header they go.

use std::{env, fmt, fs};

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, request::Parts};

use super::params::Credential;
use crate::{
    base::Fingerprint,
    llm::{Dialect, Provider},
};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const API_KEY: HeaderName = HeaderName::from_static("api-key");
const GOOGLE: HeaderName = HeaderName::from_static("x-goog-api-key");

/// Headers that carry a caller's key, or say whose it is.
const CALLERS: [HeaderName; 9] = [
    header::AUTHORIZATION,
    X_API_KEY,
    API_KEY,
    GOOGLE,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    HeaderName::from_static("x-amz-security-token"),
    HeaderName::from_static("openai-organization"),
    HeaderName::from_static("openai-project"),
];

/// A key. Printing it prints none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// As it stands in a header, without a scheme.
    plain: HeaderValue,
    /// With one.
    bearer: HeaderValue,
    hash: Fingerprint,
}

/// A key that cannot be used. The key is not in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The environment variable is not set, or is not text.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// The file cannot be read.
    #[error("the key file {path} cannot be read")]
    Unreadable {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is empty, or no header can carry it.
    #[error("the key is empty or has characters that no header can carry")]
    Malformed,
}

// === impl Key ===

impl Key {
    /// A key; blanks around it are left out.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn new(key: &str) -> Result<Self, KeyError> {
        let key = key.trim();
        if key.is_empty() {
            return Err(KeyError::Malformed);
        }
        let value = |text: &str| {
            HeaderValue::from_str(text)
                .map(|mut value| {
                    value.set_sensitive(true);
                    value
                })
                .map_err(|_| KeyError::Malformed)
        };
        Ok(Self {
            plain: value(key)?,
            bearer: value(&format!("Bearer {key}"))?,
            hash: Fingerprint::of(key.as_bytes()),
        })
    }

    /// Reads it, now.
    ///
    /// # Errors
    /// If it is not there, cannot be read or is no key.
    pub fn read(from: &Credential) -> Result<Self, KeyError> {
        match from {
            Credential::Env(name) => {
                Self::new(&env::var(name).map_err(|_| KeyError::Unset(name.clone()))?)
            }
            Credential::File(path) => {
                let key = fs::read_to_string(path).map_err(|source| KeyError::Unreadable {
                    path: path.display().to_string(),
                    source,
                })?;
                Self::new(&key)
            }
        }
    }

    /// Its fingerprint.
    #[must_use]
    pub fn hash(&self) -> Fingerprint {
        self.hash
    }

    /// Puts it into a head from which the caller's was taken, in the header of the API.
    pub(super) fn put(&self, head: &mut Parts, style: Style) {
        let (name, value) = match style {
            Style::Bearer => (header::AUTHORIZATION, &self.bearer),
            Style::XApiKey => (X_API_KEY, &self.plain),
            Style::ApiKey => (API_KEY, &self.plain),
            Style::Google => (GOOGLE, &self.plain),
        };
        head.headers.insert(name, value.clone());
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Which header carries a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Bearer,
    XApiKey,
    ApiKey,
    Google,
}

// === impl Style ===

impl Style {
    /// The header of this API. The provider decides, then the header that the caller used, then the dialect.
    pub(super) fn of(
        dialect: Option<Dialect>,
        provider: Option<Provider>,
        sent: &HeaderMap,
    ) -> Self {
        match provider {
            Some(Provider::Azure) => return Self::ApiKey,
            Some(Provider::Anthropic) => return Self::XApiKey,
            Some(Provider::Gemini) => return Self::Google,
            Some(_) => return Self::Bearer,
            None => {}
        }
        let used = [
            (X_API_KEY, Self::XApiKey),
            (API_KEY, Self::ApiKey),
            (GOOGLE, Self::Google),
            (header::AUTHORIZATION, Self::Bearer),
        ];
        if let Some((_, style)) = used.into_iter().find(|(name, _)| sent.contains_key(name)) {
            return style;
        }
        match dialect {
            Some(Dialect::Anthropic) => Self::XApiKey,
            Some(Dialect::Gemini) => Self::Google,
            _ => Self::Bearer,
        }
    }
}

/// Takes all that a caller sent to show who it is.
pub(super) fn strip(head: &mut Parts) {
    for name in &CALLERS {
        head.headers.remove(name);
    }
    let Some(query) = head.uri.query().filter(|q| is_keyed(q)) else {
        return;
    };
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.starts_with("key="))
        .collect();
    let path = match kept.as_slice() {
        [] => head.uri.path().to_owned(),
        kept => format!("{}?{}", head.uri.path(), kept.join("&")),
    };
    let mut parts = head.uri.clone().into_parts();
    // What is left of a valid path and query is one.
    parts.path_and_query = path.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        head.uri = uri;
    }
}

fn is_keyed(query: &str) -> bool {
    query.split('&').any(|pair| pair.starts_with("key="))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use http::Request;

    use super::*;
    use crate::llm::credential::sent;

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
        let error = Key::new("sk\nsecret").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
        assert!(Key::new(" \n").is_err());
        let missing = PathBuf::from("/nowhere/key");
        assert!(Key::read(&Credential::File(missing)).is_err());
        let unset = Credential::Env("LLMESH_TEST_NO_SUCH_KEY".to_owned());
        assert!(matches!(Key::read(&unset), Err(KeyError::Unset(_))));
    }

    #[test]
    fn the_callers_key_is_taken_in_every_form() {
        for (headers, uri) in [
            (vec![("authorization", "Bearer k1")], "/v1/x?a=b"),
            (vec![("authorization", "bearer  k1 ")], "/v1/x?a=b"),
            (vec![("x-api-key", "k1"), ("cookie", "s=1")], "/v1/x?a=b"),
            (vec![("api-key", "k1")], "http://h/v1/x?a=b"),
            (vec![("x-goog-api-key", "k1")], "/v1/x?a=b"),
            (vec![], "/v1/x?key=k1&a=b"),
            (
                vec![("openai-organization", "o")],
                "http://h/v1/x?a=b&key=k1",
            ),
        ] {
            let mut head = head(&headers, uri);
            assert_eq!(
                sent(&head.headers, &head.uri),
                Some(Fingerprint::of(b"k1")),
                "{headers:?} {uri}"
            );
            strip(&mut head);
            assert!(head.headers.is_empty(), "{headers:?}");
            assert_eq!(head.uri.path_and_query().unwrap(), "/v1/x?a=b");
            assert_eq!(sent(&head.headers, &head.uri), None);
        }
        let mut only = head(&[], "/v1/x?key=k1");
        strip(&mut only);
        assert_eq!(only.uri, "/v1/x");
    }

    #[test]
    fn the_header_is_the_apis() {
        let none = HeaderMap::new();
        let mut azure = HeaderMap::new();
        azure.insert(API_KEY, HeaderValue::from_static("k"));
        for (dialect, provider, sent, expected) in [
            (Some(Dialect::OpenAi), None, &none, Style::Bearer),
            (Some(Dialect::OpenAi), None, &azure, Style::ApiKey),
            (
                Some(Dialect::OpenAi),
                Some(Provider::Azure),
                &none,
                Style::ApiKey,
            ),
            (
                Some(Dialect::OpenAi),
                Some(Provider::OpenAi),
                &azure,
                Style::Bearer,
            ),
            (Some(Dialect::Anthropic), None, &none, Style::XApiKey),
            (
                Some(Dialect::Anthropic),
                Some(Provider::Vertex),
                &none,
                Style::Bearer,
            ),
            (Some(Dialect::Gemini), None, &none, Style::Google),
            (None, None, &none, Style::Bearer),
        ] {
            assert_eq!(Style::of(dialect, provider, sent), expected);
        }
    }
}
