//! What stands in the place of TLS in a build without the feature `tls`: whatever needs it is refused, by name. Nothing goes
//! in plain text for it.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use super::{
    failure::{Failure, What},
    given::{Defaults, InForce},
    offer::{Offer, Secured},
};
use crate::{
    mesh::connect::BoxIo,
    model::tls::{Secret, Tls},
};

const WITHOUT: &str = "this program was built without TLS (the feature `tls`)";

/// Nothing: there is nothing to make TLS from.
#[derive(Debug, Default)]
pub(crate) struct Store(());

/// The TLS of one cluster, which there is not.
#[derive(Debug)]
pub(crate) struct Client(());

// === impl Store ===

impl Store {
    /// With nothing.
    pub(crate) fn new(_: Defaults) -> Self {
        Self(())
    }

    /// Forgets them.
    pub(crate) const fn set_secrets(&self, _: &BTreeMap<String, Secret>) {}
}

// === impl Defaults ===

impl Defaults {
    /// Whether they can be used: not if there are any.
    pub(crate) fn check(&self) -> Result<(), String> {
        let none = self.roots.is_none() && self.identity.is_none();
        none.then_some(()).ok_or_else(|| WITHOUT.to_owned())
    }
}

// === impl Client ===

impl Client {
    /// Says that there is none.
    pub(crate) fn new(_: Tls, _: &Store, cluster: &str) -> Self {
        tracing::error!(
            cluster,
            "no TLS to this cluster, its requests fail: {WITHOUT}"
        );
        Self(())
    }

    /// None.
    pub(crate) const fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// None.
    pub(crate) const fn certificates(&self) -> Vec<InForce> {
        Vec::new()
    }

    /// Nothing changes.
    pub(crate) const fn refresh(&self, _: &Store, _: &str) -> bool {
        false
    }

    /// Refuses.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        Err(Failure::new(What::Unusable, WITHOUT))
    }

    /// Refuses.
    pub(crate) async fn handshake(
        &self,
        _: BoxIo,
        _: SocketAddr,
        _: Offer,
    ) -> Result<Secured, Failure> {
        Err(Failure::new(What::Unusable, WITHOUT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tls::Verify;

    #[tokio::test]
    async fn whatever_needs_tls_is_refused_and_nothing_is_written() {
        let wanted = Tls {
            server_name: None,
            verify: Verify::Nothing,
            identity: None,
            unmet: None,
        };
        let client = Client::new(wanted, &Store::default(), "c");
        let refused = client.check().unwrap_err();
        assert_eq!((refused.what, &*refused.reason), (What::Unusable, WITHOUT));
        let (here, mut there) = tokio::io::duplex(64);
        let address = ([127, 0, 0, 1], 443).into();
        let made = client.handshake(Box::new(here), address, Offer::Both).await;
        assert_eq!(made.map(drop), Err(refused));
        let mut written = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut there, &mut written)
            .await
            .unwrap();
        assert!(written.is_empty());
        let given = Defaults {
            roots: Some(Vec::new().into()),
            identity: None,
        };
        assert_eq!(given.check(), Err(WITHOUT.to_owned()));
        assert_eq!(Defaults::default().check(), Ok(()));
    }
}
