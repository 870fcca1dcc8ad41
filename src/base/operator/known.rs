//! What is known of a request when an operator is asked for its value.

use std::{net::SocketAddr, time::Duration, time::SystemTime};

use http::{HeaderMap, Method, Uri, Version, header::HOST};

use super::{Field, Operator, Plain, Value, date};
use crate::base::{
    ext::{Notes, RouteMeta},
    time::format_rfc3339,
};

/// The head of a request.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the fields of an HTTP request")]
pub struct RequestHead<'a> {
    pub method: &'a Method,
    pub uri: &'a Uri,
    pub version: Version,
    pub headers: &'a HeaderMap,
    /// The scheme that the caller used.
    pub scheme: &'a str,
}

/// What is known of a request at some moment; what is not known has no value.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "named as the operators are")]
pub struct Known<'a> {
    pub request: Option<RequestHead<'a>>,
    /// 0 before there is a response.
    pub status: u16,
    pub response: Option<&'a HeaderMap>,
    pub route: Option<&'a RouteMeta>,
    pub notes: Option<&'a Notes>,
    pub peer: Option<SocketAddr>,
    pub local: Option<SocketAddr>,
    pub started: Option<SystemTime>,
    pub duration: Option<Duration>,
    pub bytes_received: u64,
    pub bytes_sent: u64,
}

// === impl Known ===

impl<'a> Known<'a> {
    /// The value of an operator; `None` if it has none.
    #[must_use]
    pub fn value(&self, operator: &Operator) -> Option<Value<'a>> {
        match operator {
            Operator::Request(first, other) => {
                self.first(first, other.as_ref(), |field| self.request_field(field))
            }
            Operator::Response(first, other) => {
                self.first(first, other.as_ref(), |field| self.response_field(field))
            }
            Operator::WithoutQuery(first, other) => {
                let value = self.first(first, other.as_ref(), |field| self.request_field(field));
                value.map(without_query)
            }
            Operator::QueryParameter(name) => {
                let pairs = self.request?.uri.query()?.split('&');
                let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
                let (_, value) = pairs.find(|(key, _)| key == name)?;
                Some(Value::text(value))
            }
            Operator::StartTime(None) => self.started.map(|at| Value::text(format_rfc3339(at))),
            Operator::StartTime(Some(format)) => {
                self.started.map(|at| Value::text(date(at, format)))
            }
            Operator::Plain(plain) => self.plain(*plain),
            Operator::Absent(_) => None,
        }
    }

    fn first(
        &self,
        first: &Field,
        other: Option<&Field>,
        read: impl Fn(&Field) -> Option<Value<'a>>,
    ) -> Option<Value<'a>> {
        read(first).or_else(|| read(other?))
    }

    fn request_field(&self, field: &Field) -> Option<Value<'a>> {
        let head = self.request?;
        Some(match field {
            Field::Header(name) => Value::Bytes(head.headers.get(name)?.as_bytes().into()),
            Field::Method => Value::text(head.method.as_str()),
            Field::Path => Value::text(head.uri.path_and_query().map_or("/", |p| p.as_str())),
            Field::Scheme => Value::text(head.scheme),
            Field::Authority => match head.uri.authority() {
                // Without a user and password.
                Some(authority) => {
                    Value::text(authority.as_str().rsplit('@').next().unwrap_or_default())
                }
                None => Value::Bytes(head.headers.get(HOST)?.as_bytes().into()),
            },
            Field::Status => return None,
        })
    }

    fn response_field(&self, field: &Field) -> Option<Value<'a>> {
        match field {
            Field::Header(name) => Some(Value::Bytes(self.response?.get(name)?.as_bytes().into())),
            Field::Status if self.status > 0 => Some(Value::Number(self.status.into())),
            _ => None,
        }
    }

    fn endpoint_name(&self) -> Option<&'a str> {
        self.notes?.endpoint_name.as_deref()
    }

    fn plain(&self, plain: Plain) -> Option<Value<'a>> {
        let endpoint = || self.notes?.endpoint;
        let address = |a: SocketAddr| Value::text(a.to_string());
        let ip = |a: SocketAddr| Value::text(a.ip().to_string());
        let port = |a: SocketAddr| Value::Number(a.port().into());
        match plain {
            Plain::BytesReceived => Some(Value::Number(self.bytes_received)),
            Plain::BytesSent => Some(Value::Number(self.bytes_sent)),
            Plain::DownstreamLocalAddress => self.local.map(address),
            Plain::DownstreamLocalAddressWithoutPort => self.local.map(ip),
            Plain::DownstreamLocalPort => self.local.map(port),
            Plain::DownstreamRemoteAddress => self.peer.map(address),
            Plain::DownstreamRemoteAddressWithoutPort => self.peer.map(ip),
            Plain::DownstreamRemotePort => self.peer.map(port),
            Plain::Duration => self.duration.map(millis),
            Plain::Protocol => Some(Value::text(protocol(self.request?.version))),
            Plain::ResponseCode => Some(Value::Number(self.status.into())),
            Plain::ResponseCodeDetails => self.notes?.details.clone().map(Value::text),
            Plain::ResponseFlags => Some(Value::text(
                self.notes.map_or_else(|| "-".to_owned(), Notes::flags),
            )),
            Plain::RouteName => {
                let name = self.route.map(|route| route.route.to_string());
                name.filter(|name| name != "-").map(Value::text)
            }
            Plain::UpstreamAttempts => {
                Some(Value::Number(self.notes.map_or(0, |n| n.attempts.into())))
            }
            Plain::UpstreamCluster => self.route.map(|r| Value::text(r.cluster.to_string())),
            Plain::UpstreamHost => endpoint().map(|at| match self.endpoint_name() {
                Some(name) => Value::text(format!("{name}:{}", at.port())),
                None => address(at),
            }),
            Plain::UpstreamHostWithoutPort => endpoint().map(|at| match self.endpoint_name() {
                Some(name) => Value::text(name.to_owned()),
                None => ip(at),
            }),
            Plain::UpstreamPort => endpoint().map(port),
            Plain::UpstreamTransportFailureReason => {
                self.notes?.transport_failure.clone().map(Value::text)
            }
        }
    }
}

/// Whole milliseconds.
#[must_use]
pub fn millis<'a>(time: Duration) -> Value<'a> {
    Value::Number(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// As Envoy writes it.
fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}

fn without_query(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Bytes(bytes) => {
            let end = bytes.iter().position(|b| *b == b'?');
            Value::Bytes(bytes[..end.unwrap_or(bytes.len())].to_vec().into())
        }
        number => number,
    }
}
