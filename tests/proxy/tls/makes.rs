//! TLS servers of other makes: nginx, openssl's, Python's.
//!
//! Where one of them is not installed its test says so and passes, unless `LLMESH_TLS_MAKES=required` is set.

use std::{net::SocketAddr, path::Path, process::Stdio, sync::Arc};

use http::Request;
use llmesh::body::Body;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
};

use super::{
    CLUSTER, Ca, Gate, HOST, Leaf, eventually, mesh, mutual, policy, rotation::Load, simple,
};
use crate::{
    kit::{Folder, ms},
    support::soon,
};

/// A program that serves; it goes with this.
pub(super) struct Program {
    pub(super) addr: SocketAddr,
    child: Child,
}

/// Whether to go on without; loud either way.
fn missing(what: &str, why: &str) {
    let text = format!("NOT RUN: {what} is not installed: {why}");
    let required = std::env::var("LLMESH_TLS_MAKES").as_deref() == Ok("required");
    assert!(!required, "{text}");
    eprintln!("{text}");
}

/// The first line that tells a port.
async fn port_of(output: impl AsyncRead + Unpin + Send + 'static, before: &str) -> SocketAddr {
    let mut lines = BufReader::new(output).lines();
    let address = soon(async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it says its port");
            let Some(rest) = line.strip_prefix(before) else {
                continue;
            };
            let port = rest.rsplit(':').next().unwrap().trim();
            return SocketAddr::from(([127, 0, 0, 1], port.parse::<u16>().unwrap()));
        }
    })
    .await;
    // It must go on being read, or the program stands still.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    address
}

/// Runs openssl to its end.
async fn openssl(folder: &Folder, arguments: &str) -> Result<(), String> {
    let run = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(&folder.0)
        .stdin(Stdio::null())
        .output();
    let done = run.await.map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    done.status.success().then_some(()).ok_or(said)
}

/// `openssl s_server` with a key of this kind, under an authority that is `ca.pem` in the folder.
pub(super) async fn openssl_server(folder: &Folder, key: &str, more: &[&str]) -> Option<Program> {
    if let Err(why) = Command::new("openssl").arg("version").output().await {
        missing("openssl", &why.to_string());
        return None;
    }
    folder.write("ext", &format!("subjectAltName=DNS:{HOST}\n"));
    let kind = if key.starts_with("rsa") {
        key.to_owned()
    } else {
        format!("ec -pkeyopt ec_paramgen_curve:{key}")
    };
    for step in [
        "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ca -keyout ca.key -out ca.pem".to_owned(),
        format!("req -new -newkey {kind} -nodes -subj /CN=server -keyout server.key -out server.csr"),
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out server.pem".to_owned(),
    ] {
        openssl(folder, &step).await.unwrap();
    }
    Some(serve_openssl(folder, more).await)
}

/// The same with a certificate that its own key signed, as the manuals have it: `ca.pem` is the server's own.
async fn openssl_server_of_its_own(folder: &Folder, more: &[&str]) -> Option<Program> {
    if let Err(why) = Command::new("openssl").arg("version").output().await {
        missing("openssl", &why.to_string());
        return None;
    }
    let step = format!(
        "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN={HOST} -addext subjectAltName=DNS:{HOST} -keyout server.key -out server.pem"
    );
    openssl(folder, &step).await.unwrap();
    std::fs::copy(folder.0.join("server.pem"), folder.0.join("ca.pem")).unwrap();
    Some(serve_openssl(folder, more).await)
}

