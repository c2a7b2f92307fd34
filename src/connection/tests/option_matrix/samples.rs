//! Connections that differ in one option: two values of each option, and what else a connection with each method needs.

use std::sync::OnceLock;

use crate::key::fixtures::{KeyDir, run_shell};
use crate::options::table::{OptionSpec, TABLE};
use crate::options::{ALL, AUTH_METHODS, AuthMethod, EffectKind, OptionId, SIGNING};

pub(super) type Pairs = Vec<(&'static str, String)>;

/// Two values of an option, and the options without which it has no effect; an empty value unsets one.
struct Sample {
    values: [&'static str; 2],
    needs: &'static [(&'static str, &'static str)],
}

const fn values(one: &'static str, other: &'static str) -> Sample {
    Sample { values: [one, other], needs: &[] }
}

impl Sample {
    const fn with(self, needs: &'static [(&'static str, &'static str)]) -> Self {
        Self { needs, ..self }
    }
}

/// 32 random bytes in base64.
pub(super) const RANDOM: &str = "kP3vX9rT0qLw7ZbY2sJfHn5mGcVd8aUeR1iOy4tBxQE=";
const OTHER_RANDOM: &str = "rT0qLw7ZbY2sJfHn5mGcVd8aUeR1iOy4tBxQEkP3vX9=";

const KEY_FILE: &[(&str, &str)] = &[("JWTPrivateKey", ""), ("JWTCertStore", "{dir}/one.pem")];
const PKCS11_CLIENT_KEY: &[(&str, &str)] = &[("KeyStore", "pkcs11:token=t;object=o")];
const PROXY: &[(&str, &str)] = &[("ProxyHost", "proxy.example"), ("ProxyUser", "u")];
const PRESIGNED: &[(&str, &str)] = &[("JWTPrivateKey", ""), ("ClaimsIssuer", ""), ("ClaimsSubject", "")];
pub(super) const PROMPTED: &[(&str, &str)] =
    &[("TokenCache", "application:"), ("TokenCachePrompted", "1"), ("TokenCacheUser", "alice")];

/// The options of a connection with `method`, which suffice for a token. A new method does not compile until it has
/// some.
fn base(method: AuthMethod) -> &'static [(&'static str, &'static str)] {
    match method {
        AuthMethod::JwtBearer => &[("ClaimsIssuer", "me"), ("ClientCredentialsMode", "3")],
        AuthMethod::SignedJwt | AuthMethod::ClientAssertion => &[("ClaimsIssuer", "me")],
        AuthMethod::ClientCredentials | AuthMethod::None => &[],
        AuthMethod::Password | AuthMethod::Basic => &[("User", "alice"), ("Password", "hunter2")],
        AuthMethod::RefreshToken => &[("RefreshToken", "r")],
        AuthMethod::AuthorizationCode => &[
            ("AuthURI", "https://login.example/authorize"),
            ("RedirectURI", "http://127.0.0.1:8400/done"),
            ("Scope", "a b"),
            ("OAuthCode", "code"),
        ],
        AuthMethod::AccessToken => &[("AccessToken", "t")],
        AuthMethod::BearerToken => &[("SecurityToken", "t")],
        AuthMethod::HeaderToken => &[("AuthHeader", "X-Key"), ("SecurityToken", "t")],
        AuthMethod::Infer | AuthMethod::Unsupported(_) => {
            panic!("{method:?} is not the method of a connection")
        }
    }
}

fn number(method: AuthMethod) -> &'static str {
    AUTH_METHODS.iter().find(|(_, _, row)| *row == method).unwrap().0
}

