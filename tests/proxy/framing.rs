//! Requests and responses byte by byte: what a caller gets, and what an upstream that reads strictly has seen.
//!
//! After each row that leaves the connection open one more request goes over it: an upstream that has seen anything but
//! what the row says, or a caller that gets anything but its own answer, is a request smuggled.

use std::time::Duration;

use llmesh::proxy::server::Params;
use tokio::time::timeout;

use crate::{
    recorder::{Answer, Front, HOST, Seen},
    support::soon,
};

/// Why, what is written (`^` is the right `Host` line), the statuses (`x`: then the connection is closed), and what the
/// upstream saw.
type Row<'a> = (&'a str, String, &'a str, &'a str);

/// Request lines, with a good `Host`.
#[rustfmt::skip]
const LINES: &[(&str, &str, &str, &str)] = &[
    ("origin form", "GET /a?b=/../c HTTP/1.1", "200", "GET /a?b=/../c"),
    ("absolute form", "GET http://svc.test/a HTTP/1.1", "200", "GET /a"),
    ("absolute form without a path", "GET http://svc.test HTTP/1.1", "200", "GET /"),
    ("absolute form with a query alone", "GET http://svc.test?q HTTP/1.1", "200", "GET /?q"),
    ("asterisk form asks the server itself", "OPTIONS * HTTP/1.1", "200", ""),
    ("OPTIONS of a path is the service's matter", "OPTIONS /a HTTP/1.1", "200", "OPTIONS /a"),
    ("asterisk form is for OPTIONS", "GET * HTTP/1.1", "400x", ""),
    ("authority form is for CONNECT", "GET svc.test:80 HTTP/1.1", "400x", ""),
    ("a path without its slash", "GET a HTTP/1.1", "400x", ""),
    ("another scheme", "GET ftp://svc.test/a HTTP/1.1", "400x", ""),
    ("another scheme without authority", "GET file:///a HTTP/1.1", "400x", ""),
    ("CONNECT", "CONNECT svc.test:80 HTTP/1.1", "405x", ""),
    ("CONNECT to anywhere", "CONNECT 127.0.0.1:22 HTTP/1.1", "405x", ""),
    ("TRACE would show credentials", "TRACE /a HTTP/1.1", "405x", ""),
    ("an unknown method is the service's matter", "BREW /a HTTP/1.1", "200", "BREW /a"),
    ("methods are case-sensitive", "connect /a HTTP/1.1", "200", "connect /a"),
    ("a method that is no token", "G(T /a HTTP/1.1", "400x", ""),
    ("no method", " /a HTTP/1.1", "400x", ""),
    ("two spaces", "GET  /a HTTP/1.1", "400x", ""),
    ("a tab for a space", "GET\t/a HTTP/1.1", "400x", ""),
    ("a space in the target", "GET /a b HTTP/1.1", "400x", ""),
    ("a control character in the target", "GET /a\x01 HTTP/1.1", "400x", ""),
    ("DEL in the target", "GET /a\x7f HTTP/1.1", "400x", ""),
    ("HTTP/0.9", "GET /a", "400x", ""),
    ("HTTP/1.2", "GET /a HTTP/1.2", "400x", ""),
    ("HTTP/2.0 by name", "GET /a HTTP/2.0", "400x", ""),
    ("HTTP/11", "GET /a HTTP/11", "400x", ""),
    ("a lower-case version", "GET /a http/1.1", "400x", ""),
    ("a space behind the version", "GET /a HTTP/1.1 ", "400x", ""),
    ("HTTP/1.0 closes", "GET /a HTTP/1.0", "200x", "GET /a"),
    ("user information", "GET http://user:pw@svc.test/a HTTP/1.1", "400x", ""),
    ("no authority", "GET http:///a HTTP/1.1", "400x", ""),
    ("a port that is none", "GET http://svc.test:99999/a HTTP/1.1", "400x", ""),
];

/// Targets and the paths that the upstream sees.
#[rustfmt::skip]
const PATHS: &[(&str, &str, &str)] = &[
    ("an escaped letter", "/%61", "/a"),
    ("an escaped slash stays", "/a%2fb%2Fc", "/a%2fb%2Fc"),
    ("dot segments", "/a/../b/./c", "/b/c"),
    ("escaped dot segments", "/a/%2e%2E/b", "/b"),
    ("dot segments with parameters", "/a/..;x/b", "/b"),
    ("above the root", "/../../a", "/a"),
    ("backslashes", "/a\\..\\b", "/b"),
    ("two slashes stay", "//a//b", "//a//b"),
    ("decoded once only", "/%252e%252e/a", "/%252e%252e/a"),
    ("broken escapes stay", "/%zz/%4", "/%zz/%4"),
    ("a fragment is cut off", "/a#/../admin", "/a"),
    ("a fragment behind a query", "/a?b#c", "/a?b"),
    ("a fragment behind the root", "/#a", "/"),
    ("an empty fragment", "/a#", "/a"),
    ("two fragments", "/a#b#c?d", "/a"),
    ("a fragment of an absolute form", "http://svc.test/a?b#/../c", "/a?b"),
    ("a fragment behind a host alone", "http://svc.test#a", "/"),
    ("an escaped number sign is none", "/a%23b", "/a%23b"),
    ("a query is nobody's business", "/a?%61=\\..;/../%00", "/a?%61=\\..;/../%00"),
    ("letters that are no ASCII", "/é", "/%C3%A9"),
    ("absolute form too", "http://svc.test/a/../%62", "/b"),
];

