//! What a connection still needs, as the request string of ODBC's SQLBrowseConnect: `keyword:prompt=?` for each option,
//! with `*` before an optional one and `{a,b}` instead of `?` for the possible values.

use super::Connection;
use crate::base::error::{ErrorKind, OptionError};
use crate::options::{AUTH_METHODS, AuthMethod, OptionId, Options, SIGNING, table};

impl Connection {
    /// The options that are missing, and optional ones that are often needed with them; `None` if none is missing.
    #[must_use]
    pub fn browse(&self) -> Option<String> {
        let snapshot = self.snapshot.load_revalidated();
        let error = snapshot.config().err()?;
        let all_errors = std::iter::once(&error).chain(error.additional());
        let missing: Vec<_> = all_errors
            .filter(|error| matches!(error.kind(), ErrorKind::Option(OptionError::Missing)))
            .filter_map(|error| table::find(error.option()?).map(|spec| spec.id))
            .collect();
        if missing.is_empty() {
            return None;
        }
        let stages = &snapshot.resolution().stages;
        let optional = stages.method.map(|method| {
            let inferred = method.is_inferred.then_some(OptionId::AuthenticationMethod);
            inferred.into_iter().chain(optional_options(method.method, &snapshot.options_as_given, &missing))
        });
        let required = missing.iter().map(|id| attribute(*id, ""));
        let attributes = required.chain(optional.into_iter().flatten().map(|id| attribute(id, "*")));
        Some(attributes.collect::<Vec<_>>().join(";"))
    }
}

/// Options without which the request is valid, but which many servers or keys require: the password of a key file, the
/// subject, the scope, the secret of a client that logs users in, and the token endpoint, without which a signed JWT is
/// itself the token.
fn optional_options(
    method: AuthMethod,
    options: &Options,
    missing: &[OptionId],
) -> impl Iterator<Item = OptionId> {
    let candidates: &[OptionId] = match method {
        method if SIGNING.contains(&method) => {
            &[OptionId::TokenURI, OptionId::JWTCertPassword, OptionId::ClaimsSubject, OptionId::Scope]
        }
        AuthMethod::AuthorizationCode => &[OptionId::ClientSecret, OptionId::Scope],
        AuthMethod::ClientCredentials | AuthMethod::Password | AuthMethod::RefreshToken => &[OptionId::Scope],
        _ => &[],
    };
    let is_set = |id| options.get(id).is_some();
    let is_useful = |id: OptionId| match id {
        OptionId::TokenURI => method == AuthMethod::JwtBearer && !is_set(OptionId::TokenEndpoint),
        OptionId::JWTCertPassword => {
            missing.contains(&OptionId::JWTCertStore) || is_set(OptionId::JWTCertStore)
        }
        _ => true,
    };
    let is_open = |id: &OptionId| !missing.contains(id) && !is_set(*id) && is_useful(*id);
    candidates.iter().copied().filter(is_open).collect::<Vec<_>>().into_iter()
}

fn attribute(id: OptionId, prefix: &str) -> String {
    let values = if id == OptionId::AuthenticationMethod { method_names() } else { "?".to_owned() };
    format!("{prefix}{}:{}={values}", id.as_str(), prompt(id))
}

/// The names of the methods that a connection can have.
fn method_names() -> String {
    let is_supported =
        |method: &AuthMethod| !matches!(method, AuthMethod::Infer | AuthMethod::Unsupported(_));
    let names = AUTH_METHODS.iter().filter(|(_, _, method)| is_supported(method)).map(|(_, name, _)| *name);
    format!("{{{}}}", names.collect::<Vec<_>>().join(","))
}

