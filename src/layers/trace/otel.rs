//! The formats of this module as an OpenTelemetry propagator.

use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context as OtelContext,
    propagation::{Extractor, Injector, TextMapPropagator, text_map_propagator::FieldIter},
    trace::{
        SpanContext, SpanId as OtelSpanId, TraceContextExt, TraceFlags, TraceId as OtelTraceId,
        TraceState,
    },
};

use super::{
    b3,
    context::{Context, Formats, SpanId, TraceId},
    propagation::{extract, inject},
    w3c,
};

/// Reads W3C, B3 single and B3 multi; writes the formats that came in, else those it was made with.
#[derive(Clone, Debug)]
pub struct Propagator {
    formats: Formats,
    fields: Vec<String>,
}

// === impl Propagator ===

impl Propagator {
    /// A propagator that writes these formats where none came in.
    #[must_use]
    pub fn new(formats: Formats) -> Self {
        let fields = names().map(|name| name.as_str().to_owned()).collect();
        Self { formats, fields }
    }
}

impl Default for Propagator {
    fn default() -> Self {
        Self::new(Formats::default())
    }
}

impl TextMapPropagator for Propagator {
    fn inject_context(&self, cx: &OtelContext, injector: &mut dyn Injector) {
        let span = cx.span();
        let Some(context) = self.context(cx, span.span_context()) else {
            return;
        };
        let mut headers = HeaderMap::new();
        inject(&context, &mut headers);
        for (name, value) in &headers {
            if let Ok(value) = value.to_str() {
                injector.set(name.as_str(), value.to_owned());
            }
        }
    }

    fn extract_with_context(&self, cx: &OtelContext, extractor: &dyn Extractor) -> OtelContext {
        let mut headers = HeaderMap::new();
        for name in names() {
            for value in extractor.get_all(name.as_str()).unwrap_or_default() {
                if let Ok(value) = HeaderValue::from_str(value) {
                    headers.append(&name, value);
                }
            }
        }
        let Some(context) = extract(&headers).context else {
            return cx.clone();
        };
        let remote = span_context(&context);
        // What OpenTelemetry's own type has no room for (formats, short ids, debug) rides along.
        cx.with_value(context).with_remote_span_context(remote)
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.fields)
    }
}

impl Propagator {
    /// The present span, told with what came in for the same trace; `None` if there is no valid span.
    fn context(&self, cx: &OtelContext, span: &SpanContext) -> Option<Context> {
        let trace_id = TraceId::new(u128::from_be_bytes(span.trace_id().to_bytes()))?;
        let span_id = SpanId::new(u64::from_be_bytes(span.span_id().to_bytes()))?;
        let incoming = cx
            .get::<Context>()
            .filter(|c| c.trace_id.get() == trace_id.get());
        let mut context = match incoming {
            Some(incoming) => {
                let mut context = incoming.clone();
                if span_id != incoming.span_id {
                    context.parent = Some(incoming.span_id);
                }
                context.span_id = span_id;
                context.debug &= span.is_sampled();
                context
            }
            None => {
                let mut context = Context::new(trace_id, span_id);
                context.formats = self.formats;
                context.random = span.trace_flags().to_u8() & 0x02 != 0;
                context
            }
        };
        context.sampled = Some(span.is_sampled());
        context.state = HeaderValue::try_from(span.trace_state().header())
            .ok()
            .filter(|v| !v.is_empty());
        Some(context)
    }
}

pub(crate) fn span_context(context: &Context) -> SpanContext {
    let state = context.state.as_ref().and_then(|v| v.to_str().ok());
    let random = if context.random { 0x02 } else { 0 };
    SpanContext::new(
        OtelTraceId::from_bytes(context.trace_id.get().to_be_bytes()),
        OtelSpanId::from_bytes(context.span_id.get().to_be_bytes()),
        TraceFlags::new(u8::from(context.is_sampled()) | random),
        true,
        state
            .and_then(|s| TraceState::from_str(s).ok())
            .unwrap_or_default(),
    )
}

fn names() -> impl Iterator<Item = HeaderName> {
    [w3c::TRACEPARENT, w3c::TRACESTATE, b3::SINGLE]
        .into_iter()
        .chain(b3::MULTI.iter().cloned())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn round(sent: &[(&str, &str)]) -> HashMap<String, String> {
        let carrier: HashMap<String, String> = sent
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let propagator = Propagator::default();
        let cx = propagator.extract_with_context(&OtelContext::new(), &carrier);
        let mut out = HashMap::new();
        propagator.inject_context(&cx, &mut out);
        out
    }

    #[test]
    fn writes_what_came_in() {
        let w3c = [
            (
                "traceparent",
                "00-12345678901234567890123456789012-1234567890123456-03",
            ),
            ("tracestate", "foo=1,bar=2"),
        ];
        let out = round(&w3c);
        assert_eq!(out.len(), 2);
        assert!(w3c.iter().all(|(k, v)| out[*k] == *v), "{out:?}");

        let b3 = [("b3", "463ac35c9f6413ad-a2fb4a1d1a96d312-d")];
        assert_eq!(
            round(&b3),
            HashMap::from(b3.map(|(k, v)| (k.into(), v.into())))
        );
    }

    #[test]
    fn nothing_in_and_no_span_is_nothing_out() {
        assert!(round(&[]).is_empty());
        assert!(round(&[("traceparent", "ff-1-2-3")]).is_empty());
    }

    #[test]
    fn a_local_span_is_told_in_the_default_formats() {
        let context = Context::new(TraceId::new(7).unwrap(), SpanId::new(9).unwrap());
        let cx = OtelContext::new().with_remote_span_context(span_context(&context));
        let mut out = HashMap::new();
        Propagator::default().inject_context(&cx, &mut out);
        assert_eq!(
            out["traceparent"],
            "00-00000000000000000000000000000007-0000000000000009-00"
        );
        assert_eq!(out["x-b3-traceid"], "00000000000000000000000000000007");
        let fields: Vec<String> = Propagator::default().fields().map(Into::into).collect();
        assert!(out.keys().all(|k| fields.contains(k)), "{out:?}");
    }
}
