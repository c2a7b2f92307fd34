//! Single parts of what options mean, for those who look at a connection whatever else is wrong with it.

use super::Reader;
use super::method::{METHODS, Method};
use crate::base::policy::Policy;
use crate::jwt::JoseHeader;
use crate::key::{HostSigner, KeySource};
use crate::net::tls::Trust;
use crate::options::{Name, Options};
use crate::provider::Profile;

/// The number and the word of the method that is asked for or can be inferred from `options` and that there is a `signer`.
#[must_use]
pub fn method(options: &Options, signer: Option<&HostSigner>) -> Option<(&'static str, &'static str)> {
    let mut reader = Reader::new(options, Policy::current()).signing_by(signer);
    let endpoint = reader.endpoint().map(|(url, _)| url);
    let profile = reader.profile(endpoint.as_ref());
    let method = reader.method()?;
    let method = reader.by_profile(method, profile);
    let given = reader.text(Name::AuthenticationMethod).unwrap_or_default();
    let same = || METHODS.iter().filter(|(_, _, known)| *known == method);
    // Two numbers may stand for one method.
    let as_given = |number: &str, word: &str| number == given || word.eq_ignore_ascii_case(&given);
    let row = same().find(|(number, word, _)| as_given(number, word)).or_else(|| same().next());
    row.map(|(number, word, _)| (*number, *word))
}

/// The provider's profile, by name or by the token host.
#[must_use]
pub fn profile(options: &Options) -> Option<&'static Profile> {
    let mut reader = Reader::new(options, Policy::current());
    let endpoint = reader.endpoint().map(|(url, _)| url);
    reader.profile(endpoint.as_ref())
}

/// A key, and what is wanted of it.
pub struct Wanted {
    /// Where it is.
    pub source: KeySource,
    /// The algorithm and the thumbprints that it must be good for.
    pub header: JoseHeader,
}

/// The key of `signer`, else the one that `options` name; nothing where they name none, or several.
#[must_use]
pub fn wanted_key(options: &Options, signer: Option<&HostSigner>) -> Option<Wanted> {
    let named = [Name::JWTCertStore, Name::JWTPrivateKey, Name::JWTSecret];
    if signer.is_none() && named.iter().all(|name| options.get(*name).is_none()) {
        return None;
    }
    let mut reader = Reader::new(options, Policy::current()).signing_by(signer);
    let endpoint = reader.endpoint().map(|(url, _)| url);
    let profile = reader.profile(endpoint.as_ref());
    let mut header = reader.assertion_header();
    reader.complete(&mut header, profile);
    Some(Wanted { source: reader.key_source(&header)?, header })
}

/// A key of the options' own that signs, and what for.
pub struct OwnKey {
    /// Where it is.
    pub source: KeySource,
    /// Whether what is signed goes to a token endpoint, where there is one.
    pub exchanges: bool,
}

/// The key that signs by `options`, as far as they can be understood; nothing where the method signs nothing itself.
#[must_use]
pub fn own_key(options: &Options, policy: Policy) -> Option<OwnKey> {
    let mut reader = Reader::new(options, policy);
    let given = [Name::ClientAssertion, Name::ClientAssertionFile];
    let exchanges = match reader.method()? {
        Method::JwtBearer => true,
        Method::ClientAssertion if given.iter().all(|name| options.get(*name).is_none()) => true,
        Method::SignedJwt => false,
        _ => return None,
    };
    let header = reader.assertion_header();
    Some(OwnKey { source: reader.key_source(&header)?, exchanges })
}

/// Whom `options` want to be trusted and as whom, as far as they can be understood.
#[must_use]
pub fn wanted_trust(options: &Options) -> Trust {
    Reader::new(options, Policy::current()).trust()
}
