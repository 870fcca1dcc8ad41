//! What a route does to headers: operations, the values that they write, and what the mesh itself reads of them.
//!
//! Envoy's order (`HeaderParser::evaluateHeaders`): what is to be removed goes first; then all values of a level are made
//! from what is there; then they are set, then added. A value that comes out empty leaves the header as it was.

use std::{sync::Arc, time::SystemTime};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header, request::Parts,
};

use super::scheme::scheme;
use crate::base::{
    Error,
    ext::{Arrival, Notes, Record, RetryHeaders, RouteMeta},
    operator::{Known, Operator, RequestHead, Template},
    time::wall_now,
};

/// Header operations, applied in this order: remove, set, add.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "as in Istio's `headers.request` and `headers.response`"
)]
pub struct HeaderOps {
    pub request_remove: Vec<HeaderName>,
    pub request_set: Vec<(HeaderName, HeaderText)>,
    pub request_add: Vec<(HeaderName, HeaderText)>,
    pub response_remove: Vec<HeaderName>,
    pub response_set: Vec<(HeaderName, HeaderText)>,
    pub response_add: Vec<(HeaderName, HeaderText)>,
}

/// What a header operation writes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderText {
    /// Always the same.
    Fixed(HeaderValue),
    /// Made anew for each message.
    Template(Arc<Template>),
}

/// The operations of one level on one side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side<'o> {
    remove: &'o [HeaderName],
    set: &'o [(HeaderName, HeaderText)],
    add: &'o [(HeaderName, HeaderText)],
}

/// A value to be written.
struct Change<'o> {
    add: bool,
    name: &'o HeaderName,
    value: HeaderValue,
}

/// What response operations may ask of the request, kept until there is a response.
#[derive(Debug)]
pub(super) struct Seen {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    scheme: String,
    arrival: Option<Arrival>,
    meta: Option<RouteMeta>,
    record: Option<Record>,
    started: SystemTime,
}

// === impl HeaderOps ===

impl HeaderOps {
    pub(super) fn request(&self) -> Side<'_> {
        Side {
            remove: &self.request_remove,
            set: &self.request_set,
            add: &self.request_add,
        }
    }

    pub(super) fn response(&self) -> Side<'_> {
        Side {
            remove: &self.response_remove,
            set: &self.response_set,
            add: &self.response_add,
        }
    }
}

// === impl HeaderText ===

impl From<HeaderValue> for HeaderText {
    fn from(value: HeaderValue) -> Self {
        Self::Fixed(value)
    }
}

impl HeaderText {
    /// The value, if it is always the same.
    #[must_use]
    pub fn fixed(&self) -> Option<&HeaderValue> {
        match self {
            Self::Fixed(value) => Some(value),
            Self::Template(_) => None,
        }
    }

    /// `None` for one that is empty, or that no header can carry.
    fn value(&self, known: &Known<'_>) -> Option<HeaderValue> {
        let value = match self {
            Self::Fixed(value) => value.clone(),
            Self::Template(template) => {
                let value = |operator: &Operator| known.value(operator);
                HeaderValue::from_bytes(&template.render("", value)).ok()?
            }
        };
        (!value.is_empty()).then_some(value)
    }
}

// === impl Side ===

impl Side<'_> {
    pub(super) const NONE: Self = Self {
        remove: &[],
        set: &[],
        add: &[],
    };

    pub(super) fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    pub(super) fn has_templates(&self) -> bool {
        let mut all = self.set.iter().chain(self.add);
        all.any(|(_, text)| matches!(text, HeaderText::Template(_)))
    }

    fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.set.iter().chain(self.add).map(|(name, _)| name)
    }
}

// === impl Seen ===

impl Seen {
    pub(super) fn of(head: &Parts) -> Self {
        let extensions = &head.extensions;
        let arrival = extensions.get::<Arrival>().copied();
        Self {
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
            headers: head.headers.clone(),
            scheme: scheme(&head.uri, &head.headers, arrival.as_ref()).to_owned(),
            arrival,
            meta: extensions.get().cloned(),
            record: extensions.get().cloned(),
            started: started(arrival.as_ref()),
        }
    }

