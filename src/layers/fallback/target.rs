//! A target of a chain, and the request as it is sent there.

use std::sync::Arc;

use http::{HeaderValue, Request, Uri, header, request::Parts};
use http_body_util::BodyExt;

use super::{
    key::{self, Key, NoKey},
    params::{self, KeyHeader},
    who::{TargetId, host},
};
use crate::{
    base::{
        BoxError, Error, Kind,
        ext::{OurKey, RouteMeta},
    },
    body::RequestBody,
    layers::retry::RetryBudget,
    llm::{
        Dialect, DialectMode,
        base_path::with_base,
        dialect::{Api, provider},
        request::{Call, rename},
    },
};

/// How a target is reached.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reach<S> {
    /// Its stack: retries, and all below.
    pub service: S,
    /// The key to send, in place of the caller's.
    pub key: Option<Key>,
    /// What all retries to its cluster share. A fallback is paid from it.
    pub budget: Option<Arc<RetryBudget>>,
}

/// All that is known of a target beside its service.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) params: params::Target,
    pub(super) key: Option<Key>,
    pub(super) budget: Option<Arc<RetryBudget>>,
    /// Whether it is on another host than the route's own.
    abroad: bool,
    /// Whether it is another cluster.
    moved: bool,
}

/// What of a request decides how it is sent elsewhere.
pub(super) struct Origin<'a> {
    pub(super) head: &'a Parts,
    pub(super) body: &'a RequestBody,
    /// What the operator says of the dialect.
    pub(super) setting: DialectMode,
}

// === impl Reach ===

impl<S> Reach<S> {
    /// Through this service, with the caller's key if it is on the same host, and with no budget.
    pub fn new(service: S) -> Self {
        Self {
            service,
            key: None,
            budget: None,
        }
    }

    /// Sets the key to send.
    #[must_use]
    pub fn with_key(mut self, key: Option<Key>) -> Self {
        self.key = key;
        self
    }

    /// Sets what a fallback is paid from.
    #[must_use]
    pub fn with_budget(mut self, budget: Option<Arc<RetryBudget>>) -> Self {
        if let Some(budget) = &budget {
            budget.keep_fallbacks();
        }
        self.budget = budget;
        self
    }
}

// === impl Target ===

impl Target {
    /// A target, seen from the route's own cluster.
    pub(super) fn new<S>(params: params::Target, reach: &Reach<S>, own: &str) -> Self {
        Self {
            abroad: host(&params.cluster) != host(own),
            moved: *params.cluster != *own,
            key: reach.key.clone(),
            budget: reach.budget.clone(),
            params,
        }
    }

    /// Who is asked there, where `own` is who is asked without it.
    pub(super) fn who(&self, own: &TargetId) -> TargetId {
        let callers = own.credential.filter(|_| !self.abroad);
        let model = self.params.model.clone().or_else(|| own.model.clone());
        let key = self.key.as_ref().map(Key::hash).or(callers);
        TargetId::new(Arc::clone(&self.params.cluster))
            .with_model(model)
            .with_key(key, self.params.account.as_ref())
    }

    /// The request as it is sent there.
    ///
    /// # Errors
    /// [`Kind::Internal`] if the model has no place in it; those of the body.
    pub(super) async fn request(
        &self,
        origin: Origin<'_>,
    ) -> Result<Request<RequestBody>, BoxError> {
        let mut head = origin.head.clone();
        let api = Api::of_parts(
            origin.setting,
            &head.method,
            &head.uri,
            &head.headers,
            &head.extensions,
        );
        let call = head.extensions.get::<Call>().cloned();
        let dialect = call.as_ref().map(|c| c.dialect).or(api.dialect);
        let mut body = None;
        if let Some(model) = &self.params.model
            && call.as_ref().and_then(|c| c.model.as_ref()) != Some(model)
        {
            let body_read = origin.body.clone().watched(&head.extensions);
            let whole = body_read.collect().await?.to_bytes();
            let cannot = || {
                let detail = "the request cannot be sent with another model";
                Error::new(Kind::Internal).with_detail(detail)
            };
            let dialect = dialect.ok_or_else(cannot)?;
            let renamed = rename(&mut head, dialect, &whole, model);
            body = Some(renamed.map_err(|e| cannot().with_source(e))?);
        }
        self.set_key(&mut head, dialect, api);
        if let Some(path) = &self.params.path {
            let at = with_base(&head.uri, path).ok_or_else(|| {
                Error::new(Kind::Internal).with_detail("the target's path makes none")
            })?;
            head.uri = at;
        }
        if let Some(authority) = &self.params.authority {
            set_authority(&mut head, authority)?;
        }
        if self.moved
            && let Some(meta) = head.extensions.get_mut::<RouteMeta>()
        {
            meta.cluster = Arc::clone(&self.params.cluster);
        }
        let mut body = match body {
            Some(bytes) => RequestBody::from(bytes).with_context(origin.body.context().clone()),
            None => origin.body.clone(),
        };
        if self.moved {
            body.context_mut().set_tried(None);
        }
        Ok(Request::from_parts(head, body))
    }

    /// A key of ours replaces the caller's; the caller's goes nowhere but where the caller sent it, and neither does the one
    /// that the route's own target is asked with.
    fn set_key(&self, head: &mut Parts, dialect: Option<Dialect>, api: Api) {
        let named = self.params.authority.as_deref();
        let there = provider(bare(named.unwrap_or_else(|| host(&self.params.cluster))))
            .or_else(|| api.provider.filter(|_| !self.abroad));
        let of_api = KeyHeader::of(dialect, there, &head.headers);
        if !self.abroad && self.key.is_none() {
            return;
        }
        key::secrets(head);
        head.extensions.remove::<OurKey>();
        head.extensions.remove::<NoKey>();
        if let Some(key) = &self.key {
            key.put(head, self.params.header.unwrap_or(of_api));
            head.extensions.insert(OurKey);
        }
    }

    /// Whether it is asked with a key of this side, where the route's own target is if `own`.
    pub(super) fn has_our_key(&self, own: bool) -> bool {
        self.key.is_some() || (own && !self.abroad)
    }
}

fn set_authority(head: &mut Parts, authority: &str) -> Result<(), BoxError> {
    let bad = || Error::new(Kind::Internal).with_detail("the target's authority is none");
    let value = HeaderValue::from_str(authority).map_err(|e| bad().with_source(e))?;
    if head.uri.authority().is_some() {
        let mut parts = head.uri.clone().into_parts();
        parts.authority = Some(authority.parse().map_err(|e| bad().with_source(e))?);
        head.uri = Uri::from_parts(parts).map_err(|e| bad().with_source(e))?;
    }
    head.headers.insert(header::HOST, value);
    Ok(())
}

/// A host without its port.
fn bare(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}
