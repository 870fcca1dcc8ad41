use std::{collections::BTreeMap, path::Path};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::*;
use crate::model::tls::{NameMatch, Roots, Secret};

mod odd;

/// An authority of this test's own.
struct Ca(CertifiedIssuer<'static, KeyPair>);

struct Leaf {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    pem: String,
}

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn leaf(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let names: Vec<_> = names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Leaf::new(&certificate, key)
    }
}

impl Leaf {
    fn new(certificate: &Certificate, key: KeyPair) -> Self {
        Self {
            chain: vec![certificate.der().clone()],
            pem: certificate.pem(),
            key,
        }
    }

    fn der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    fn server(&self, alpn: &[&[u8]]) -> ServerConfig {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth();
        let mut config = builder
            .with_single_cert(self.chain.clone(), self.der())
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
        config
    }
}

fn store(secrets: &[(&str, &[(&str, &str)])]) -> Store {
    let store = Store::default();
    let secret = |values: &[(&str, &str)]| {
        let value = |text: &str| Arc::new(Zeroizing::new(text.as_bytes().to_vec()));
        Secret(
            values
                .iter()
                .map(|(k, v)| ((*k).to_owned(), value(v)))
                .collect(),
        )
    };
    let all: BTreeMap<_, _> = secrets
        .iter()
        .map(|(name, values)| ((*name).to_owned(), secret(values)))
        .collect();
    store.set_secrets(&all);
    store
}

fn tls(name: &str, names: Vec<NameMatch>) -> Tls {
    Tls {
        server_name: Some(name.to_owned()),
        verify: Verify::Chain {
            roots: Roots::Secret("a/ca".to_owned()),
            names,
            revoked: None,
        },
        identity: None,
        unmet: None,
    }
}

/// A handshake between this client and a server.
async fn meet(client: &Client, server: ServerConfig, offer: Offer) -> Result<Secured, Failure> {
    let (ours, theirs) = duplex(1 << 16);
    tokio::spawn(async move {
        let accepted = TlsAcceptor::from(Arc::new(server)).accept(theirs).await;
        if let Ok(mut stream) = accepted {
            // An echo, so that tickets are read too.
            let mut bytes = [0; 64];
            while let Ok(n @ 1..) = stream.read(&mut bytes).await {
                if stream.write_all(&bytes[..n]).await.is_err() {
                    break;
                }
            }
        }
    });
    let address = ([127, 0, 0, 1], 443).into();
    client.handshake(Box::new(ours), address, offer).await
}