    /// Changes the headers of a response to it.
    pub(super) fn respond(&self, level: &[Side<'_>], status: StatusCode, headers: &mut HeaderMap) {
        let notes = self.record.as_ref().map(Record::snapshot);
        for name in level.iter().flat_map(|side| side.remove) {
            headers.remove(name);
        }
        let known = Known {
            request: Some(RequestHead {
                method: &self.method,
                uri: &self.uri,
                version: self.version,
                headers: &self.headers,
                scheme: &self.scheme,
            }),
            status: status.as_u16(),
            response: Some(headers),
            ..known(
                self.meta.as_ref(),
                notes.as_ref(),
                self.arrival.as_ref(),
                self.started,
            )
        };
        let changes = changes(level, &known);
        write(changes, headers);
    }
}

// === free functions ===

/// Changes the headers of a response, with values that ask nothing of the request.
pub(super) fn respond(level: &[Side<'_>], status: StatusCode, headers: &mut HeaderMap) {
    for name in level.iter().flat_map(|side| side.remove) {
        headers.remove(name);
    }
    let known = Known {
        status: status.as_u16(),
        response: Some(headers),
        ..Known::default()
    };
    let changes = changes(level, &known);
    write(changes, headers);
}

/// Changes the headers of a request. What its own operations say of retries is read, and goes no further.
pub(super) fn request(
    level: &[Side<'_>],
    head: &mut Parts,
    set_authority: impl Fn(&mut Parts, &HeaderValue) -> Result<(), Error>,
) -> Result<(), Error> {
    for name in level.iter().flat_map(|side| side.remove) {
        head.headers.remove(name);
    }
    let templates = level.iter().any(Side::has_templates);
    let record = head.extensions.get::<Record>().filter(|_| templates);
    let notes = record.map(Record::snapshot);
    let arrival = head.extensions.get::<Arrival>();
    let mut known = Known::default();
    if templates {
        let meta = head.extensions.get();
        known = self::known(meta, notes.as_ref(), arrival, started(arrival));
        known.request = Some(RequestHead {
            method: &head.method,
            uri: &head.uri,
            version: head.version,
            headers: &head.headers,
            scheme: scheme(&head.uri, &head.headers, arrival),
        });
    }
    for change in changes(level, &known) {
        if *change.name == header::HOST {
            set_authority(head, &change.value)?;
        } else {
            change.write(&mut head.headers);
        }
    }
    if level.iter().flat_map(Side::names).any(RetryHeaders::is_one)
        && let Some(asked) = RetryHeaders::take(&mut head.headers)
    {
        let before = head.extensions.remove::<RetryHeaders>();
        head.extensions
            .insert(before.unwrap_or_default().and(asked));
    }
    Ok(())
}

fn known<'a>(
    route: Option<&'a RouteMeta>,
    notes: Option<&'a Notes>,
    arrival: Option<&Arrival>,
    started: SystemTime,
) -> Known<'a> {
    Known {
        route,
        notes,
        peer: arrival.and_then(|a| a.peer),
        local: arrival.and_then(|a| a.local),
        started: Some(started),
        ..Known::default()
    }
}

fn started(arrival: Option<&Arrival>) -> SystemTime {
    let since = arrival.map(|arrival| arrival.at.elapsed());
    let now = wall_now();
    now.checked_sub(since.unwrap_or_default()).unwrap_or(now)
}

/// All values of a level, made before any is written: first those that are set.
fn changes<'o>(level: &[Side<'o>], known: &Known<'_>) -> Vec<Change<'o>> {
    let all = |add: bool| {
        let ops = level
            .iter()
            .flat_map(move |side| if add { side.add } else { side.set });
        ops.filter_map(move |(name, text)| {
            let value = text.value(known)?;
            Some(Change { add, name, value })
        })
    };
    all(false).chain(all(true)).collect()
}

fn write(changes: Vec<Change<'_>>, headers: &mut HeaderMap) {
    for change in changes {
        change.write(headers);
    }
}

// === impl Change ===

impl Change<'_> {
    fn write(self, headers: &mut HeaderMap) {
        if self.add {
            headers.append(self.name.clone(), self.value);
        } else {
            headers.insert(self.name.clone(), self.value);
        }
    }
}