/// The sample of an option; `None` for options that name files or data sources with further options. A new option
/// does not compile until it has one.
#[allow(clippy::too_many_lines, reason = "one line for each option")]
fn sample(option: OptionId, method: AuthMethod) -> Option<Sample> {
    use OptionId as Id;
    let signs = SIGNING.contains(&method);
    let is_signed_token = method == AuthMethod::SignedJwt;
    Some(match option {
        Id::AuthenticationMethod => match method {
            AuthMethod::ClientCredentials => values("53", "52").with(&[("User", "u"), ("Password", "p")]),
            // Client credentials would need AuthHeader with SecurityToken.
            AuthMethod::BearerToken => values("34", "15"),
            _ => values(number(method), "53"),
        },
        Id::ClaimsIssuer if method == AuthMethod::AuthorizationCode => {
            values("one", "two").with(&[("ClientID", "")])
        }
        Id::ClaimsIssuer | Id::ClaimsSubject | Id::ClaimsAudience | Id::JWTKeyID => values("one", "two"),
        Id::JWTCertStore => values("{dir}/one.pem", "{dir}/two.pem").with(KEY_FILE),
        Id::JWTCertPassword | Id::JWTCertKeyPassword => values("one", "two").with(KEY_FILE),
        Id::JWTCertAlias => {
            values("one", "two").with(&[("JWTPrivateKey", ""), ("JWTCertStore", "{dir}/keys.json")])
        }
        Id::JWTPrivateKey => values("{key one}", "{key two}"),
        Id::JWTSecret => {
            values(RANDOM, OTHER_RANDOM).with(&[("JWTPrivateKey", ""), ("JWTAlgorithm", "HS256")])
        }
        Id::JWTAlgorithm => values("RS256", "RS512"),
        Id::JWTThumbprint => values("x5t", "x5c").with(&[("JWTCertificate", "{dir}/one.crt")]),
        Id::JWTCertificate => values("{dir}/one.crt", "{dir}/renewed.crt").with(&[("JWTThumbprint", "x5t")]),
        Id::JWTHeaders | Id::ClaimsAdditional => values(r#"{"a":1}"#, r#"{"a":2}"#),
        Id::JWTLifetime => values("60", "61"),
        Id::JWTLifetimeMinutes => values("1", "2"),
        // The host of the token endpoint selects the provider profile of a signed JWT.
        Id::TokenURI if is_signed_token => {
            values("POST https://login.example/t", "POST https://login.salesforce.com/services/oauth2/token")
                .with(&[("TokenEndpoint", "")])
        }
        Id::TokenEndpoint if is_signed_token => {
            values("https://login.example/t", "https://login.salesforce.com/services/oauth2/token")
        }
        Id::TokenURI => values("POST {url}", "POST {url}?other").with(&[("TokenEndpoint", "")]),
        Id::TokenEndpoint => values("{url}", "{url}?other"),
        Id::Scope => values("a", "b"),
        Id::ScopeIn => values("Claim", "Parameter").with(&[("Scope", "a")]),
        Id::ClientID => values("one", "two"),
        Id::ClientSecret => values(RANDOM, OTHER_RANDOM),
        Id::ClientCredentialsMode => values("0", "3"),
        Id::GrantType => values("urn:one", "urn:two"),
        Id::TokenParameters => values("a=1", "a=2"),
        Id::ClientAssertion => values("e30.e30.c2ln", "e30.e30.c2lo").with(PRESIGNED),
        Id::ClientAssertionFile => values("{dir}/one.jwt", "{dir}/two.jwt").with(PRESIGNED),
        Id::RefreshToken | Id::OAuthCode | Id::User | Id::Password => values("one", "two"),
        Id::EnableLoginPrompt => values("0", "1"),
        Id::AccessToken => values("one", "two"),
        Id::AccessTokenExpires if method == AuthMethod::BearerToken => {
            values("2090-01-01T00:00:00Z", "2091-01-01T00:00:00Z")
        }
        Id::AccessTokenExpires => {
            values("2090-01-01T00:00:00Z", "2091-01-01T00:00:00Z").with(&[("AccessToken", "t")])
        }
        Id::AuthHeader if method == AuthMethod::Basic => values("X-One", "X-Two"),
        Id::AuthHeader => values("X-One", "X-Two").with(&[("SecurityToken", "t")]),
        Id::SecurityToken if method == AuthMethod::BearerToken => values("one", "two"),
        Id::SecurityToken => values("one", "two").with(&[("AuthHeader", "X-Key")]),
        Id::Provider if is_signed_token => values("google-selfsigned", "snowflake"),
        Id::Provider => values("keycloak", "hydra"),
        Id::AuthURI => values("https://login.example/one", "https://login.example/two"),
        Id::RedirectURI => values("http://127.0.0.1:8400/one", "http://127.0.0.1:8400/two"),
        Id::ConsentType => values("Individual", "ExternalAdmin").with(&[("AdminConsentScope", "all")]),
        Id::AdminConsentScope => values("one", "two").with(&[("ConsentType", "ExternalAdmin")]),
        Id::ConsentTimeout | Id::LoginTimeout | Id::WSTimeout => values("50", "70"),
        Id::LogoffURI => values("{logoff}?one", "{logoff}?two"),
        Id::LogoffMode => values("Revoke", "EndSession").with(&[("LogoffURI", "{logoff}")]),
        Id::TrustStore => values("{dir}/one.crt", "{dir}/renewed.crt"),
        Id::TrustStorePassword => values("one", "two").with(&[("TrustStore", "{dir}/one.crt")]),
        Id::ValidateServerCertificate => values("1", "0"),
        Id::HostNameInCertificate => values("one.example", "two.example"),
        Id::CryptoProtocolVersion => values("TLSv1.2", "TLSv1.3"),
        Id::KeyStore => values("{dir}/client.pem", "{dir}/renewed-client.pem"),
        Id::KeyStorePassword | Id::KeyPassword | Id::KeyStoreAlias => {
            values("1234", "9999").with(PKCS11_CLIENT_KEY)
        }
        Id::KeyFileCheck if signs => values("0", "1").with(KEY_FILE),
        Id::KeyFileCheck => values("0", "1").with(&[("KeyStore", "{dir}/client.pem")]),
        Id::ProxyHost => values("one.example", "two.example"),
        Id::ProxyPort => values("8080", "8081").with(PROXY),
        Id::ProxyUser | Id::ProxyPassword => values("one", "two").with(PROXY),
        Id::ProxyMode => values("0", "1").with(PROXY),
        Id::AccessTokenLifetime => values("100", "200"),
        Id::RefreshMargin => values("5", "6"),
        Id::CacheScope => values("Process", "Connection"),
        Id::TokenCache => values("file:{dir}/store", "application:"),
        Id::TokenCachePassword => values("one", "two").with(&[("TokenCache", "redis://cache.example")]),
        Id::TokenCacheSecret => values(RANDOM, OTHER_RANDOM),
        Id::TokenCacheTimeout => values("100", "200"),
        Id::TokenCacheWait => values("1", "2"),
        Id::TokenCachePrompted => values("0", "1").with(PROMPTED),
        Id::TokenCacheUser => values("alice", "bob").with(PROMPTED),
        Id::TokenCacheTrustStore => {
            values("{dir}/one.crt", "{dir}/renewed.crt").with(&[("TokenCache", "rediss://cache.example")])
        }
        Id::RestConfigFile | Id::DSN | Id::FILEDSN => return None,
        Id::AllowOverride => values("0", "1"),
        Id::PortNumber => values("443", "444"),
        Id::ApplicationName
        | Id::RestSamplePath
        | Id::HealthURI
        | Id::Driver
        | Id::Description
        | Id::HostName
        | Id::SQLEngineMode
        | Id::SchemaMap
        | Id::CreateMap
        | Id::LogConfigFile
        | Id::WSRetryCount => values("one", "two"),
    })
}

/// Two connections that differ in one option.
pub(super) struct Case {
    pub(super) method: AuthMethod,
    pub(super) option: &'static OptionSpec,
    pub(super) options: [Pairs; 2],
}

impl Case {
    pub(super) fn name(&self) -> String {
        format!("AuthenticationMethod {}, {}", number(self.method), self.option.name)
    }

    pub(super) fn separates(&self) -> bool {
        self.option.effect.separates_tokens_of(self.method)
    }

    /// Whether both connections share a token in a process, if each is not that of a user.
    pub(super) fn separates_in_process(&self) -> bool {
        self.option.effect.kind != EffectKind::SharedEntry && self.separates()
    }

    /// Whether they have different shared entries.
    pub(super) fn separates_entries(&self) -> bool {
        self.option.effect.kind != EffectKind::KeyAccess && self.separates()
    }

    pub(super) fn has_option(&self, name: &str) -> bool {
        self.options.iter().flatten().any(|(own, _)| *own == name)
    }

    /// The second options for a connection that has the first ones: those that they lack are unset.
    pub(super) fn change(&self) -> Pairs {
        let [from, to] = &self.options;
        let unset = from.iter().filter(|(name, _)| !to.iter().any(|(own, _)| own == name));
        unset.map(|(name, _)| (*name, String::new())).chain(to.iter().cloned()).collect()
    }
}

/// A case for each method and each option. The token endpoint is `url`.
pub(super) fn cases(url: &str) -> Vec<Case> {
    let methods = ALL.iter().copied().flatten().copied();
    let new = |method, option: &'static OptionSpec| {
        let Sample { values, needs } = sample(option.id, method)?;
        // TokenURI is an error with TokenEndpoint, even without effect.
        let is_needed = option.effect.is_used_by(method) || option.id == OptionId::TokenURI;
        let needs = if is_needed { needs } else { &[] };
        let options = values.map(|value| options(method, needs, (option.name, value), url));
        Some(Case { method, option, options })
    };
    methods.flat_map(|method| TABLE.iter().filter_map(move |option| new(method, option))).collect()
}

