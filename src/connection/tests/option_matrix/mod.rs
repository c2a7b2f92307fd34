//! What connections share that differ in one option, for each authentication method and each option of the table:
//! a token, an error, a refresh token, an entry of TokenCache or a TLS connection exactly if the table says that the
//! option does not separate them.

mod samples;

use std::fmt::Debug;

use mock_server::{Behavior, MockServer};

use super::{ONE_HOUR_TOKEN_JSON, open_connection, start_token_server, token_value};
use crate::base::cache_key::CacheKey;
use crate::base::clock::SystemClock;
use crate::connection::{CallOptions, Connection};
use crate::key::KeyCache;
use crate::net::tls::TransportConfig;
use crate::options::environment::testing::FakeEnvironment;
use crate::options::{AuthMethod, DriverKeywords, EffectKind, OptionId};
use crate::process::Process;
use crate::resolve::Config;
use crate::shared_cache::{Sharing, identify};

use samples::{Case, PROMPTED, Pairs, RANDOM, cases, expand, files};

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
    let open = |text: &str| {
        Connection::open_with_process(text, &DriverKeywords::default(), &environment, Some(process)).unwrap()
    };
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
