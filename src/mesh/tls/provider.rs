//! The cryptography of all TLS here: chosen in this one place, and never as the process's default, which is the program's.

use std::sync::{Arc, LazyLock};

use rustls::{
    NamedGroup,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::UnixTime,
    time_provider::TimeProvider,
};

use crate::base::time::wall_now;

/// The wall clock, for the dates of certificates.
#[derive(Debug)]
pub(super) struct Clock;

/// aws-lc-rs, with the hybrid key exchange (X25519MLKEM768) offered first, as rustls' own defaults do.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = aws_lc_rs::default_provider();
        let hybrid = NamedGroup::X25519MLKEM768;
        provider.kx_groups.sort_by_key(|g| g.name() != hybrid);
        Arc::new(provider)
    });
    Arc::clone(&PROVIDER)
}

// === impl Clock ===

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = wall_now().duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(UnixTime::since_unix_epoch(since))
    }
}
