//! Resolution of single settings for reports, even if other options are invalid.

use super::OptionResolver;
use super::method::{AUTH_METHODS, AuthMethod};
use crate::base::policy::Policy;
use crate::jwt::JoseHeader;
use crate::key::{CallbackSigner, KeySource};
use crate::net::tls::TransportConfig;
use crate::options::{OptionId, Options};
use crate::provider::Profile;

/// The number and the name of the authentication method, configured or inferred from `options` and `signer`.
#[must_use]
pub fn resolve_method(
    options: &Options,
    signer: Option<&CallbackSigner>,
) -> Option<(&'static str, &'static str)> {
    let mut resolver = OptionResolver::new(options, Policy::current()).with_signer(signer);
    let endpoint = resolver.token_endpoint().map(|(url, _)| url);
    let profile = resolver.profile(endpoint.as_ref());
    let method = resolver.auth_method()?;
    let method = resolver.method_for_profile(method, profile);
    let configured = resolver.text(OptionId::AuthenticationMethod).unwrap_or_default();
    let rows = || AUTH_METHODS.iter().filter(|(_, _, row_method)| *row_method == method);
    // A method may have several numbers: prefer the configured one.
    let is_configured =
        |number: &str, name: &str| number == configured || name.eq_ignore_ascii_case(&configured);
    let row = rows().find(|(number, name, _)| is_configured(number, name)).or_else(|| rows().next());
    row.map(|(number, name, _)| (*number, *name))
}

/// The provider profile, by name or by the token host.
#[must_use]
pub fn resolve_profile(options: &Options) -> Option<&'static Profile> {
    let mut resolver = OptionResolver::new(options, Policy::current());
    let endpoint = resolver.token_endpoint().map(|(url, _)| url);
    resolver.profile(endpoint.as_ref())
}

/// A signing key with its requirements.
pub struct KeyRequirements {
    /// The key.
    pub source: KeySource,
    /// The JOSE header, with the algorithm and the certificate headers that the key must support.
    pub header: JoseHeader,
}

/// The key of `signer`, else the one in `options`; `None` if there is none or several.
#[must_use]
pub fn resolve_key_requirements(
    options: &Options,
    signer: Option<&CallbackSigner>,
) -> Option<KeyRequirements> {
    let key_options = [OptionId::JWTCertStore, OptionId::JWTPrivateKey, OptionId::JWTSecret];
    if signer.is_none() && key_options.iter().all(|name| options.get(*name).is_none()) {
        return None;
    }
    let mut resolver = OptionResolver::new(options, Policy::current()).with_signer(signer);
    let endpoint = resolver.token_endpoint().map(|(url, _)| url);
    let profile = resolver.profile(endpoint.as_ref());
    let mut header = resolver.jose_header();
    resolver.apply_header_defaults(&mut header, profile);
    Some(KeyRequirements { source: resolver.key_source(&header)?, header })
}

/// The signing key in the options, and how it is used.
pub struct SigningKeySource {
    /// The key.
    pub source: KeySource,
    /// Whether the assertion is sent to a token endpoint, if there is one.
    pub uses_token_endpoint: bool,
}

/// The signing key in `options`, even if other options are invalid; `None` if the method does not sign.
#[must_use]
pub fn resolve_signing_key(options: &Options, policy: Policy) -> Option<SigningKeySource> {
    let mut resolver = OptionResolver::new(options, policy);
    let presigned = [OptionId::ClientAssertion, OptionId::ClientAssertionFile];
    let uses_token_endpoint = match resolver.auth_method()? {
        AuthMethod::JwtBearer => true,
        AuthMethod::ClientAssertion if presigned.iter().all(|name| options.get(*name).is_none()) => true,
        AuthMethod::SignedJwt => false,
        _ => return None,
    };
    let header = resolver.jose_header();
    Some(SigningKeySource { source: resolver.key_source(&header)?, uses_token_endpoint })
}

/// The TLS and proxy settings in `options`, even if other options are invalid.
#[must_use]
pub fn resolve_transport(options: &Options) -> TransportConfig {
    OptionResolver::new(options, Policy::current()).transport_config()
}