async fn serve_openssl(folder: &Folder, more: &[&str]) -> Program {
    let mut child = Command::new("openssl")
        .args("s_server -accept 127.0.0.1:0 -cert server.pem -key server.key -cipher DEFAULT@SECLEVEL=0".split(' '))
        .args(more)
        .current_dir(&folder.0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let addr = port_of(child.stdout.take().unwrap(), "ACCEPT 127.0.0.1").await;
    Program { addr, child }
}

/// Python's server with this certificate, for clients of an authority, if any.
async fn python(folder: &Folder, leaf: &Leaf, clients: Option<&Ca>) -> Option<Program> {
    write(folder, leaf);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proxy/tls/server.py");
    let mut command = Command::new("python3");
    command.arg(script).args(["server.pem", "server.key"]);
    if let Some(clients) = clients {
        folder.write("clients.pem", &clients.pem());
        command.arg("clients.pem");
    }
    command.current_dir(&folder.0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    match command.spawn() {
        Ok(mut child) => {
            let addr = port_of(child.stdout.take().unwrap(), "").await;
            Some(Program { addr, child })
        }
        Err(why) => {
            missing("python3", &why.to_string());
            None
        }
    }
}

fn write(folder: &Folder, leaf: &Leaf) {
    folder.write("server.pem", &leaf.pem);
    folder.write("server.key", &leaf.key.serialize_pem());
}

/// nginx with the folder's certificate, for clients of the folder's `clients.pem`.
async fn nginx(folder: &Folder, http2: bool) -> Option<Program> {
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
    let Some(program) = program.into_iter().find(|path| Path::new(path).exists()) else {
        missing("nginx", "not in /usr/sbin");
        return None;
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let (at, h2) = (folder.0.display(), if http2 { " http2" } else { "" });
    folder.write(
        "nginx.conf",
        &format!(
            "daemon off; pid {at}/pid; error_log stderr error; worker_processes 1;\n\
             events {{ worker_connections 512; }}\n\
             http {{ access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
             fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
             server {{ listen {addr} ssl{h2}; ssl_session_cache shared:s:1m;\n\
             ssl_certificate {at}/server.pem; ssl_certificate_key {at}/server.key;\n\
             ssl_client_certificate {at}/clients.pem; ssl_verify_client optional;\n\
             location / {{ return 200 \"$server_protocol $ssl_client_verify $ssl_session_reused\"; }} }} }}\n"
        ),
    );
    let child = Command::new(program)
        .args(["-p", &at.to_string(), "-e", "stderr", "-c", "nginx.conf"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    eventually(async || tokio::net::TcpStream::connect(addr).await.is_ok()).await;
    Some(Program { addr, child })
}

// === impl Program ===

impl Program {
    /// Sends a signal.
    async fn signal(&self, signal: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.await.unwrap().success());
    }

    /// Ends it as it wishes to be ended: nginx takes its workers along.
    async fn end(mut self) {
        self.signal("TERM").await;
        soon(self.child.wait()).await.unwrap();
    }
}

async fn gate(at: SocketAddr, tls: &str) -> Gate {
    Gate::new(&mesh(&[at], "protocol: HTTPS", &policy(tls))).await
}

/// One request a connection, so that each has a handshake.
async fn once(at: SocketAddr, tls: &str) -> Gate {
    let policy =
        format!("connectionPool: {{http: {{maxRequestsPerConnection: 1}}}}, tls: {{{tls}}}");
    Gate::new(&mesh(&[at], "protocol: HTTPS", &policy)).await
}

async fn body(gate: &Gate) -> String {
    let (reply, _) = gate.ask().await;
    assert_eq!(
        reply.status,
        200,
        "{}: {}",
        reply.body,
        gate.logged("upstream_transport_failure_reason")
    );
    reply.body
}

#[tokio::test]
async fn nginx_over_http2_and_http1_with_and_without_a_certificate_of_ours() {
    let (ca, clients, folder) = (Ca::new("ca"), Ca::new("clients"), Folder::new());
    folder.write("ca.pem", &ca.pem());
    folder.write("clients.pem", &clients.pem());
    let own = clients.leaf(&["client"]);
    folder.write("c.pem", &own.pem);
    folder.write("k.pem", &own.key.serialize_pem());
    write(&folder, &ca.leaf(&[HOST]));
    for (http2, protocol) in [(true, "HTTP/2.0"), (false, "HTTP/1.1")] {
        let Some(nginx) = nginx(&folder, http2).await else {
            return;
        };
        let simple = gate(nginx.addr, &simple(&folder)).await;
        assert_eq!(body(&simple).await, format!("{protocol} NONE ."));
        assert_eq!(
            body(&simple).await,
            format!("{protocol} NONE ."),
            "it is kept"
        );
        assert_eq!(simple.stat(CLUSTER, "upstream_cx_total").await, 1);
        let with_ours = once(nginx.addr, &mutual(&folder)).await;
        assert_eq!(body(&with_ours).await, format!("{protocol} SUCCESS ."));
        for _ in 0..5 {
            assert_eq!(body(&with_ours).await, format!("{protocol} SUCCESS r"));
        }
        assert_eq!(with_ours.stat(CLUSTER, "ssl.handshake").await, 6);
        assert_eq!(with_ours.stat(CLUSTER, "ssl.session_reused").await, 5);
        nginx.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_changes_its_certificate_and_we_ours_at_300_requests_a_second() {
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let folder = Folder::new();
    let both = old.pem() + &new.pem();
    folder.write("ca.pem", &old.pem());
    folder.write("clients.pem", &both);
    let ours = |ca: &Ca| {
        let leaf = ca.leaf(&["client"]);
        folder.write("c.pem", &leaf.pem);
        folder.write("k.pem", &leaf.key.serialize_pem());
    };
    ours(&old);
    write(&folder, &old.leaf(&[HOST]));
    let Some(nginx) = nginx(&folder, true).await else {
        return;
    };
    let policy = format!(
        "connectionPool: {{http: {{maxRequestsPerConnection: 20}}}}, tls: {{{}}}",
        mutual(&folder)
    );
    let gate = Arc::new(Gate::new(&mesh(&[nginx.addr], "protocol: HTTPS", &policy)).await);
    let load = Load::start(&gate, 300);
    tokio::time::sleep(ms(300)).await;
    folder.write("ca.pem", &both);
    tokio::time::sleep(ms(1500)).await;
    write(&folder, &new.leaf(&[HOST]));
    nginx.signal("HUP").await;
    tokio::time::sleep(ms(700)).await;
    ours(&new);
    folder.write("ca.pem", &new.pem());
    tokio::time::sleep(ms(1500)).await;
    let (asked, failed) = load.end().await;
    assert!(asked > 1000, "{asked}");
    assert!(
        failed.is_empty(),
        "{} of {asked}: {:?}",
        failed.len(),
        failed.first()
    );
    assert!(gate.stat(CLUSTER, "ssl.handshake").await > 20);
    assert_eq!(gate.stat(CLUSTER, "ssl.fail_verify_error").await, 0);
    let shown = gate.stat(CLUSTER, "ssl.session_reused").await;
    assert!(shown > 0, "sessions are resumed on the way");
    nginx.end().await;
}

#[tokio::test]
async fn openssl_with_and_without_a_protocol_of_its_own() {
    let folder = Folder::new();
    for (more, agreed) in [
        (&["-www", "-alpn", "http/1.1"][..], ", TLSv1.3, "),
        (&["-www"], ", TLSv1.3, "),
        (&["-www", "-tls1_2"], ", TLSv1.2, "),
    ] {
        let Some(server) = openssl_server(&folder, "P-256", more).await else {
            return;
        };
        let gate = gate(server.addr, &simple(&folder)).await;
        let get = || {
            Request::get("/")
                .header("host", HOST)
                .body(Body::empty())
                .unwrap()
        };
        let mut resumed = 0;
        for _ in 0..3 {
            let reply = gate.caller().await.send(get()).await;
            let says = gate.logged("upstream_transport_failure_reason");
            assert_eq!(reply.status, 200, "{more:?}: {says}");
            assert!(reply.body.contains(agreed), "{}", reply.body);
            resumed += u32::from(reply.body.contains("Reused, "));
        }
        assert_eq!(resumed, 2, "{more:?}");
        assert_eq!(gate.stat(CLUSTER, "ssl.session_reused").await, 2);
    }
    // One that takes none of what is offered.
    let Some(server) = openssl_server(&folder, "P-256", &["-www", "-alpn", "spdy/3"]).await else {
        return;
    };
    let gate = gate(server.addr, &simple(&folder)).await;
    assert_eq!(gate.ask().await.0.status, 503);
    let says = gate.logged("upstream_transport_failure_reason");
    assert!(says.starts_with("no shared protocol"), "{says}");
}

#[tokio::test]
async fn openssl_with_a_certificate_that_signs_itself() {
    let folder = Folder::new();
    for more in [&["-www"][..], &["-www", "-tls1_2"]] {
        let Some(server) = openssl_server_of_its_own(&folder, more).await else {
            return;
        };
        let request = Request::get("/").header("host", HOST);
        let gate = gate(server.addr, &simple(&folder)).await;
        let mut caller = gate.caller().await;
        let reply = caller.send(request.body(Body::empty()).unwrap()).await;
        let says = gate.logged("upstream_transport_failure_reason");
        assert_eq!(reply.status, 200, "{more:?}: {says}");
        assert_eq!(gate.stat(CLUSTER, "ssl.fail_verify_error").await, 0);
    }
}

#[tokio::test]
async fn python_with_and_without_a_certificate_of_ours() {
    let (ca, clients, folder) = (Ca::new("ca"), Ca::new("clients"), Folder::new());
    folder.write("ca.pem", &ca.pem());
    let own = clients.leaf(&["client"]);
    folder.write("c.pem", &own.pem);
    folder.write("k.pem", &own.key.serialize_pem());
    let leaf = ca.leaf(&[HOST]);
    let Some(open) = python(&folder, &leaf, None).await else {
        return;
    };
    let anyone = once(open.addr, &simple(&folder)).await;
    assert_eq!(body(&anyone).await, "TLSv1.3 http/1.1 anonymous new");
    assert_eq!(body(&anyone).await, "TLSv1.3 http/1.1 anonymous resumed");
    let Some(strict) = python(&folder, &leaf, Some(&clients)).await else {
        return;
    };
    let with_ours = once(strict.addr, &mutual(&folder)).await;
    assert_eq!(body(&with_ours).await, "TLSv1.3 http/1.1 certificate new");
    // Without one it refuses, and says so after the handshake.
    let without = gate(strict.addr, &simple(&folder)).await;
    let (reply, summary) = without.ask().await;
    assert_eq!((reply.status, &*summary.notes.flags()), (503, "UF"));
    let says = without.logged("upstream_transport_failure_reason");
    assert_eq!(
        says,
        "the server wants a client certificate, and there is none"
    );
    assert_eq!(summary.notes.attempts, 1);
}

/// Keys as openssl writes them, each the client's own: a server that demands one takes it, or the reason names the file. The
/// certificates are of version 1, as `openssl x509 -req` makes them.
#[tokio::test]
async fn keys_in_every_form_that_openssl_writes() {
    let folder = Folder::new();
    let strict = [
        "-www",
        "-Verify",
        "1",
        "-CAfile",
        "ca.pem",
        "-verify_return_error",
    ];
    let Some(server) = openssl_server(&folder, "P-256", &strict).await else {
        return;
    };
    let encrypted = "k.pem: the private key is encrypted, and there is no passphrase";
    let other = "k.pem) cannot be used: ";
    for (form, make, says) in [
        ("PKCS#1, RSA", "genrsa -traditional -out k.pem 2048", None),
        ("PKCS#8, RSA", "genpkey -algorithm RSA -out k.pem", None),
        (
            "SEC1, with its parameters before it",
            "ecparam -name prime256v1 -genkey -out k.pem",
            None,
        ),
        (
            "SEC1, P-384",
            "ecparam -name secp384r1 -genkey -noout -out k.pem",
            None,
        ),
        (
            "SEC1, P-521",
            "ecparam -name secp521r1 -genkey -noout -out k.pem",
            None,
        ),
        (
            "PKCS#8, P-256",
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out k.pem",
            None,
        ),
        (
            "PKCS#8, Ed25519",
            "genpkey -algorithm ed25519 -out k.pem",
            None,
        ),
        (
            "PKCS#1 under a passphrase",
            "genrsa -traditional -aes256 -passout pass:s3cret -out k.pem 2048",
            Some(encrypted),
        ),
        (
            "PKCS#8 under a passphrase",
            "genpkey -algorithm RSA -aes256 -pass pass:s3cret -out k.pem",
            Some(encrypted),
        ),
        (
            "a curve that TLS has not",
            "ecparam -name secp256k1 -genkey -noout -out k.pem",
            Some(other),
        ),
        (
            "no PEM",
            "genpkey -algorithm RSA -outform DER -out k.pem",
            Some("k.pem: no private key in it"),
        ),
    ] {
        openssl(&folder, make).await.unwrap();
        let read = "-passin pass:s3cret";
        let form_of = if form == "no PEM" { "-keyform DER" } else { "" };
        for step in [
            format!("req -new -key k.pem {form_of} {read} -subj /CN=client -out c.csr"),
            "x509 -req -in c.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out c.pem"
                .to_owned(),
        ] {
            openssl(&folder, &step).await.unwrap();
        }
        let gate = gate(server.addr, &mutual(&folder)).await;
        let request = Request::get("/").header("host", HOST);
        let mut caller = gate.caller().await;
        let reply = caller.send(request.body(Body::empty()).unwrap()).await;
        gate.log.nth(0).await;
        let told = gate.logged("upstream_transport_failure_reason");
        match says {
            None => assert_eq!(reply.status, 200, "{form}: {told}"),
            Some(says) => {
                assert_eq!(reply.status, 503, "{form}");
                assert!(told.contains(says), "{form}: {told}");
                let shown = format!("{told} {}", reply.body);
                assert!(!shown.contains("s3cret"), "{form}: {shown}");
            }
        }
    }
    // A certificate that cannot be read in full is still not that of another key.
    openssl(&folder, "genrsa -traditional -out k.pem 2048")
        .await
        .unwrap();
    let gate = gate(server.addr, &mutual(&folder)).await;
    assert_eq!(gate.ask().await.0.status, 503);
    let told = gate.logged("upstream_transport_failure_reason");
    assert!(told.contains("is not that of the key ("), "{told}");
}
