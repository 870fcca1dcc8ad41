//! A key of this side is not sent in clear.

use std::net::SocketAddr;

use http::{Request, header::HOST};

use super::Limits;
use crate::base::{
    Error, Kind, Refusal,
    ext::{Guarded, OurKey},
};

/// Refuses a request with a key of this side that is to be kept from the network, where its connection would be neither to this
/// host nor `encrypted`. Nothing was dialled or sent.
///
/// # Errors
/// [`Kind::Withheld`]; the first one of a cluster is logged.
pub(super) fn check<B>(
    request: &Request<B>,
    address: SocketAddr,
    encrypted: bool,
    limits: &Limits,
) -> Result<(), Error> {
    let extensions = request.extensions();
    let carries = extensions.get::<OurKey>().is_some() && extensions.get::<Guarded>().is_some();
    if !carries || encrypted || address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    let host = request.uri().host().or(host).unwrap_or("-");
    let detail = format!(
        "{host} ({address}) is spoken to without TLS: declare its port HTTPS, or allow it with `credentials: {{plaintext: true}}` in the LlmPolicy"
    );
    if limits.is_first_withheld() {
        tracing::warn!("a key of the mesh was not sent: {detail}");
    }
    Err(Error::new(Kind::Withheld)
        .with_detail(detail)
        .with_source(Refusal::PlainText))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;

    #[test]
    fn keys_of_ours_go_to_this_host_or_over_tls() {
        let limits = Limits::new(model::Pool::default());
        for (address, ours, guarded, encrypted, goes) in [
            ("10.0.0.1:80", true, true, false, false),
            ("[2001:db8::1]:443", true, true, false, false),
            ("[::ffff:10.0.0.1]:80", true, true, false, false),
            ("0.0.0.0:80", true, true, false, false),
            ("10.0.0.1:80", true, true, true, true),
            ("10.0.0.1:80", true, false, false, true),
            ("10.0.0.1:80", false, true, false, true),
            ("127.0.0.1:80", true, true, false, true),
            ("127.8.0.1:80", true, true, false, true),
            ("[::1]:80", true, true, false, true),
            ("[::ffff:127.0.0.1]:80", true, true, false, true),
        ] {
            let mut request = Request::get("/v1/models").header("host", "llm.example");
            let extensions = request.extensions_mut().unwrap();
            if ours {
                extensions.insert(OurKey);
            }
            if guarded {
                extensions.insert(Guarded);
            }
            let request = request.body(()).unwrap();
            let checked = check(&request, address.parse().unwrap(), encrypted, &limits);
            assert_eq!(checked.is_ok(), goes, "{address}");
            if let Err(error) = checked {
                let text = error.to_string();
                assert!(
                    text.contains("llm.example") && text.contains("plaintext: true"),
                    "{text}"
                );
                assert_eq!(Refusal::of(&error), Some(Refusal::PlainText));
            }
        }
    }
}
