//! Request and response heads in the form that a connection needs.

use http::{
    HeaderValue, Method, Request, Response, Uri, Version,
    header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING},
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::Body as _;

use crate::{
    base::{Error, Kind},
    body::Body,
    mesh::{
        hop::drop_hop_by_hop,
        sanitize::{content_length, join_cookies},
        upgrade,
    },
};

/// Origin form, `host`, HTTP/1.1, no hop-by-hop fields.
///
/// A `host` header wins over the URI's authority: whoever rewrote it did so after the request came in.
///
/// # Errors
/// [`Kind::BadRequest`] for `CONNECT`, which has no origin form.
pub(super) fn for_http1(request: &mut Request<Body>) -> Result<(), Error> {
    refuse_connect(request)?;
    drop_hop_by_hop(request.headers_mut());
    if request.version() >= Version::HTTP_2 {
        join_cookies(request.headers_mut());
    }
    if !request.headers().contains_key(HOST)
        && let Some(authority) = request.uri().authority()
    {
        let host = without_userinfo(authority);
        let value =
            HeaderValue::from_str(host).map_err(|e| Error::new(Kind::BadRequest).with_source(e))?;
        request.headers_mut().insert(HOST, value);
    }
    let uri = std::mem::take(request.uri_mut());
    *request.uri_mut() = Uri::from(path_of(&uri));
    *request.version_mut() = Version::HTTP_11;
    if request.body().is_end_stream() {
        // There is nothing to ask for.
        request.headers_mut().remove(EXPECT);
    }
    if request.headers().contains_key(CONTENT_LENGTH) {
        return Ok(());
    }
    let body = request.body();
    if body.is_end_stream() {
        // RFC 9110 section 8.6. HTTP/2 says it by the end of the stream, and an HTTP/1 server may insist on a length.
        if [Method::POST, Method::PUT, Method::PATCH].contains(request.method()) {
            let headers = request.headers_mut();
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    } else if body.size_hint().exact().is_none() {
        // hyper sends no body with GET and HEAD unless it is told how.
        let chunked = HeaderValue::from_static("chunked");
        request.headers_mut().insert(TRANSFER_ENCODING, chunked);
    }
    Ok(())
}

/// `:scheme`, `:authority` and path, HTTP/2, no hop-by-hop fields, no `host`, no `expect`: hyper does not say when an HTTP/2
/// peer asks for the body, so it is asked for here.
///
/// # Errors
/// [`Kind::BadRequest`] for `CONNECT` and for a host that is no authority.
pub(super) fn for_http2(request: &mut Request<Body>, encrypted: bool) -> Result<(), Error> {
    refuse_connect(request)?;
    drop_hop_by_hop(request.headers_mut());
    request.headers_mut().remove(EXPECT);
    let host = request.headers_mut().remove(HOST);
    let authority = match (&host, request.uri().authority()) {
        (Some(host), _) => Authority::try_from(host.as_bytes())
            .map_err(|e| Error::new(Kind::BadRequest).with_source(e))?,
        (None, Some(authority)) => authority.clone(),
        (None, None) => {
            return Err(Error::new(Kind::BadRequest).with_detail("the request has no host"));
        }
    };
    let uri = std::mem::take(request.uri_mut());
    // What the caller's was says nothing of this connection, where it is another one.
    let scheme = match uri.scheme() {
        _ if encrypted => Scheme::HTTPS,
        scheme => scheme.cloned().unwrap_or(Scheme::HTTP),
    };
    *request.uri_mut() = Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(path_of(&uri))
        .build()
        .map_err(|e| Error::new(Kind::BadRequest).with_source(e))?;
    *request.version_mut() = Version::HTTP_2;
    Ok(())
}

/// What an upstream may not answer, although hyper takes it.
///
/// # Errors
/// [`Kind::UpstreamProtocol`]: a switch of protocols that nobody asked for (or, if the request `switches`, to another than
/// WebSocket), a status that is none, two framings at once, a transfer coding that would be passed on without its name, lengths
/// that differ.
pub(super) fn check_response<B>(response: &mut Response<B>, switches: bool) -> Result<(), Error> {
    let bad = |detail| Err(Error::new(Kind::UpstreamProtocol).with_detail(detail));
    let status = response.status().as_u16();
    if status == 101 && switches {
        if !upgrade::switched(response.headers()) {
            return bad("a switch to another protocol than was asked for");
        }
        if response.headers().contains_key(TRANSFER_ENCODING) {
            return bad("a switch of protocols in chunks");
        }
        // Nothing of this response is framed, and some servers say so.
        response.headers_mut().remove(CONTENT_LENGTH);
    } else if !(200..=599).contains(&status) {
        return bad("a status that no response may have");
    }
    let headers = response.headers_mut();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if headers.contains_key(CONTENT_LENGTH) {
            return bad("a length and a transfer coding");
        }
        if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") || codings.next().is_some() {
            return bad("a transfer coding other than chunked");
        }
    }
    if content_length(headers).is_err() {
        return bad("a content length that is none");
    }
    Ok(())
}

