use std::{
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::mesh::connect::Io;

mod secured;

/// What the proxy reads, and does then.
type Script = Arc<dyn Fn(String) -> Reply + Send + Sync>;

#[derive(Clone)]
enum Reply {
    /// Writes this and goes on as an echo.
    Say(String),
    /// Writes this and closes.
    Close(String),
    /// Says nothing more and stays.
    Hang,
}

/// A network whose every address is a proxy that follows a script.
#[derive(Clone)]
struct Fake {
    dialled: Arc<Mutex<Vec<String>>>,
    heard: Arc<Mutex<Vec<String>>>,
    script: Script,
    refuses: Option<&'static str>,
    /// What it speaks TLS with, if it does, and the authorities that it is to be checked against.
    tls: Option<(TlsAcceptor, Defaults)>,
}

impl Fake {
    fn new(script: impl Fn(String) -> Reply + Send + Sync + 'static) -> Self {
        Self {
            dialled: Arc::default(),
            heard: Arc::default(),
            script: Arc::new(script),
            refuses: None,
            tls: None,
        }
    }

    fn says(reply: Reply) -> Self {
        Self::new(move |_| reply.clone())
    }

    /// Opens tunnels.
    fn open() -> Self {
        Self::says(Reply::Say("HTTP/1.1 200 OK\r\n\r\n".to_owned()))
    }

    fn network(&self, proxy: UpstreamProxy) -> Network {
        let defaults = self.tls.as_ref().map(|(_, defaults)| defaults.clone());
        Network::new(Arc::new(self.clone()), Arc::new(self.clone()))
            .through(Some(proxy), &defaults.unwrap_or_default())
    }

    fn dialled(&self) -> Vec<String> {
        lock(&self.dialled).clone()
    }

    fn heard(&self) -> Vec<String> {
        lock(&self.heard).clone()
    }

    async fn serve(self, mut io: impl Io) {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match io.read_u8().await {
                Ok(byte) => head.push(char::from(byte)),
                Err(_) => return,
            }
        }
        lock(&self.heard).push(head.clone());
        let (text, more) = match (self.script)(head) {
            Reply::Say(text) => (text, true),
            Reply::Close(text) => (text, false),
            Reply::Hang => return std::future::pending().await,
        };
        if io.write_all(text.as_bytes()).await.is_ok() && more {
            let (mut read, mut write) = tokio::io::split(io);
            let _ = tokio::io::copy(&mut read, &mut write).await;
        }
    }
}

impl Connect for Fake {
    fn connect(&self, address: SocketAddr, _: Dial) -> BoxFuture<'_, Result<BoxIo, Error>> {
        lock(&self.dialled).push(address.to_string());
        Box::pin(async move {
            if self.refuses == Some(address.to_string().as_str()) {
                let error = Error::new(Kind::Connect(ConnectFailure::Refused));
                return Err(error.with_source("nobody is there"));
            }
            let (here, there) = duplex(64 << 10);
            let (fake, tls) = (self.clone(), self.tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => fake.serve(there).await,
                    Some((tls, _)) => {
                        if let Ok(io) = tls.accept(there).await {
                            fake.serve(io).await;
                        }
                    }
                }
            });
            Ok(Box::new(here) as BoxIo)
        })
    }
}

impl Resolve for Fake {
    fn resolve<'a>(
        &'a self,
        name: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move {
            let known: &[[u8; 4]] = match name {
                "proxy.example" => &[[10, 0, 0, 1], [10, 0, 0, 2]],
                "in.example" => &[[10, 0, 1, 1], [10, 0, 1, 2]],
                "empty.example" => &[],
                _ => return Err(io::Error::other("no such name")),
            };
            Ok(known
                .iter()
                .map(|ip| SocketAddr::from((*ip, port)))
                .collect())
        })
    }
}

const DIAL: Dial = Dial {
    timeout: Duration::from_secs(10),
    keepalive: None,
};

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn proxy() -> UpstreamProxy {
    let url = "http://user:s3cret@proxy.example:3128";
    url.parse().expect("a URL")
}

/// Finds an endpoint as a cluster does, and connects to the first of its addresses.
async fn reach(network: &Network, tls: bool, host: &str) -> Result<BoxIo, Error> {
    let found = network.resolver(tls).resolve(host, 443).await.unwrap();
    let host: Arc<str> = host.into();
    let connect = network.connector(tls, Some(&host));
    connect.connect(found[0], DIAL).await
}

fn cause(error: &Error) -> String {
    std::error::Error::source(error).unwrap().to_string()
}

