//! What is known of who waits for an answer, before there is one.

#[cfg(feature = "llm")]
use http::Method;
use http::{HeaderMap, Request, header::CONTENT_TYPE};

#[cfg(feature = "llm")]
use super::caller::Caller;
use crate::base::{ext::Record, hops};
#[cfg(feature = "llm")]
use crate::{
    body::Context,
    llm::{Dialect, DialectMode, dialect::Api},
};

/// Who waits for the answer to a request, in its extensions: errors become responses above. A route says there what its policy
/// has to say of answers, and makes them itself ([`InRouteLayer`](super::InRouteLayer)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswersTo {
    pub(super) grpc: bool,
    /// Whether it is a hop of a mesh.
    pub(super) hop: bool,
    #[cfg(feature = "llm")]
    call: Option<Asked>,
}

/// What a request shows of an LLM API.
#[cfg(feature = "llm")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    /// `None`: no API that is known has such a path.
    dialect: Option<Dialect>,
    /// Whether it is an LLM call. What an upstream answers to another one passes as it is.
    calls: bool,
    /// Whether the path says that the answer is a stream.
    streaming: bool,
    /// Whether answers carry `x-llmesh-*` headers.
    headers: bool,
    /// Whether answers pass as they are, and errors are Envoy's.
    verbatim: bool,
}

/// How an answer to an LLM call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "llm"), derive(Default))]
pub(super) struct Rules {
    #[cfg(feature = "llm")]
    pub(super) setting: DialectMode,
    #[cfg(feature = "llm")]
    pub(super) headers: bool,
}

/// Without LLM dialects nobody is a caller of one.
#[cfg(not(feature = "llm"))]
#[derive(Clone, Debug)]
pub(super) enum Caller {}

// === impl Rules ===

#[cfg(feature = "llm")]
impl Default for Rules {
    fn default() -> Self {
        Self {
            setting: DialectMode::Auto,
            headers: true,
        }
    }
}

// === impl AnswersTo ===

impl AnswersTo {
    /// Who sent a request. Leaves a [`Record`] in it, if there is none, for a caller of an LLM API.
    pub(super) fn of<B: 'static>(rules: Rules, request: &mut Request<B>) -> Self {
        let grpc = is_grpc(request.headers());
        let _ = rules;
        Self {
            grpc,
            hop: hops::is_from_hop(request.headers()),
            #[cfg(feature = "llm")]
            call: (!grpc).then(|| Asked::of(rules, request)).flatten(),
        }
    }
}

#[cfg(feature = "llm")]
impl AnswersTo {
    /// The request is one of this API, whatever its path; `calls`: an LLM call. False if nobody is told in an API's words.
    pub fn speaks(&mut self, dialect: Dialect, calls: bool) -> bool {
        let Some(call) = &mut self.call else {
            return false;
        };
        call.dialect = Some(dialect);
        call.calls |= calls;
        true
    }

    /// Whether answers may carry `x-llmesh-*` headers, and whether LLM rules apply to them at all: else they pass as they are, and
    /// errors are Envoy's.
    pub fn restrict(&mut self, headers: bool, rules: bool) {
        if let Some(call) = &mut self.call {
            call.headers &= headers;
            call.verbatim |= !rules;
        }
    }

    pub(super) fn caller(self, record: Option<&Record>) -> Option<Caller> {
        let call = self.call?;
        Some(Caller {
            dialect: call.dialect?,
            calls: call.calls,
            streaming: call.streaming,
            headers: call.headers,
            verbatim: call.verbatim,
            record: record.cloned().unwrap_or_default(),
        })
    }
}

#[cfg(not(feature = "llm"))]
impl AnswersTo {
    pub(super) fn caller(self, _: Option<&Record>) -> Option<Caller> {
        None
    }
}

// === impl Asked ===

#[cfg(feature = "llm")]
impl Asked {
    /// `None` if it can be no LLM call.
    fn of<B: 'static>(rules: Rules, request: &mut Request<B>) -> Option<Self> {
        if rules.setting == DialectMode::StatusOnly || request.method() != Method::POST {
            return None;
        }
        let (method, uri) = (request.method(), request.uri());
        let api = Api::of(rules.setting, method, uri, request.headers());
        if api.generates {
            Context::edit(request, |context| context.set_explains(true));
        }
        request.extensions_mut().get_or_insert_default::<Record>();
        Some(Self {
            dialect: api.dialect,
            calls: api.generates,
            streaming: api.streaming,
            headers: rules.headers,
            verbatim: false,
        })
    }
}

// === free functions ===

/// `application/grpc`, alone or with a `+codec` or parameter. Not `application/grpc-web`.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.as_bytes().strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}