/// No hop-by-hop fields. `version` is what the caller's connection speaks from, not a promise about the upstream.
pub(super) fn clean_response<B>(response: &mut Response<B>) {
    drop_hop_by_hop(response.headers_mut());
    if response.version() < Version::HTTP_11 {
        *response.version_mut() = Version::HTTP_11;
    }
}

fn refuse_connect(request: &Request<Body>) -> Result<(), Error> {
    if request.method() == Method::CONNECT {
        return Err(Error::new(Kind::BadRequest).with_detail("CONNECT is not forwarded"));
    }
    Ok(())
}

fn path_of(uri: &Uri) -> PathAndQuery {
    match uri.path_and_query() {
        // An empty path says that it is `/`, and is written as nothing.
        Some(path) if path.as_str() != "/" => path.clone(),
        _ => PathAndQuery::from_static("/"),
    }
}

fn without_userinfo(authority: &Authority) -> &str {
    let text = authority.as_str();
    text.rsplit_once('@').map_or(text, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use http::{HeaderName, header::TE};

    use super::*;

    /// A body that does not say how long it is.
    struct Unknown;

    impl http_body::Body for Unknown {
        type Data = bytes::Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
            Poll::Ready(None)
        }
    }

    fn request(uri: &str, headers: &[(&'static str, &str)]) -> Request<Body> {
        let mut request = Request::builder().uri(uri).body(Body::empty()).unwrap();
        for (name, value) in headers {
            request
                .headers_mut()
                .append(*name, HeaderValue::from_str(value).unwrap());
        }
        request
    }

    #[test]
    fn http1_gets_origin_form_and_a_host() {
        for (uri, host, path) in [
            ("http://user:pw@a.b:81/x?y=1", "a.b:81", "/x?y=1"),
            ("http://a.b", "a.b", "/"),
            ("http://a.b?q", "a.b", "/?q"),
            ("http://a.b#f", "a.b", "/"),
        ] {
            let mut r = request(uri, &[]);
            for_http1(&mut r).unwrap();
            assert_eq!(
                (r.headers()[HOST].to_str().unwrap(), r.uri().to_string()),
                (host, path.to_owned())
            );
            assert_eq!(r.version(), Version::HTTP_11);
        }
        let mut r = request("http://a.b/", &[("host", "rewritten")]);
        for_http1(&mut r).unwrap();
        assert_eq!(r.headers()[HOST], "rewritten");
    }

    #[test]
    fn http2_gets_an_authority_and_no_host() {
        let mut r = request("/x?y", &[("host", "a.b:81")]);
        for_http2(&mut r, false).unwrap();
        assert_eq!(r.uri(), "http://a.b:81/x?y");
        for_http2(&mut r, true).unwrap();
        assert_eq!(r.uri(), "https://a.b:81/x?y");
        assert!(!r.headers().contains_key(HOST));
        assert_eq!(
            for_http2(&mut request("/x", &[]), false)
                .unwrap_err()
                .kind(),
            Kind::BadRequest
        );
        assert_eq!(
            for_http2(&mut request("/x", &[("host", "a b")]), false)
                .unwrap_err()
                .kind(),
            Kind::BadRequest
        );
    }

    #[test]
    fn connect_is_refused() {
        let mut r = request("a.b:443", &[]);
        *r.method_mut() = Method::CONNECT;
        assert_eq!(for_http1(&mut r).unwrap_err().kind(), Kind::BadRequest);
        assert_eq!(
            for_http2(&mut r, false).unwrap_err().kind(),
            Kind::BadRequest
        );
    }

    #[test]
    fn hop_by_hop_fields_go_and_the_rest_stays() {
        let mut r = request(
            "/",
            &[
                ("host", "a"),
                ("connection", "close, X-Secret"),
                ("connection", "Host, content-length, te"),
                ("x-secret", "1"),
                ("keep-alive", "timeout=5"),
                ("proxy-connection", "keep-alive"),
                ("te", "gzip, trailers"),
                ("transfer-encoding", "gzip"),
                ("upgrade", "h2c"),
                ("x-kept", "1"),
                ("content-length", "0"),
            ],
        );
        for_http1(&mut r).unwrap();
        let mut left: Vec<_> = r.headers().keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "host", "te", "x-kept"]);
        assert_eq!(r.headers()[TE], "trailers");
    }

    #[test]
    fn a_get_with_a_body_of_unknown_length_is_told_to_be_chunked() {
        let mut r = Request::builder()
            .uri("/")
            .body(Body::new(Unknown))
            .unwrap();
        for_http1(&mut r).unwrap();
        assert_eq!(r.headers()[TRANSFER_ENCODING], "chunked");
        let mut r = Request::builder().uri("/").body(Body::from("abc")).unwrap();
        for_http1(&mut r).unwrap();
        assert!(!r.headers().contains_key(TRANSFER_ENCODING));
    }

    #[test]
    fn a_post_without_a_body_says_so() {
        for (method, sent, told) in [
            (Method::POST, None, Some("0")),
            (Method::PUT, None, Some("0")),
            (Method::PATCH, Some("0"), Some("0")),
            (Method::DELETE, None, None),
            (Method::GET, None, None),
            (Method::GET, Some("0"), Some("0")),
        ] {
            let mut r = request("/", &[]);
            *r.method_mut() = method;
            if let Some(sent) = sent {
                let sent = HeaderValue::from_static(sent);
                r.headers_mut().insert(CONTENT_LENGTH, sent);
            }
            for_http1(&mut r).unwrap();
            let length = r.headers().get(CONTENT_LENGTH);
            assert_eq!(length.map(|l| l.to_str().unwrap()), told, "{}", r.method());
            assert!(!r.headers().contains_key(TRANSFER_ENCODING));
        }
    }

    #[test]
    fn http1_gets_one_cookie_field() {
        let mut r = request("/", &[("cookie", "a=1"), ("cookie", "b=2")]);
        *r.version_mut() = Version::HTTP_2;
        for_http1(&mut r).unwrap();
        let cookies: Vec<_> = r.headers().get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2"]);
    }

    #[test]
    fn responses_lose_their_hop_by_hop_fields_too() {
        let mut r = Response::new(());
        *r.version_mut() = Version::HTTP_10;
        for (name, value) in [
            ("connection", "x-a"),
            ("x-a", "1"),
            ("keep-alive", "5"),
            ("x-b", "1"),
        ] {
            r.headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        clean_response(&mut r);
        assert_eq!(r.headers().keys().collect::<Vec<_>>(), ["x-b"]);
        assert_eq!(r.version(), Version::HTTP_11);
    }
}
