//! What connections share that differ in one option, for each authentication method and each option of the table:
//! a token, an error, a refresh token, an entry of TokenCache or a TLS connection exactly if the table says that the
//! option does not separate them.

use std::fmt::Debug;
use std::sync::OnceLock;

use mock_server::{Behavior, MockServer};

use super::{ONE_HOUR_TOKEN_JSON, open_connection, start_token_server, token_value};
use crate::base::cache_key::CacheKey;
use crate::base::clock::SystemClock;
use crate::connection::{CallOptions, Connection};
use crate::key::KeyCache;
use crate::key::fixtures::{KeyDir, run_shell};
use crate::net::tls::TransportConfig;
use crate::options::environment::testing::FakeEnvironment;
use crate::options::table::{OptionSpec, TABLE};
use crate::options::{ALL, AUTH_METHODS, AuthMethod, EffectKind, OptionId, SIGNING};
use crate::process::Process;
use crate::resolve::Config;
use crate::shared_cache::{Sharing, identify};

type Pairs = Vec<(&'static str, String)>;

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
const RANDOM: &str = "kP3vX9rT0qLw7ZbY2sJfHn5mGcVd8aUeR1iOy4tBxQE=";
const OTHER_RANDOM: &str = "rT0qLw7ZbY2sJfHn5mGcVd8aUeR1iOy4tBxQEkP3vX9=";

const KEY_FILE: &[(&str, &str)] = &[("JWTPrivateKey", ""), ("JWTCertStore", "{dir}/one.pem")];
const PKCS11_CLIENT_KEY: &[(&str, &str)] = &[("KeyStore", "pkcs11:token=t;object=o")];
const PROXY: &[(&str, &str)] = &[("ProxyHost", "proxy.example"), ("ProxyUser", "u")];
const PRESIGNED: &[(&str, &str)] = &[("JWTPrivateKey", ""), ("ClaimsIssuer", ""), ("ClaimsSubject", "")];
const PROMPTED: &[(&str, &str)] =
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
struct Case {
    method: AuthMethod,
    option: &'static OptionSpec,
    options: [Pairs; 2],
}

impl Case {
    fn name(&self) -> String {
        format!("AuthenticationMethod {}, {}", number(self.method), self.option.name)
    }

    fn separates(&self) -> bool {
        self.option.effect.separates_tokens_of(self.method)
    }

    /// Whether both connections share a token in a process, if each is not that of a user.
    fn separates_in_process(&self) -> bool {
        self.option.effect.kind != EffectKind::SharedEntry && self.separates()
    }

    /// Whether they have different shared entries.
    fn separates_entries(&self) -> bool {
        self.option.effect.kind != EffectKind::KeyAccess && self.separates()
    }

    fn has_option(&self, name: &str) -> bool {
        self.options.iter().flatten().any(|(own, _)| *own == name)
    }

    /// The second options for a connection that has the first ones: those that they lack are unset.
    fn change(&self) -> Pairs {
        let [from, to] = &self.options;
        let unset = from.iter().filter(|(name, _)| !to.iter().any(|(own, _)| own == name));
        unset.map(|(name, _)| (*name, String::new())).chain(to.iter().cloned()).collect()
    }
}

/// A case for each method and each option. The token endpoint is `url`.
fn cases(url: &str) -> Vec<Case> {
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
fn expand(value: &str, url: &str) -> String {
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
fn files() -> &'static KeyDir {
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

const URL: &str = "https://login.example/token";

fn new_process() -> &'static Process {
    Box::leak(Box::new(Process::new(Box::new(SystemClock))))
}

fn connect(process: &'static Process, options: &Pairs) -> Connection {
    let connection = open_connection("", process);
    set(&connection, options);
    connection
}

fn set(connection: &Connection, options: &Pairs) {
    let options: Vec<_> = options.iter().map(|(name, value)| (*name, value.as_str())).collect();
    connection.set_options(&options).unwrap_or_else(|error| panic!("{options:?}: {error}"));
}

fn with_config<T>(connection: &Connection, case: &Case, use_config: impl FnOnce(&Config) -> T) -> T {
    let snapshot = connection.snapshot.load_revalidated();
    use_config(snapshot.config().unwrap_or_else(|error| panic!("{}: {error}", case.name())))
}

fn cache_key(connection: &Connection) -> CacheKey {
    let snapshot = connection.snapshot.load_revalidated();
    let config = snapshot.config().unwrap_or_else(|error| panic!("{error}"));
    connection.cache_key(&snapshot, config)
}

/// Collects the cases whose outcome differs from the expected one, so that a failed test shows all of them.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn compare<T: PartialEq + Debug>(&mut self, case: &Case, what: &str, found: &T, expected: &T) {
        if found != expected {
            self.0.push(format!("{}: {what}: found {found:?}, expected {expected:?}", case.name()));
        }
    }

    #[track_caller]
    fn assert_none(self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

#[test]
fn sample_options_are_valid() {
    let process = new_process();
    let mut problems = Vec::new();
    for case in cases(URL) {
        for options in &case.options {
            let snapshot = connect(process, options).snapshot.load_revalidated();
            problems.extend(snapshot.config().err().map(|error| format!("{}: {error}", case.name())));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn one_option_changes_cache_key_as_table_says() {
    let process = new_process();
    let mut differences = Differences::default();
    for case in cases(URL) {
        let [one, other] = &case.options;
        let connections = [connect(process, one), connect(process, other)];
        let [key, other_key] = connections.each_ref().map(cache_key);
        let is_of_user = with_config(&connections[0], &case, |config| config.flow.is_user_bound());
        let separates = case.separates_in_process();
        differences.compare(&case, "two keys differ", &(key != other_key), &(separates || is_of_user));
        // The same on one connection, whose tokens are those of one user.
        let [connection, _] = connections;
        set(&connection, &case.change());
        let changes = separates && !(is_of_user && case.option.id == OptionId::CacheScope);
        differences.compare(&case, "key changed", &(cache_key(&connection) != key), &changes);
    }
    differences.assert_none();
}

#[test]
fn unused_option_is_warned_about_as_table_says() {
    let process = new_process();
    let mut differences = Differences::default();
    for case in cases(URL) {
        let (option, [_, pairs]) = (case.option, &case.options);
        let is_default = pairs.iter().any(|(name, value)| *name == option.name && value == option.default);
        let is_in_consent_url =
            option.effect.kind == EffectKind::TokenAndConsent && case.has_option("RedirectURI");
        if is_default || is_in_consent_url || option.id == OptionId::AuthenticationMethod {
            continue;
        }
        let warnings = connect(process, pairs).warnings();
        let is_warned_about = warnings.iter().any(|warning| {
            warning.option() == Some(option.name) && warning.message().contains("has no effect")
        });
        let is_used = option.effect.is_used_by(case.method);
        differences.compare(&case, "has a warning", &is_warned_about, &!is_used);
    }
    differences.assert_none();
}

/// The options with which tokens are shared with other processes, unless the case sets them.
fn with_shared_cache(case: &Case, options: &Pairs, store: &str) -> Pairs {
    let defaults = [("TokenCacheSecret", RANDOM)].iter().chain(PROMPTED);
    let defaults = defaults.filter(|(name, _)| !case.has_option(name) && *name != "TokenCache");
    let own = options.iter().filter(|(name, _)| *name != "TokenCache").cloned();
    let defaults = defaults.map(|(name, value)| (*name, (*value).to_owned()));
    own.chain(defaults).chain([("TokenCache", store.to_owned())]).collect()
}

#[test]
fn one_option_changes_shared_entry_as_table_says() {
    let process = new_process();
    let key_cache = KeyCache::new([1; 32]);
    let mut differences = Differences::default();
    for case in cases(URL) {
        let names = case.options.each_ref().map(|options| {
            let connection = connect(process, &with_shared_cache(&case, options, "application:"));
            with_config(&connection, &case, |config| {
                match identify(config, config.shared_cache.as_ref().unwrap(), &key_cache) {
                    Ok(Sharing::Shared(identity)) => Some(identity.name.as_str().to_owned()),
                    Ok(Sharing::NotShared(_)) => None,
                    Err(error) => panic!("{}: {error}", case.name()),
                }
            })
        });
        match names {
            [None, None] => {}
            [one, other] => {
                differences.compare(&case, "names differ", &(one != other), &case.separates_entries());
            }
        }
    }
    differences.assert_none();
}

#[test]
fn one_option_changes_transport_as_table_says() {
    let process = new_process();
    let mut differences = Differences::default();
    for case in cases(URL) {
        // TLS connections are reused between equal settings, which include how the client's key is opened.
        let [one, other]: [TransportConfig; 2] = case.options.each_ref().map(|options| {
            with_config(&connect(process, options), &case, |config| config.transport.effective().into_owned())
        });
        let opens_client_key = case.option.id == OptionId::KeyFileCheck && case.has_option("KeyStore");
        let is_transport = case.option.effect.kind == EffectKind::Transport || opens_client_key;
        differences.compare(&case, "settings differ", &(one != other), &is_transport);
    }
    differences.assert_none();
}

/// Answers the next token requests with the token `name`.
fn answer_with(server: &MockServer, name: &str) {
    let refresh_token = format!(r#""{name}","refresh_token":"refresh-{name}""#);
    let answer = ONE_HOUR_TOKEN_JSON.replace(r#""at""#, &refresh_token);
    server.set_default_behavior(Behavior::TokenAnswer(answer));
}

fn get(connection: &Connection, case: &Case) -> String {
    match connection.get_token(CallOptions::default()) {
        Ok(token) => token_value(&token),
        Err(error) => panic!("{}: {error}", case.name()),
    }
}

fn obtains_token(method: AuthMethod) -> bool {
    !matches!(
        method,
        AuthMethod::AccessToken
            | AuthMethod::BearerToken
            | AuthMethod::HeaderToken
            | AuthMethod::Basic
            | AuthMethod::None
    )
}

/// Cases whose tokens a mock server or a key of the test issues. A configured access token is used before one is
/// requested.
fn cases_with_token(server: &MockServer) -> Vec<Case> {
    let mut cases = cases(&server.url("/oauth/token"));
    cases.retain(|case| obtains_token(case.method) && !case.has_option("AccessToken"));
    cases
}

/// The same without shared caches.
fn cases_in_process(server: &MockServer) -> Vec<Case> {
    let mut cases = cases_with_token(server);
    cases.retain(|case| !case.has_option("TokenCache"));
    cases
}

#[test]
fn process_shares_token_as_table_says() {
    let (server, _) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let process = new_process();
    let mut differences = Differences::default();
    for case in cases_in_process(&server) {
        let [one, other] = case.options.each_ref().map(|options| connect(process, options));
        answer_with(&server, "one");
        let token = get(&one, &case);
        answer_with(&server, "other");
        let is_of_user = with_config(&one, &case, |config| config.flow.is_user_bound());
        let is_shared = !case.separates_in_process() && !is_of_user;
        differences.compare(&case, "token is shared", &(get(&other, &case) == token), &is_shared);
        process.cache.clear();
    }
    differences.assert_none();
}

#[test]
fn process_shares_error_as_table_says() {
    let (server, _) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let process = new_process();
    let mut differences = Differences::default();
    for case in cases_in_process(&server) {
        if case.method == AuthMethod::SignedJwt {
            continue;
        }
        let [one, other] = case.options.each_ref().map(|options| connect(process, options));
        let body = serde_json::json!({"error": "invalid_grant"});
        server.set_default_behavior(Behavior::Json { status: 400, body, headers: Vec::new() });
        one.get_token(CallOptions::default()).unwrap_err();
        answer_with(&server, "other");
        let is_of_user = with_config(&one, &case, |config| config.flow.is_user_bound());
        let is_shared = !case.separates_in_process() && !is_of_user;
        let failed = other.get_token(CallOptions::default()).is_err();
        differences.compare(&case, "error is shared", &failed, &is_shared);
        process.cache.clear();
    }
    differences.assert_none();
}

#[test]
fn processes_share_token_as_table_says() {
    let (server, _) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let processes = [new_process(), new_process()];
    let mut differences = Differences::default();
    for case in cases_with_token(&server) {
        // TLS and proxy have no effect on http.
        let is_transport = case.option.effect.kind == EffectKind::Transport || case.has_option("KeyStore");
        if case.method == AuthMethod::SignedJwt || is_transport {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let store = format!("file:{}", folder.path().join("store").display());
        let [one, other] = [0, 1].map(|index: usize| {
            connect(processes[index], &with_shared_cache(&case, &case.options[index], &store))
        });
        answer_with(&server, "one");
        let token = get(&one, &case);
        answer_with(&server, "other");
        let is_shared = !case.separates_entries();
        differences.compare(&case, "token is shared", &(get(&other, &case) == token), &is_shared);
        for process in processes {
            process.cache.clear();
        }
    }
    differences.assert_none();
}

/// Options with which the tokens of a login are requested. The login remains valid if they change: they are not whose
/// login it is, nor to what the user consented.
const KEPT_BY_LOGIN: &[OptionId] = &[
    OptionId::ClientSecret,
    OptionId::ClientCredentialsMode,
    OptionId::TokenParameters,
    OptionId::OAuthCode,
    OptionId::AuthHeader,
    OptionId::SecurityToken,
    OptionId::Provider,
    OptionId::RedirectURI,
    OptionId::LogoffURI,
    OptionId::KeyFileCheck,
    OptionId::AccessTokenLifetime,
    OptionId::CacheScope,
    OptionId::TokenCacheSecret,
];

#[test]
fn refresh_token_of_login_is_kept_as_table_says() {
    let (server, _) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let process = new_process();
    let mut differences = Differences::default();
    for case in cases_with_token(&server) {
        if case.method != AuthMethod::AuthorizationCode {
            continue;
        }
        let without_cache =
            |pairs: &Pairs| pairs.iter().filter(|(name, _)| *name != "TokenCache").cloned().collect();
        let connection = connect(process, &without_cache(&case.options[0]));
        answer_with(&server, "one");
        get(&connection, &case);
        let has_refresh_token = || connection.completed_string(true, false).reveal().contains("refresh-one");
        differences.compare(&case, "has a refresh token", &has_refresh_token(), &true);
        set(&connection, &without_cache(&case.change()));
        let is_transport = case.option.effect.kind == EffectKind::Transport;
        let is_kept = !case.separates() || is_transport || KEPT_BY_LOGIN.contains(&case.option.id);
        differences.compare(&case, "refresh token is kept", &has_refresh_token(), &is_kept);
    }
    differences.assert_none();
}

/// A connection with client credentials and further options, which take precedence.
fn client(more: &str, process: &'static Process) -> Connection {
    open_connection(&format!("{more};am=53;ClientID=c;ClientSecret=s;Scope=a b;TokenEndpoint={URL}"), process)
}

#[test]
fn equal_values_in_other_spelling_have_same_key() {
    let process = new_process();
    let key = |more: &str| cache_key(&client(more, process));
    for more in [
        "AuthenticationMethod=oauth2-client credentials",
        "AuthenticationMethod=24",
        "ClientCredentialsMode=1",
        "ClientCredentialsMode=basic",
        "Scope={a b}",
        "Scope='a b'",
        "oas= a b ",
        "ClientID='c'",
        "ClientSecret={s}",
        "LogoffURI=",
        "ValidateServerCertificate=1",
        "HostNameInCertificate=#servername#",
        "CryptoProtocolVersion={tlsv1.2, TLSv1.3}",
        "ProxyUser=u;ProxyPort=80",
        "CacheScope=process",
    ] {
        assert_eq!(key(more), key(""), "{more}");
    }
}

#[test]
fn values_of_which_server_decides_have_other_key() {
    let process = new_process();
    let key = |more: &str| cache_key(&client(more, process));
    for more in [
        "Scope=b a",
        "Scope=A b",
        "ClientID=C",
        "ClientSecret=S",
        "ClientSecret='s'",
        "ClientSecret={ s}",
        "TokenEndpoint=https://login.example/Token",
        "TokenEndpoint=https://login.example/token/",
        "TokenParameters=a=B",
        "AuthHeader=X;SecurityToken=t",
        "HostNameInCertificate=login.example",
    ] {
        assert_ne!(key(more), key(""), "{more}");
    }
}

#[test]
fn origin_of_value_does_not_change_key() {
    let process = new_process();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let pairs = [
        ("AuthenticationMethod", "53"),
        ("TokenURI", "POST https://login.example/token"),
        ("Scope", "a"),
        ("ClientID", "c"),
        ("ClientSecret", "s"),
    ];
    let lines = |separator: &str| {
        pairs.iter().map(|(name, value)| format!("{name}={value}{separator}")).collect::<String>()
    };
    write(".odbc.ini", &format!("[one]\n{}", lines("\n")));
    let file_dsn = write("one.dsn", &format!("[ODBC]\n{}", lines("\n")));
    let model = write(
        "one.rest",
        r##"{"#authenticationMethod": "53", "#tokenUri": "POST https://login.example/token", "#scope": "a"}"##,
    );
    let environment = FakeEnvironment { home: Some(folder.path().to_owned()), ..FakeEnvironment::default() };
    let open = |text: &str| Connection::open_with_process(text, &environment, Some(process)).unwrap();
    let by_call = open("");
    by_call.set_options(&pairs).unwrap();
    let by_reference = |reference: &str| {
        let connection = open(&lines(";"));
        connection.set_options(&[("ClientSecret", reference)]).unwrap();
        cache_key(&connection)
    };
    let secret_file = write("secret", "s\n");
    let expected = cache_key(&open(&lines(";")));
    for (origin, key) in [
        ("DSN", cache_key(&open("DSN=one"))),
        ("FILEDSN", cache_key(&open(&format!("FILEDSN={file_dsn}")))),
        ("model", cache_key(&open(&format!("RestConfigFile={model};ClientID=c;ClientSecret=s")))),
        ("set_option", cache_key(&by_call)),
        ("file:", by_reference(&format!("file:{secret_file}"))),
        ("literal:", by_reference("literal:s")),
    ] {
        assert_eq!(key, expected, "{origin}");
    }
    let path = std::env::var("PATH").unwrap();
    assert_eq!(by_reference("env:PATH"), by_reference(&format!("literal:{path}")));
    write("secret", "other");
    assert_ne!(by_reference(&format!("file:{secret_file}")), expected, "content of the file");
}

#[test]
fn tls_connection_is_reused_between_equal_settings() {
    let server = MockServer::start(mock_server::Config::https());
    server.set_default_behavior(Behavior::TokenAnswer(ONE_HOUR_TOKEN_JSON.to_owned()));
    let ca = server.ca_pem_path().display().to_string();
    let copy = files().source_with_content("ca.crt", &std::fs::read(server.ca_pem_path()).unwrap(), None);
    let copy = copy.files().next().unwrap().to_string();
    let (key, renewed) = (expand("{dir}/client.pem", URL), expand("{dir}/renewed-client.pem", URL));
    for (option, one, other, connections) in [
        ("Scope", "a", "b", 1),
        ("TrustStore", &ca, &copy, 2),
        ("ValidateServerCertificate", "1", "0", 2),
        ("HostNameInCertificate", "127.0.0.1", "localhost", 2),
        ("CryptoProtocolVersion", "TLSv1.2", "TLSv1.3", 2),
        ("KeyStore", &key, &renewed, 2),
    ] {
        let (process, before) = (new_process(), server.connection_count());
        for value in [one, other] {
            let endpoint = server.url("/oauth/token");
            let string = format!(
                "{option}={value};am=53;ClientID=c;ClientSecret=s;TokenEndpoint={endpoint};TrustStore={ca}"
            );
            let token = open_connection(&string, process).get_token(CallOptions::default());
            token.unwrap_or_else(|error| panic!("{option}={value}: {error}"));
        }
        assert_eq!(server.connection_count() - before, connections, "{option}");
    }
}
