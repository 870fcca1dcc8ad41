//! What TLS to the upstreams costs a proxy: `-- --tls`.
//!
//! llmesh and Envoy both originate it, to the same upstreams with the same authority, versions and cipher, on one core each;
//! beside them llmesh in clear. Connections are kept, so handshakes are no part of it. What takes the encryption off runs
//! with the load on the first core: requests/s are its limit, CPU per request is the proxy's own.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use llmesh::base::time::{Instant, sleep};
use rustls::{CipherSuite, ServerConfig, crypto::aws_lc_rs};

use super::{
    load::{drive, open},
    secure::{Authority, HOST, terminate},
    table::Table,
    target::{ENVOY, LLMESH, NO_ENVOY, Target, cost},
    upstream,
};

/// How often each has its turn, and how long that is.
pub(crate) async fn compare(epoch: Instant, turns: usize, span: Duration) -> io::Result<()> {
    let authority = Authority::new().map_err(io::Error::other)?;
    let clear = [upstream::start(epoch).await?, upstream::start(epoch).await?];
    let secured = [
        secure(&authority, clear[0]).await?,
        secure(&authority, clear[1]).await?,
    ];
    let mut targets = vec![
        Target::llmesh_of("clear", LLMESH, clear).await?,
        Target::llmesh_of("llmesh", &llmesh(&authority), secured).await?,
    ];
    match Target::envoy_of(&envoy(&authority), secured).await? {
        Some(envoy) => targets.push(envoy),
        None => println!("{NO_ENVOY}"),
    }
    let mut table = Table::new(targets.iter().map(|target| target.name).collect());
    // What a new process still does by itself is over then.
    sleep(span).await;
    for _ in 0..turns {
        for (i, target) in targets.iter().enumerate() {
            measure(&mut table, span, i, target).await?;
        }
    }
    println!("\nTLS to upstreams");
    table.print();
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
async fn measure(table: &mut Table, span: Duration, i: usize, target: &Target) -> io::Result<()> {
    for (connections, rate, spent) in [
        (
            1,
            "1 connection: requests/s",
            "1 connection: CPU, ms per 10,000",
        ),
        (
            32,
            "32 connections: requests/s",
            "32 connections: CPU, ms per 10,000",
        ),
    ] {
        let wires = open(target.address, connections).await?;
        let before = target.cpu();
        let (_wires, seen) = drive(wires, "/now", span).await?;
        let requests = seen.times.len();
        table.add(rate, i, requests as f64 / seen.took.as_secs_f64());
        let (per_request, _) = cost(target.cpu() - before, requests, seen.took);
        table.add(spent, i, per_request);
    }
    Ok(())
}

/// Both sides would choose another cipher, so there is one.
async fn secure(authority: &Authority, to: SocketAddr) -> io::Result<SocketAddr> {
    let mut tls = authority.server(true).map_err(io::Error::other)?;
    let mut provider = aws_lc_rs::default_provider();
    let one = CipherSuite::TLS13_AES_128_GCM_SHA256;
    provider.cipher_suites.retain(|suite| suite.suite() == one);
    let builder = ServerConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]);
    let resolver = Arc::clone(&tls.cert_resolver);
    tls = builder
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    terminate(tls, to).await
}

fn llmesh(authority: &Authority) -> String {
    let file = authority.file().display();
    let tls = format!("    tls: {{mode: SIMPLE, sni: {HOST}, caCertificates: {file}}}\n");
    LLMESH.replace("    loadBalancer:", &(tls + "    loadBalancer:"))
}

fn envoy(authority: &Authority) -> String {
    let socket = format!(
        r#"
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: {HOST}
        common_tls_context:
          tls_params: {{tls_maximum_protocol_version: TLSv1_3}}
          validation_context:
            trusted_ca: {{filename: {}}}
            match_typed_subject_alt_names:
            - {{san_type: DNS, matcher: {{exact: {HOST}}}}}
    circuit_breakers:"#,
        authority.file().display()
    );
    ENVOY.replace("\n    circuit_breakers:", &socket)
}
