//! What a server's certificate must be.
//!
//! Chains, dates and signatures are webpki's business. Here are Istio's lists of names, which stand in the place of the host
//! name, and the words for people: whoever reads that a handshake failed wants both names, the issuer, the number of days.

use std::{fmt, net::IpAddr, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime},
};
use x509_parser::{
    extensions::GeneralName, prelude::FromDer as _, prelude::X509Certificate, public_key::PublicKey,
};

use super::{
    pinned::{self, Pinned},
    provider::provider,
};
use crate::model::tls::NameMatch;

/// The least that a key of RSA may have, in bits.
const LEAST_RSA: usize = 2048;

/// Verifies chains, and one of these names where any are listed.
#[derive(Debug)]
pub(super) struct Verifier {
    chain: Arc<WebPkiServerVerifier>,
    pinned: Pinned,
    names: Vec<NameMatch>,
}

/// Verifies nothing.
#[derive(Debug)]
pub(super) struct Anything;

/// Why a certificate is refused, where rustls has no words for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// In plain words.
    pub(super) reason: String,
    /// Whether it is the certificate's names.
    pub(super) names: bool,
}

// === impl Verifier ===

impl Verifier {
    /// `given` are those of the authorities that a file or secret lists, as they are.
    ///
    /// # Errors
    /// Why no chain can be verified with these.
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        given: Vec<CertificateDer<'static>>,
        revoked: Vec<CertificateRevocationListDer<'static>>,
        names: Vec<NameMatch>,
    ) -> Result<Self, String> {
        // A list of what was taken back is checked along a chain, and these have none.
        let pinned = Pinned::new(if revoked.is_empty() {
            given
        } else {
            Vec::new()
        });
        let chain = WebPkiServerVerifier::builder_with_provider(roots, provider())
            .with_crls(revoked)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            chain,
            pinned,
            names,
        })
    }

    fn named(&self, end_entity: &CertificateDer<'_>) -> Result<ServerCertVerified, Error> {
        let has = names_of(end_entity);
        let fits = |wanted: &NameMatch| has.iter().any(|name| name.fits(wanted));
        if self.names.iter().any(fits) {
            return Ok(ServerCertVerified::assertion());
        }
        let wanted: Vec<_> = self.names.iter().map(ToString::to_string).collect();
        let reason = format!(
            "the certificate is for {}, and subjectAltNames wants {}",
            list(&has),
            wanted.join(" or ")
        );
        Err(refused(reason, true))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.chain.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let verified = match verified {
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if self.pinned.has(end_entity) =>
            {
                pinned::verify(end_entity, server_name, now)
                    .map(|()| ServerCertVerified::assertion())
            }
            other => other,
        };
        // Names come last: with a wrong one all else is right.
        let named = |error: &Error| {
            use CertificateError::{NotValidForName, NotValidForNameContext};
            let Error::InvalidCertificate(error) = error else {
                return false;
            };
            matches!(error, NotValidForName | NotValidForNameContext { .. })
        };
        match verified {
            Ok(_) if !self.names.is_empty() => self.named(end_entity),
            Err(error) if named(&error) && !self.names.is_empty() => self.named(end_entity),
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                Err(refused(unknown_issuer(end_entity, intermediates), false))
            }
            Err(error) if named(&error) => {
                let (name, has) = (server_name.to_str(), list(&names_of(end_entity)));
                let reason = format!("the certificate is for {has}, not for {name}");
                Err(refused(reason, true))
            }
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if is_authority(end_entity) =>
            {
                let reason = "the server's certificate is an authority's (CA:TRUE), which is none for servers: give it one that the authority signs, or one made with basicConstraints=CA:FALSE";
                Err(refused(reason.to_owned(), false))
            }
            other => other.map_err(|error| signed_wrong(error, intermediates)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.chain.verify_tls12_signature(message, cert, dss);
        verified.map_err(|error| signed_wrong(error, [cert]))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.chain.verify_tls13_signature(message, cert, dss);
        verified.map_err(|error| signed_wrong(error, [cert]))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

// === impl Anything ===

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

// === impl Refused ===

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Refused {}

// === names ===

/// An alternative name of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    /// Lower-case; may begin with `*.`.
    Dns(String),
    Uri(String),
    Ip(IpAddr),
}

impl Name {
    /// Whether it is what is wanted. A wildcard of the certificate stands for one label, as everywhere.
    fn fits(&self, wanted: &NameMatch) -> bool {
        let text = self.to_string();
        let dns = matches!(self, Self::Dns(_));
        let lower = |s: &str| {
            if dns {
                s.to_ascii_lowercase()
            } else {
                s.to_owned()
            }
        };
        match wanted {
            NameMatch::Exact(wanted) => {
                let wanted = lower(wanted);
                let under = text.strip_prefix("*.").filter(|_| dns);
                text == wanted
                    || under.is_some_and(|under| {
                        let rest = wanted.split_once('.');
                        rest.is_some_and(|(label, rest)| !label.is_empty() && rest == under)
                    })
            }
            NameMatch::Prefix(wanted) => text.starts_with(&lower(wanted)),
            NameMatch::Suffix(wanted) => text.ends_with(&lower(wanted)),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) | Self::Uri(name) => f.write_str(name),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

fn names_of(certificate: &[u8]) -> Vec<Name> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let all = names.value.general_names.iter();
    all.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(Name::Dns(name.to_ascii_lowercase())),
        GeneralName::URI(uri) => Some(Name::Uri((*uri).to_owned())),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| v6()).ok().map(Name::Ip)
        }
        _ => None,
    })
    .collect()
}

