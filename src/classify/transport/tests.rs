use super::*;

#[derive(Debug, thiserror::Error)]
#[error("client error")]
struct Wrapped(#[source] BoxError);

fn wrapped(error: impl Into<BoxError>) -> BoxError {
    Wrapped(error.into()).into()
}

fn io(kind: io::ErrorKind) -> BoxError {
    wrapped(io::Error::from(kind))
}

#[test]
fn io_errors_are_connect_failures_or_resets() {
    use io::ErrorKind as K;
    for (kind, expected) in [
        (K::ConnectionRefused, Kind::Connect(ConnectFailure::Refused)),
        (K::TimedOut, Kind::Connect(ConnectFailure::Timeout)),
        (K::HostUnreachable, Kind::Connect(ConnectFailure::Local)),
        (K::AddrNotAvailable, Kind::Connect(ConnectFailure::Local)),
        (K::ConnectionReset, UNKNOWN),
        (K::BrokenPipe, UNKNOWN),
        (K::UnexpectedEof, UNKNOWN),
        (K::Other, UNKNOWN),
    ] {
        assert_eq!(kind_of(io(kind).as_ref()), expected, "{kind:?}");
    }
}

#[test]
fn our_own_errors_are_found_in_any_wrapping() {
    let ours = || Error::new(Kind::Overflow);
    for error in [
        ours().into(),
        wrapped(ours()),
        wrapped(wrapped(ours())),
        wrapped(io::Error::other(ours())),
        io::Error::new(io::ErrorKind::ConnectionReset, ours()).into(),
    ] {
        assert_eq!(kind_of(error.as_ref()), Kind::Overflow, "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tokio_timeout_is_an_attempt_timeout() {
    let limit = std::time::Duration::from_secs(1);
    let elapsed = tokio::time::timeout(limit, std::future::pending::<()>()).await;
    let error = wrapped(elapsed.unwrap_err());
    assert_eq!(kind_of(error.as_ref()), Kind::AttemptTimeout);
}

#[test]
fn classes_follow_from_kinds() {
    let reset = |reason, sent| Kind::Reset { reason, sent };
    for (kind, outcome, scope, retry_same, sent) in [
        (
            Kind::AttemptTimeout,
            Outcome::Timeout,
            Scope::Target,
            false,
            true,
        ),
        (
            Kind::DeadlineExceeded,
            Outcome::Timeout,
            Scope::None,
            false,
            true,
        ),
        (
            Kind::HeadersTimeout,
            Outcome::Timeout,
            Scope::Target,
            false,
            true,
        ),
        (
            Kind::StreamError,
            Outcome::StreamError,
            Scope::Target,
            true,
            true,
        ),
        (
            Kind::StreamMalformed,
            Outcome::MalformedStream,
            Scope::Target,
            true,
            true,
        ),
        (
            Kind::StreamStalled,
            Outcome::StreamStalled,
            Scope::Target,
            false,
            true,
        ),
        (
            Kind::FirstTokenTimeout,
            Outcome::FirstTokenTimeout,
            Scope::Target,
            false,
            true,
        ),
        (
            Kind::Connect(ConnectFailure::Tls),
            Outcome::Connect,
            Scope::Target,
            true,
            false,
        ),
        (
            reset(ResetReason::Refused, false),
            Outcome::Reset,
            Scope::Target,
            true,
            false,
        ),
        (
            reset(ResetReason::Remote, true),
            Outcome::Reset,
            Scope::Target,
            true,
            true,
        ),
        (
            Kind::UpstreamProtocol,
            Outcome::Reset,
            Scope::Target,
            true,
            true,
        ),
        (
            Kind::StreamTruncated,
            Outcome::StreamTruncated,
            Scope::Target,
            true,
            true,
        ),
        (Kind::Canceled, Outcome::Cancelled, Scope::None, false, true),
        (
            Kind::BadRequest,
            Outcome::InvalidRequest,
            Scope::None,
            false,
            true,
        ),
        (
            Kind::BodyTooLarge,
            Outcome::TooLarge,
            Scope::None,
            false,
            true,
        ),
        (Kind::Overflow, Outcome::Local, Scope::None, false, false),
        (Kind::CircuitOpen, Outcome::Local, Scope::None, false, false),
        (Kind::NoEndpoints, Outcome::Local, Scope::None, false, false),
        (
            Kind::FaultAbort(503),
            Outcome::Local,
            Scope::None,
            false,
            false,
        ),
    ] {
        let class = class_of_error(&Error::new(kind).into());
        assert_eq!(class.signal, Signal::Error(kind));
        assert_eq!(
            (class.outcome, class.scope, class.retry_same, class.sent),
            (outcome, scope, retry_same, sent),
            "{kind:?}"
        );
    }
    let stalled = class_of_body_error(&Error::new(Kind::IdleTimeout).into());
    assert_eq!(stalled.outcome, Outcome::StreamStalled);
}

#[cfg(feature = "hyper")]
mod hyper_errors {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use ::http::Request;
    use bytes::Bytes;
    use http_body::{Body, Frame};
    use http_body_util::Empty;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// A peer that answers whatever it reads, and goes.
    async fn peer(mut io: DuplexStream, answer: &'static [u8]) {
        let mut buffer = [0; 1024];
        if io.read(&mut buffer).await.unwrap() > 0 {
            io.write_all(answer).await.unwrap();
        }
    }

    async fn http1<B>(answer: &'static [u8], body: B) -> BoxError
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (near, far) = duplex(4096);
        let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near))
            .await
            .unwrap();
        let server = tokio::spawn(peer(far, answer));
        let connection = tokio::spawn(connection);
        let request = Request::post("/").body(body).unwrap();
        let error = send.send_request(request).await.unwrap_err();
        drop(connection.await.unwrap());
        server.await.unwrap();
        wrapped(error)
    }

    struct Fails(Option<BoxError>);

    impl Body for Fails {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(self.0.take().map(Err))
        }
    }

    #[tokio::test]
    async fn a_peer_that_closes_is_a_reset_after_sending() {
        let error = http1(b"", Empty::<Bytes>::new()).await;
        assert_eq!(kind_of(error.as_ref()), UNKNOWN);
        assert!(class_of_error(&error).sent);
    }

    #[tokio::test]
    async fn a_peer_that_talks_nonsense_breaks_the_protocol() {
        let error = http1(b"SSH-2.0-x\r\n\r\n", Empty::<Bytes>::new()).await;
        assert_eq!(kind_of(error.as_ref()), Kind::UpstreamProtocol);
    }

    #[tokio::test]
    async fn a_failing_request_body_is_never_the_upstreams_fault() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        let refused = Error::new(Kind::Connect(ConnectFailure::Refused));
        let large = Error::new(Kind::BodyTooLarge);
        for (cause, kind) in [
            (BoxError::from(reset), Kind::Canceled),
            (refused.into(), Kind::Canceled),
            (large.into(), Kind::BodyTooLarge),
        ] {
            let error = http1(b"", Fails(Some(cause))).await;
            assert_eq!(kind_of(error.as_ref()), kind, "{error:?}");
            assert_eq!(class_of_error(&error).scope, Scope::None);
        }
    }

    #[tokio::test]
    async fn a_connection_that_is_gone_has_sent_nothing() {
        let (near, far) = duplex(64);
        let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near))
            .await
            .unwrap();
        drop((connection, far));
        let request = Request::new(Empty::<Bytes>::new());
        let error = wrapped(send.send_request(request).await.unwrap_err());
        assert_eq!(
            kind_of(error.as_ref()),
            Kind::Reset {
                reason: ResetReason::Terminated,
                sent: false
            }
        );
        assert!(!class_of_error(&error).sent);
    }

    /// Speaks HTTP/2 to a server that resets every stream with this reason.
    async fn http2(reason: h2::Reason) -> BoxError {
        let (near, far) = duplex(64 * 1024);
        let server = tokio::spawn(async move {
            let mut connection = h2::server::handshake(far).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                respond.send_reset(reason);
            }
        });
        let (mut send, connection) = hyper::client::conn::http2::handshake::<_, _, Empty<Bytes>>(
            TokioExecutor::new(),
            TokioIo::new(near),
        )
        .await
        .unwrap();
        let connection = tokio::spawn(connection);
        let request = Request::get("http://a/").body(Empty::new()).unwrap();
        let error = send.send_request(request).await.unwrap_err();
        drop(send);
        drop(connection.await.unwrap());
        server.await.unwrap();
        wrapped(error)
    }

    #[tokio::test]
    async fn http2_resets_keep_their_reason() {
        for (reason, expected, sent) in [
            (h2::Reason::REFUSED_STREAM, ResetReason::Refused, false),
            (h2::Reason::INTERNAL_ERROR, ResetReason::Remote, true),
            (h2::Reason::CANCEL, ResetReason::Remote, true),
        ] {
            let error = http2(reason).await;
            let kind = Kind::Reset {
                reason: expected,
                sent,
            };
            assert_eq!(kind_of(error.as_ref()), kind, "{reason:?}");
        }
    }
}