/// Instead of a good `Host`, with `GET /a`.
#[rustfmt::skip]
const HOSTS: &[(&str, &str, &str)] = &[
    ("a good one", "Host: svc.test\r\n", "200"),
    ("with its port", "Host: svc.test:80\r\n", "200"),
    ("with an empty port", "Host: svc.test:\r\n", "200"),
    ("in capitals", "HOST: SVC.TEST\r\n", "200"),
    ("none", "", "400x"),
    ("an empty one", "Host:\r\n", "400x"),
    ("an empty one of spaces", "Host:   \r\n", "400x"),
    ("two", "Host: svc.test\r\nHost: other.test\r\n", "400x"),
    ("two equal ones", "Host: svc.test\r\nHost: svc.test\r\n", "400x"),
    ("an empty one and a good one", "Host:\r\nHost: svc.test\r\n", "400x"),
    ("a list", "Host: svc.test, other.test\r\n", "400x"),
    ("a list without a space", "Host: svc.test,other.test\r\n", "400x"),
    ("user information", "Host: other@svc.test\r\n", "400x"),
    ("a path", "Host: svc.test/a\r\n", "400x"),
    ("a scheme", "Host: http://svc.test\r\n", "400x"),
    ("a space inside", "Host: svc.test other.test\r\n", "400x"),
    ("a tab inside", "Host: svc.test\tother.test\r\n", "400x"),
    ("no digits for a port", "Host: svc.test:http\r\n", "400x"),
    ("two ports", "Host: svc.test:80:80\r\n", "400x"),
    ("a port too large", "Host: svc.test:65536\r\n", "400x"),
    ("a signed port", "Host: svc.test:+80\r\n", "400x"),
    ("a port alone", "Host: :80\r\n", "400x"),
    ("brackets around nothing", "Host: []\r\n", "400x"),
    ("brackets that stay open", "Host: [::1\r\n", "400x"),
    ("an escape", "Host: svc%2etest\r\n", "400x"),
    ("bytes that are no ASCII", "Host: s\u{fc}c.test\r\n", "400x"),
    ("by underscore", "Host_: x\r\nHost: svc.test\r\n", "200"),
    ("a space before the colon", "Host : svc.test\r\n", "400x"),
    ("folded", "Host:\r\n svc.test\r\n", "400x"),
];

