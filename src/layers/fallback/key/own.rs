//! The key of the route's own target.

use std::sync::Arc;

use http::{HeaderName, Request, request::Parts};

use super::{Key, keys};
use crate::{
    base::{
        Error, Kind, Refusal,
        ext::{KEY_HEADERS, OurKey, Record},
        order::{self, Step},
    },
    layers::fallback::{
        params::{KeyHeader, OwnKey},
        who::host,
    },
    llm::{
        DialectMode, Provider, credential,
        dialect::{Api, provider},
    },
};

/// Puts this side's key on requests in place of the caller's, as an [`OwnKey`] says.
///
/// It stands above [`Fallback`](crate::fallback::Fallback), so that every target without a key of its own is asked with this
/// one, or, on another host, with none; and below all that look at the caller's key.
#[derive(Clone, Debug)]
pub struct OwnKeyed {
    params: OwnKey,
    key: Option<Key>,
    provider: Option<Provider>,
    setting: DialectMode,
    kept: Vec<HeaderName>,
    /// Where the key should be that could not be read.
    missing: Option<Arc<str>>,
}

/// The request is to carry the key of the route's own target, which cannot be read: where it should be. In the extensions of
/// requests.
#[derive(Clone, Debug)]
pub(in crate::layers::fallback) struct NoKey(Arc<str>);

// === impl OwnKeyed ===

impl OwnKeyed {
    /// For the cluster of this name. `key` is what was read from [`OwnKey::credential`]; without it only those pass whose own
    /// key passes through.
    #[must_use]
    pub fn new(params: OwnKey, key: Option<Key>, cluster: &str) -> Self {
        let missing = params.credential.as_ref().filter(|_| key.is_none());
        Self {
            missing: missing.map(|from| from.to_string().into()),
            params,
            key,
            provider: provider(host(cluster)),
            setting: DialectMode::default(),
            kept: Vec::new(),
        }
    }

    /// Sets what the operator says of the dialect.
    #[must_use]
    pub fn with_dialect(mut self, setting: DialectMode) -> Self {
        self.setting = setting;
        self
    }

    /// Sets the headers in which the route itself puts keys, which are not the caller's. They stay where there is no other key.
    #[must_use]
    pub fn with_kept(mut self, headers: Vec<HeaderName>) -> Self {
        self.kept = headers;
        self
    }

    /// The request as it goes on.
    pub fn apply<B>(&self, request: Request<B>) -> Request<B> {
        let (mut head, body) = request.into_parts();
        order::pass(&mut head.extensions, Step::OwnKey);
        self.change(&mut head);
        Request::from_parts(head, body)
    }

    fn change(&self, head: &mut Parts) {
        let api = Api::of_parts(
            self.setting,
            &head.method,
            &head.uri,
            &head.headers,
            &head.extensions,
        );
        let provider = self.provider.or(api.provider);
        let header = self
            .params
            .header
            .unwrap_or_else(|| KeyHeader::of(api.dialect, provider, &head.headers));
        if self.params.passthrough {
            if credential::sent(&head.headers, &head.uri).is_some() {
                return;
            }
            // What is empty would stand in the way.
            for name in KEY_HEADERS {
                head.headers.remove(name);
            }
        } else {
            let kept = if self.params.credential.is_none() {
                self.kept.as_slice()
            } else {
                &[]
            };
            keys(head, kept);
        }
        if let Some(key) = &self.key {
            key.put(head, header);
            head.extensions.insert(OurKey);
            if let Some(record) = head.extensions.get::<Record>() {
                record.note(|n| (n.our_key, n.hides_key) = (true, true));
            }
        } else if let Some(missing) = &self.missing {
            head.extensions.insert(NoKey(Arc::clone(missing)));
        }
    }

    /// Whether a request has the key that it is to be sent with. To be asked for each target of the chain.
    ///
    /// # Errors
    /// [`Kind::Withheld`] if it was to have the key of the route's own target, and that could not be read.
    pub fn check<B>(request: &Request<B>) -> Result<(), Error> {
        match request.extensions().get::<NoKey>() {
            None => Ok(()),
            Some(NoKey(missing)) => Err(Error::new(Kind::Withheld)
                .with_detail(format!(
                    "{missing} holds no usable key; a reload reads it again"
                ))
                .with_source(Refusal::KeyMissing)),
        }
    }
}
