//! Without feature `otel` there is no span.

use std::{borrow::Cow, sync::MutexGuard};

use super::{attribute::Value, kind::Kind, progress::Progress};
use crate::layers::trace;

/// A span under way: never.
#[derive(Clone, Debug)]
pub(crate) enum Span {}

/// A span that is current: never.
pub(crate) type Entered = ();

impl Span {
    pub(crate) fn begin(
        _: Option<&Self>,
        _: &trace::Context,
        _: Kind,
        _: impl Into<Cow<'static, str>>,
    ) -> Option<Self> {
        None
    }

    pub(crate) fn is_recording(&self) -> bool {
        match *self {}
    }

    pub(crate) fn progress(&self) -> MutexGuard<'_, Progress> {
        match *self {}
    }

    pub(crate) fn set(&self, _: &'static str, _: impl Into<Value>) {
        match *self {}
    }

    pub(crate) fn event(&self, _: &'static str, _: Vec<(&'static str, Value)>) {
        match *self {}
    }

    pub(crate) fn rename(&self, _: String) {
        match *self {}
    }

    pub(crate) fn fail(&self, _: impl Into<Value>) {
        match *self {}
    }

    pub(crate) fn end(&self) {
        match *self {}
    }

    pub(crate) fn enter(&self) -> Entered {
        match *self {}
    }

    pub(crate) fn told(&self, _: &trace::Context) -> Option<trace::Context> {
        match *self {}
    }
}

/// The process's current span: none.
pub(crate) fn current(_: &trace::Context) -> Option<trace::Context> {
    None
}
