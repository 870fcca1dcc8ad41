//! Why a handshake failed, in plain words.

use std::{io, time::Duration};

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, pki_types::UnixTime};

use super::{
    failure::{Failure, What},
    verify::Refused,
};
use crate::base::time::format_rfc3339;

// === impl Failure ===

impl Failure {
    /// From what a handshake ended in.
    pub(super) fn of_handshake(error: &io::Error) -> Self {
        match rustls_error(error) {
            Some(error) => Self::of_tls(error),
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::new(
                What::Broken,
                "the server closed the connection in the middle of the TLS handshake",
            ),
            None => Self::new(What::Broken, format!("in the TLS handshake: {error}")),
        }
    }

    /// From what reading from a connection ended in: servers of TLS 1.3 refuse a client's certificate only after the
    /// client has done its part.
    pub(super) fn of_alert(error: &io::Error) -> Option<Self> {
        match rustls_error(error)? {
            error @ Error::AlertReceived(_) => Some(Self::of_tls(error)),
            _ => None,
        }
    }

    fn of_tls(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => certificate(error),
            Error::NoCertificatesPresented => {
                Self::new(What::Certificate, "the server showed no certificate")
            }
            Error::AlertReceived(alert) => Self::new(What::Protocol, of_peer(*alert)),
            Error::NoApplicationProtocol => Self::new(What::Protocol, NO_SHARED),
            Error::InvalidMessage(InvalidMessage::InvalidContentType)
            | Error::PeerSentOversizedRecord => Self::new(
                What::Protocol,
                "the server does not speak TLS on this port (plain HTTP?)",
            ),
            Error::InvalidMessage(error) => Self::new(
                What::Protocol,
                format!("what the server sent is no TLS: {error:?}"),
            ),
            Error::PeerIncompatible(what) => Self::new(
                What::Protocol,
                format!(
                    "no shared protocol: the server and this side share no version or cipher ({what:?})"
                ),
            ),
            error => Self::new(What::Protocol, error.to_string()),
        }
    }
}

/// What is said where the two sides have no application protocol in common.
const NO_SHARED: &str =
    "no shared protocol: the server takes none of those that were offered (ALPN)";

fn rustls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn certificate(error: &CertificateError) -> Failure {
    use CertificateError as E;
    let reason = match error {
        E::Other(other) => match other.0.downcast_ref::<Refused>() {
            Some(refused) if refused.names => {
                return Failure::new(What::Names, refused.reason.clone());
            }
            Some(refused) => refused.reason.clone(),
            None => format!("the certificate is refused: {other}"),
        },
        E::ExpiredContext { time, not_after } => {
            let ago = since(*not_after, *time);
            format!("the certificate expired {ago} ago ({})", date(*not_after))
        }
        E::Expired => "the certificate has expired".to_owned(),
        E::NotValidYetContext { time, not_before } => {
            let (wait, date) = (since(*time, *not_before), date(*not_before));
            format!("the certificate is not valid yet, only in {wait} ({date})")
        }
        E::NotValidYet => "the certificate is not valid yet".to_owned(),
        E::Revoked => "the certificate was revoked".to_owned(),
        E::UnknownRevocationStatus => {
            "no revocation list (caCrl) says whether the certificate was revoked".to_owned()
        }
        E::UnknownIssuer => "unknown CA".to_owned(),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            "the certificate is not one for servers".to_owned()
        }
        E::BadEncoding => "the certificate cannot be read".to_owned(),
        error => format!("the certificate is refused: {error}"),
    };
    Failure::new(What::Certificate, reason)
}

/// What the server said when it broke off.
fn of_peer(alert: AlertDescription) -> String {
    use AlertDescription as A;
    match alert {
        A::NoApplicationProtocol => NO_SHARED.to_owned(),
        A::CertificateRequired => {
            "the server wants a client certificate, and there is none".to_owned()
        }
        A::HandshakeFailure | A::ProtocolVersion | A::InsufficientSecurity => format!(
            "no shared protocol: the server refused every version and cipher that was offered (alert {alert:?})"
        ),
        A::UnrecognisedName => "the server does not know the name that was sent (SNI)".to_owned(),
        A::UnknownCA
        | A::BadCertificate
        | A::CertificateExpired
        | A::CertificateRevoked
        | A::CertificateUnknown
        | A::UnsupportedCertificate
        | A::AccessDenied
        | A::DecryptError => {
            format!("the server refused the client certificate (alert {alert:?})")
        }
        alert => format!("the server broke the TLS connection off (alert {alert:?})"),
    }
}

/// A time between two moments, in its largest unit.
fn since(from: UnixTime, to: UnixTime) -> String {
    let seconds = to.as_secs().saturating_sub(from.as_secs());
    let (n, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {unit}{s}")
}

fn date(time: UnixTime) -> String {
    let time = std::time::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    time.map_or_else(|| "?".to_owned(), format_rfc3339)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Kind, error::ConnectFailure};

    fn at(days: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(days * 86_400))
    }

    fn told(error: Error) -> Failure {
        Failure::of_handshake(&io::Error::new(io::ErrorKind::InvalidData, error))
    }

    #[test]
    fn dates_are_told_in_days() {
        let expired = CertificateError::ExpiredContext {
            time: at(20_003),
            not_after: at(20_000),
        };
        let failure = told(Error::InvalidCertificate(expired));
        assert_eq!(
            failure.reason,
            "the certificate expired 3 days ago (2024-10-04T00:00:00.000Z)"
        );
        assert_eq!(failure.what, What::Certificate);
        let early = CertificateError::NotValidYetContext {
            time: at(20_000),
            not_before: at(20_001),
        };
        assert_eq!(
            told(Error::InvalidCertificate(early)).reason,
            "the certificate is not valid yet, only in 24 hours (2024-10-05T00:00:00.000Z)"
        );
    }

    #[test]
    fn what_broke_may_be_tried_again_and_what_was_refused_not() {
        let eof = Failure::of_handshake(&io::ErrorKind::UnexpectedEof.into());
        let kind = eof.into_error().kind();
        assert_eq!(kind, Kind::Connect(ConnectFailure::Refused));
        for alert in [
            AlertDescription::NoApplicationProtocol,
            AlertDescription::CertificateRequired,
            AlertDescription::ProtocolVersion,
        ] {
            let failure = told(Error::AlertReceived(alert));
            assert_eq!(failure.what, What::Protocol, "{alert:?}");
            let kind = failure.into_error().kind();
            assert_eq!(kind, Kind::Connect(ConnectFailure::Tls), "{alert:?}");
        }
    }
}
