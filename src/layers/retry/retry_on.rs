//! Envoy's retry-on terms as Istio writes them: one comma-separated list of words and status codes.
//!
//! Words are those that Istio's validation accepts for `retries.retryOn`
//! (<https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPRetry>), and it does not trim them.

use std::{collections::BTreeSet, fmt, str::FromStr};

use http::StatusCode;

use super::params::RetryOn;

/// The words that [`RetryOn::envoy`] accepts; beside them, any HTTP status code with a registered name.
pub const TOKENS: [&str; 16] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "refused-stream",
    "retriable-4xx",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

const GRPC: [(&str, u16); 5] = [
    ("cancelled", 1),
    ("deadline-exceeded", 4),
    ("resource-exhausted", 8),
    ("internal", 13),
    ("unavailable", 14),
];

/// Why a list of retry-on terms is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Nothing stands between two commas, or the list is empty.
    #[error("an empty term: write terms with one comma between them")]
    Empty,
    /// A term has blanks around it.
    #[error("{term:?} has blanks around it, which Istio does not trim: write {trimmed:?}")]
    Blanks {
        /// The term as written.
        term: String,
        /// The term without them.
        trimmed: String,
    },
    /// Neither a word of the list nor a status code.
    #[error("{0:?} is not a retry-on term")]
    Unknown(String),
    /// A number that is not a registered status code.
    #[error("{0} is not a known HTTP status code")]
    UnknownStatus(String),
}

// === impl RetryOn ===

impl RetryOn {
    /// What is worth a retry to a caller of LLMs, over any client: no response at all (connection failures, resets,
    /// per-try timeouts), 408, 409, 429 and 5xx (529 too).
    ///
    /// What a classifier below says goes before the status: a 429 of an empty account is not sent again, an error inside
    /// a 200 is. With no classifier, status and headers decide; no other 4xx is ever sent again.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            reset: true,
            llm: true,
            // A status alone is not called pacing; the provider's verdict, where one is read, overrules it.
            statuses: BTreeSet::from([429]),
            ..Self::default()
        }
    }

    /// Reads Envoy's terms as Istio's `retryOn` lists them, and nothing beside them. `retriable-status-codes` and
    /// `retriable-headers` say that a route's own headers may list what is meant, and turn nothing on by themselves; nor
    /// does `http3-post-connect-failure`.
    ///
    /// # Errors
    /// If a term is empty, has blanks around it or is unknown. The error names the first such term.
    pub fn envoy(list: &str) -> Result<Self, ParseError> {
        let mut on = Self::default();
        for term in list.split(',') {
            on.add(term)?;
        }
        Ok(on)
    }

    /// Whether no term is on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let nothing = Self {
            listed_statuses: self.listed_statuses,
            listed_headers: self.listed_headers,
            ..Self::default()
        };
        *self == nothing
    }

    /// Whether anything could be done about an answer below 400 whose body shows an error.
    pub(super) fn answers(&self) -> bool {
        self.llm || self.statuses.first().is_some_and(|status| *status < 400)
    }

    pub(super) fn add(&mut self, term: &str) -> Result<(), ParseError> {
        match term {
            "5xx" => self.server_error = true,
            "gateway-error" => self.gateway_error = true,
            "reset" => self.reset = true,
            "reset-before-request" => self.reset_before_request = true,
            "connect-failure" => self.connect_failure = true,
            "refused-stream" => self.refused_stream = true,
            "retriable-4xx" => self.retriable_4xx = true,
            "envoy-ratelimited" => self.envoy_ratelimited = true,
            "retriable-status-codes" => self.listed_statuses = true,
            "retriable-headers" => self.listed_headers = true,
            "http3-post-connect-failure" => {}
            _ => {
                if let Some((_, code)) = GRPC.iter().find(|(word, _)| *word == term) {
                    self.grpc_statuses.insert(*code);
                } else {
                    self.statuses.insert(status(term)?);
                    self.listed_statuses = true;
                }
            }
        }
        Ok(())
    }

    fn words(&self) -> impl Iterator<Item = &'static str> {
        [
            (self.server_error, "5xx"),
            (self.gateway_error, "gateway-error"),
            (self.reset, "reset"),
            (self.reset_before_request, "reset-before-request"),
            (self.connect_failure, "connect-failure"),
            (self.refused_stream, "refused-stream"),
            (self.retriable_4xx, "retriable-4xx"),
            (
                self.listed_statuses && self.statuses.is_empty(),
                "retriable-status-codes",
            ),
            (self.listed_headers, "retriable-headers"),
            (self.envoy_ratelimited, "envoy-ratelimited"),
        ]
        .into_iter()
        .filter_map(|(on, word)| on.then_some(word))
    }
}

