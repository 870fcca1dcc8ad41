//! What a rule of a VirtualService says, in names still to be linked.

use std::time::Duration;

use http::StatusCode;

use super::http_match::MatchRule;
use crate::{
    config::diagnostic::Place,
    layers::{
        retry,
        route::params::{HeaderOps, Redirect, Rewrite},
    },
};

/// One entry of `http`.
#[derive(Debug)]
pub(in crate::config) struct Rule {
    pub(in crate::config) name: Option<String>,
    pub(in crate::config) place: Place,
    /// Alternatives; none matches everything.
    pub(in crate::config) matches: Vec<MatchRule>,
    /// `None` if it is unusable or not in force.
    pub(in crate::config) action: Option<RuleAction>,
}

/// What a rule does.
#[derive(Debug)]
pub(in crate::config) enum RuleAction {
    Forward(Box<ForwardRule>),
    Redirect(Redirect),
    Direct(StatusCode, bytes::Bytes, Box<HeaderOps>),
}

/// Send on to weighted destinations.
#[derive(Debug)]
pub(in crate::config) struct ForwardRule {
    pub(in crate::config) destinations: Vec<DestinationRef>,
    pub(in crate::config) timeout: Option<Duration>,
    pub(in crate::config) retry: retry::params::Params,
    pub(in crate::config) rewrite: Option<Rewrite>,
    pub(in crate::config) headers: HeaderOps,
}

/// A destination by name.
#[derive(Debug)]
pub(in crate::config) struct DestinationRef {
    pub(in crate::config) place: Place,
    /// The full name.
    pub(in crate::config) host: String,
    pub(in crate::config) subset: Option<(String, Place)>,
    pub(in crate::config) port: Option<(u16, Place)>,
    pub(in crate::config) weight: u32,
    pub(in crate::config) headers: HeaderOps,
}
