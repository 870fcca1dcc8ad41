//! Certificates, names and files that are rare and right, or nearly right.

use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, PKCS_ECDSA_P384_SHA384,
    PKCS_ECDSA_P521_SHA512, PKCS_ED25519, RevokedCertParams, SerialNumber, date_time_ymd,
};

use super::*;

async fn met(
    name: &str,
    names: Vec<NameMatch>,
    ca: &Ca,
    server: ServerConfig,
) -> Result<(), Failure> {
    let store = store(&[("a/ca", &[("ca.crt", &ca.pem())])]);
    let client = Client::new(tls(name, names), &store, "c");
    meet(&client, server, Offer::Http1).await.map(drop)
}

#[tokio::test]
async fn names_that_are_rare() {
    let ca = Ca::new("ca");
    for (certificate, asked, good) in [
        // A wildcard stands for one label, and only as the first.
        ("*.example.com", "a.example.com", true),
        ("*.example.com", "a.b.example.com", false),
        ("*.b.example.com", "a.b.example.com", true),
        ("*.*.example.com", "a.b.example.com", false),
        ("*.example.com", "example.com", false),
        // A name of other letters is written in its ASCII form.
        ("xn--bcher-kva.example", "xn--bcher-kva.example", true),
        ("xn--bcher-kva.example", "XN--Bcher-KVA.example", true),
        ("*.shop.example", "xn--bcher-kva.shop.example", true),
        // Nobody has all names there are.
        ("*.example", "llm.example", false),
        // A name that ends with its root is the same name.
        ("llm.example", "llm.example.", true),
        ("other.example", "llm.example.", false),
        // An address is none of the names.
        ("127.0.0.1", "llm.example", false),
        ("127.0.0.1", "127.0.0.1", true),
        ("::1", "::1", true),
        ("127.0.0.1", "127.0.0.2", false),
        ("llm.example", "127.0.0.1", false),
    ] {
        let server = ca.leaf(&[certificate], |_| ()).server(&[]);
        let met = met(asked, Vec::new(), &ca, server).await;
        assert_eq!(met.is_ok(), good, "{certificate} for {asked}: {met:?}");
        if let Err(failure) = met {
            assert_eq!(failure.what, What::Names, "{failure:?}");
        }
    }
    // Addresses may be listed, as names are.
    let listed = |name: &str| vec![NameMatch::Exact(name.to_owned())];
    for (address, good) in [("10.0.0.7", true), ("10.0.0.8", false)] {
        let server = ca.leaf(&["10.0.0.7"], |_| ()).server(&[]);
        let met = met("llm.example", listed(address), &ca, server).await;
        assert_eq!(met.is_ok(), good, "{address}: {met:?}");
    }
    // It cannot be sent as it is.
    let server = ca.leaf(&["xn--bcher-kva.example"], |_| ()).server(&[]);
    let failure = met("b\u{fc}cher.example", Vec::new(), &ca, server)
        .await
        .unwrap_err();
    assert_eq!(failure.what, What::Unusable);
    assert!(
        failure.reason.contains("no name that TLS can send"),
        "{failure:?}"
    );
}

/// An intermediate authority whose first certificate has expired, and which another root has signed as well.
#[tokio::test]
async fn of_two_ways_up_the_one_that_is_good_is_taken() {
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let params = |until: i32| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "below");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params
    };
    let key = KeyPair::generate().unwrap();
    let expired = params(2024).signed_by(&key, &old.0).unwrap();
    let crossed = params(2900).signed_by(&key, &new.0).unwrap();
    let below = Issuer::new(params(2900), key);
    let own = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["llm.example".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&own, &below).unwrap();
    let both = [expired.der().clone(), crossed.der().clone()];
    let shown = |above: &[CertificateDer<'static>]| {
        let mut leaf = Leaf::new(&leaf, KeyPair::from_pem(&own.serialize_pem()).unwrap());
        leaf.chain.extend_from_slice(above);
        leaf.server(&[])
    };
    let met = async |ca, above: &[_]| met("llm.example", Vec::new(), ca, shown(above)).await;
    met(&new, &both).await.unwrap();
    let turned = [both[1].clone(), both[0].clone()];
    met(&new, &turned).await.unwrap();
    let failure = met(&old, &both).await.unwrap_err();
    assert_eq!(failure.what, What::Certificate);
    assert!(failure.reason.contains("expired"), "{failure:?}");
}