// === words ===

fn refused(reason: String, names: bool) -> Error {
    let refused = Refused { reason, names };
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused))))
}

/// The names of a certificate: the first few of many.
fn list(names: &[Name]) -> String {
    const SHOWN: usize = 5;
    if names.is_empty() {
        return "no name at all".to_owned();
    }
    let mut text: Vec<_> = names.iter().take(SHOWN).map(ToString::to_string).collect();
    if names.len() > SHOWN {
        text.push(format!("{} more", names.len() - SHOWN));
    }
    printable(&text.join(", "))
}

fn unknown_issuer(end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> String {
    let last = intermediates.last().unwrap_or(end_entity);
    let Ok((_, certificate)) = X509Certificate::from_der(last) else {
        return "unknown CA".to_owned();
    };
    let issuer = printable(&certificate.issuer().to_string());
    if certificate.issuer() != certificate.subject() {
        let alone = if intermediates.is_empty() {
            " (the server sent no intermediate certificate)"
        } else {
            ""
        };
        return format!(
            "unknown CA: the certificate's chain ends at one issued by {issuer}{alone}"
        );
    }
    if intermediates.is_empty() {
        return format!("the certificate is self-signed (by {issuer}) and not trusted");
    }
    format!("unknown CA: the certificate's chain ends at {issuer}, which is not trusted")
}

/// A signature that does not hold: short keys of RSA are no keys to webpki, and their signatures none.
fn signed_wrong<'a>(error: Error, by: impl IntoIterator<Item = &'a CertificateDer<'a>>) -> Error {
    if error != Error::InvalidCertificate(CertificateError::BadSignature) {
        return error;
    }
    match by.into_iter().find_map(short_key) {
        Some(bits) => {
            let reason = format!(
                "a certificate's key is too short: RSA of {bits} bits; {LEAST_RSA} are the least"
            );
            refused(reason, false)
        }
        None => refused(
            "a signature of the certificate's chain is wrong".to_owned(),
            false,
        ),
    }
}

/// Whether it is one that signs others.
fn is_authority(certificate: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, certificate)| certificate.is_ca())
}

/// The length of an RSA key that is too short, in bits.
fn short_key(certificate: &CertificateDer<'_>) -> Option<usize> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    match certificate.public_key().parsed().ok()? {
        PublicKey::RSA(key) => {
            let bits = key.key_size();
            (bits < LEAST_RSA).then_some(bits)
        }
        _ => None,
    }
}

/// What a peer wrote, in a log.
fn printable(text: &str) -> String {
    let shown = text.chars().take(256);
    shown
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
