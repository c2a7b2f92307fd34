//! rustls crypto provider based on AWS-LC, which blocks `fork()` while AWS-LC's random generator is in use.

use std::sync::Arc;

use once_cell::race::OnceBox;
use rustls::crypto::{
    ActiveKeyExchange, CompletedKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SupportedKxGroup,
    aws_lc_rs,
};
use rustls::{Error, NamedGroup, ProtocolVersion};

use crate::sys::{self, with_forks_blocked};

/// Returns the crypto provider of all connections.
pub(super) fn fork_safe_provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceBox<Arc<CryptoProvider>> = OnceBox::new();
    let init = || {
        let provider = aws_lc_rs::default_provider();
        // Leaked once in a process, because rustls requires `'static` references.
        let wrap = |group| &*Box::leak(Box::new(ForkSafeKxGroup(group))) as &'static dyn SupportedKxGroup;
        let kx_groups = provider.kx_groups.iter().map(|group| wrap(*group)).collect();
        Box::new(Arc::new(CryptoProvider { secure_random: &ForkSafeRandom, kx_groups, ..provider }))
    };
    Arc::clone(PROVIDER.get_or_init(init))
}

#[derive(Debug)]
struct ForkSafeRandom;

impl SecureRandom for ForkSafeRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        sys::fill_random(bytes).map_err(|_| GetRandomFailed)
    }

    fn fips(&self) -> bool {
        cfg!(feature = "fips")
    }
}

/// A key exchange group that blocks `fork()` while it generates ephemeral keys.
#[derive(Debug)]
struct ForkSafeKxGroup(&'static dyn SupportedKxGroup);

impl SupportedKxGroup for ForkSafeKxGroup {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        with_forks_blocked(|| self.0.start())
    }

    fn start_and_complete(&self, peer: &[u8]) -> Result<CompletedKeyExchange, Error> {
        with_forks_blocked(|| self.0.start_and_complete(peer))
    }

    fn ffdhe_group(&self) -> Option<rustls::ffdhe_groups::FfdheGroup<'static>> {
        self.0.ffdhe_group()
    }

    fn name(&self) -> NamedGroup {
        self.0.name()
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        self.0.usable_for_version(version)
    }
}

#[cfg(test)]
mod tests {
    use super::fork_safe_provider;

    #[test]
    fn provider_is_fips_if_built_so() {
        assert_eq!(fork_safe_provider().fips(), cfg!(feature = "fips"));
    }
}
