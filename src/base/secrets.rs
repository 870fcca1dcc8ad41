//! Which fields of a request carry secrets, by their names: what takes them out and what hides them look at the same list.

use http::HeaderName;

/// What stands in the names of headers with API keys, wherever it stands.
const KEYS: [&str; 4] = ["api-key", "apikey", "authorization", "subscription-key"];

/// Headers that go with a key, and mean nothing, or harm, without it.
const WITH_KEYS: [&str; 3] = [
    "openai-organization",
    "openai-project",
    "x-amz-security-token",
];

/// Headers with sessions and other tokens.
const OTHERS: [&str; 3] = ["cookie", "set-cookie", "x-goog-iap-jwt-assertion"];

/// How the names of headers with other secrets end.
const ENDS: [&str; 3] = ["-auth", "-secret", "-token"];

/// Names of keys in a query: Google's, those of gateways, and signatures.
const PARAMETERS: [&str; 10] = [
    "access_token",
    "api-key",
    "api_key",
    "apikey",
    "key",
    "oauth_token",
    "subscription-key",
    "token",
    "x-amz-signature",
    "x-goog-api-key",
];

/// Whether a header carries an API key, or says whose it is.
#[must_use]
pub fn is_key_header(name: &HeaderName) -> bool {
    let name = name.as_str();
    KEYS.iter().any(|word| name.contains(word)) || WITH_KEYS.contains(&name)
}

/// Whether a header carries a secret: a key, a session or another token.
#[must_use]
pub fn is_secret_header(name: &HeaderName) -> bool {
    let text = name.as_str();
    is_key_header(name) || OTHERS.contains(&text) || ENDS.iter().any(|end| text.ends_with(end))
}

/// Whether a parameter of a query carries a secret. Its name may be written with escapes.
#[must_use]
pub fn is_secret_parameter(name: &str) -> bool {
    let name = unescaped(name).to_ascii_lowercase();
    PARAMETERS.iter().any(|secret| secret.as_bytes() == name)
}

/// A path with its query, less the parameters that carry secrets; `None` if there are none.
#[must_use]
pub fn without_secrets(path_and_query: &str) -> Option<String> {
    let (path, query) = path_and_query.split_once('?')?;
    let is_secret = |pair: &&str| is_secret_parameter(name_of(pair));
    if !query.split('&').any(|pair| is_secret(&pair)) {
        return None;
    }
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_secret(pair)).collect();
    Some(match kept.as_slice() {
        [] => path.to_owned(),
        kept => format!("{path}?{}", kept.join("&")),
    })
}

/// The name of a `name=value` pair.
fn name_of(pair: &str) -> &str {
    pair.split('=').next().unwrap_or_default()
}

/// The bytes that a part of a query stands for: `%xx` is one byte; what is no escape stands for itself.
#[must_use]
pub fn unescaped(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..2).filter(|_| *first == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(escaped.unwrap_or(*first));
        rest = match escaped {
            Some(_) => tail.get(2..).unwrap_or_default(),
            None => tail,
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name() {
        for (name, secret) in [
            ("authorization", true),
            ("x-litellm-api-key", true),
            ("ocp-apim-subscription-key", true),
            ("helicone-auth", true),
            ("cf-aig-authorization", true),
            ("x-vault-token", true),
            ("host", false),
            ("x-request-id", false),
            ("anthropic-version", false),
        ] {
            assert_eq!(is_secret_header(&HeaderName::from_static(name)), secret);
        }
        for (name, secret) in [
            ("key", true),
            ("%6Bey", true),
            ("KEY", true),
            ("keys", false),
        ] {
            assert_eq!(is_secret_parameter(name), secret, "{name}");
        }
    }

    #[test]
    fn a_path_loses_its_secrets_and_nothing_else() {
        for (path, left) in [
            ("/a", None),
            ("/a?b=c", None),
            ("/a?key=k", Some("/a")),
            ("/a?b=c&key=k&d", Some("/a?b=c&d")),
            ("/a?%6bey=k&ke%79", Some("/a")),
        ] {
            assert_eq!(without_secrets(path).as_deref(), left, "{path}");
        }
    }

    #[test]
    fn escapes_are_bytes() {
        assert_eq!(unescaped("a%2Db%zz%+1%"), b"a-b%zz%+1%");
    }
}