#[tokio::test]
async fn a_name_is_told_to_the_proxy_and_resolved_by_nobody_here() {
    let fake = Fake::open();
    let network = fake.network(proxy());
    let mut io = reach(&network, true, "api.example.").await.unwrap();
    io.write_all(b"hello").await.unwrap();
    let mut answer = [0; 5];
    io.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"hello");
    assert_eq!(fake.dialled(), ["10.0.0.1:3128"]);
    let agent = env!("CARGO_PKG_VERSION");
    assert_eq!(
        fake.heard(),
        [format!(
            "CONNECT api.example:443 HTTP/1.1\r\nhost: api.example:443\r\nuser-agent: llmesh/{agent}\r\n\
             proxy-authorization: Basic dXNlcjpzM2NyZXQ=\r\n\r\n"
        )]
    );
}

#[tokio::test]
async fn names_stand_under_addresses_of_their_own() {
    let network = Fake::open().network(proxy());
    let find = async |name: &str| network.resolver(true).resolve(name, 443).await.unwrap();
    let (a, b) = (find("a.example").await, find("b.example").await);
    assert!(a.len() == 1 && b.len() == 1 && a != b);
    assert_eq!(a, find("A.example").await);
    assert!(a[0].to_string().starts_with("[100::"), "{}", a[0]);
}

#[tokio::test]
async fn an_address_is_asked_for_by_address() {
    for (address, asked) in [
        ("192.0.2.1:443", Some("CONNECT 192.0.2.1:443 ")),
        ("[2001:db8::1]:443", Some("CONNECT [2001:db8::1]:443 ")),
        ("127.0.0.1:443", None),
        ("[::1]:443", None),
        ("10.1.2.3:443", None),
    ] {
        let fake = Fake::open();
        let network = fake.network(proxy().except("10.0.0.0/8"));
        let to = address.parse().unwrap();
        let connect = network.connector(true, None);
        connect.connect(to, DIAL).await.unwrap();
        match asked {
            Some(asked) => assert!(fake.heard()[0].starts_with(asked), "{:?}", fake.heard()),
            None => assert_eq!(fake.dialled(), [address]),
        }
    }
}

#[tokio::test]
async fn what_goes_past_the_proxy_is_resolved_and_dialled_here() {
    let fake = Fake::open();
    let network = fake.network(proxy().except("in.example"));
    let found = network.resolver(true).resolve("in.example", 443).await;
    assert_eq!(found.unwrap().len(), 2);
    reach(&network, true, "in.example").await.unwrap();
    assert_eq!(fake.dialled(), ["10.0.1.1:443"]);
    assert!(fake.heard().is_empty());
}

