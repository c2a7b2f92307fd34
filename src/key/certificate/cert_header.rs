//! Header members of a JWT that name the certificate of its key: `x5t`, `x5t#S256` and `x5c` (RFC 7515
//! sections 4.1.6 to 4.1.8).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::CertificateDer;

/// Header member that names a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertHeader {
    /// SHA-1 thumbprint.
    X5t,
    /// SHA-256 thumbprint.
    X5tS256,
    /// Certificate chain.
    X5c,
}

impl CertHeader {
    /// All headers. Not a constant, because cbindgen would add the type to the C header.
    #[must_use]
    pub fn all() -> [Self; 3] {
        [Self::X5t, Self::X5tS256, Self::X5c]
    }

    /// Name of the header member.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X5t => "x5t",
            Self::X5tS256 => "x5t#S256",
            Self::X5c => "x5c",
        }
    }

    /// Header with that name, ignoring case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|header| header.name().eq_ignore_ascii_case(name))
    }
}

/// Header values of a certificate chain as JSON, computed once per key.
pub(in crate::key) struct CertHeaderValues {
    x5t: String,
    x5t_s256: String,
    x5c: String,
}

impl CertHeaderValues {
    /// Computes the values for `chain`, leaf first; `None` if it is empty.
    pub(in crate::key) fn from_chain(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let leaf = chain.first()?;
        let hashed = |hash| format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest(hash, leaf)));
        // x5c is the only member of a JWS in base64 instead of base64url.
        let chain: Vec<_> =
            chain.iter().map(|certificate| format!("\"{}\"", STANDARD.encode(certificate))).collect();
        Some(Self {
            x5t: hashed(&SHA1_FOR_LEGACY_USE_ONLY),
            x5t_s256: hashed(&SHA256),
            x5c: format!("[{}]", chain.join(",")),
        })
    }

    pub(in crate::key) fn json_value(&self, header: CertHeader) -> &str {
        match header {
            CertHeader::X5t => &self.x5t,
            CertHeader::X5tS256 => &self.x5t_s256,
            CertHeader::X5c => &self.x5c,
        }
    }
}
