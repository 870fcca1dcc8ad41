//! Who comes in.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, header::HeaderMap};
use pin_project::pin_project;
use tower::{Layer, Service};

use super::params::{Caller, CallerKey, Digest};
use crate::{
    base::{
        BoxError, Error, Kind, Refusal,
        ext::{self, Record},
        order::{self, Step},
    },
    layers::fallback::params::Credential,
    llm::{
        Dialect, DialectMode,
        caller::{Allowed, Refused},
        credential,
        dialect::Api,
    },
};

/// Lets in who brings the key of a caller. See the [module](super).
#[derive(Clone)]
pub struct CallersLayer(Arc<Shared>);

/// Applied by [`CallersLayer`].
#[derive(Clone)]
pub struct Callers<S> {
    inner: S,
    shared: Arc<Shared>,
}

/// Response future of [`Callers`].
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F>(#[pin] State<F>);

#[pin_project(project = StateProj)]
enum State<F> {
    In(#[pin] F),
    Refused(Option<Error>),
}

#[derive(Clone)]
struct Shared {
    known: Vec<Known>,
    setting: DialectMode,
}

/// A caller as it is looked for.
#[derive(Clone)]
struct Known {
    name: Arc<str>,
    digests: Vec<Digest>,
    allowed: Option<Allowed>,
}

// === impl CallersLayer ===

impl CallersLayer {
    /// These callers. `stored` reads the hash of a key that is kept elsewhere; without it the caller does not come in by that
    /// key. Of two callers with the same key the first has it, which is logged.
    #[must_use]
    pub fn new(
        callers: impl IntoIterator<Item = Caller>,
        mut stored: impl FnMut(&Credential) -> Option<Digest>,
    ) -> Self {
        let mut known: Vec<Known> = Vec::new();
        for caller in callers {
            let mut digests = Vec::new();
            for key in &caller.keys {
                let digest = match key {
                    CallerKey::Sha256(digest) => Some(*digest),
                    CallerKey::Stored(from) => stored(from),
                };
                let Some(digest) = digest else { continue };
                match known.iter().find(|other| other.digests.contains(&digest)) {
                    Some(first) => tracing::warn!(
                        first = %first.name,
                        caller = %caller.name,
                        "two callers have the same key: it is the first one's"
                    ),
                    None => digests.push(digest),
                }
            }
            known.push(Known {
                allowed: (!caller.models.is_empty()).then(|| Allowed::new(caller.models)),
                name: caller.name,
                digests,
            });
        }
        Self(Arc::new(Shared {
            known,
            setting: DialectMode::default(),
        }))
    }

    /// Sets what the operator says of the dialect, in which a refusal is told.
    #[must_use]
    pub fn with_dialect(mut self, setting: DialectMode) -> Self {
        Arc::make_mut(&mut self.0).setting = setting;
        self
    }
}

impl<S> Layer<S> for CallersLayer {
    type Service = Callers<S>;

    fn layer(&self, inner: S) -> Callers<S> {
        Callers {
            inner,
            shared: Arc::clone(&self.0),
        }
    }
}

impl fmt::Debug for CallersLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Shared ===

impl Shared {
    /// Whose key the request carries. Each key is compared with all of all callers.
    fn caller<B>(&self, request: &Request<B>) -> Result<&Known, Refusal> {
        let mut refusal = Refusal::NoKey;
        let mut found: Option<&Known> = None;
        for key in credential::keys(request.headers(), request.uri()) {
            let digest = Digest::of(&key);
            if found.is_none() {
                refusal = Refusal::UnknownKey;
            }
            for known in &self.known {
                let same = |mine: &Digest| u8::from(digest == *mine);
                let is_one = known.digests.iter().map(same).fold(0, |all, one| all | one) != 0;
                match found {
                    Some(first) if is_one && first.name != known.name => {
                        return Err(Refusal::SeveralKeys);
                    }
                    None if is_one => found = Some(known),
                    _ => {}
                }
            }
        }
        found.ok_or(refusal)
    }

    fn enter<B>(&self, request: &mut Request<B>) -> Result<(), Error> {
        let (name, allowed) = match self.caller(request) {
            Ok(known) => (Arc::clone(&known.name), known.allowed.clone()),
            Err(refusal) => {
                return Err(refused(Kind::Unauthorized, refusal, self.setting, request));
            }
        };
        let extensions = request.extensions_mut();
        if let Some(record) = extensions.get::<Record>() {
            record.note(|n| n.caller = Some(Arc::clone(&name)));
        }
        extensions.insert(ext::Caller(name));
        if let Some(allowed) = allowed {
            extensions.insert(allowed);
        }
        Ok(())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.known.iter().map(|known| &known.name);
        f.debug_set().entries(names).finish()
    }
}

/// A refusal, in the words of the API that the request is for.
pub(super) fn refused<B>(
    kind: Kind,
    refusal: Refusal,
    setting: DialectMode,
    request: &Request<B>,
) -> Error {
    let google = |headers: &HeaderMap| headers.contains_key("x-goog-api-key");
    let dialect = (setting != DialectMode::StatusOnly).then(|| {
        let shown = Api::of_request(setting, request).dialect;
        shown.unwrap_or_else(|| match request.headers() {
            headers if google(headers) => Dialect::Gemini,
            _ => Dialect::OpenAi,
        })
    });
    Error::new(kind).with_source(Refused { refusal, dialect })
}

// === impl Callers ===

impl<S, B, R> Service<Request<B>> for Callers<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let passed = request.extensions();
        order::not_below(
            passed,
            Step::Limit,
            "TokenLimitLayer stands above CallersLayer, so it would count who is not let in; put it below",
        );
        order::not_below(
            passed,
            Step::OwnKey,
            "OwnKeyed stands above CallersLayer, so no key of a caller would be left; put it below",
        );
        ResponseFuture(match self.shared.enter(&mut request) {
            Ok(()) => State::In(self.inner.call(request)),
            Err(error) => State::Refused(Some(error)),
        })
    }
}

impl<S: fmt::Debug> fmt::Debug for Callers<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers")
            .field("inner", &self.inner)
            .field("callers", &self.shared)
            .finish()
    }
}

// === impl ResponseFuture ===

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            StateProj::In(future) => future.poll(cx).map_err(Into::into),
            StateProj::Refused(error) => {
                let error = error.take().unwrap_or_else(|| Error::new(Kind::Internal));
                Poll::Ready(Err(error.into()))
            }
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}