impl FromStr for RetryOn {
    type Err = ParseError;

    fn from_str(list: &str) -> Result<Self, ParseError> {
        Self::envoy(list)
    }
}

/// The list as Istio writes it. What Istio has no word for is shown as `grpc-status-N` and `llm`.
impl fmt::Display for RetryOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grpc = self.grpc_statuses.iter().map(|code| {
            GRPC.iter().find(|(_, c)| c == code).map_or_else(
                || format!("grpc-status-{code}"),
                |(word, _)| (*word).to_owned(),
            )
        });
        let terms = self
            .words()
            .map(str::to_owned)
            .chain(grpc)
            .chain(self.statuses.iter().map(ToString::to_string))
            .chain(self.llm.then(|| "llm".to_owned()));
        for (i, term) in terms.enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            f.write_str(&term)?;
        }
        Ok(())
    }
}

fn status(term: &str) -> Result<u16, ParseError> {
    if term.is_empty() {
        return Err(ParseError::Empty);
    }
    if term.trim() != term {
        return Err(ParseError::Blanks {
            term: term.to_owned(),
            trimmed: term.trim().to_owned(),
        });
    }
    if !term.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ParseError::Unknown(term.to_owned()));
    }
    StatusCode::from_bytes(term.as_bytes())
        .ok()
        .filter(|code| code.canonical_reason().is_some())
        .map(|code| code.as_u16())
        .ok_or_else(|| ParseError::UnknownStatus(term.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_words_and_numbers_and_writes_them_back() {
        let list = "5xx,gateway-error,reset,reset-before-request,connect-failure,refused-stream,retriable-4xx,\
                    envoy-ratelimited,cancelled,deadline-exceeded,resource-exhausted,internal,unavailable,429,503";
        let on = RetryOn::envoy(list).unwrap();
        assert_eq!(on.to_string(), list);
        assert_eq!(on.to_string().parse(), Ok(on));
    }

    #[test]
    fn accepts_every_token_of_its_list() {
        for token in TOKENS {
            assert!(RetryOn::envoy(token).is_ok(), "{token}");
        }
        for idle in [
            "retriable-status-codes",
            "retriable-headers",
            "http3-post-connect-failure",
        ] {
            assert!(RetryOn::envoy(idle).unwrap().is_empty(), "{idle}");
        }
    }

    #[test]
    fn refuses_and_names_what_it_does_not_know() {
        for (list, message) in [
            (
                "5xx, reset",
                "\" reset\" has blanks around it, which Istio does not trim: write \"reset\"",
            ),
            ("5xx,rset", "\"rset\" is not a retry-on term"),
            ("5XX", "\"5XX\" is not a retry-on term"),
            ("599", "599 is not a known HTTP status code"),
            ("0503", "0503 is not a known HTTP status code"),
            ("+503", "\"+503\" is not a retry-on term"),
            ("", "an empty term: write terms with one comma between them"),
            (
                "5xx,,reset",
                "an empty term: write terms with one comma between them",
            ),
        ] {
            assert_eq!(RetryOn::envoy(list).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn shows_what_istio_has_no_word_for() {
        let mut on = RetryOn::envoy("unavailable").unwrap();
        on.grpc_statuses.insert(2);
        on.llm = true;
        assert_eq!(on.to_string(), "grpc-status-2,unavailable,llm");
    }
}
