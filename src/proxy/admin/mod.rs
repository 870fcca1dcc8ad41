//! The admin port: Envoy's pages, on loopback.
//!
//! | page | what |
//! |---|---|
//! | `/ready` | 200 `LIVE`, 503 `DRAINING` while draining; `?verbose` names the resources that were left out, and what else is lacking |
//! | `/stats` | every number; `?filter=REGEX`, `?usedonly`, `?format=json`, `?format=prometheus` |
//! | `/stats/prometheus` | the same for Prometheus, with the standard metrics |
//! | `/clusters` | clusters and endpoints; `?format=json` |
//! | `/config_dump` | listeners, routes and clusters in force |
//! | `/server_info` | version, state, uptime |
//! | `/quitquitquit` | POST: begins the graceful stop |
//!
//! Pages hold names, addresses and numbers; never request headers, bodies or credentials.

#[cfg(feature = "tls")]
mod certs;
mod clusters;
mod collect;
pub mod dump;
pub mod stats;
mod tls;

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use tower::Service;

use super::{
    drain::{Phase, Signal},
    reload::Reloader,
    state::ServerState,
};
use crate::body::Body;

/// Answers admin requests.
#[derive(Clone, Debug)]
pub struct Admin {
    reloader: Arc<Reloader>,
    state: Arc<ServerState>,
    drain: Signal,
}

// === impl Admin ===

impl Admin {
    /// The pages of one proxy.
    #[must_use]
    pub fn new(reloader: Arc<Reloader>, state: Arc<ServerState>, drain: Signal) -> Self {
        Self {
            reloader,
            state,
            drain,
        }
    }

    fn is_draining(&self) -> bool {
        self.drain.watch().phase() != Phase::Serving
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        let query = request.uri().query().unwrap_or_default();
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/quitquitquit") => {
                self.drain.drain();
                text(StatusCode::OK, "OK\n")
            }
            (_, "/quitquitquit") => text(StatusCode::METHOD_NOT_ALLOWED, "use POST\n"),
            (&Method::GET | &Method::HEAD | &Method::POST, path) => self.page(path, query),
            _ => text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n"),
        }
    }

    fn page(&self, path: &str, query: &str) -> Response<Body> {
        let snapshot = self.reloader.snapshot();
        match path {
            "/" | "/help" => text(StatusCode::OK, HELP),
            "/ready" if has(query, "verbose") => self.ready(),
            "/ready" if self.is_draining() => text(StatusCode::SERVICE_UNAVAILABLE, "DRAINING\n"),
            "/ready" => text(StatusCode::OK, "LIVE\n"),
            "/stats" => self.stats(query),
            "/stats/prometheus" => self.prometheus(query),
            "/clusters" if param(query, "format") == Some("json") => {
                json(&clusters::to_json(&snapshot))
            }
            "/clusters" => text(StatusCode::OK, clusters::text(&snapshot)),
            #[cfg(feature = "tls")]
            "/certs" => json(&certs::to_json(&snapshot)),
            "/config_dump" => json(&dump::config(&snapshot.model, &self.state.listeners())),
            "/server_info" => json(&serde_json::json!({
                "version": env!("CARGO_PKG_VERSION"),
                "state": if self.is_draining() { "DRAINING" } else { "LIVE" },
                "uptime_current_epoch": format!("{}s", self.state.uptime().as_secs()),
            })),
            _ => text(
                StatusCode::NOT_FOUND,
                format!("no such page: see below\n\n{HELP}"),
            ),
        }
    }

    /// The state, and what the configuration in force lacks.
    fn ready(&self) -> Response<Body> {
        let (status, mut page) = if self.is_draining() {
            (StatusCode::SERVICE_UNAVAILABLE, "DRAINING\n".to_owned())
        } else {
            (StatusCode::OK, "LIVE\n".to_owned())
        };
        for resource in &*self.reloader.left_out() {
            page.push_str(&format!("left out: {resource}\n"));
        }
        for lack in self.state.lacking() {
            page.push_str(&format!("warning: {lack}\n"));
        }
        text(status, page)
    }

    fn collect(&self, query: &str) -> Result<Vec<stats::Stat>, String> {
        let mut all = collect::all(&self.reloader, &self.state);
        if has(query, "usedonly") {
            all.retain(|s| s.value() > 0);
        }
        if let Some(filter) = param(query, "filter") {
            let filter = percent_decode(filter);
            let regex = regex::RegexBuilder::new(&filter)
                .size_limit(1 << 20)
                .build()
                .map_err(|e| format!("filter is no regular expression: {e}\n"))?;
            all.retain(|s| regex.is_match(&s.path()));
        }
        Ok(all)
    }

    fn stats(&self, query: &str) -> Response<Body> {
        match param(query, "format") {
            Some("prometheus") => self.prometheus(query),
            Some("json") => self
                .collect(query)
                .map_or_else(bad, |all| json(&stats::to_json(&all))),
            None | Some("text") => self
                .collect(query)
                .map_or_else(bad, |all| text(StatusCode::OK, stats::text(&all))),
            Some(_) => text(
                StatusCode::BAD_REQUEST,
                "format is text, json or prometheus\n",
            ),
        }
    }

    fn prometheus(&self, query: &str) -> Response<Body> {
        match self.collect(query) {
            Ok(all) => {
                let mut page = self.state.standard_metrics();
                page.push_str(&stats::prometheus(&all));
                let mut response = text(StatusCode::OK, page);
                let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            }
            Err(why) => bad(why),
        }
    }
}

impl<B> Service<Request<B>> for Admin {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        std::future::ready(Ok(self.answer(&request)))
    }
}

const HELP: &str = "llmesh admin\n\
    /ready              200 while serving; ?verbose names what was left out or is lacking\n\
    /stats              numbers; ?filter=REGEX ?usedonly ?format=json|prometheus\n\
    /stats/prometheus   for Prometheus\n\
    /clusters           clusters and endpoints; ?format=json\n\
    /certs              certificates in force, never keys\n\
    /config_dump        what is in force\n\
    /server_info        version, state, uptime\n\
    /quitquitquit       POST: stop gracefully\n";

fn text(status: StatusCode, body: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, max-age=0"),
    );
    response
}

fn bad(why: String) -> Response<Body> {
    text(StatusCode::BAD_REQUEST, why)
}

fn json(value: &serde_json::Value) -> Response<Body> {
    let mut response = text(StatusCode::OK, format!("{value:#}\n"));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

fn param<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

fn has(query: &str, name: &str) -> bool {
    query
        .split('&')
        .any(|pair| pair == name || pair.split_once('=').is_some_and(|(key, _)| key == name))
}

/// Decodes `%XX`; what is no escape stays as it is.
fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|h| std::str::from_utf8(h).ok());
        match hex
            .filter(|_| bytes[at] == b'%')
            .and_then(|h| u8::from_str_radix(h, 16).ok())
        {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read() {
        assert_eq!(param("a=1&format=json", "format"), Some("json"));
        assert!(has("usedonly&x=1", "usedonly") && has("x=1", "x") && !has("xx=1", "x"));
        assert_eq!(percent_decode("a%7Cb%zz%4"), "a|b%zz%4");
    }
}