#[tokio::test]
async fn keys_of_every_kind_on_both_sides() {
    let (ca, clients) = (Ca::new("ca"), Ca::new("clients"));
    for kind in [
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_ECDSA_P521_SHA512,
        &PKCS_ED25519,
    ] {
        let leaf = |ca: &Ca, name: &str| {
            let key = KeyPair::generate_for(kind).unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            Leaf::new(&params.signed_by(&key, &ca.0).unwrap(), key)
        };
        let own = leaf(&clients, "client");
        let store = store(&[
            ("a/ca", &[("ca.crt", &ca.pem())]),
            (
                "a/own",
                &[("tls.crt", &own.pem), ("tls.key", &own.key.serialize_pem())],
            ),
        ]);
        let mut wanted = tls("llm.example", Vec::new());
        wanted.identity = Some(Identity::Secret("a/own".to_owned()));
        let client = Client::new(wanted, &store, "c");
        let server = demanding(&leaf(&ca, "llm.example"), &clients);
        let mut met = meet(&client, server, Offer::Http1).await.unwrap();
        assert_eq!(echo(&mut met).await.unwrap(), b"hello", "{kind:?}");
    }
}

#[tokio::test]
async fn texts_as_other_systems_write_them() {
    let ca = Ca::new("ca");
    let server = ca.leaf(&["llm.example"], |_| ()).server(&[]);
    let pem = ca.pem();
    for (what, text) in [
        ("line ends of Windows", pem.replace('\n', "\r\n")),
        ("a mark before it", format!("\u{feff}{pem}")),
        (
            "comments",
            format!("# of us all\nsubject=CN = ca\n\n{pem}\n# end\n"),
        ),
        ("no last line end", pem.trim_end().to_owned()),
        ("another one before it", Ca::new("other").pem() + &pem),
    ] {
        let store = store(&[("a/ca", &[("ca.crt", &text)])]);
        let client = Client::new(tls("llm.example", Vec::new()), &store, "c");
        let met = meet(&client, server.clone(), Offer::Http1).await.map(drop);
        assert_eq!(met, Ok(()), "{what}");
    }
    for (text, says) in [
        ("", "secret a/ca, `ca.crt`: no certificate in it"),
        (
            "# nothing yet\n",
            "secret a/ca, `ca.crt`: no certificate in it",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "secret a/ca, `ca.crt`: no certificate in it",
        ),
    ] {
        let store = store(&[("a/ca", &[("ca.crt", text)])]);
        let client = Client::new(tls("llm.example", Vec::new()), &store, "c");
        assert_eq!(
            why(&client, server.clone()).await,
            (What::Unusable, says.to_owned())
        );
    }
}

#[tokio::test]
async fn a_key_that_a_passphrase_protects_is_named_as_one() {
    let ca = Ca::new("ca");
    let own = ca.leaf(&["client"], |_| ());
    for key in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    ] {
        let store = store(&[
            ("a/ca", &[("ca.crt", &ca.pem())]),
            ("a/own", &[("tls.crt", &own.pem), ("tls.key", key)]),
        ]);
        let mut wanted = tls("llm.example", Vec::new());
        wanted.identity = Some(Identity::Secret("a/own".to_owned()));
        let client = Client::new(wanted, &store, "c");
        let (what, reason) = why(&client, own.server(&[])).await;
        assert_eq!(what, What::Unusable);
        assert!(
            reason.starts_with("secret a/own, `tls.key`: the private key is encrypted"),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn what_a_secrets_own_list_takes_back_is_refused() {
    let ca = Ca::new("ca");
    let numbered = |serial: u64| {
        let leaf = ca.leaf(&["llm.example"], |p| p.serial_number = Some(serial.into()));
        leaf.server(&[])
    };
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2024, 1, 1),
        next_update: date_time_ymd(2900, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(7),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&ca.0).unwrap().pem().unwrap();
    let store = store(&[("a/ca", &[("ca.crt", &ca.pem()), ("ca.crl", &list)])]);
    let mut wanted = tls("llm.example", Vec::new());
    wanted.verify = Verify::Chain {
        roots: Roots::Secret("a/ca".to_owned()),
        names: Vec::new(),
        revoked: Some(crate::model::tls::Revoked::Secret("a/ca".to_owned())),
    };
    let client = Client::new(wanted, &store, "c");
    assert!(meet(&client, numbered(8), Offer::Http1).await.is_ok());
    assert_eq!(
        why(&client, numbered(7)).await,
        (What::Certificate, "the certificate was revoked".to_owned())
    );
}
