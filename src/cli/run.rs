//! `llmesh run`: the proxy, until a signal ends it.

use std::{process::ExitCode, sync::Arc, time::Duration};

use super::{
    args::{IdentityArgs, LogFormat, OwnArgs, RunArgs},
    cannot_run,
    otlp::Spans,
    providers::{self, Provider},
    signals::Signals,
    upstream_proxy::ProxyArg,
};
use crate::{
    mesh::discovery::Pinned,
    metrics::{
        access_log::{AccessLog, Encoding},
        standard::Source,
    },
    proxy::{Inbound, Input, LoadError, Options, Proxy, StartError, lines::Lines},
};

/// Serves until SIGINT, SIGTERM or `/quitquitquit`, then drains; a second signal ends it now.
pub async fn run(args: RunArgs) -> ExitCode {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(e) => return cannot_run(format_args!("llmesh: cannot wait for signals: {e}")),
    };
    let (limit, providers) = (args.drain, args.input.providers.clone());
    let (otlp, workload) = (args.otlp.clone(), args.identity.workload.clone());
    let upstream_proxy = match args.upstream_proxy.as_ref().map(ProxyArg::read).transpose() {
        Ok(proxy) => proxy,
        Err(e) => return cannot_run(format_args!("llmesh: --upstream-proxy: {e}")),
    };
    let pairs = match args.inbound.pairs() {
        Ok(pairs) => pairs,
        Err(why) => return cannot_run(format_args!("llmesh: {why}")),
    };
    let mut options = match options(args) {
        Ok(options) => options,
        Err(e) => return cannot_run(format_args!("llmesh: cannot read standard input: {e}")),
    };
    options.upstream_proxy = upstream_proxy;
    if cfg!(not(feature = "tls")) {
        tracing::warn!(
            target: "llmesh",
            "this program was built for its demo and speaks no TLS: services that need it fail (built with --features bin, it does)"
        );
    }
    let spans = match Spans::start(otlp.as_deref(), workload.as_deref()) {
        Ok(spans) => spans,
        Err(e) => return cannot_run(format_args!("llmesh: {e}")),
    };
    options.trace.tracer = spans.tracer();
    let pairs = pairs.into_iter();
    options.inbound = pairs
        .map(|(listen, app)| Inbound::new(listen, app))
        .collect();
    let proxy = match Proxy::start(options).await {
        Ok(proxy) => proxy,
        Err(StartError::Config(error @ LoadError::Invalid(_))) => {
            super::err(format_args!("{error}"));
            return cannot_run(format_args!(
                "llmesh: not started: the configuration has errors; --lenient leaves out what is wrong and serves the rest"
            ));
        }
        Err(error) => return cannot_run(format_args!("llmesh: {error}")),
    };
    announce(&proxy, &providers);
    let draining = proxy.drain().watch();
    tokio::select! {
        () = signals.wait() => {}
        () = draining.draining() => {}
    }
    let code = stop(proxy, signals, limit).await;
    spans.stop().await;
    code
}

fn announce(proxy: &Proxy, providers: &[Provider]) {
    let snapshot = proxy.reloader().snapshot();
    tracing::info!(
        target: "llmesh",
        outbound = %proxy.outbound(),
        admin = proxy.admin().map(tracing::field::display),
        virtual_hosts = snapshot.model.virtual_hosts.len(),
        clusters = snapshot.clusters.len(),
        "serving"
    );
    for base_url in providers::base_urls(providers, proxy.own(), proxy.outbound()) {
        tracing::info!(target: "llmesh", "for clients, {base_url}");
    }
    let known = |host: &&str| snapshot.knows(host.split(':').next().unwrap_or_default());
    if let Some(host) = proxy.own().host.as_deref().filter(|host| !known(host)) {
        tracing::warn!(
            target: "llmesh",
            "--default-host {host} is not known: no VirtualService, ServiceEntry or Service has it, so requests for the proxy's own address are answered 502"
        );
    }
    if snapshot.model.virtual_hosts.is_empty() {
        tracing::warn!(
            target: "llmesh",
            "no host is served: the files hold no VirtualService, ServiceEntry or Service for the mesh; sub-folders are read with -R"
        );
    }
}

async fn stop(proxy: Proxy, mut signals: Signals, limit: Duration) -> ExitCode {
    let signal = proxy.drain().clone();
    tracing::info!(target: "llmesh", live = signal.live(), "stopping; requests in flight have {limit:?}");
    let all = {
        let mut stopping = std::pin::pin!(proxy.stop(limit));
        tokio::select! {
            all = &mut stopping => all,
            () = signals.wait() => {
                signal.stop();
                stopping.await
            }
        }
    };
    if all {
        tracing::info!(target: "llmesh", "stopped; every request in flight was finished");
    } else {
        tracing::warn!(target: "llmesh", "stopped; requests that were still in flight were cut");
    }
    ExitCode::SUCCESS
}

fn options(args: RunArgs) -> std::io::Result<Options> {
    let (files, texts) = args.input.split()?;
    let mut input = Input::new(files);
    input.inline = texts;
    input.recursive = args.input.recursive;
    input.overlays = args.overlay;
    input.options.secrets = args.input.secrets;
    input.options.strict = args.strict;
    input.options.lenient = args.lenient;
    input.options.workload_labels = args.identity.labels.iter().cloned().collect();
    let source = source(&args.identity);
    input.options.namespace = args.identity.namespace;
    let mut options = Options::new(input);
    options.outbound = args.outbound;
    let OwnArgs {
        default_host,
        own_names,
    } = args.own;
    options.own = providers::own(&args.input.providers, default_host, own_names);
    if !args.resolve.is_empty() {
        options.resolve = Arc::new(Pinned::new(args.resolve, options.resolve));
    }
    options.admin = Some(args.admin);
    options.watch = true;
    options.server.max_connections = match args.max_connections {
        Some(most) => Some(most.get()),
        None => open_files().map(|files| (files / 2).max(1)),
    };
    options.standard_metrics = Some(source);
    if let Some(format) = args.access_log {
        options.mesh_access_log = false;
        let encoding = match format {
            LogFormat::Json => Encoding::Json,
            LogFormat::Text => Encoding::Text,
        };
        let lines = Lines::new(std::io::stdout())?;
        let log = AccessLog::new(encoding, move |line: &str| lines.line(line));
        options.reports.push(Arc::new(log));
    }
    Ok(options)
}

/// How many files this process may have open, where the system says so (Linux).
fn open_files() -> Option<usize> {
    soft_limit(&std::fs::read_to_string("/proc/self/limits").ok()?)
}

/// The soft limit in a text such as `/proc/self/limits`; `None` if it is unlimited.
fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Who reports metrics, as far as it was told.
fn source(identity: &IdentityArgs) -> Source {
    let label = |key: &str| {
        let found = identity.labels.iter().find(|(k, _)| k == key);
        found.map_or_else(|| "unknown".to_owned(), |(_, v)| v.clone())
    };
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
    Source {
        workload: known(&identity.workload),
        namespace: known(&identity.namespace),
        app: label("app"),
        version: label("version"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_read() {
        let limits = |files: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units\nMax processes             95831                95831                processes\nMax open files            {files}                 524288               files\n"
            )
        };
        assert_eq!(soft_limit(&limits("1024")), Some(1024));
        assert_eq!(soft_limit(&limits("unlimited")), None);
        assert_eq!(soft_limit(""), None);
    }
}
