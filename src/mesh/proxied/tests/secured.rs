//! Proxies that are spoken to over TLS.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer,
    server::WebPkiClientVerifier,
};

use super::*;

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ca::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A proxy with a certificate of `ca` for `name`, that is checked against `trusted`, and wants a certificate of its callers if
/// it is to.
fn fake(ca: &Ca, name: &str, trusted: &Ca, strict: bool) -> Fake {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = params.signed_by(&key, ca).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = if strict {
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        config.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        config.with_no_client_auth()
    };
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config = config.with_single_cert(vec![leaf.der().clone()], key);
    let defaults = Defaults {
        roots: Some(trusted.pem().into_bytes().into()),
        identity: None,
    };
    let mut fake = Fake::open();
    fake.tls = Some((TlsAcceptor::from(Arc::new(config.unwrap())), defaults));
    fake
}

fn url(url: &str) -> UpstreamProxy {
    url.parse().unwrap()
}

#[tokio::test]
async fn a_proxy_with_a_good_certificate_opens_tunnels() {
    let ca = ca("ours");
    for (name, proxy, port) in [
        ("proxy.example", "https://user:s3cret@proxy.example", 443),
        ("192.0.2.1", "https://user:s3cret@192.0.2.1:3128", 3128),
    ] {
        let fake = fake(&ca, name, &ca, false);
        let network = fake.network(url(proxy));
        for tls in [true, false] {
            let mut io = reach(&network, tls, "api.example").await.unwrap();
            io.write_all(b"hello").await.unwrap();
            let mut answer = [0; 5];
            io.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"hello");
        }
        for head in fake.heard() {
            assert!(head.starts_with("CONNECT api.example:443 "), "{head}");
            assert!(head.contains("Basic dXNlcjpzM2NyZXQ="), "{head}");
        }
        assert_eq!(fake.heard().len(), 2);
        for address in fake.dialled() {
            assert!(address.ends_with(&format!(":{port}")), "{address}");
        }
    }
}

#[tokio::test]
async fn one_without_is_told_nothing() {
    let (ours, other) = (ca("ours"), ca("other"));
    let whole = |why| format!("the proxy proxy.example:443 cannot be spoken to over TLS: {why}");
    for (fake, why) in [
        (fake(&other, "proxy.example", &ours, false), "unknown CA"),
        (
            fake(&ours, "other.example", &ours, false),
            "the certificate is for other.example, not for proxy.example",
        ),
        (
            fake(&ours, "proxy.example", &ours, true),
            "the server wants a client certificate, and there is none",
        ),
    ] {
        let network = fake.network(url("https://user:s3cret@proxy.example"));
        let error = reach(&network, true, "api.example").await.unwrap_err();
        assert_eq!(error.kind(), Kind::Connect(ConnectFailure::Tls), "{why}");
        assert!(cause(&error).starts_with(&whole(why)), "{}", cause(&error));
        assert_eq!(fake.heard(), [""; 0], "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_says_nothing_holds_nobody_up() {
    let fake = Fake::says(Reply::Hang);
    let network = fake.network(url("https://proxy.example"));
    let begun = tokio::time::Instant::now();
    let error = reach(&network, true, "api.example").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Connect(ConnectFailure::Timeout));
    assert!(begun.elapsed() <= DIAL.timeout + Duration::from_millis(2));
}
