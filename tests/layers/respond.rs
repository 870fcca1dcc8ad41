//! Errors to responses.

#![cfg(feature = "test-util")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use llmesh::{
    base::{
        BoxError, Error, Kind,
        error::{ConnectFailure, ResetReason},
        ext::{Ended, Flag, Record},
        hops,
    },
    body::Body,
    respond::{RespondLayer, grpc_status},
    testing::{
        body::{Script, drain},
        probe::{Readiness, Reply, ServiceProbe},
    },
};
use tower::{Layer, Service, ServiceExt};

async fn respond(
    error: impl Into<BoxError>,
    content_type: &str,
    record: &Record,
) -> (http::response::Parts, String) {
    let error = std::sync::Mutex::new(Some(error.into()));
    let (probe, _log) =
        ServiceProbe::new(move |_| Reply::fail(error.lock().unwrap().take().unwrap()));
    let mut request = Request::new(Body::empty());
    let content_type = content_type.parse().unwrap();
    request.headers_mut().insert("content-type", content_type);
    request.extensions_mut().insert(record.clone());
    let Ok(response) = RespondLayer::new().layer(probe).oneshot(request).await;
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head, String::from_utf8(body.to_vec()).unwrap())
}

const fn reset(reason: ResetReason) -> Kind {
    Kind::Reset { reason, sent: true }
}

/// Kind, status, body, flags, details. `~R` stands for the text Envoy puts round a reset reason.
#[rustfmt::skip]
const TABLE: &[(Kind, u16, &str, &str, &str)] = &[
    (Kind::DeadlineExceeded, 504, "upstream request timeout", "UT", "response_timeout"),
    (Kind::AttemptTimeout, 504, "upstream request timeout", "UT", "upstream_per_try_timeout"),
    (Kind::FirstTokenTimeout, 504, "upstream request timeout", "UT", "first_token_timeout"),
    (Kind::IdleTimeout, 504, "stream timeout", "SI", "stream_idle_timeout"),
    (Kind::Connect(ConnectFailure::Refused), 503, "~remote connection failure", "UF", "~"),
    (Kind::Connect(ConnectFailure::Tls), 503, "~remote connection failure", "UF", "~"),
    (Kind::Connect(ConnectFailure::Timeout), 503, "~connection timeout", "UF", "~"),
    (Kind::Connect(ConnectFailure::Local), 503, "~local connection failure", "UF", "~"),
    (Kind::Connect(ConnectFailure::Dns), 503, "~local connection failure", "UF", "~"),
    (reset(ResetReason::Terminated), 503, "~connection termination", "UC", "~"),
    (reset(ResetReason::Remote), 503, "~remote reset", "UR", "~"),
    (reset(ResetReason::Refused), 503, "~remote refused stream reset", "UR", "~"),
    (reset(ResetReason::Local), 503, "~local reset", "LR", "~"),
    (Kind::UpstreamProtocol, 502, "~protocol error", "UPE", "~"),
    (Kind::StreamTruncated, 502, "~protocol error", "UPE", "~"),
    (Kind::StreamMalformed, 502, "~protocol error", "UPE", "~"),
    (Kind::StreamError, 502, "~protocol error", "UPE", "~"),
    (Kind::StreamStalled, 504, "stream timeout", "SI", "stream_stalled"),
    (Kind::HeadersTimeout, 504, "upstream request timeout", "UT", "headers_timeout"),
    (Kind::Overflow, 503, "~overflow", "UO", "~"),
    (Kind::CircuitOpen, 503, "circuit breaker open", "UO", "circuit_open"),
    (Kind::NoEndpoints, 503, "no healthy upstream", "UH", "no_healthy_upstream"),
    (Kind::NoCluster, 503, "", "NC", "cluster_not_found"),
    (Kind::NoRoute, 404, "", "NR", "route_not_found"),
    (Kind::UnknownHost, 502, "the host is not known to the mesh: a detail", "-", "direct_response"),
    (Kind::RateLimited, 429, "local_rate_limited", "RL", "local_rate_limited"),
    (Kind::FaultAbort(418), 418, "fault filter abort", "FI", "fault_filter_abort"),
    (Kind::FaultAbort(204), 204, "", "FI", "fault_filter_abort"),
    (Kind::FaultAbort(101), 500, "fault filter abort", "FI", "fault_filter_abort"),
    (Kind::FaultAbort(9999), 500, "fault filter abort", "FI", "fault_filter_abort"),
    (Kind::Unauthorized, 401, "Jwt verification fails", "-", "jwt_authn_access_denied"),
    (Kind::Forbidden, 403, "RBAC: access denied", "-", "rbac_access_denied"),
    (Kind::Withheld, 503, "", "-", "credential_withheld"),
    (Kind::BadRequest, 400, "", "DPE", "bad_request"),
    (Kind::BodyTooLarge, 413, "Payload Too Large", "-", "request_payload_too_large"),
    (Kind::Canceled, 499, "", "DC", "downstream_remote_disconnect"),
    (Kind::Internal, 500, "internal error", "-", "internal_error"),
];

