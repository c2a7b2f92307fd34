//! Which options are part of the identity: every option of the table is classified.

use super::*;
use crate::options::OptionId;
use crate::options::table::TABLE;

/// What a changed option does to the name.
enum Effect {
    /// With this value, the connection has another name.
    Changes(Pairs, &'static str),
    /// With this value, the name stays.
    Keeps(Pairs, &'static str),
    /// It acts through other options, or determines whether there is a name.
    Indirect,
}

use Effect::{Changes, Indirect, Keeps};

/// A new option does not compile until somebody decides what it is.
#[allow(clippy::too_many_lines, reason = "one line for each option")]
fn effect(option: OptionId) -> Effect {
    use OptionId as Id;
    match option {
        Id::AuthenticationMethod => Changes(login(), "54"),
        Id::ClaimsIssuer | Id::ClaimsSubject | Id::ClaimsAudience => Changes(jwt(), "other"),
        Id::JWTCertStore => Changes(jwt_file(), "{dir}/other.pem"),
        Id::JWTCertPassword => Changes(jwt_token(), "9999"),
        Id::JWTCertAlias | Id::JWTCertKeyPassword => Changes(jwt_token(), "other"),
        Id::JWTPrivateKey => Changes(jwt(), keys::P256),
        Id::JWTSecret => Changes(jwt_secret(), "rT0qLw7ZbY2sJfHn5mGcVd8aUeR1iOy4tBxQEkP3vX9="),
        Id::JWTAlgorithm => Changes(jwt(), "RS512"),
        Id::JWTKeyID => Changes(jwt(), "k1"),
        Id::JWTThumbprint => Changes(jwt_certificate(), "x5c"),
        Id::JWTCertificate => Changes(jwt_certificate(), "{dir}/renewed.crt"),
        Id::JWTHeaders | Id::ClaimsAdditional => Changes(jwt(), r#"{"a":1}"#),
        Id::JWTLifetime | Id::JWTLifetimeMinutes => Changes(jwt(), "7"),
        Id::TokenURI => Changes(
            changed(&without(jwt(), "TokenEndpoint"), "TokenURI", "POST https://login.example/token"),
            "POST https://login.example/other",
        ),
        Id::TokenEndpoint => Changes(jwt(), "https://login.example/other"),
        Id::Scope => Changes(login(), "a b c"),
        Id::ScopeIn => Changes(changed(&jwt(), "Scope", "a"), "Claim"),
        Id::ClientID => Changes(client(), "other"),
        Id::ClientSecret => Changes(client(), "rT0qLw7ZbY2sJfHn5mGcVd8aUeR1iOy4tBxQEkP3vX9="),
        Id::ClientCredentialsMode => Changes(client(), "3"),
        Id::GrantType => Changes(jwt(), "urn:other"),
        Id::TokenParameters => Changes(jwt(), "a=b"),
        Id::ClientAssertion => Changes(presigned(), "e30.e30.c2lo"),
        Id::ClientAssertionFile => Changes(presigned_file(), "{dir}/second.jwt"),
        Id::RefreshToken | Id::AccessToken => Changes(refresh(), "other"),
        Id::OAuthCode => Changes(login(), "other"),
        Id::EnableLoginPrompt => Keeps(login(), "1"),
        Id::AccessTokenExpires => Changes(changed(&refresh(), "AccessToken", "t"), "2030-01-01T00:00:00Z"),
        Id::User | Id::Password => Changes(password(), "other"),
        Id::AuthHeader => Changes(client_header(), "X-Other"),
        Id::SecurityToken => Changes(client_header(), "other"),
        Id::Provider => Changes(jwt(), "salesforce"),
        Id::AuthURI => Changes(login(), "https://login.example/other"),
        Id::RedirectURI => Changes(login(), "http://127.0.0.1:8400/other"),
        Id::ApplicationName => Keeps(login(), "other"),
        Id::ConsentType => Keeps(jwt(), "Individual"),
        Id::AdminConsentScope => Keeps(jwt(), "other"),
        Id::ConsentTimeout => Keeps(login(), "100"),
        Id::LogoffURI => Changes(jwt(), "https://login.example/logoff"),
        Id::LogoffMode => Keeps(changed(&login(), "LogoffURI", "https://login.example/logoff"), "EndSession"),
        Id::RestSamplePath | Id::HealthURI => Keeps(jwt(), "https://api.example/sample"),
        Id::TrustStore => Changes(client(), "{dir}/rsa.crt"),
        Id::TrustStorePassword => Changes(changed(&client(), "TrustStore", "{dir}/rsa.crt"), "other"),
        Id::ValidateServerCertificate => Changes(client(), "0"),
        Id::HostNameInCertificate => Changes(client(), "other.example"),
        Id::CryptoProtocolVersion => Changes(client(), "TLSv1.3"),
        Id::KeyStore => Changes(client_certificate(), "{dir}/renewed-client.pem"),
        Id::KeyStorePassword | Id::KeyPassword | Id::KeyStoreAlias => {
            Changes(client_certificate_token(), "9999")
        }
        Id::KeyFileCheck => Changes(jwt_file(), "1"),
        Id::ProxyHost => Changes(client(), "proxy.example"),
        Id::ProxyPort => Changes(client_proxy(), "8080"),
        Id::ProxyUser | Id::ProxyPassword => Changes(client_proxy(), "other"),
        Id::ProxyMode => Changes(client_proxy(), "0"),
        Id::LoginTimeout | Id::WSTimeout => Keeps(client(), "7"),
        Id::AccessTokenLifetime => Changes(client(), "7"),
        Id::RefreshMargin => Keeps(client(), "7"),
        Id::CacheScope => Indirect,
        Id::TokenCache => Keeps(client(), "file:/other"),
        Id::TokenCachePassword => Keeps(changed(&client(), "TokenCache", "redis://cache.example"), "other"),
        Id::TokenCacheSecret => Changes(client(), "t3t3t3t3t3t3t3t3t3t3t3t3t3t3t3t3"),
        Id::TokenCacheTimeout => Keeps(client(), "70"),
        Id::TokenCacheWait => Keeps(client(), "7"),
        Id::TokenCachePrompted => Keeps(client(), "0"),
        Id::TokenCacheUser => Changes(refresh(), "bob"),
        Id::TokenCacheTrustStore => {
            Keeps(changed(&client(), "TokenCache", "rediss://cache.example"), "{dir}/rsa.crt")
        }
        // They name files with further options.
        Id::RestConfigFile | Id::DSN | Id::FILEDSN => Indirect,
        Id::AllowOverride => Keeps(client(), "1"),
        Id::Driver
        | Id::Description
        | Id::HostName
        | Id::SQLEngineMode
        | Id::SchemaMap
        | Id::CreateMap
        | Id::LogConfigFile
        | Id::WSRetryCount => Keeps(client(), "other"),
        Id::PortNumber => Keeps(client(), "444"),
    }
}

#[test]
fn one_option_changes_name_unless_it_is_local() {
    for option in TABLE {
        let (base, value, changes) = match effect(option.id) {
            Changes(base, value) => (base, value, true),
            Keeps(base, value) => (base, value, false),
            Indirect => continue,
        };
        let differs = name(&base) != name(&changed(&base, option.name, value));
        assert_eq!(differs, changes, "{}", option.name);
    }
}
