//! Checks of options against the process policy.

use super::EndpointMethods;
use super::option_resolver::OptionResolver;
use crate::base::error::OptionError;
use crate::base::file::ConfiguredPath;
use crate::base::policy::Restriction;
use crate::base::url::EndpointUrl;
use crate::net::tls::TlsVersions;
use crate::options::{OptionId, OptionType, table};

/// Endpoints for authgrant_test_connection, which are otherwise not read.
const TEST_ENDPOINTS: [OptionId; 2] = [OptionId::RestSamplePath, OptionId::HealthURI];

impl OptionResolver<'_> {
    /// Checks options that can be checked individually.
    pub(super) fn check_policy(&mut self) {
        for spec in table::TABLE.iter().filter(|spec| spec.option_type == OptionType::Path) {
            self.check_path(spec.id);
        }
        if self.has_value(OptionId::EnableLoginPrompt, "1") {
            self.check_restriction(OptionId::EnableLoginPrompt, "is 1", Restriction::Prompt);
        }
        // A relative endpoint is resolved against HostName.
        let host =
            TEST_ENDPOINTS.iter().any(|name| self.value(*name).is_some()).then_some(OptionId::HostName);
        for name in TEST_ENDPOINTS.into_iter().chain(host) {
            let text = self.text(name).unwrap_or_default();
            if let Some(Ok(url)) = text.split_ascii_whitespace().last().map(EndpointUrl::parse) {
                self.check_plain_http(name, &url);
            }
        }
    }

    /// Whether the policy allows the file or key that the option names; records an error if not.
    pub(super) fn check_path(&mut self, name: OptionId) -> bool {
        let rejection = name
            .spec()
            .zip(self.value(name))
            .and_then(|(spec, value)| self.options.path_rejection(spec, value, self.policy));
        if let Some(reason) = &rejection
            && !self.has_error_for(name)
        {
            self.add_error(OptionError::Invalid, name, reason);
        }
        rejection.is_none()
    }

    /// The file that the option names; records an error if the policy forbids it.
    pub(super) fn configured_path(&mut self, name: OptionId) -> Option<ConfiguredPath> {
        let value = self.value(name).filter(|_| self.check_path(name))?;
        Some(self.options.configured_path(value.text.reveal(), value, self.policy))
    }

    /// Records an error if the policy has `restriction`; `finding` describes the value of the option.
    pub(super) fn check_restriction(&mut self, name: OptionId, finding: &str, restriction: Restriction) {
        if self.policy.forbids(restriction) && !self.has_error_for(name) {
            self.add_error(
                OptionError::Invalid,
                name,
                &format!("{finding}, {}", restriction.rejection_text()),
            );
        }
    }

    /// Checks the restriction of http://. RedirectURI is exempt: it is used only on this machine (RFC 8252
    /// section 7.3).
    pub(super) fn check_plain_http(&mut self, name: OptionId, url: &EndpointUrl) {
        if !url.is_https() && name != OptionId::RedirectURI {
            self.check_restriction(name, "begins with http://", Restriction::LoopbackHttp);
        }
    }

    /// The subset of `methods` that the policy allows; records an error for an explicit GET.
    pub(super) fn permitted_methods(&mut self, methods: EndpointMethods) -> EndpointMethods {
        if !self.policy.forbids(Restriction::Get) {
            return methods;
        }
        if methods == EndpointMethods::Get {
            self.check_restriction(OptionId::TokenURI, "requests GET", Restriction::Get);
        }
        EndpointMethods::Post
    }

    /// The subset of `versions` that the policy allows; records an error if that is none.
    pub(super) fn permitted_tls_versions(&mut self, versions: TlsVersions) -> TlsVersions {
        if !self.policy.forbids(Restriction::Tls12) {
            return versions;
        }
        if versions == TlsVersions::Tls12 {
            let finding = "permits only TLSv1.2";
            self.check_restriction(OptionId::CryptoProtocolVersion, finding, Restriction::Tls12);
        }
        TlsVersions::Tls13ByPolicy
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Resolution, resolve_with};
    use super::*;
    use crate::base::error::Status;
    use crate::base::policy::{Permission, Policy};
    use crate::key::KeyCache;
    use crate::options::Options;

    const JWT_BEARER: &str = "am=55;ClaimsIssuer=me;ClaimsSubject=u;JWTCertStore=k";

    /// The resolution with permission for each option that names a file.
    fn resolution(text: &str, restrictions: &[Restriction]) -> Resolution {
        let allow = Permission::References as u32 | Permission::TokenCache as u32;
        let forbid = restrictions.iter().fold(0, |bits, restriction| bits | *restriction as u32);
        let options = Options::parse(text).unwrap();
        resolve_with(&options, None, Policy::new(allow, forbid).unwrap(), &KeyCache::new([0; 32]))
    }

    /// The configuration, or the option that `restriction` forbids.
    fn config_with(text: &str, restriction: Restriction) -> Result<Config, String> {
        assert!(resolution(text, &[]).config.is_ok(), "{text}");
        resolution(text, &[restriction]).config.map_err(|error| {
            assert_eq!((error.status(), error.additional().len()), (Status::InvalidOption, 0), "{error:?}");
            error.option().unwrap().to_owned()
        })
    }

    #[test]
    fn forbidden_path_is_rejected_even_if_unused() {
        for spec in table::TABLE.iter().filter(|spec| spec.option_type == OptionType::Path) {
            let text = format!("am=50;AccessToken=a;{}=/x/y", spec.name);
            assert_eq!(config_with(&text, Restriction::FilePaths).unwrap_err(), spec.name);
        }
    }

    #[test]
    fn forbidden_file_is_in_no_stage() {
        let text = "am=OAuth2-JWTClientAssertion;ClientID=c;JWTCertStore=/k;JWTCertificate=/c;TrustStore=/t;\
                    KeyStore=/s;ClientAssertionFile=/a;TokenEndpoint=https://a/t";
        for (restrictions, is_present) in [(&[][..], true), (&[Restriction::FilePaths], false)] {
            let resolution = resolution(text, restrictions);
            assert_eq!(resolution.config.is_ok(), is_present);
            let stages = &resolution.stages;
            let files = [
                stages.key.is_some(),
                stages.presigned_assertion.is_some(),
                stages.transport.trust_store.is_some(),
                stages.transport.client_key_source.is_some(),
            ];
            assert_eq!(files, [is_present; 4]);
        }
    }

    #[test]
    fn loopback_http_is_forbidden_except_in_redirect_uri() {
        for (more, option) in [
            ("TokenURI=http://127.0.0.1/t", Some("TokenURI")),
            ("TokenEndpoint=http://localhost/t", Some("TokenEndpoint")),
            ("AuthURI=http://localhost/a", Some("AuthURI")),
            ("LogoffURI=http://localhost/out", Some("LogoffURI")),
            ("RestSamplePath=http://localhost/sample", Some("RestSamplePath")),
            ("HealthURI=GET http://[::1]/health", Some("HealthURI")),
            ("HostName=http://127.0.0.1:8080;HealthURI=/health", Some("HostName")),
            ("HostName=http://127.0.0.1:8080", None),
            ("RedirectURI=http://localhost:3000", None),
            ("TokenURI=https://a/t;AuthURI=https://a/a;RestSamplePath=https://a/s;HostName=https://a", None),
        ] {
            let result = config_with(&format!("am=50;AccessToken=a;{more}"), Restriction::LoopbackHttp);
            assert_eq!(result.err().as_deref(), option, "{more}");
        }
    }

    #[test]
    fn forbidden_login_prompt_is_rejected_even_if_unused() {
        for (value, option) in [("1", Some("EnableLoginPrompt")), ("0", None)] {
            let text = format!("am=50;AccessToken=a;EnableLoginPrompt={value}");
            assert_eq!(config_with(&text, Restriction::Prompt).err().as_deref(), option, "{value}");
        }
    }

    #[test]
    fn forbidden_get_is_replaced_unless_explicit() {
        for (method, expected) in
            [("GET ", Err("TokenURI")), ("", Ok(EndpointMethods::Post)), ("POST ", Ok(EndpointMethods::Post))]
        {
            let text = format!("{JWT_BEARER};TokenURI={method}https://example.com/t");
            let methods = config_with(&text, Restriction::Get)
                .map(|config| config.flow.token_endpoint().map(|endpoint| endpoint.methods));
            assert_eq!(methods, expected.map(Some).map_err(str::to_owned), "{method}");
        }
    }

    #[test]
    fn forbidden_tls12_is_removed_unless_only_version() {
        for (versions, expected) in [
            ("TLSv1.2", Err("CryptoProtocolVersion")),
            ("TLSv1.3,TLSv1.2", Ok(TlsVersions::Tls13ByPolicy)),
            ("TLSv1.3", Ok(TlsVersions::Tls13ByPolicy)),
        ] {
            let text = format!("{JWT_BEARER};CryptoProtocolVersion={versions}");
            let result = config_with(&text, Restriction::Tls12).map(|config| config.transport.tls_versions);
            assert_eq!(result, expected.map_err(str::to_owned), "{versions}");
        }
    }

    #[test]
    fn weak_key_stores_are_forbidden_for_all_keys() {
        for (restrictions, is_forbidden) in [(&[][..], false), (&[Restriction::WeakStores], true)] {
            let stages = resolution(&format!("{JWT_BEARER};KeyStore=s"), restrictions).stages;
            for source in [stages.key.unwrap().source, stages.transport.client_key_source.unwrap()] {
                assert_eq!(source.forbid_weak_encryption, is_forbidden, "{source:?}");
            }
        }
    }
}
