//! How a JWT's header names the certificate of its key: `x5t`, `x5t#S256` and `x5c` (RFC 7515 sections 4.1.6 to 4.1.8).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::CertificateDer;

/// One way to name a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Thumbprint {
    /// The SHA-1 of the certificate.
    X5t,
    /// Its SHA-256.
    X5tS256,
    /// The certificate itself, and those of its issuers.
    X5c,
}

impl Thumbprint {
    /// All of them. Not a constant: cbindgen would name the type in the header.
    #[must_use]
    pub fn all() -> [Self; 3] {
        [Self::X5t, Self::X5tS256, Self::X5c]
    }

    /// The header's member.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X5t => "x5t",
            Self::X5tS256 => "x5t#S256",
            Self::X5c => "x5c",
        }
    }

    /// The one of that name, in any case.
    #[must_use]
    pub fn called(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }
}

/// The values of one certificate chain, as JSON, made once for a key.
pub(in crate::key) struct Thumbprints {
    sha1: String,
    sha256: String,
    chain: String,
}

impl Thumbprints {
    /// Those of `chain`, leaf first; nothing if it is empty.
    pub(in crate::key) fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let leaf = chain.first()?;
        let hashed = |hash| format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest(hash, leaf)));
        // x5c is the one member of a JWS that wants base64, and not base64url.
        let chain: Vec<_> = chain.iter().map(|one| format!("\"{}\"", STANDARD.encode(one))).collect();
        Some(Self {
            sha1: hashed(&SHA1_FOR_LEGACY_USE_ONLY),
            sha256: hashed(&SHA256),
            chain: format!("[{}]", chain.join(",")),
        })
    }

    pub(in crate::key) fn json(&self, wanted: Thumbprint) -> &str {
        match wanted {
            Thumbprint::X5t => &self.sha1,
            Thumbprint::X5tS256 => &self.sha256,
            Thumbprint::X5c => &self.chain,
        }
    }
}
