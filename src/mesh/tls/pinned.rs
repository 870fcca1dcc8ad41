//! A server's certificate that is itself among the given authorities.
//!
//! `openssl req -x509` makes one that signs itself and calls itself an authority (`CA:TRUE`), and many a server of a private
//! network shows it as its own. webpki takes no authority for a server. Whoever lists that very certificate in
//! `caCertificates` has said of it all that a chain could say, so it is taken: byte for byte the same one, in its time, for
//! servers, with the name that is wanted. What it has signed, and authorities that are not listed, are judged as ever.

use rustls::{
    CertificateError, Error,
    client::verify_server_name,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use x509_parser::{prelude::FromDer as _, prelude::X509Certificate, time::ASN1Time};

/// The certificates that may be a server's own.
#[derive(Debug)]
pub(super) struct Pinned(Vec<CertificateDer<'static>>);

impl Pinned {
    /// These.
    pub(super) fn new(given: Vec<CertificateDer<'static>>) -> Self {
        Self(given)
    }

    /// Whether this is one of them.
    pub(super) fn has(&self, certificate: &CertificateDer<'_>) -> bool {
        self.0.iter().any(|given| given == certificate)
    }
}

/// Whether a certificate that is trusted for what it is may be this server's now. Names come last.
///
/// # Errors
/// Why not, in rustls' words.
pub(super) fn verify(
    certificate: &CertificateDer<'_>,
    server: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), Error> {
    let refused = |why| Err(Error::InvalidCertificate(why));
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return refused(CertificateError::BadEncoding);
    };
    let validity = parsed.validity();
    let (not_before, not_after) = (at(validity.not_before), at(validity.not_after));
    if now < not_before {
        return refused(CertificateError::NotValidYetContext {
            time: now,
            not_before,
        });
    }
    if now > not_after {
        return refused(CertificateError::ExpiredContext {
            time: now,
            not_after,
        });
    }
    // Listed uses must have servers among them, as with any other certificate.
    match parsed.extended_key_usage() {
        Ok(None) => {}
        Ok(Some(usage)) if usage.value.server_auth => {}
        Ok(Some(_)) => return refused(CertificateError::InvalidPurpose),
        Err(_) => return refused(CertificateError::BadEncoding),
    }
    verify_server_name(&ParsedCertificate::try_from(certificate)?, server)
}

/// Moments before 1970 are 1970: long ago all the same.
fn at(time: ASN1Time) -> UnixTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
}