#[tokio::test]
async fn the_environment_names_a_proxy_for_each_kind_of_connection() {
    let env = |set: &'static [(&str, &str)]| {
        UpstreamProxy::read(move |name| {
            let found = set.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    };
    let shown = |address: Option<&Arc<Address>>| address.map(|a| a.to_string());
    for (set, tls, plain) in [
        (&[][..], None, None),
        (&[("HTTPS_PROXY", "http://a:1")][..], Some("a:1"), None),
        (&[("http_proxy", "http://a:1")], None, Some("a:1")),
        (&[("ALL_PROXY", "a:1")], Some("a:1"), Some("a:1")),
        (
            &[("ALL_PROXY", "a:1"), ("HTTP_PROXY", "b:2")],
            Some("a:1"),
            Some("b:2"),
        ),
        (
            &[("https_proxy", "a:1"), ("HTTPS_PROXY", "b:2")],
            Some("a:1"),
            None,
        ),
        (
            &[("https_proxy", " "), ("HTTPS_PROXY", "b:2")],
            Some("b:2"),
            None,
        ),
        // One that is not used stops nothing.
        (
            &[
                ("HTTPS_PROXY", "a:1"),
                ("HTTP_PROXY", "a:1"),
                ("ALL_PROXY", "socks5://s:1080"),
            ],
            Some("a:1"),
            Some("a:1"),
        ),
    ] {
        let proxy = env(set).unwrap();
        assert_eq!(shown(proxy.of(true)).as_deref(), tls, "{set:?}");
        assert_eq!(shown(proxy.of(false)).as_deref(), plain, "{set:?}");
    }
    let proxy = env(&[("no_proxy", "a.example"), ("NO_PROXY", "b.example")]).unwrap();
    assert!(proxy.is_none());
    assert!(proxy.except.has_host("a.example", 1) && !proxy.except.has_host("b.example", 1));
    let error = env(&[("ALL_PROXY", "socks5://me:s3cret@s:1080")]).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("ALL_PROXY") && text.contains("SOCKS"),
        "{text}"
    );
    assert!(!text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn connections_of_a_kind_without_a_proxy_go_as_ever() {
    let fake = Fake::open();
    let tls_only = UpstreamProxy {
        plain: None,
        ..proxy()
    };
    let network = fake.network(tls_only);
    reach(&network, false, "in.example").await.unwrap();
    assert_eq!(fake.dialled(), ["10.0.1.1:443"]);
    reach(&network, true, "in.example").await.unwrap();
    assert_eq!(fake.dialled()[1..], ["10.0.0.1:3128"]);
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_opens_nothing_is_named_with_its_reason() {
    let say = |text: &str| Reply::Close(text.to_owned());
    let long = "x".repeat(16 << 10);
    for (reply, failure, why) in [
        (
            say(
                "HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM abc\r\n\r\n",
            ),
            ConnectFailure::Refused,
            "refused a tunnel to api.example:443: 407 Proxy Authentication Required (it wants Negotiate, NTLM; Basic is what can be sent)",
        ),
        (
            say("HTTP/1.1 403 s3cret words\r\nContent-Length: 6\r\n\r\ns3cret"),
            ConnectFailure::Refused,
            "refused a tunnel to api.example:443: 403 Forbidden",
        ),
        (
            say("HTTP/1.0 502 Bad Gateway\r\n\r\n"),
            ConnectFailure::Refused,
            "refused a tunnel to api.example:443: 502 Bad Gateway",
        ),
        (
            say("HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n"),
            ConnectFailure::Refused,
            "refused a tunnel to api.example:443: 302 Found",
        ),
        (
            say("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
            ConnectFailure::Refused,
            "answered CONNECT api.example:443 with what is no HTTP",
        ),
        (
            say(&long),
            ConnectFailure::Refused,
            "answered CONNECT api.example:443 with what is no HTTP",
        ),
        (
            say(&format!("HTTP/1.1 200 OK\r\nx: {long}\r\n\r\n")),
            ConnectFailure::Refused,
            "answered CONNECT api.example:443 with what is no HTTP",
        ),
        (
            say(""),
            ConnectFailure::Refused,
            "closed the connection before it answered CONNECT api.example:443",
        ),
        (
            say("HTTP/1.1 200 OK\r\n"),
            ConnectFailure::Refused,
            "closed the connection before it answered CONNECT api.example:443",
        ),
        (
            Reply::Hang,
            ConnectFailure::Timeout,
            "opened no tunnel to api.example:443 in time",
        ),
        (
            Reply::Say("HTTP/1.1 200 OK\r\nx: half".to_owned()),
            ConnectFailure::Timeout,
            "opened no tunnel to api.example:443 in time",
        ),
        (
            Reply::Say("HTTP/1.1 100 Continue\r\n\r\n".to_owned()),
            ConnectFailure::Timeout,
            "opened no tunnel to api.example:443 in time",
        ),
    ] {
        let network = Fake::says(reply).network(proxy());
        let begun = tokio::time::Instant::now();
        let error = reach(&network, true, "api.example").await.unwrap_err();
        assert_eq!(error.kind(), Kind::Connect(failure), "{why}");
        assert_eq!(cause(&error), format!("the proxy proxy.example:3128 {why}"));
        assert!(begun.elapsed() <= DIAL.timeout + Duration::from_millis(2));
        assert!(!format!("{error:?}").contains("s3cret"));
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named() {
    let mut fake = Fake::open();
    fake.refuses = Some("10.0.0.1:3128");
    let network = fake.network(proxy());
    reach(&network, true, "api.example").await.unwrap();
    assert_eq!(fake.dialled(), ["10.0.0.1:3128", "10.0.0.2:3128"]);
    fake.refuses = Some("192.0.2.1:80");
    for (url, failure, why) in [
        (
            "192.0.2.1",
            ConnectFailure::Refused,
            "the proxy 192.0.2.1:80 cannot be reached: nobody is there",
        ),
        (
            "none.example",
            ConnectFailure::Dns,
            "the proxy none.example:80 cannot be reached: no such name",
        ),
        (
            "empty.example",
            ConnectFailure::Dns,
            "the proxy empty.example:80 cannot be reached: its name has no address",
        ),
    ] {
        let network = fake.network(url.parse().unwrap());
        let error = reach(&network, true, "api.example").await.unwrap_err();
        assert_eq!(error.kind(), Kind::Connect(failure));
        assert_eq!(cause(&error), why);
    }
}

#[tokio::test]
async fn what_the_other_end_says_first_is_not_lost() {
    let early = "HTTP/1.1 200 OK\r\n\r\nfirst words";
    let network = Fake::says(Reply::Say(early.to_owned())).network(proxy());
    let mut io = reach(&network, false, "api.example").await.unwrap();
    let mut words = [0; 11];
    io.read_exact(&mut words).await.unwrap();
    assert_eq!(&words, b"first words");
}

#[test]
fn credentials_are_shown_nowhere() {
    let proxy = proxy();
    let network = Fake::open().network(proxy.clone());
    let shown = format!("{proxy:?} {network:?}");
    assert!(shown.contains("proxy.example:3128"), "{shown}");
    assert!(
        !shown.contains("s3cret") && !shown.contains("dXNlcj"),
        "{shown}"
    );
}
