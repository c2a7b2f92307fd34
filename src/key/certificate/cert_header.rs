//! How a JWT's header names the certificate of its key: `x5t`, `x5t#S256` and `x5c` (RFC 7515 sections 4.1.6 to 4.1.8).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::CertificateDer;

/// One way to name a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertHeader {
    /// The SHA-1 of the certificate.
    X5t,
    /// Its SHA-256.
    X5tS256,
    /// The certificate itself, and those of its issuers.
    X5c,
}

impl CertHeader {
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
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }
}

/// The values of one certificate chain, as JSON, made once for a key.
pub(in crate::key) struct CertHeaderValues {
    x5t: String,
    x5t_s256: String,
    x5c: String,
}

impl CertHeaderValues {
    /// Those of `chain`, leaf first; nothing if it is empty.
    pub(in crate::key) fn from_chain(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let leaf = chain.first()?;
        let hashed = |hash| format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest(hash, leaf)));
        // x5c is the one member of a JWS that wants base64, and not base64url.
        let chain: Vec<_> = chain.iter().map(|one| format!("\"{}\"", STANDARD.encode(one))).collect();
        Some(Self {
            x5t: hashed(&SHA1_FOR_LEGACY_USE_ONLY),
            x5t_s256: hashed(&SHA256),
            x5c: format!("[{}]", chain.join(",")),
        })
    }

    pub(in crate::key) fn json_value(&self, wanted: CertHeader) -> &str {
        match wanted {
            CertHeader::X5t => &self.x5t,
            CertHeader::X5tS256 => &self.x5t_s256,
            CertHeader::X5c => &self.x5c,
        }
    }
}