fn options(
    method: AuthMethod,
    needs: &[(&'static str, &'static str)],
    last: (&'static str, &'static str),
    url: &str,
) -> Pairs {
    let common = [
        ("AuthenticationMethod", number(method)),
        ("TokenEndpoint", "{url}"),
        ("ClientID", "c"),
        ("ClientSecret", RANDOM),
    ];
    let signing = [("ClaimsSubject", "u"), ("ClaimsAudience", "a"), ("JWTPrivateKey", "{key one}")];
    let signs = SIGNING.contains(&method);
    let signing = signing.iter().filter(|_| signs);
    let mut pairs: Pairs = Vec::new();
    for (name, value) in common.iter().chain(signing).chain(base(method)).chain(needs).chain([&last]) {
        pairs.retain(|(own, _)| own != name);
        if !value.is_empty() {
            pairs.push((*name, expand(value, url)));
        }
    }
    pairs
}

/// Replaces the names of test files, keys and URLs.
pub(super) fn expand(value: &str, url: &str) -> String {
    if !value.contains('{') {
        return value.to_owned();
    }
    let files = files();
    let key = |name: &str| std::fs::read_to_string(files.file_path(name)).unwrap();
    match value {
        "{key one}" => key("one.pem"),
        "{key two}" => key("two.pem"),
        _ => value
            .replace("{dir}", files.path().to_str().unwrap())
            .replace("{logoff}", &url.replace("/token", "/logoff"))
            .replace("{url}", url),
    }
}

