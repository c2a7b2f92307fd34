//! Resolution of options into a validated [`Config`] with one [`Flow`]. All missing, invalid and conflicting
//! options are reported together, by name.
//!
//! The stages, each of which uses the results of those before it:
//! 1. The secrets to which options refer are read.
//! 2. The authentication method and the signing key, which the metadata of a key file cannot change.
//! 3. The metadata of the key file, as defaults of options.
//! 4. Everything else.
//!
//! [`Resolution`] keeps the result of each, so that a report can show what is valid even if other options are
//! not. No network connection is opened.

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::policy::Policy;
use crate::key::{CallbackSigner, KeyCache};
use crate::options::{FileDependencies, Options};

mod authorization;
mod config;
mod grant;
mod method;
mod option_resolver;
mod policy_check;
mod problems;
mod profile_defaults;
mod shared_cache;
mod signing;
mod stages;
mod token_endpoint;
mod transport;
mod unused_options;

use option_resolver::OptionResolver;
use problems::{Part, Problems};

pub(crate) use authorization::INDIVIDUAL_CONSENT_ADVICE;
pub use authorization::{AuthorizationRequest, ConsentGuidance, InteractiveAuthorization};
pub use config::{
    AssertionSource, Config, EndpointMethods, Flow, Grant, HttpHeader, Login, LoginSubject, LogoffConfig,
    OAuthClient, PresetToken, PresignedAssertion, TokenEndpointConfig,
};
pub use method::ResolvedMethod;
pub use shared_cache::SharedCacheConfig;
pub use signing::{AssertionConfig, KeyRequirements};
pub use stages::Stages;

/// The result of resolving options.
#[derive(Debug)]
pub struct Resolution {
    /// The options with secret references resolved and the defaults of the key file.
    pub options: Options,
    /// The configuration, or all errors combined into one.
    pub config: Result<Config>,
    /// The results of single stages, which are present even if other options are invalid.
    pub stages: Stages,
    /// The problems of everything that the connection uses.
    problems: Problems,
    /// The files that were read.
    dependencies: FileDependencies,
}

/// Resolves `options` under the process policy, without a cache.
#[must_use]
pub fn resolve(options: &Options) -> Resolution {
    resolve_with(options, None, Policy::current(), &KeyCache::new([0; 32]))
}

/// Resolves `options` under `policy`; `signer` replaces the key in the options. `key_cache` has the metadata of
/// key files.
#[must_use]
pub fn resolve_with(
    options: &Options,
    signer: Option<&CallbackSigner>,
    policy: Policy,
    key_cache: &KeyCache,
) -> Resolution {
    let mut dependencies = FileDependencies::empty();
    let mut options = options.resolve_secret_refs(policy, signer.is_some(), &mut dependencies);
    let signing = OptionResolver::new(&options, signer, policy).signing_parts();
    // If a callback signs, the defaults of an unused key file do not apply.
    if let Some((key, uses_token_endpoint)) = signing.key_file().filter(|_| signer.is_none()) {
        options.apply_key_file(key, key_cache, uses_token_endpoint, policy, &mut dependencies);
    }
    let mut resolver = OptionResolver::new(&options, signer, policy);
    let (stages, config) = resolver.resolve_stages(signing);
    let problems = resolver.problems;
    let config = value_or_combined_error(config, &problems, &options);
    if config.is_ok() {
        dependencies.discard_files_without_metadata();
    }
    Resolution { options, config, stages, problems, dependencies }
}

impl Resolution {
    /// Problems that do not prevent operation, in the options and found while they were resolved.
    #[must_use]
    pub fn warnings(&self) -> Vec<Error> {
        [self.options.warnings().as_slice(), &self.problems.warnings].concat()
    }

    /// Whether the files that were read are unchanged.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.dependencies.is_unchanged()
    }

    /// The components of the consent URL.
    ///
    /// # Errors
    /// All errors combined into one; [`ErrorKind::Unsupported`] if there is no URL for this type of consent.
    pub fn authorization_request(&self) -> Result<&AuthorizationRequest> {
        let Part { value, problems } = &self.stages.authorization_request;
        self.value_or_error(value.as_ref(), &[problems])
    }

    /// The settings of an interactive consent or login.
    ///
    /// # Errors
    /// Those of [`Self::authorization_request`], and missing or invalid options of the token request.
    pub fn interactive_authorization(&self) -> Result<InteractiveAuthorization<'_>> {
        let Part { value: request, problems } = &self.stages.authorization_request;
        let (token_endpoint, exchange_problems) = if self.is_login() {
            // The same settings as the flow, so that the token of the login has the flow's cache key.
            (self.config.as_ref().ok().and_then(|config| config.flow.token_endpoint()), &self.problems)
        } else {
            let Part { value, problems } = &self.stages.admin_code_exchange;
            (value.as_ref(), problems)
        };
        let is_complete =
            |request: &&AuthorizationRequest| token_endpoint.is_some() || !request.exchanges_code;
        let request =
            self.value_or_error(request.as_ref().filter(is_complete), &[problems, exchange_problems])?;
        Ok(InteractiveAuthorization { request, token_endpoint })
    }

    /// Whether the tokens of the connection come from a login of the user.
    fn is_login(&self) -> bool {
        self.stages.method.is_some_and(ResolvedMethod::is_login)
    }

    /// The value of a part, unless the options, the token endpoint or the part have errors.
    fn value_or_error<T>(&self, value: Option<T>, part_problems: &[&Problems]) -> Result<T> {
        let mut problems = Problems { errors: self.options.errors(), ..Problems::default() };
        problems.append(&self.stages.target_problems);
        for part in part_problems {
            problems.append(part);
        }
        value_or_combined_error(value, &problems, &self.options)
    }
}

fn value_or_combined_error<T>(value: Option<T>, problems: &Problems, options: &Options) -> Result<T> {
    match (problems.to_error(options), value) {
        (None, Some(value)) => Ok(value),
        (Some(error), _) => Err(error),
        (None, None) => {
            Err(Error::new(ErrorKind::Internal, "options", "internal error: no configuration and no error"))
        }
    }
}

#[cfg(test)]
mod tests;
