//! What an access log line holds.

use crate::base::operator::{Operator, ParseError, Template, Value};

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// One JSON object a line.
    #[default]
    Json,
    /// Envoy's text format.
    Text,
}

/// What an access log line holds: Istio's fields, or those of a format of one's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Format(pub(super) Lines);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Lines {
    Text(Template),
    /// Istio's own keys, and then what only llmesh tells.
    Istio(Vec<(String, Field)>),
    Json(Vec<(String, Field)>),
}

/// A value of a JSON format.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    /// A text, with operators.
    Text(Template),
    /// JSON that stands for itself: a number, a truth value.
    Fixed(String),
    /// An object in the object.
    Object(Vec<(String, Self)>),
}

/// Istio's keys, in its order.
const ISTIO: [(&str, &str); 24] = [
    ("start_time", "%START_TIME%"),
    ("route_name", "%ROUTE_NAME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    (
        "connection_termination_details",
        "%CONNECTION_TERMINATION_DETAILS%",
    ),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    (
        "upstream_service_time",
        "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    ),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    (
        "upstream_transport_failure_reason",
        "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    ),
];

/// Istio's text.
const TEXT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
    %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \
    \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% \
    %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \
    \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% \
    %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% \
    %REQUESTED_SERVER_NAME% %ROUTE_NAME%";

// === impl Format ===

impl From<Encoding> for Format {
    /// Istio's own.
    fn from(encoding: Encoding) -> Self {
        // A test reads all of them.
        let read = |text: &str| Template::parse(text).unwrap_or_default();
        Self(match encoding {
            Encoding::Text => Lines::Text(read(TEXT)),
            Encoding::Json => Lines::Istio(
                ISTIO
                    .iter()
                    .map(|(key, text)| ((*key).to_owned(), Field::Text(read(text))))
                    .collect(),
            ),
        })
    }
}

impl Format {
    /// A text with operators. A line end at its end is that of the line.
    ///
    /// # Errors
    /// If an operator cannot be read.
    pub fn text(text: &str) -> Result<Self, ParseError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        Ok(Self(Lines::Text(Template::parse(text)?)))
    }

    /// An object with these fields.
    #[must_use]
    pub fn json(fields: Vec<(String, Field)>) -> Self {
        Self(Lines::Json(fields))
    }

    /// The operators that never have a value here.
    #[must_use]
    pub fn absent(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        self.each(&mut |operator| {
            if let Operator::Absent(name) = operator {
                names.push(*name);
            }
        });
        names
    }

    /// Whether it shows fields of the response.
    pub(super) fn asks_response(&self) -> bool {
        let mut asks = false;
        self.each(&mut |operator| asks |= matches!(operator, Operator::Response(..)));
        asks
    }

    fn each(&self, take: &mut dyn FnMut(&Operator)) {
        match &self.0 {
            Lines::Text(template) => template.operators().for_each(take),
            // Known to ask for nothing that is not at hand.
            Lines::Istio(_) => {}
            Lines::Json(fields) => each(fields, take),
        }
    }
}

fn each(fields: &[(String, Field)], take: &mut dyn FnMut(&Operator)) {
    for (_, field) in fields {
        match field {
            Field::Text(template) => template.operators().for_each(&mut *take),
            Field::Object(fields) => each(fields, take),
            Field::Fixed(_) => {}
        }
    }
}

/// Writes the fields of an object, without its brackets.
pub(super) fn write<'a>(
    out: &mut String,
    fields: &[(String, Field)],
    value: &dyn Fn(&Operator) -> Option<Value<'a>>,
) {
    for (at, (key, field)) in fields.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        quote(out, key);
        out.push(':');
        match field {
            Field::Fixed(json) => out.push_str(json),
            Field::Object(fields) => {
                out.push('{');
                write(out, fields, value);
                out.push('}');
            }
            Field::Text(template) => match template.lone(value) {
                Some(None) => out.push_str("null"),
                Some(Some(Value::Number(n))) => out.push_str(&n.to_string()),
                Some(Some(Value::Bytes(bytes))) => quote(out, &String::from_utf8_lossy(&bytes)),
                None => {
                    let text = template.render("-", value);
                    quote(out, &String::from_utf8_lossy(&text));
                }
            },
        }
    }
}

/// Writes a JSON string. Control characters never reach the log raw.
pub(super) fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn istios_own_formats_can_be_read() {
        for (_, text) in ISTIO.iter().chain([&("", TEXT)]) {
            Template::parse(text).unwrap();
        }
        assert_eq!(Template::parse(TEXT).unwrap().operators().count(), 24);
    }
}