/// The files of the connections.
pub(super) fn files() -> &'static KeyDir {
    static FILES: OnceLock<KeyDir> = OnceLock::new();
    FILES.get_or_init(|| {
        let dir = KeyDir::new();
        let key =
            |kid: &str, key: &str| format!(r#"{{"kty":"oct","kid":"{kid}","k":"{key}","alg":"HS256"}}"#);
        let (one, two) = (key("one", &RANDOM[..43]), key("two", &OTHER_RANDOM[..43]));
        let (one, two) = (one.replace('/', "_"), two.replace('/', "_"));
        // {"sub":"a"} and {"sub":"b"}
        for (name, content) in [
            ("keys.json", format!(r#"{{"keys":[{one},{two}]}}"#).as_str()),
            ("one.jwt", "e30.eyJzdWIiOiJhIn0.c2ln"),
            ("two.jwt", "e30.eyJzdWIiOiJiIn0.c2ln"),
        ] {
            dir.source_with_content(name, content.as_bytes(), None);
        }
        run_shell(
            dir.path(),
            "set -e
             umask 077
             for name in one two; do openssl genrsa -out $name.pem 2048; done
             openssl req -x509 -new -key one.pem -subj /CN=one -days 300 -out one.crt
             openssl req -x509 -new -key one.pem -subj /CN=renewed -days 300 -out renewed.crt
             cat one.pem one.crt > client.pem
             cat one.pem renewed.crt > renewed-client.pem",
        );
        dir
    })
}
