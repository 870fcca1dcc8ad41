//! A program that asks for `https` is not served in plain text unless the files mean it.

use std::net::SocketAddr;

use http::Request;

use crate::{
    base::{Error, Kind, ext::AsksTls},
    layers::route::matcher::RequestView,
};

/// Refuses a request that was asked for with `https`, where it would go in plain text to another host.
///
/// # Errors
/// [`Kind::BadRequest`], with the ways out.
pub(super) fn check<B>(request: &Request<B>, address: SocketAddr) -> Result<(), Error> {
    let asked = request.extensions().get::<AsksTls>().is_some();
    if !asked || address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let host: String = RequestView::new(request).host().chars().take(255).collect();
    let port = address.port();
    Err(Error::new(Kind::BadRequest).with_detail(format!(
        "https was asked for, and the files have {host:?} spoken to in plain text at port {port}: declare its port with \
         protocol HTTPS there; where plain text is meant ask for http, or say so in a DestinationRule with \
         `tls: {{mode: DISABLE}}`"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_ends_in_plain_text_on_this_host_alone() {
        for (address, asks, goes) in [
            ("192.0.2.1:80", true, false),
            ("[100::1]:80", true, false),
            ("0.0.0.0:80", true, false),
            ("192.0.2.1:80", false, true),
            ("127.0.0.1:80", true, true),
            ("[::1]:80", true, true),
            ("[::ffff:127.0.0.1]:80", true, true),
        ] {
            let mut request = Request::get("/v1/models").header("host", "llm.example");
            if let (true, Some(extensions)) = (asks, request.extensions_mut()) {
                extensions.insert(AsksTls);
            }
            let request = request.body(()).expect("a request");
            let checked = check(&request, address.parse().expect("an address"));
            assert_eq!(checked.is_ok(), goes, "{address}");
            if let Err(error) = checked {
                let text = error.to_string();
                assert!(
                    text.contains("llm.example") && text.contains("DISABLE"),
                    "{text}"
                );
            }
        }
    }
}