/// The text that a dialog shows for an option.
fn prompt(id: OptionId) -> &'static str {
    match id {
        OptionId::AuthenticationMethod => "Authentication Method",
        OptionId::ClaimsIssuer | OptionId::ClientID => "Client ID",
        OptionId::ClaimsSubject => "Subject",
        OptionId::ClaimsAudience => "Audience",
        OptionId::JWTCertStore => "Key File",
        OptionId::JWTCertPassword => "Key File Password",
        OptionId::JWTSecret => "Shared Secret",
        OptionId::TokenURI => "Token URL",
        OptionId::AuthURI => "Authorization URL",
        OptionId::RedirectURI => "Redirect URL",
        OptionId::ClientSecret => "Client Secret",
        OptionId::RefreshToken => "Refresh Token",
        OptionId::AccessToken => "Access Token",
        OptionId::User => "User Name",
        OptionId::AuthHeader => "Header Name",
        OptionId::SecurityToken => "Token",
        OptionId::ProxyHost => "Proxy Host",
        OptionId::TokenCachePassword => "Token Cache Password",
        // Password and Scope among others.
        other => other.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn browse(text: &str) -> Option<String> {
        Connection::open(text).unwrap().browse()
    }

    const METHODS: &str = "{OAuth2-JWTBearer,JWT,OAuth2-JWTClientAssertion,OAuth2-ClientCredentials,OAuth2-Password,\
                           OAuth2-RefreshToken,OAuth2-AccessToken,BearerToken,HTTPHeader,Basic,None,\
                           OAuth2-AuthorizationCode,OAuth2-PKCE}";

    #[test]
    fn method_is_requested_with_its_values() {
        assert_eq!(browse("").unwrap(), format!("AuthenticationMethod:Authentication Method={METHODS}"));
        assert_eq!(
            browse("ClaimsIssuer=c;JWTCertPassword=p").unwrap(),
            format!(
                "JWTCertStore:Key File=?;*AuthenticationMethod:Authentication Method={METHODS};*TokenURI:Token URL=?;*ClaimsSubject:Subject=?;*Scope:Scope=?"
            )
        );
    }

    #[test]
    fn missing_and_optional_options_are_requested() {
        for (text, request) in [
            (
                "am=55",
                "ClaimsIssuer:Client ID=?;JWTCertStore:Key File=?;*TokenURI:Token URL=?;*JWTCertPassword:Key File Password=?;\
                 *ClaimsSubject:Subject=?;*Scope:Scope=?",
            ),
            (
                "am=55;JWTSecret=0123456789abcdef0123456789abcdef",
                "ClaimsIssuer:Client ID=?;*TokenURI:Token URL=?;*ClaimsSubject:Subject=?;*Scope:Scope=?",
            ),
            ("am=53;Scope=s;ClientID=c", "ClientSecret:Client Secret=?;TokenURI:Token URL=?"),
            ("am=52", "User:User Name=?;Password:Password=?;TokenURI:Token URL=?;*Scope:Scope=?"),
            ("am=0;UID=u", "Password:Password=?"),
            ("am=50", "AccessToken:Access Token=?"),
        ] {
            let found = browse(text).unwrap();
            let sorted = |text: &str| {
                let mut parts: Vec<_> = text.split(';').map(str::to_owned).collect();
                parts.sort();
                parts
            };
            assert_eq!(sorted(&found), sorted(request), "{text}: {found}");
        }
    }

    #[test]
    fn complete_or_invalid_options_request_nothing() {
        assert_eq!(browse("am=50;AccessToken=t"), None);
        assert_eq!(browse("am=15"), None);
        assert_eq!(browse("am=50;AccessToken=t;LoginTimeout=soon"), None);
        assert_eq!(browse("am=29"), None, "not supported");
    }

    #[test]
    fn browsing_ends_with_complete_string() {
        let mut text = String::new();
        let mut rounds = 0;
        while let Some(request) = browse(&text) {
            rounds += 1;
            assert!(rounds < 5, "{request}");
            for part in request.split(';').filter(|part| !part.starts_with('*')) {
                let (keyword, _) = part.split_once(':').unwrap();
                let value = match keyword {
                    "AuthenticationMethod" => "OAuth2-ClientCredentials",
                    "TokenURI" => "https://a.example/t",
                    _ => "x",
                };
                text = format!("{text}{keyword}={value};");
            }
        }
        assert_eq!(rounds, 2, "the method, then what it needs");
    }
}