async fn echo(secured: &mut Secured) -> std::io::Result<Vec<u8>> {
    secured.io.write_all(b"hello").await?;
    secured.io.flush().await?;
    let mut bytes = vec![0; 5];
    secured.io.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn why(client: &Client, server: ServerConfig) -> (What, String) {
    let failure = meet(client, server, Offer::Http1)
        .await
        .map(drop)
        .unwrap_err();
    (failure.what, failure.reason)
}

#[tokio::test]
async fn what_is_encrypted_is_readable_and_a_session_is_resumed() {
    let ca = Ca::new("ca");
    let store = store(&[("a/ca", &[("ca.crt", &ca.pem())])]);
    let client = Client::new(tls("llm.example", Vec::new()), &store, "c");
    let server = ca.leaf(&["llm.example"], |_| ()).server(&[]);
    for resumed in [false, true, true] {
        let mut secured = meet(&client, server.clone(), Offer::Http1).await.unwrap();
        assert_eq!(echo(&mut secured).await.unwrap(), b"hello");
        assert_eq!((secured.resumed, secured.http2), (resumed, false));
    }
    let in_force = client.certificates();
    assert_eq!(in_force.len(), 1);
    assert!(!in_force[0].own && in_force[0].origin == "secret a/ca, `ca.crt`");
}

#[tokio::test]
async fn certificates_are_judged_and_told_in_plain_words() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let store = store(&[("a/ca", &[("ca.crt", &ca.pem())])]);
    let client = Client::new(tls("llm.example", Vec::new()), &store, "c");
    let dated = |from: (i32, u8, u8), to: (i32, u8, u8)| {
        let leaf = ca.leaf(&["llm.example"], |params| {
            params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
            params.not_after = rcgen::date_time_ymd(to.0, to.1, to.2);
        });
        leaf.server(&[])
    };
    let (what, reason) = why(&client, dated((2020, 1, 1), (2024, 10, 4))).await;
    assert_eq!(what, What::Certificate);
    assert!(
        reason.starts_with("the certificate expired ")
            && reason.ends_with(" days ago (2024-10-04T00:00:00.000Z)"),
        "{reason}"
    );
    let (what, reason) = why(&client, dated((2970, 1, 1), (2980, 1, 1))).await;
    assert_eq!(what, What::Certificate);
    assert!(
        reason.starts_with("the certificate is not valid yet, only in "),
        "{reason}"
    );
    let unknown = other.leaf(&["llm.example"], |_| ()).server(&[]);
    assert_eq!(
        why(&client, unknown).await,
        (
            What::Certificate,
            "unknown CA: the certificate's chain ends at one issued by CN=other (the server sent no intermediate certificate)"
                .to_owned()
        )
    );
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["llm.example".to_owned()]).unwrap();
    let own = Leaf::new(&own.self_signed(&key).unwrap(), key).server(&[]);
    let (what, reason) = why(&client, own).await;
    assert_eq!(what, What::Certificate);
    assert!(
        reason.starts_with("the certificate is self-signed"),
        "{reason}"
    );
    let named = ca
        .leaf(&["other.example", "*.example.net"], |_| ())
        .server(&[]);
    assert_eq!(
        why(&client, named.clone()).await,
        (
            What::Names,
            "the certificate is for other.example, *.example.net, not for llm.example".to_owned()
        )
    );
    // Listed names stand in the place of the host's.
    let wanted = vec![NameMatch::Exact("a.example.net".to_owned())];
    let listed = Client::new(tls("llm.example", wanted), &store, "c");
    assert!(meet(&listed, named, Offer::Http1).await.is_ok());
    let hosts = ca.leaf(&["llm.example"], |_| ()).server(&[]);
    assert_eq!(
        why(&listed, hosts).await,
        (
            What::Names,
            "the certificate is for llm.example, and subjectAltNames wants a.example.net"
                .to_owned()
        )
    );
    // An expired one with a listed name is expired.
    let (_, reason) = why(&listed, dated((2020, 1, 1), (2024, 10, 4))).await;
    assert!(reason.starts_with("the certificate expired "), "{reason}");
    // Nothing of all that counts where nothing is verified.
    let mut nothing = tls("llm.example", Vec::new());
    nothing.verify = Verify::Nothing;
    let careless = Client::new(nothing, &store, "c");
    let expired = dated((2020, 1, 1), (2024, 10, 4));
    assert!(meet(&careless, expired, Offer::Http1).await.is_ok());
}

/// What `openssl req -x509` makes: an authority that serves.
fn x509(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Ca {
    let names: Vec<_> = names.iter().map(|n| (*n).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "own");
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    Ca(CertifiedIssuer::self_signed(params, key).unwrap())
}

impl Ca {
    /// A server that shows it as its own certificate.
    fn server(&self, of_key: &KeyPair) -> ServerConfig {
        let key = PrivatePkcs8KeyDer::from(of_key.serialize_der());
        ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.0.der().clone()], key.into())
            .unwrap()
    }
}

