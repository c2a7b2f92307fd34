//! Options that have no effect in the authentication method: a warning for each, so that a credential that is
//! never sent is noticed.

use super::method::ResolvedMethod;
use super::option_resolver::OptionResolver;
use crate::options::table::{OptionSpec, TABLE};
use crate::options::{AuthMethod, EffectKind, OptionId, OptionOrigin, SIGNING, method_numbers};
use crate::provider::{Audience, Profile};

/// What determines whether an option has an effect, in addition to the method.
pub(super) struct OptionUses {
    /// The method.
    pub(super) method: ResolvedMethod,
    /// Whether a token endpoint is configured.
    pub(super) has_token_endpoint: bool,
    /// Whether the client assertion is configured and not signed here.
    pub(super) is_presigned: bool,
    /// Whether an administrator's code is exchanged with the client credentials.
    pub(super) exchanges_admin_code: bool,
    /// The provider profile.
    pub(super) profile: Option<&'static Profile>,
}

impl OptionUses {
    /// Whether the signed JWT itself is the token.
    fn is_signed_token(&self) -> bool {
        match self.method.method {
            AuthMethod::SignedJwt => true,
            AuthMethod::JwtBearer => !self.has_token_endpoint,
            _ => false,
        }
    }
}

impl OptionResolver<'_> {
    /// Warns about each option of the caller, the connection string or the data source that has no effect.
    pub(super) fn check_unused_options(&mut self, uses: &OptionUses) {
        for option in TABLE {
            let is_in_consent_url = option.effect.kind == EffectKind::TokenAndConsent
                && self.value(OptionId::RedirectURI).is_some();
            if self.is_set_by_user(option)
                && !is_in_consent_url
                && let Some(text) = self.unused_reason(option, uses)
            {
                self.add_warning(option.id, &text);
            }
        }
    }

    /// Whether the option is set to a value other than its default, which dialogs write for every option, and
    /// not by a model or key file, which are made for several methods.
    fn is_set_by_user(&self, option: &OptionSpec) -> bool {
        self.value(option.id).is_some_and(|value| {
            !matches!(value.origin, OptionOrigin::KeyFile | OptionOrigin::Model)
                && value.text.reveal() != option.default
        })
    }

    fn unused_reason(&self, option: &OptionSpec, uses: &OptionUses) -> Option<String> {
        let (name, effect) = (option.id, &option.effect);
        let (method, label) = (uses.method.method, method_label(uses.method));
        let concerns_signing = effect.separates.first() == Some(&SIGNING) && name != OptionId::ScopeIn;
        if uses.is_presigned && method == AuthMethod::ClientAssertion && concerns_signing {
            let text = "has no effect: the client assertion is configured and is not signed here";
            return Some(text.to_owned());
        }
        let is_client_option = matches!(name, OptionId::ClientID | OptionId::ClientSecret);
        if is_client_option && matches!(method, AuthMethod::JwtBearer | AuthMethod::SignedJwt) {
            return self.client_option_reason(name, uses);
        }
        let effective_method = if uses.is_signed_token() { AuthMethod::SignedJwt } else { method };
        if effect.is_used_by(effective_method) {
            None
        } else if effect.is_used_by(method) {
            Some(format!("has no effect with {label} without a token endpoint; set TokenURI"))
        } else {
            let numbers = method_numbers(effect.methods());
            Some(format!("has no effect with {label}; used by AuthenticationMethod {numbers}"))
        }
    }

    /// Why ClientID or ClientSecret has no effect with a JWT that is not for client authentication.
    fn client_option_reason(&self, name: OptionId, uses: &OptionUses) -> Option<String> {
        if self.uses_client_option(name, uses) {
            return None;
        }
        let advice = if uses.is_signed_token() {
            "there is no token request"
        } else {
            "set ClientCredentialsMode to send the client credentials with the assertion"
        };
        Some(format!("has no effect with {}; {advice}", method_label(uses.method)))
    }

    /// Whether a JWT bearer request or a signed JWT contains ClientID or ClientSecret.
    fn uses_client_option(&self, name: OptionId, uses: &OptionUses) -> bool {
        let rule = uses.profile.and_then(|profile| profile.client);
        let has_mode = self.value(OptionId::ClientCredentialsMode).is_some();
        let sends_client = !uses.is_signed_token()
            && (has_mode
                || rule.is_some_and(|rule| rule.required || self.value(OptionId::ClientSecret).is_some()));
        let is_claim = name == OptionId::ClientID
            && uses.profile.is_some_and(|profile| {
                profile.audience == Audience::ClientId
                    || profile.issuer_is_client_id && self.value(OptionId::ClaimsIssuer).is_none()
            });
        sends_client || is_claim || uses.exchanges_admin_code
    }
}

/// `AuthenticationMethod 55 (OAuth2-JWTBearer)`.
fn method_label(method: ResolvedMethod) -> String {
    let ResolvedMethod { number, name, is_inferred, .. } = method;
    let name = if number == name { String::new() } else { format!(" ({name})") };
    let inferred = if is_inferred { ", which was inferred from the options" } else { "" };
    format!("AuthenticationMethod {number}{name}{inferred}")
}

#[cfg(test)]
mod tests {
    use super::super::resolve;
    use crate::options::Options;

    /// The options that have no effect, each with the advice in its warning.
    fn unused_options(text: &str) -> Vec<(String, String)> {
        let text = format!("JWTCertStore=k;ClaimsSubject=u;ClaimsAudience=a;{text}");
        let warnings = resolve(&Options::parse(&text).unwrap()).warnings();
        let advice = |message: String| message.rsplit_once("; ").unwrap().1.to_owned();
        warnings
            .iter()
            .filter(|warning| warning.message().contains("has no effect"))
            .map(|warning| (warning.option().unwrap().to_owned(), advice(warning.message())))
            .collect()
    }

    #[test]
    fn token_request_option_of_signed_jwt_has_advice() {
        let request = "ClaimsIssuer=me;ClientID=c;ClientSecret=s;ClientCredentialsMode=3;GrantType=g";
        let expected = [
            ("ClientID", "there is no token request"),
            ("ClientSecret", "there is no token request"),
            ("ClientCredentialsMode", "used by AuthenticationMethod 55, 53, 51, 52, 54"),
            ("GrantType", "used by AuthenticationMethod 55"),
        ];
        let unused = unused_options(&format!("am=JWT;{request}"));
        let unused: Vec<_> =
            unused.iter().map(|(option, advice)| (option.as_str(), advice.as_str())).collect();
        assert_eq!(unused, expected);
    }

    #[test]
    fn client_id_of_bearer_grant_has_effect_only_as_issuer() {
        let docusign = "am=55;TokenURI=POST https://account-d.docusign.com/oauth/token;ClientID=c";
        assert_eq!(unused_options(docusign), []);
        let [(option, advice)] = &unused_options(&format!("{docusign};ClaimsIssuer=me"))[..] else {
            panic!("another number of warnings")
        };
        assert_eq!(option, "ClientID");
        assert!(advice.contains("set ClientCredentialsMode"), "{advice}");
    }
}
