//! Single parts of what options mean, for those who look at a connection whatever else is wrong with it.

use super::OptionResolver;
use super::method::{AUTH_METHODS, AuthMethod};
use crate::base::policy::Policy;
use crate::jwt::JoseHeader;
use crate::key::{CallbackSigner, KeySource};
use crate::net::tls::TransportConfig;
use crate::options::{OptionId, Options};
use crate::provider::Profile;

/// The number and the word of the method that is asked for or can be inferred from `options` and that there is a `signer`.
#[must_use]
pub fn resolve_method(
    options: &Options,
    signer: Option<&CallbackSigner>,
) -> Option<(&'static str, &'static str)> {
    let mut reader = OptionResolver::new(options, Policy::current()).with_signer(signer);
    let endpoint = reader.token_endpoint().map(|(url, _)| url);
    let profile = reader.profile(endpoint.as_ref());
    let method = reader.auth_method()?;
    let method = reader.method_for_profile(method, profile);
    let given = reader.text(OptionId::AuthenticationMethod).unwrap_or_default();
    let same = || AUTH_METHODS.iter().filter(|(_, _, known)| *known == method);
    // Two numbers may stand for one method.
    let as_given = |number: &str, word: &str| number == given || word.eq_ignore_ascii_case(&given);
    let row = same().find(|(number, word, _)| as_given(number, word)).or_else(|| same().next());
    row.map(|(number, word, _)| (*number, *word))
}

/// The provider's profile, by name or by the token host.
#[must_use]
pub fn resolve_profile(options: &Options) -> Option<&'static Profile> {
    let mut reader = OptionResolver::new(options, Policy::current());
    let endpoint = reader.token_endpoint().map(|(url, _)| url);
    reader.profile(endpoint.as_ref())
}

/// A key, and what is wanted of it.
pub struct KeyRequirements {
    /// Where it is.
    pub source: KeySource,
    /// The algorithm and the thumbprints that it must be good for.
    pub header: JoseHeader,
}

/// The key of `signer`, else the one that `options` name; nothing where they name none, or several.
#[must_use]
pub fn resolve_key_requirements(
    options: &Options,
    signer: Option<&CallbackSigner>,
) -> Option<KeyRequirements> {
    let named = [OptionId::JWTCertStore, OptionId::JWTPrivateKey, OptionId::JWTSecret];
    if signer.is_none() && named.iter().all(|name| options.get(*name).is_none()) {
        return None;
    }
    let mut reader = OptionResolver::new(options, Policy::current()).with_signer(signer);
    let endpoint = reader.token_endpoint().map(|(url, _)| url);
    let profile = reader.profile(endpoint.as_ref());
    let mut header = reader.jose_header();
    reader.apply_header_defaults(&mut header, profile);
    Some(KeyRequirements { source: reader.key_source(&header)?, header })
}

/// A key of the options' own that signs, and what for.
pub struct SigningKeySource {
    /// Where it is.
    pub source: KeySource,
    /// Whether what is signed goes to a token endpoint, where there is one.
    pub uses_token_endpoint: bool,
}

/// The key that signs by `options`, as far as they can be understood; nothing where the method signs nothing itself.
#[must_use]
pub fn resolve_signing_key(options: &Options, policy: Policy) -> Option<SigningKeySource> {
    let mut reader = OptionResolver::new(options, policy);
    let given = [OptionId::ClientAssertion, OptionId::ClientAssertionFile];
    let exchanges = match reader.auth_method()? {
        AuthMethod::JwtBearer => true,
        AuthMethod::ClientAssertion if given.iter().all(|name| options.get(*name).is_none()) => true,
        AuthMethod::SignedJwt => false,
        _ => return None,
    };
    let header = reader.jose_header();
    Some(SigningKeySource { source: reader.key_source(&header)?, uses_token_endpoint: exchanges })
}

/// Whom `options` want to be trusted and as whom, as far as they can be understood.
#[must_use]
pub fn resolve_transport(options: &Options) -> TransportConfig {
    OptionResolver::new(options, Policy::current()).transport_config()
}