#[tokio::test]
async fn an_authority_that_is_given_may_be_the_server_itself_and_no_other() {
    let trusting = |given: &Ca, names| {
        let store = store(&[("a/ca", &[("ca.crt", &given.pem())])]);
        Client::new(tls("llm.example", names), &store, "c")
    };
    let own = x509(&["llm.example"], |_| ());
    let shown = own.server(own.0.key());
    let client = trusting(&own, Vec::new());
    let mut met = meet(&client, shown.clone(), Offer::Http1).await.unwrap();
    assert_eq!(echo(&mut met).await.unwrap(), b"hello");
    // Names as ever: the host's, or those that are listed.
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|n| NameMatch::Exact((*n).to_owned()))
            .collect()
    };
    let listed = trusting(&own, names(&["a.example", "llm.example"]));
    assert!(meet(&listed, shown.clone(), Offer::Http1).await.is_ok());
    let (what, reason) = why(&trusting(&own, names(&["a.example"])), shown.clone()).await;
    assert_eq!(what, What::Names, "{reason}");
    for named in [&["other.example"][..], &[]] {
        let other = x509(named, |_| ());
        let server = other.server(other.0.key());
        let (what, reason) = why(&trusting(&other, Vec::new()), server).await;
        assert_eq!(what, What::Names);
        assert!(reason.ends_with(", not for llm.example"), "{reason}");
    }
    // The same names, the same key, another certificate.
    let mut params = CertificateParams::new(vec!["llm.example".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "own");
    params.serial_number = Some(7.into());
    let key = KeyPair::from_pem(&own.0.key().serialize_pem()).unwrap();
    let twin = Ca(CertifiedIssuer::self_signed(params, key).unwrap());
    let (what, reason) = why(&client, twin.server(twin.0.key())).await;
    assert_eq!(what, What::Certificate);
    assert!(reason.contains("CA:TRUE"), "{reason}");
    // An authority below it, which is not given.
    let (params, key) = (
        {
            let mut params = CertificateParams::new(vec!["llm.example".to_owned()]).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
        },
        KeyPair::generate().unwrap(),
    );
    let below = Ca(CertifiedIssuer::signed_by(params, key, &own.0).unwrap());
    let (what, reason) = why(&client, below.server(below.0.key())).await;
    assert_eq!(what, What::Certificate);
    assert!(reason.contains("CA:TRUE"), "{reason}");
    // Where nothing is given, the system's authorities hold.
    let mut system = tls("llm.example", Vec::new());
    system.verify = Verify::Chain {
        roots: Roots::System,
        names: Vec::new(),
        revoked: None,
    };
    let (what, _) = why(&Client::new(system, &Store::default(), "c"), shown).await;
    assert_eq!(what, What::Certificate);
}

#[tokio::test]
async fn an_authority_that_is_the_server_itself_is_judged_like_any_certificate() {
    use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let judged = async |change: fn(&mut CertificateParams)| {
        let own = x509(&["llm.example"], change);
        let store = store(&[("a/ca", &[("ca.crt", &own.pem())])]);
        let client = Client::new(tls("llm.example", Vec::new()), &store, "c");
        let server = own.server(own.0.key());
        meet(&client, server, Offer::Http1).await.map(drop)
    };
    for (change, says) in [
        (
            (|p| p.not_after = rcgen::date_time_ymd(2024, 10, 4)) as fn(&mut CertificateParams),
            "the certificate expired ",
        ),
        (
            |p| {
                p.not_before = rcgen::date_time_ymd(2970, 1, 1);
                p.not_after = rcgen::date_time_ymd(2980, 1, 1);
            },
            "the certificate is not valid yet",
        ),
        (
            |p| p.extended_key_usages = vec![ClientAuth],
            "the certificate is not one for servers",
        ),
    ] {
        let failure = judged(change).await.unwrap_err();
        assert_eq!(failure.what, What::Certificate);
        assert!(failure.reason.starts_with(says), "{failure:?}");
    }
    let both = |p: &mut CertificateParams| p.extended_key_usages = vec![ClientAuth, ServerAuth];
    assert!(judged(both).await.is_ok());
}

/// Whoever has the certificate has not its key.
#[tokio::test]
async fn an_authority_that_is_the_server_itself_signs_its_handshake() {
    #[derive(Debug)]
    struct Thief(Arc<rustls::sign::CertifiedKey>);
    impl rustls::server::ResolvesServerCert for Thief {
        fn resolve(
            &self,
            _: rustls::server::ClientHello<'_>,
        ) -> Option<Arc<rustls::sign::CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }
    let own = x509(&["llm.example"], |_| ());
    let store = store(&[("a/ca", &[("ca.crt", &own.pem())])]);
    let client = Client::new(tls("llm.example", Vec::new()), &store, "c");
    let other = PrivatePkcs8KeyDer::from(KeyPair::generate().unwrap().serialize_der());
    let other = provider()
        .key_provider
        .load_private_key(other.into())
        .unwrap();
    let stolen = rustls::sign::CertifiedKey::new(vec![own.0.der().clone()], other);
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Thief(Arc::new(stolen))));
    let (what, reason) = why(&client, server).await;
    assert_eq!(what, What::Certificate);
    assert!(reason.contains("signature"), "{reason}");
}