/// Fields beside a good `Host`, with `GET /a`.
#[rustfmt::skip]
const FIELDS: &[(&str, &str, &str)] = &[
    ("fields named in Connection stay here", "Connection: x-named, close\r\nX-Named: 1\r\n", "200x"),
    ("on two lines", "Connection: x-named\r\nConnection: keep-alive\r\nX-Named: 1\r\n", "200"),
    ("fields of ours cannot be named away", "Connection: traceparent, x-request-id, host, authorization\r\n", "200"),
    ("in any letters, in several lists, beside what is no name", "Connection: é, X-NAMED\r\nconnection: ,, \"x-quoted\" ,X-Other\r\nX-Named: 1\r\nx-other: 1\r\n", "200"),
    ("what is for the next proxy stays here", "Proxy-Authorization: Basic eA==\r\nProxy-Authenticate: x\r\nPROXY-CONNECTION: close\r\n", "200"),
    ("Keep-Alive stays here", "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n", "200"),
    ("TE stays here, but for trailers", "TE: gzip, trailers\r\nConnection: TE\r\n", "200"),
    ("h2c is not taken up", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", "200"),
    ("HTTP2-Settings alone", "HTTP2-Settings: AAMAAABk\r\n", "200"),
    ("Upgrade that Connection does not name", "Upgrade: websocket\r\n", "200"),
    ("websocket is the upstream's to take up, and nothing follows if it does not", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "200x"),
    ("websocket, asked for twice", "Connection: Upgrade\r\nUpgrade: websocket\r\nConnection: upgrade\r\nUpgrade: WebSocket, h2c\r\n", "200x"),
    ("websocket and a length of nothing", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n", "200x"),
    ("Connection alone asks for nothing", "Connection: Upgrade\r\n", "200"),
    ("two protocols", "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: irc\r\n", "403x"),
    ("websocket of another version", "Connection: Upgrade\r\nUpgrade: websocket/14\r\n", "403x"),
    ("websocket with a length", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n", "400x"),
    ("websocket with chunks", "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n", "400x"),
    ("an upgrade by underscore", "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer_Encoding: chunked\r\n", "400x"),
    ("another protocol", "Connection: keep-alive, upgrade\r\nUpgrade: TLS/1.0\r\n", "403x"),
    ("another protocol behind h2c", "Connection: upgrade\r\nUpgrade: h2c, irc\r\n", "403x"),
    ("an unknown expectation", "Expect: miracles\r\n", "417x"),
    ("one more expectation", "Expect: 100-continue\r\nExpect: miracles\r\n", "417x"),
    ("a list of expectations", "Expect: 100-continue, miracles\r\n", "417x"),
    ("an expectation without a body", "Expect: 100-continue\r\n", "200"),
    ("overrides are for the mesh alone", "X-Envoy-Max-Retries: 9\r\nx_envoy_max-retries: 9\r\nX-Envoy-Original-Path: /b\r\n", "200"),
    ("a framing field by underscore", "Transfer_Encoding: chunked\r\n", "400x"),
    ("a length by underscore", "Content_Length: 5\r\n", "400x"),
    ("a length by underscore in capitals", "CONTENT_LENGTH: 5\r\n", "400x"),
    ("a space before the colon", "X-A : 1\r\n", "400x"),
    ("no colon", "X-A\r\n", "400x"),
    ("no name", ": 1\r\n", "400x"),
    ("a name that is no token", "X(A: 1\r\n", "400x"),
    ("a name with a NUL", "X\0A: 1\r\n", "400x"),
    ("a value with a NUL", "X-A: 1\x002\r\n", "400x"),
    ("a value with a CR", "X-A: 1\r2\r\n", "400x"),
    ("a value with an ESC", "X-A: \x1b[0m\r\n", "400x"),
    ("a folded value", "X-A: 1\r\n 2\r\n", "400x"),
    ("a first line that is folded", " X-A: 1\r\n", "400x"),
    ("an empty value", "X-A:\r\n", "200"),
    ("spaces round a value", "X-A: \t 1 \t \r\n", "200"),
    ("letters in a value that are no ASCII", "X-A: é\r\n", "200"),
    // RFC 9112 section 2.2 lets a server take it. The head is written anew, so nobody behind this sees it.
    ("a line that ends in LF alone", "X-A: 1\nX-B: 2\n", "200"),
    ("a CR alone does not end a line", "X-A: 1\rX-B: 2\r\n", "400x"),
];

/// Fields and bodies of `POST /a`, and what the upstream saw of it.
#[rustfmt::skip]
const BODIES: &[(&str, &str, &str, &str)] = &[
    ("a length", "Content-Length: 3\r\n\r\nabc", "200", "POST /a [abc]"),
    ("no length", "\r\n", "200", "POST /a"),
    ("chunks", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "200", "POST /a [abc]"),
    ("Chunked in capitals", "Transfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "200", "POST /a [abc]"),
    ("leading zeros are taken off", "Content-Length: 003\r\n\r\nabc", "200", "POST /a [abc]"),
    ("the same length twice is one", "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "200", "POST /a [abc]"),
    ("the same length in two forms is one", "Content-Length: 03\r\nContent-Length: 3\r\n\r\nabc", "200", "POST /a [abc]"),
    ("two lengths", "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "400x", ""),
    ("a list of lengths", "Content-Length: 3, 3\r\n\r\nabc", "400x", ""),
    ("a signed length", "Content-Length: +3\r\n\r\nabc", "400x", ""),
    ("a negative length", "Content-Length: -3\r\n\r\nabc", "400x", ""),
    ("a length in hex", "Content-Length: 0x3\r\n\r\nabc", "400x", ""),
    ("a length with a fraction", "Content-Length: 3.0\r\n\r\nabc", "400x", ""),
    ("a length with a space in it", "Content-Length: 1 2\r\n\r\nabcdefghijkl", "400x", ""),
    ("an empty length", "Content-Length:\r\n\r\n", "400x", ""),
    ("a length beyond 64 bits", "Content-Length: 99999999999999999999\r\n\r\n", "400x", ""),
    ("the largest 64-bit length is too large to be one", "Content-Length: 18446744073709551615\r\n\r\n", "431x", ""),
    ("a length before chunks", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", "400x", ""),
    ("a length behind chunks", "Transfer-Encoding: chunked\r\nContent-Length: 99\r\n\r\n1\r\na\r\n0\r\n\r\n", "400x", ""),
    ("a length that is none behind chunks", "Transfer-Encoding: chunked\r\nContent-Length: x\r\n\r\n1\r\na\r\n0\r\n\r\n", "400x", ""),
    ("smuggling by length and chunks", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n^\r\n", "400x", ""),
    ("an underscore beside a length", "Content-Length: 3\r\nTransfer_Encoding: chunked\r\n\r\nabc", "400x", ""),
    ("another coding", "Transfer-Encoding: gzip\r\n\r\n", "400x", ""),
    ("another coding before chunked", "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501x", ""),
    ("another coding behind chunked", "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "400x", ""),
    ("identity", "Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc", "400x", ""),
    ("chunked twice", "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "400x", ""),
    ("chunked behind nothing", "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", "400x", ""),
    ("chunked before nothing", "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", "400x", ""),
    ("chunked on two lines", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400x", ""),
    ("two codings on two lines", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "501x", ""),
    ("chunked, and then none", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", "400x", ""),
    ("xchunked", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "400x", ""),
    ("chunked in quotes", "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", "400x", ""),
    ("chunked with a parameter", "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", "400x", ""),
    ("chunked behind a vertical tab", "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", "400x", ""),
    ("chunked by a folded line", "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", "400x", ""),
    ("chunked with a space before the colon", "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400x", ""),
    ("an empty coding", "Transfer-Encoding:\r\nContent-Length: 3\r\n\r\nabc", "400x", ""),
    ("an extension of a chunk goes no further", "Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n", "200", "POST /a [abc]"),
    ("a quoted extension", "Transfer-Encoding: chunked\r\n\r\n3 ;\ta=\"b;c\"\r\nabc\r\n0;x\r\n\r\n", "200", "POST /a [abc]"),
    ("a NUL in an extension", "Transfer-Encoding: chunked\r\n\r\n3;a\0b\r\nabc\r\n0\r\n\r\n", "400x", ""),
    ("a NUL in the extension of the last chunk", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0;\0\r\n\r\n", "400x", ""),
    ("a CR alone in an extension", "Transfer-Encoding: chunked\r\n\r\n3;a\rb\r\nabc\r\n0\r\n\r\n", "400x", ""),
    ("an ESC in an extension", "Transfer-Encoding: chunked\r\n\r\n3;\x1b\r\nabc\r\n0\r\n\r\n", "400x", ""),
    ("bytes of a chunk are nobody's business", "Transfer-Encoding: chunked\r\n\r\n3\r\n\0;\x1b\r\n0\r\n\r\n", "200", "POST /a [\0;\x1b]"),
    ("a space before a size", "Transfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n", "400x", ""),
    ("a size with an underscore", "Transfer-Encoding: chunked\r\n\r\n0_3\r\nabc\r\n0\r\n\r\n", "400x", ""),
    ("a size with leading zeros", "Transfer-Encoding: chunked\r\n\r\n0003\r\nabc\r\n0\r\n\r\n", "200", "POST /a [abc]"),
    ("a size that is none", "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n", "400x", ""),
    ("a signed size", "Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n", "400x", ""),
    ("a negative size", "Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n", "400x", ""),
    ("a size in 0x", "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", "400x", ""),
    ("a size beyond 64 bits", "Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n", "400x", ""),
    ("an empty size", "Transfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n", "400x", ""),
    ("a size line that ends in LF", "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", "400x", ""),
    ("an LF in an extension", "Transfer-Encoding: chunked\r\n\r\n3;a\nabc\r\n0\r\n\r\n", "400x", ""),
    ("a chunk longer than its size", "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", "400x", ""),
    ("a chunk that ends in LF", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n", "400x", ""),
    ("an end without its empty line", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nGET /evil HTTP/1.1\r\n\r\n", "400x", ""),
    ("trailers that nobody announced go no further", "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-T: 1\r\n\r\n", "200", "POST /a [a]"),
    ("trailers that were announced are passed on", "Transfer-Encoding: chunked\r\nTrailer: x-t\r\n\r\n1\r\na\r\n0\r\nX-T: 1\r\n\r\n", "200", "POST /a [a|x-t: 1]"),
    ("trailers that frame or address nothing", "Transfer-Encoding: chunked\r\nTrailer: host, keep-alive, x-envoy-retry-on, x-t\r\n\r\n1\r\na\r\n0\r\nHost: b\r\nKeep-Alive: 1\r\nX-Envoy-Retry-On: 5xx\r\nX-T: 1\r\n\r\n", "200", "POST /a [a|x-t: 1]"),
    ("a length among the trailers", "Transfer-Encoding: chunked\r\nTrailer: content-length\r\n\r\n1\r\na\r\n0\r\nContent-Length: 9\r\n\r\n", "200", "POST /a [a]"),
    ("an expectation is the upstream's to answer, once", "Expect: 100-Continue\r\nContent-Length: 3\r\n\r\nabc", "100,200", "POST /a [abc]"),
];

/// Whole connections.
#[rustfmt::skip]
const STREAMS: &[(&str, &str, &str, &str)] = &[
    ("two requests at once", "GET /a HTTP/1.1\r\n^\r\nGET /b HTTP/1.1\r\n^\r\n", "200,200", "GET /a; GET /b"),
    ("empty lines before a request", "\r\n\r\nGET /a HTTP/1.1\r\n^\r\n", "200", "GET /a"),
    ("a body of a GET is a body", "GET /a HTTP/1.1\r\n^Content-Length: 26\r\n\r\nGET /evil HTTP/1.1\r\nX: y\r\n", "200", "GET /a [GET /evil HTTP/1.1\r\nX: y\r\n]"),
    ("chunks of a GET are a body", "GET /a HTTP/1.1\r\n^Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nGET /b HTTP/1.1\r\n^\r\n", "200,200", "GET /a [hi]; GET /b"),
    ("a body of a HEAD is a body", "HEAD /h HTTP/1.1\r\n^Content-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\n^\r\n", "200,200", "HEAD /h [hi]; GET /b"),
    ("a body behind an h2c upgrade is a body", "POST /a HTTP/1.1\r\n^Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\n^\r\n", "200,200", "POST /a [hi]; GET /b"),
    ("what is behind a refused upgrade is not read", "GET /a HTTP/1.1\r\n^Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /evil HTTP/1.1\r\n^\r\n", "200x", "GET /a"),
    ("what is behind an upgrade with a body is not read", "POST /a HTTP/1.1\r\n^Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhiGET /evil HTTP/1.1\r\n^\r\n", "400x", ""),
    ("only a GET begins websocket", "POST /a HTTP/1.1\r\n^Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "400x", ""),
    ("what is behind a CONNECT is not read", "CONNECT svc.test:80 HTTP/1.1\r\n^\r\nGET /evil HTTP/1.1\r\n^\r\n", "405x", ""),
    ("what is behind a refused head is not read", "GET /a HTTP/1.1\r\nHost: a,b\r\n\r\nGET /evil HTTP/1.1\r\n^\r\n", "400x", ""),
    ("what is behind a refused body is not read", "POST /a HTTP/1.1\r\n^Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n^\r\n", "501x", ""),
    ("what is behind close is not read", "GET /a HTTP/1.1\r\n^Connection: close\r\n\r\nGET /evil HTTP/1.1\r\n^\r\n", "200x", "GET /a"),
    ("close wins over keep-alive", "GET /a HTTP/1.1\r\n^Connection: close\r\nConnection: keep-alive\r\n\r\nGET /evil HTTP/1.1\r\n^\r\n", "200x", "GET /a"),
    ("HTTP/1.0 with keep-alive", "GET /a HTTP/1.0\r\n^Connection: keep-alive\r\n\r\n", "200", "GET /a"),
    ("HTTP/1.0 with chunks", "POST /a HTTP/1.0\r\n^Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400x", ""),
    ("HTTP/1.0 in absolute form needs no Host", "GET http://svc.test/a HTTP/1.0\r\n\r\n", "200x", "GET /a"),
    ("HTTP/1.0 does not ask to upgrade", "GET /a HTTP/1.0\r\n^Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", "200x", "GET /a"),
    ("an expectation of HTTP/1.0 is ignored", "POST /a HTTP/1.0\r\n^Expect: miracles\r\nContent-Length: 1\r\n\r\na", "200x", "POST /a [a]"),
    ("a length beside chunks in a later request", "GET /a HTTP/1.1\r\n^\r\nPOST /b HTTP/1.1\r\n^Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n^\r\n", "200,400x", "GET /a"),
    ("a NUL in an extension of a later request", "POST /a HTTP/1.1\r\n^Content-Length: 2\r\n\r\nhiPOST /b HTTP/1.1\r\n^Transfer-Encoding: chunked\r\n\r\n1;\0\r\na\r\n0\r\n\r\n", "200,400x", "POST /a [hi]"),
    ("absolute form without Host", "GET http://svc.test/a HTTP/1.1\r\n\r\n", "400x", ""),
    ("the target wins over Host", "GET http://svc.test/a HTTP/1.1\r\nHost: other.test\r\n\r\n", "200", "GET /a"),
    ("Host does not win over the target", "GET http://other.test/a HTTP/1.1\r\n^\r\n", "502", ""),
    ("a NUL in the path", "GET /a%00b HTTP/1.1\r\n^\r\n", "400x", ""),
    ("a NUL in the path, otherwise escaped", "GET /%61/..%00/b HTTP/1.1\r\n^\r\n", "400x", ""),
    ("lines that end in LF alone", "GET /a HTTP/1.1\nHost: svc.test\n\nGET /b HTTP/1.1\r\n^\r\n", "200,200", "GET /a; GET /b"),
    ("a CR before the head's end", "GET /a HTTP/1.1\r\n^X: 1\r\r\n\r\n", "400x", ""),
    ("a TLS hello", "\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03\r\n\r\n", "400x", ""),
    ("another protocol", "SSH-2.0-OpenSSH_9.6\r\n\r\n", "400x", ""),
    ("a response", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "400x", ""),
];

fn rows() -> Vec<Row<'static>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    let good = format!("Host: {HOST}\r\n");
    for (why, line, answer, seen) in LINES {
        rows.push((why, format!("{line}\r\n^\r\n"), answer, seen));
    }
    for (why, target, path) in PATHS {
        let seen = Box::leak(format!("GET {path}").into_boxed_str());
        rows.push((why, format!("GET {target} HTTP/1.1\r\n^\r\n"), "200", seen));
    }
    for (of, table) in [("", HOSTS), ("^", FIELDS)] {
        for (why, fields, answer) in table {
            let seen = if answer.starts_with("200") {
                "GET /a"
            } else {
                ""
            };
            let text = format!("GET /a HTTP/1.1\r\n{of}{fields}\r\n");
            rows.push((why, text, answer, seen));
        }
    }
    for (why, rest, answer, seen) in BODIES {
        rows.push((why, format!("POST /a HTTP/1.1\r\n^{rest}"), answer, seen));
    }
    for (why, text, answer, seen) in STREAMS {
        rows.push((why, (*text).to_owned(), answer, seen));
    }
    let fields = |n: usize| format!("GET /a HTTP/1.1\r\n^{}\r\n", "X-A: 1\r\n".repeat(n));
    rows.push(("100 fields", fields(99), "200", "GET /a"));
    rows.push(("101 fields", fields(100), "431x", ""));
    let long = |n: usize| format!("GET /a HTTP/1.1\r\n^X-A: {}\r\n\r\n", "a".repeat(n));
    rows.push(("a head of 50 KB", long(50 << 10), "200", "GET /a"));
    rows.push(("a head of 64 KB", long(64 << 10), "431x", ""));
    let target = format!("GET /{} HTTP/1.1\r\n^\r\n", "a".repeat(70 << 10));
    rows.push(("a target of 70 KB is a head too large", target, "431x", ""));
    for row in &mut rows {
        row.1 = row.1.replace('^', &good);
    }
    rows
}

/// What holds of every request that an upstream sees.
fn assert_canonical(seen: &Seen) {
    let host = seen.values("host");
    assert_eq!(host.len(), 1, "{seen:?}");
    assert!(
        [HOST, "svc.test:80"].contains(&&*host[0].to_ascii_lowercase()),
        "{seen:?}"
    );
    let framed = seen.values("content-length").len() + seen.values("transfer-encoding").len();
    assert!(framed <= 1, "{seen:?}");
    let switch = (seen.values("connection"), seen.values("upgrade"));
    let asks = (vec!["Upgrade"], vec!["websocket"]);
    assert!(switch == (vec![], vec![]) || switch == asks, "{seen:?}");
    for gone in [
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "x-named",
        "x-other",
        "x-envoy-max-retries",
        "x_envoy_max-retries",
        "x-envoy-original-path",
        "transfer_encoding",
        "content_length",
    ] {
        assert!(seen.values(gone).is_empty(), "{gone}: {seen:?}");
    }
    assert!(
        matches!(seen.values("expect")[..], [] | ["100-continue"]),
        "{seen:?}"
    );
    assert!(
        matches!(seen.values("te")[..], [] | ["trailers"]),
        "{seen:?}"
    );
    assert_eq!(seen.values("x-request-id").len(), 1, "{seen:?}");
    let path = seen.path().split('?').next().unwrap_or_default();
    assert!(!path.contains(['\\', '#']) && path.is_ascii(), "{seen:?}");
    assert!(
        !seen.lines.iter().any(|l| l.contains(['\r', '\n', '\0'])),
        "{seen:?}"
    );
}

/// The statuses that came, `x` if the connection was closed then, and how the connection stands.
async fn exchange(front: &Front, text: &str, wanted: &str) -> String {
    let mut wire = front.wire().await;
    wire.write(text.as_bytes()).await;
    let mut got = Vec::new();
    for _ in wanted.trim_end_matches('x').split(',') {
        match wire.answer().await {
            Some(Answer { status, .. }) => got.push(status.to_string()),
            None => break,
        }
    }
    let mut got = got.join(",");
    if wanted.ends_with('x') {
        got.push_str(if wire.is_closed().await {
            "x"
        } else {
            " and more"
        });
        return got;
    }
    wire.write(
        format!("GET /next HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n").as_bytes(),
    )
    .await;
    match wire.answer().await {
        Some(Answer {
            status: 200, body, ..
        }) if body == "ok" => {}
        other => got.push_str(&format!(" and then {other:?}")),
    }
    if !wire.is_closed().await {
        got.push_str(" and more");
    }
    got
}

#[tokio::test]
async fn requests_are_refused_or_read_in_one_way() {
    let front = Front::start(Params::default()).await;
    front
        .upstream
        .answer("/h", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false);
    let rows = rows();
    assert!(rows.len() >= 120, "{}", rows.len());
    let mut wrong = Vec::new();
    for (why, text, answer, wanted) in &rows {
        let got = timeout(Duration::from_secs(2), exchange(&front, text, answer)).await;
        let got = got.unwrap_or_else(|_| "nothing".to_owned());
        let seen = front.upstream.take();
        seen.iter().for_each(assert_canonical);
        let mut short: Vec<_> = seen.iter().map(Seen::short).collect();
        if !answer.ends_with('x') && short.pop().as_deref() != Some("GET /next") {
            wrong.push(format!("{why}: the next request was lost"));
        }
        let short = short.join("; ");
        if (&*got, &*short) != (*answer, *wanted) {
            let text: String = text.chars().take(200).collect();
            wrong.push(format!(
                "{why}: {text:?}\n    {got} [{short}]\n    not {answer} [{wanted}]"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}

/// Responses byte by byte (a `$` at the end: then the upstream closes), what the caller gets, the flags, and whether the
/// connection is used again.
#[rustfmt::skip]
const RESPONSES: &[(&str, &str, &str, &str, bool)] = &[
    ("a length", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", "200 hi", "-", true),
    ("chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x\r\nhi\r\n0\r\n\r\n", "200 hi", "-", true),
    ("up to the end of the connection", "HTTP/1.1 200 OK\r\n\r\nhi$", "200 hi", "-", false),
    ("HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhi$", "200 hi", "-", false),
    ("no reason", "HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nhi", "200 hi", "-", true),
    ("close", "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi", "200 hi", "-", false),
    ("fields of the connection stay there", "HTTP/1.1 200 OK\r\nconnection: X-NAMED\r\nConnection: é ,keep-alive\r\nx-named: 1\r\nkeep-alive: 5\r\nupgrade: h2c\r\nproxy-connection: x\r\nproxy-authenticate: Basic\r\nproxy-authentication-info: x\r\ncontent-length: 2\r\n\r\nhi", "200 hi", "-", true),
    ("a length and chunks", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "502", "UPE", false),
    ("chunks and a length", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 12\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "502", "UPE", false),
    ("another coding", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nhi$", "502", "UPE", false),
    ("another coding before chunked", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "502", "UPE", false),
    ("chunked twice", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "502", "UPE", false),
    ("chunked on two lines", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "502", "UPE", false),
    ("HTTP/1.0 with chunks", "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n$", "502", "UPE", false),
    ("a bad first chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhi\r\n0\r\n\r\n", "502", "UPE", false),
    ("a first chunk beyond 64 bits", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10000000000000002\r\nhi\r\n0\r\n\r\n", "502", "UPE", false),
    ("a bad second chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n", "200 cut", "UPE", false),
    ("a cut chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhi$", "200 cut", "UPE", false),
    ("a cut body", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi$", "200 cut", "UPE", false),
    ("two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nhi", "502", "UPE", false),
    ("a list of lengths", "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nhi", "502", "UPE", false),
    ("a signed length", "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nhi", "502", "UPE", false),
    ("an empty length", "HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\nhi$", "502", "UPE", false),
    ("the same length twice is one", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 02\r\n\r\nhi", "200 hi", "-", true),
    ("a switch that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhi", "502", "UPE", false),
    ("status 999", "HTTP/1.1 999 No\r\ncontent-length: 2\r\n\r\nhi", "502", "UPE", false),
    ("status 600", "HTTP/1.1 600 No\r\ncontent-length: 2\r\n\r\nhi", "502", "UPE", false),
    ("status 599", "HTTP/1.1 599 No\r\ncontent-length: 2\r\n\r\nhi", "599 hi", "-", true),
    ("status 099", "HTTP/1.1 099 No\r\ncontent-length: 2\r\n\r\nhi", "502", "UPE", false),
    ("a status of two digits", "HTTP/1.1 20 No\r\ncontent-length: 2\r\n\r\nhi", "502", "UPE", false),
    ("an interim response goes no further", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", "200 hi", "-", true),
    ("204 with bytes behind it", "HTTP/1.1 204 No Content\r\n\r\nhi", "204", "-", false),
    ("304 with the length of what is not sent", "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", "304", "-", true),
    ("bytes behind a response", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi!", "200 hi", "-", false),
    ("a response that nobody asked for behind one", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", "200 hi", "-", false),
    ("bytes behind the last chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", "200 hi", "-", false),
    ("trailers that the caller did not ask for", "HTTP/1.1 200 OK\r\ntrailer: x-t\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-t: 1\r\n\r\n", "200 hi", "-", true),
    ("no response", "$", "503", "UC", false),
    ("half a head", "HTTP/1.1 200 OK\r\ncontent-le$", "503", "UC", false),
    ("no HTTP", "hello\r\n\r\n", "502", "UPE", false),
    ("another version", "HTTP/2 200 OK\r\n\r\n", "502", "UPE", false),
    ("a folded field", "HTTP/1.1 200 OK\r\nx-a: 1\r\n 2\r\ncontent-length: 2\r\n\r\nhi", "502", "UPE", false),
    ("a space before the colon", "HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\nhi", "502", "UPE", false),
    ("a NUL in a value", "HTTP/1.1 200 OK\r\nx-a: 1\0\r\ncontent-length: 2\r\n\r\nhi", "502", "UPE", false),
    // RFC 9112 section 2.2; the caller gets a head that was written anew.
    ("lines that end in LF alone", "HTTP/1.1 200 OK\ncontent-length: 2\n\nhi", "200 hi", "-", true),
];

#[tokio::test]
async fn responses_are_passed_on_whole_or_become_an_error() {
    let front = Front::start(Params::default()).await;
    let fields = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-a: 1\r\n".repeat(101));
    let long = format!("HTTP/1.1 200 OK\r\nx-a: {}\r\n\r\n", "a".repeat(1 << 20));
    let mut rows = RESPONSES.to_vec();
    rows.push(("101 fields", &fields, "502", "UPE", false));
    rows.push(("a head of 1 MB", &long, "502", "UPE", false));
    let mut wrong = Vec::new();
    for (why, text, answer, flags, again) in rows {
        let bytes = text.strip_suffix('$').unwrap_or(text);
        front.upstream.answer("/r", bytes.as_bytes(), bytes != text);
        let before = front.log.len();
        let mut wire = front.wire().await;
        wire.get("/r").await;
        let got = match wire.answer().await {
            None => "nothing".to_owned(),
            Some(a) if !a.whole => format!("{} cut", a.status),
            Some(a) if a.status == 502 || a.status == 503 || a.body.is_empty() => {
                a.status.to_string()
            }
            Some(a) => {
                for gone in [
                    "connection:",
                    "x-named:",
                    "keep-alive:",
                    "upgrade:",
                    "proxy-connection:",
                    "proxy-authenticate:",
                    "proxy-authentication-info:",
                ] {
                    assert!(!a.head.contains(gone), "{why}: {}", a.head);
                }
                format!("{} {}", a.status, a.body)
            }
        };
        let summary = front.log.nth(before).await;
        let accepted = front.upstream.accepted();
        // Another caller's answer is its own.
        let mut next = front.wire().await;
        next.get("/next").await;
        let body = next.answer().await.map(|a| a.body);
        assert_eq!(body.as_deref(), Some("ok"), "{why}");
        let reused = front.upstream.accepted() == accepted;
        if (&*got, &*summary.notes.flags(), reused) != (answer, flags, again) {
            wrong.push(format!(
                "{why}: {got} {} reused {reused}, not {answer} {flags} reused {again}",
                summary.notes.flags()
            ));
        }
        front.log.nth(before + 1).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Head and body come from tasks that run at the same time: the caller gets an error or a head, and never nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bad_first_chunk_is_never_silence() {
    let front = Front::start(Params::default()).await;
    let response = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    front.upstream.answer("/r", response, false);
    for _ in 0..200 {
        let mut wire = front.wire().await;
        wire.get("/r").await;
        let answer = wire.answer().await.expect("an answer");
        assert!(answer.status == 502 || !answer.whole, "{answer:?}");
    }
}

#[tokio::test]
async fn trailers_reach_a_caller_that_takes_them() {
    let front = Front::start(Params::default()).await;
    let response = b"HTTP/1.1 200 OK\r\ntrailer: x-t\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-t: 1\r\n\r\n";
    front.upstream.answer("/t", response, false);
    let mut wire = front.wire().await;
    wire.write(b"GET /t HTTP/1.1\r\nHost: svc.test\r\nTE: trailers\r\n\r\n")
        .await;
    assert_eq!(wire.answer().await.unwrap().body, "hi|x-t: 1");
}

/// What the upstream's `connection` names goes no further, in the head or behind the body.
#[tokio::test]
async fn trailers_of_one_connection_reach_nobody() {
    let front = Front::start(Params::default()).await;
    let response =
        b"HTTP/1.1 200 OK\r\nconnection: X-Priv, keep-alive\r\nconnection: x-own\r\nx-priv: 0\r\n\
        trailer: x-t, x-priv, x-own\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\
        x-priv: 1\r\nx-t: 1\r\nx-own: 1\r\n\r\n";
    front.upstream.answer("/t", response, false);
    let mut wire = front.wire().await;
    wire.write(b"GET /t HTTP/1.1\r\nHost: svc.test\r\nTE: trailers\r\n\r\n")
        .await;
    let answer = wire.answer().await.unwrap();
    assert!(!answer.head.contains("x-priv: "), "{}", answer.head);
    assert_eq!(answer.body, "hi|x-t: 1");
}

/// HTTP/2: authority, `host` field, path, more fields; the status (0 is a reset), and the path that the upstream saw.
#[tokio::test]
async fn http2_requests_are_refused_or_read_in_one_way() {
    let front = Front::start(Params::default()).await;
    let stream = tokio::net::TcpStream::connect(front.proxy.outbound())
        .await
        .unwrap();
    let (mut h2, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let svc = HOST;
    for (method, target, fields, status, path) in [
        ("GET", "http://svc.test/a", vec![], 200, "/a"),
        ("GET", "http://svc.test/a/%2e%2e/b?q", vec![], 200, "/b?q"),
        ("GET", "http://svc.test/a", vec![("host", svc)], 200, "/a"),
        (
            "GET",
            "http://svc.test/a",
            vec![("host", "SVC.test")],
            200,
            "/a",
        ),
        (
            "GET",
            "http://svc.test/a",
            vec![("host", "other.test")],
            400,
            "",
        ),
        (
            "GET",
            "http://svc.test/a",
            vec![("host", svc), ("host", svc)],
            400,
            "",
        ),
        ("GET", "http://user@svc.test/a", vec![], 400, ""),
        ("GET", "http://svc.test/a%00", vec![], 400, ""),
        ("TRACE", "http://svc.test/a", vec![], 405, ""),
        (
            "GET",
            "http://svc.test/a",
            vec![("expect", "miracles")],
            417,
            "",
        ),
        (
            "GET",
            "http://svc.test/a",
            vec![("transfer_encoding", "chunked")],
            400,
            "",
        ),
        (
            "GET",
            "http://svc.test/a",
            vec![("content-length", "0"), ("content-length", "1")],
            0,
            "",
        ),
        (
            "GET",
            "http://svc.test/a",
            vec![("content-length", "00")],
            200,
            "/a",
        ),
        (
            "GET",
            "http://svc.test/a",
            vec![("x-a", "1"); 99],
            200,
            "/a",
        ),
        ("GET", "http://svc.test/a", vec![("x-a", "1"); 101], 431, ""),
        ("CONNECT", "svc.test:80", vec![], 405, ""),
    ] {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in &fields {
            request = request.header(*name, *value);
        }
        h2 = h2.ready().await.unwrap();
        let (response, _) = h2.send_request(request.body(()).unwrap(), true).unwrap();
        let got = soon(response).await.map_or(0, |r| r.status().as_u16());
        let seen = front.upstream.take();
        seen.iter().for_each(assert_canonical);
        let paths: Vec<_> = seen.iter().map(Seen::path).collect();
        assert_eq!(
            (got, &*paths.join(" ")),
            (status, path),
            "{method} {target} {fields:?}"
        );
    }
}