#[tokio::test]
async fn every_kind_has_envoys_answer() {
    for &(kind, status, body, flags, details) in TABLE {
        for (attempts, retried) in [(0, ""), (1, ""), (2, "retried and the latest ")] {
            let record = Record::default();
            record.note(|n| n.attempts = attempts);
            let error = Error::new(kind)
                .with_detail("a detail")
                .with_source("a source");
            let (head, seen) = respond(error, "application/json", &record).await;
            let (body, details) = match body.strip_prefix('~') {
                Some(reason) => (
                    format!(
                        "upstream connect error or disconnect/reset before headers. {retried}reset reason: {reason}"
                    ),
                    format!(
                        "upstream_reset_before_response_started{{{}}}",
                        reason.replace(' ', "_")
                    ),
                ),
                None => (body.to_owned(), details.to_owned()),
            };
            assert_eq!((head.status.as_u16(), &seen), (status, &body), "{kind:?}");
            let text = head.headers.get("content-type").map(|v| v.as_bytes());
            assert_eq!(
                text,
                (!body.is_empty()).then_some(&b"text/plain"[..]),
                "{kind:?}"
            );
            let overloaded = head.headers.contains_key("x-envoy-overloaded");
            assert_eq!(overloaded, kind == Kind::Overflow);
            let notes = record.snapshot();
            assert_eq!(notes.flags(), flags, "{kind:?}");
            assert_eq!(notes.details, Some(details), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn grpc_calls_get_a_trailers_only_answer() {
    for (kind, status, message) in [
        (
            Kind::DeadlineExceeded,
            "14",
            Some("upstream request timeout"),
        ),
        (Kind::NoEndpoints, "14", Some("no healthy upstream")),
        (Kind::RateLimited, "14", Some("local_rate_limited")),
        (Kind::UnknownHost, "14", None),
        (Kind::BadRequest, "13", None),
        (Kind::Unauthorized, "16", Some("Jwt verification fails")),
        (Kind::Forbidden, "7", Some("RBAC: access denied")),
        (Kind::NoRoute, "12", None),
        (Kind::FaultAbort(503), "14", Some("fault filter abort")),
        (Kind::Internal, "2", Some("internal error")),
    ] {
        for content_type in ["application/grpc", "application/grpc+proto"] {
            let (head, body) = respond(Error::new(kind), content_type, &Record::default()).await;
            assert_eq!((head.status, &*body), (StatusCode::OK, ""));
            assert_eq!(head.headers["content-type"], "application/grpc");
            assert_eq!(head.headers["grpc-status"], status, "{kind:?}");
            let seen = head
                .headers
                .get("grpc-message")
                .map(|v| v.to_str().unwrap());
            assert_eq!(seen, message, "{kind:?}");
        }
    }
    let (head, _) = respond(
        Error::new(Kind::NoRoute),
        "application/grpc-web",
        &Record::default(),
    )
    .await;
    assert_eq!(head.status, StatusCode::NOT_FOUND);
    assert_eq!(grpc_status(StatusCode::GATEWAY_TIMEOUT), 14);
}

#[tokio::test]
async fn a_wait_is_rounded_up_to_whole_seconds() {
    for (millis, header) in [(0, "0"), (1, "1"), (1000, "1"), (1001, "2")] {
        let error = Error::new(Kind::RateLimited).with_retry_after(Duration::from_millis(millis));
        let (head, _) = respond(error, "application/json", &Record::default()).await;
        assert_eq!(head.headers["retry-after"], header);
    }
}

#[tokio::test]
async fn a_wrapped_error_is_found_and_an_unknown_one_is_internal() {
    let record = Record::default();
    let wrapped = std::io::Error::other(Error::new(Kind::NoRoute));
    let (head, _) = respond(wrapped, "application/json", &record).await;
    assert_eq!(head.status, StatusCode::NOT_FOUND);
    let (head, body) = respond("secret", "application/json", &record).await;
    assert_eq!(head.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(body, "internal error");
}

#[tokio::test]
async fn flags_of_others_stay_in_front() {
    let record = Record::default();
    record.flag(Flag::URX);
    respond(
        Error::new(reset(ResetReason::Terminated)),
        "text/plain",
        &record,
    )
    .await;
    assert_eq!(record.snapshot().flags(), "URX,UC");
}

#[tokio::test]
async fn a_response_passes_with_its_trailers_and_mid_stream_error() {
    let (probe, _log) = ServiceProbe::new(|call| {
        let script = Script::new().data("token");
        let script = match call {
            0 => script.trailer("grpc-status", "0"),
            _ => script.fail(Error::new(Kind::StreamTruncated)),
        };
        Reply::response(Response::builder().status(429).body(script).unwrap())
    });
    let record = Record::default();
    let mut service = RespondLayer::new().layer(probe);
    let mut send = async || {
        let mut request = Request::new(());
        request.extensions_mut().insert(record.clone());
        let Ok(ready) = ServiceExt::<Request<()>>::ready(&mut service).await;
        let Ok(response) = ready.call(request).await;
        assert_eq!(response.status(), 429);
        drain(response.into_body()).await
    };
    assert_eq!(send().await.trailers.unwrap()["grpc-status"], "0");
    assert!(send().await.error.is_some(), "a broken stream stays broken");
    assert_eq!(record.snapshot().flags(), "-");
}

#[tokio::test]
async fn a_service_that_fails_to_become_ready_is_answered_for() {
    let (probe, log) = ServiceProbe::new(|_| Reply::hang());
    log.set_readiness(Readiness::Failed);
    let Ok(response) = RespondLayer::new()
        .layer(probe)
        .oneshot(Request::new(()))
        .await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(log.calls(), 0);
}

/// A hop of the mesh above is told that no repetition is left; nobody else is, and not of what is good or may come back.
#[tokio::test]
async fn only_a_hop_above_is_told_the_last_word() {
    // 0 is an error.
    for (count, status, ended, word) in [
        (Some("1"), 503, Some(Ended::Exhausted), Some("exhausted")),
        (Some("2"), 503, Some(Ended::Budget), Some("budget")),
        (Some("1"), 0, Some(Ended::Exhausted), Some("exhausted")),
        (Some("1"), 503, None, None),
        (Some("1"), 0, None, None),
        (Some("1"), 200, Some(Ended::Exhausted), None),
        (None, 503, Some(Ended::Exhausted), None),
        (None, 0, Some(Ended::Exhausted), None),
    ] {
        let inner = tower::service_fn(move |_: Request<Body>| async move {
            let mut result = match status {
                0 => Err(BoxError::from(Error::new(reset(ResetReason::Terminated)))),
                _ => Ok(Response::builder()
                    .status(status)
                    .body(Body::empty())
                    .unwrap()),
            };
            if let Some(why) = ended {
                hops::end(&mut result, why);
            }
            result
        });
        let mut request = Request::new(Body::empty());
        if let Some(count) = count {
            let count = count.parse().unwrap();
            request.headers_mut().insert("x-envoy-attempt-count", count);
        }
        let Ok(response) = RespondLayer::new().layer(inner).oneshot(request).await;
        let told = response.headers().get("x-llmesh-final");
        let told = told.map(|value| value.to_str().unwrap());
        assert_eq!(told, word, "{count:?} {ended:?} {}", response.status());
    }
}