#[tokio::test]
async fn without_a_name_the_certificate_must_be_the_addresss() {
    let ca = Ca::new("ca");
    let store = store(&[("a/ca", &[("ca.crt", &ca.pem())])]);
    let mut nameless = tls("x", Vec::new());
    nameless.server_name = None;
    let client = Client::new(nameless, &store, "c");
    let by_address = ca.leaf(&["127.0.0.1"], |_| ()).server(&[]);
    assert!(meet(&client, by_address, Offer::Http1).await.is_ok());
    let (what, _) = why(&client, ca.leaf(&["llm.example"], |_| ()).server(&[])).await;
    assert_eq!(what, What::Names);
}

#[tokio::test]
async fn protocols_are_agreed_upon_or_the_failure_says_so() {
    let ca = Ca::new("ca");
    let store = store(&[("a/ca", &[("ca.crt", &ca.pem())])]);
    let client = Client::new(tls("llm.example", Vec::new()), &store, "c");
    let leaf = ca.leaf(&["llm.example"], |_| ());
    let (h2, h1) = (&b"h2"[..], &b"http/1.1"[..]);
    for (offer, takes, spoken) in [
        (Offer::Both, &[h2, h1][..], Some(true)),
        (Offer::Both, &[h1], Some(false)),
        (Offer::Both, &[], Some(false)),
        (Offer::Http1, &[h2, h1], Some(false)),
        (Offer::Http2, &[h2, h1], Some(true)),
        (Offer::Http1, &[h2], None),
        (Offer::Http2, &[h1], None),
        (Offer::Http2, &[], None),
        (Offer::Both, &[b"spdy/3"], None),
    ] {
        let met = meet(&client, leaf.server(takes), offer).await;
        match spoken {
            Some(http2) => assert_eq!(met.unwrap().http2, http2, "{offer:?} {takes:?}"),
            None => {
                let failure = met.map(drop).unwrap_err();
                assert!(
                    failure.reason.starts_with("no shared protocol: "),
                    "{failure:?}"
                );
                assert_eq!(failure.what, What::Protocol);
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_tls_is_told_apart_from_what_broke() {
    let ca = Ca::new("ca");
    let store = store(&[("a/ca", &[("ca.crt", &ca.pem())])]);
    let client = Client::new(tls("llm.example", Vec::new()), &store, "c");
    let garbage = vec![0xa5; 16 << 10];
    for (answer, what, words) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            What::Protocol,
            "does not speak TLS",
        ),
        (&garbage, What::Protocol, "does not speak TLS"),
        (b"", What::Broken, "closed the connection in the middle"),
        // The beginning of a ServerHello.
        (
            &[0x16, 3, 3, 0, 90, 2, 0, 0],
            What::Broken,
            "closed the connection in the middle",
        ),
    ] {
        let (ours, mut theirs) = duplex(1 << 16);
        let answer = answer.to_vec();
        tokio::spawn(async move {
            let mut hello = [0; 512];
            let _ = theirs.read(&mut hello).await;
            let _ = theirs.write_all(&answer).await;
        });
        let address = ([127, 0, 0, 1], 443).into();
        let met = client
            .handshake(Box::new(ours), address, Offer::Http1)
            .await;
        let failure = met.map(drop).unwrap_err();
        assert_eq!(failure.what, what, "{failure:?}");
        assert!(failure.reason.contains(words), "{failure:?}");
    }
}

fn folder(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("llmesh-tls-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn mutual(folder: &Path) -> Tls {
    Tls {
        identity: Some(Identity::Files {
            certificate: folder.join("c.pem"),
            key: folder.join("k.pem"),
        }),
        ..tls("llm.example", Vec::new())
    }
}

fn demanding(leaf: &Leaf, clients: &Ca) -> ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add(clients.0.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(leaf.chain.clone(), leaf.der())
        .unwrap()
}

#[tokio::test]
async fn a_changed_certificate_is_used_if_it_is_good_and_the_old_one_if_not() {
    let (ca, old, new) = (Ca::new("ca"), Ca::new("old"), Ca::new("new"));
    let store = store(&[("a/ca", &[("ca.crt", &ca.pem())])]);
    let folder = folder("rotation");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let (first, second) = (old.leaf(&["client"], |_| ()), new.leaf(&["client"], |_| ()));
    let leaf = ca.leaf(&["llm.example"], |_| ());
    let client = Client::new(mutual(&folder), &store, "c");
    let (what, reason) = why(&client, demanding(&leaf, &old)).await;
    assert_eq!(what, What::Unusable);
    assert!(
        reason.contains("c.pem cannot be read: No such file"),
        "{reason}"
    );

    write("c.pem", &first.pem);
    write("k.pem", &first.key.serialize_pem());
    assert!(client.refresh(&store, "c"));
    assert!(!client.refresh(&store, "c"), "nothing has changed");
    let good = async |client: &Client, by: &Ca| {
        let mut met = meet(client, demanding(&leaf, by), Offer::Http1)
            .await
            .unwrap();
        echo(&mut met).await.is_ok()
    };
    assert!(good(&client, &old).await);
    // Half of it; a key of another; a key that is none; gone.
    let half = &second.pem[..second.pem.len() / 2];
    let bad = [
        (half, first.key.serialize_pem()),
        (&second.pem, first.key.serialize_pem()),
        (&second.pem, "no key".to_owned()),
    ];
    for (certificate, key) in &bad {
        write("c.pem", certificate);
        write("k.pem", key);
        assert!(!client.refresh(&store, "c"));
        assert!(good(&client, &old).await && !good(&client, &new).await);
    }
    std::fs::remove_file(folder.join("k.pem")).unwrap();
    assert!(!client.refresh(&store, "c"));
    assert!(good(&client, &old).await);

    write("k.pem", &second.key.serialize_pem());
    assert!(client.refresh(&store, "c"));
    assert!(good(&client, &new).await && !good(&client, &old).await);
    let own = client.certificates();
    assert_eq!(own.iter().filter(|c| c.own).count(), 1);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_server_that_refuses_this_sides_certificate_says_so_where_an_answer_is_waited_for() {
    let (ca, clients) = (Ca::new("ca"), Ca::new("clients"));
    let store = store(&[("a/ca", &[("ca.crt", &ca.pem())])]);
    let leaf = ca.leaf(&["llm.example"], |_| ());
    let client = Client::new(tls("llm.example", Vec::new()), &store, "c");
    let mut met = meet(&client, demanding(&leaf, &clients), Offer::Http1)
        .await
        .unwrap();
    let error = echo(&mut met).await.unwrap_err();
    let kind = crate::base::error::find(&error).map(crate::base::Error::kind);
    let tls = crate::base::error::ConnectFailure::Tls;
    assert_eq!(kind, Some(crate::base::Kind::Connect(tls)));
    assert_eq!(
        met.refused.get().unwrap().reason,
        "the server wants a client certificate, and there is none"
    );
}

#[tokio::test]
async fn sessions_are_forgotten_with_the_authorities_that_they_were_made_under() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let store = store(&[("a/ca", &[("ca.crt", &ca.pem())])]);
    let client = Client::new(tls("llm.example", Vec::new()), &store, "c");
    let server = ca.leaf(&["llm.example"], |_| ()).server(&[]);
    let mut met = meet(&client, server.clone(), Offer::Http1).await.unwrap();
    echo(&mut met).await.unwrap();
    let value = Arc::new(Zeroizing::new(other.pem().into_bytes()));
    let secret = Secret([("ca.crt".to_owned(), value)].into());
    store.set_secrets(&[("a/ca".to_owned(), secret)].into());
    assert!(client.refresh(&store, "c"));
    let (what, _) = why(&client, server).await;
    assert_eq!(what, What::Certificate);
}

#[test]
fn nothing_of_a_key_is_in_what_is_said_of_it() {
    let store = store(&[
        ("a/ca", &[("ca.crt", "-----BEGIN CERTIFICATE-----\nMARKED")]),
        ("a/key", &[("tls.crt", "x"), ("tls.key", "MARKED")]),
    ]);
    let mut wanted = tls("llm.example", Vec::new());
    wanted.identity = Some(Identity::Secret("a/key".to_owned()));
    let client = Client::new(wanted, &store, "c");
    let shown = format!(
        "{client:?} {store:?} {:?}",
        client.state.load().ready.as_ref().err()
    );
    assert!(
        !shown.contains("MARKED") && shown.contains("cut short"),
        "{shown}"
    );
}
