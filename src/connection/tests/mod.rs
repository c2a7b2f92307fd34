//! Tests of connections: options that affect a token, the cache key, and call options.

#[cfg(test)]
pub(super) mod caching;
#[cfg(test)]
mod option_matrix;
#[cfg(test)]
mod snapshots;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};

use mock_server::{Behavior, MockServer};

use super::*;
use crate::base::clock::Clock;
use crate::base::error::Status;
use crate::base::jitter::{Fraction, Jitter};
use crate::key::fixtures::KeyDir;
use crate::resolve;

/// A clock that a test sets.
struct ManualClock {
    state: Arc<ManualClockState>,
}

#[derive(Default)]
struct ManualClockState {
    elapsed_secs: AtomicI64,
    /// Seconds by which the wall clock was set forward.
    wall_clock_offset_secs: AtomicI64,
    /// Seconds by which the coarse clock lags.
    coarse_lag_secs: AtomicI64,
}

impl Clock for ManualClock {
    fn unix_seconds(&self) -> i64 {
        let ManualClockState { elapsed_secs, wall_clock_offset_secs, .. } = &*self.state;
        1_000_000 + elapsed_secs.load(Ordering::SeqCst) + wall_clock_offset_secs.load(Ordering::SeqCst)
    }

    fn coarse_unix_seconds(&self) -> i64 {
        self.unix_seconds() - self.state.coarse_lag_secs.load(Ordering::SeqCst)
    }

    fn boot_time(&self) -> Duration {
        Duration::from_secs(self.state.elapsed_secs.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// Makes the times of renewals and retries exact.
const NO_JITTER: Jitter = Jitter::pinned(Fraction::new(0));

/// A connection with its own [`Process`] and a manual clock.
pub(super) struct ConnectionFixture {
    pub(super) connection: Connection,
    pub(super) process: &'static Process,
    clock_state: Arc<ManualClockState>,
    pub(super) connection_string: String,
    pub(super) key_file: PathBuf,
    _key_dir: KeyDir,
}

impl ConnectionFixture {
    /// Makes the coarse clock lag by `seconds`.
    pub(super) fn set_coarse_clock_lag(&self, seconds: i64) {
        self.clock_state.coarse_lag_secs.store(seconds, Ordering::SeqCst);
    }

    /// Sets the time to `second` seconds after the start of the test.
    pub(super) fn advance_to(&self, second: i64) {
        self.clock_state.elapsed_secs.store(second, Ordering::SeqCst);
    }

    /// Sets the wall clock forward or back.
    pub(super) fn shift_wall_clock(&self, seconds: i64) {
        self.clock_state.wall_clock_offset_secs.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Opens another connection with the same connection string.
    pub(super) fn open_equal_connection(&self) -> Connection {
        open_connection(&self.connection_string, self.process)
    }
}

pub(super) fn open_connection(string: &str, process: &'static Process) -> Connection {
    Connection::open_with_process(string, &DriverKeywords::default(), &ProcessEnvironment, Some(process))
        .unwrap()
}

/// Opens a connection with `options` and a local signing key.
pub(super) fn fixture(options: &str) -> ConnectionFixture {
    let clock_state: Arc<ManualClockState> = Arc::default();
    let clock = ManualClock { state: Arc::clone(&clock_state) };
    let process: &Process = Box::leak(Box::new(Process::with_jitter(Box::new(clock), NO_JITTER)));
    let key_dir = KeyDir::new();
    let key_source = key_dir.fixture("ec.pem", None);
    let key_file = key_source.files().next().unwrap();
    let connection_string = format!(
        "{options};am=55;ClaimsIssuer=me;ClaimsSubject=u;ClaimsAudience=a;JWTCertStore={{{key_file}}}"
    );
    let connection = open_connection(&connection_string, process);
    let key_file = PathBuf::from(key_file.to_string());
    ConnectionFixture { connection, process, clock_state, connection_string, key_file, _key_dir: key_dir }
}

/// Starts a server that answers every request with the token response `json`. Also returns the TokenEndpoint
/// option.
pub(super) fn start_token_server(json: &str) -> (MockServer, String) {
    let server = MockServer::start(mock_server::Config::http());
    server.set_default_behavior(Behavior::TokenAnswer(json.to_owned()));
    let endpoint = format!("TokenEndpoint={}", server.url("/oauth/token"));
    (server, endpoint)
}

pub(super) const ONE_HOUR_TOKEN_JSON: &str =
    r#"{"access_token":"at","token_type":"Bearer","expires_in":3600}"#;

fn token_value(token: &AccessToken) -> String {
    token.value().to_str().unwrap().to_owned()
}

#[test]
fn token_below_min_remaining_is_replaced() {
    let fixture = fixture("");
    let get = |min_remaining| {
        fixture.connection.get_token(CallOptions { min_remaining, ..CallOptions::default() }).unwrap()
    };
    let first = token_value(&get(0));
    fixture.advance_to(100);
    assert_eq!(token_value(&get(190)), first, "195 s of 295 s remain");
    assert_ne!(token_value(&get(200)), first);
}

#[test]
fn short_lived_jwt_is_reused_until_margin() {
    let fixture = fixture("JWTLifetime=60");
    let get = || token_value(&fixture.connection.get_token(CallOptions::default()).unwrap());
    let first = get();
    fixture.advance_to(49);
    assert_eq!(get(), first);
    fixture.advance_to(50);
    assert_ne!(get(), first);
}

#[test]
fn no_network_rejects_token_below_min_remaining() {
    let (_server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let fixture = fixture(&endpoint);
    fixture.connection.get_token(CallOptions::default()).unwrap();
    fixture.advance_to(600);
    let peek = |min_remaining| {
        fixture.connection.get_token(CallOptions {
            min_remaining,
            no_network: true,
            ..CallOptions::default()
        })
    };
    assert_eq!(token_value(&peek(2999).unwrap()), "at");
    assert_eq!(peek(3000).unwrap_err().status(), Status::NotCached);
}

#[test]
fn clear_discards_token_and_idle_connection() {
    let (server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let fixture = fixture(&endpoint);
    fixture.connection.get_token(CallOptions::default()).unwrap();
    fixture.process.clear();
    fixture.connection.get_token(CallOptions::default()).unwrap();
    assert_eq!((server.token_requests().len(), server.connection_count()), (2, 2));
}

#[test]
fn repeated_warning_is_recorded_once() {
    let (server, endpoint) = start_token_server(r#"{"access_token":"at"}"#);
    let fixture = fixture(&endpoint);
    for scope in ["one", "two"] {
        fixture.connection.set_options(&[("Scope", scope)]).unwrap();
        fixture.connection.get_token(CallOptions::default()).unwrap();
    }
    assert_eq!(server.token_requests().len(), 2);
    let warnings = fixture.connection.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].message().contains("token_type") && warnings[0].sqlstate() == "01000",
        "{warnings:?}"
    );
}

#[test]
fn call_timeout_overrides_login_timeout() {
    let fixture = fixture("LoginTimeout=15");
    let snapshot = fixture.connection.snapshot.load_revalidated();
    let limit = |timeout| {
        let call_options = CallOptions { timeout, ..CallOptions::default() };
        fixture.connection.begin_call(snapshot.config().unwrap(), call_options).timeout.to_string()
    };
    assert_eq!(limit(None), "15 s (LoginTimeout)");
    assert_eq!(limit(Some(Duration::from_millis(1500))), "1.5 s (the call's timeout)");
}

/// Options that affect the token.
const FULL_CONNECTION_STRING: &str = "\
    am=55;ClaimsIssuer=i;ClaimsSubject=s;ClaimsAudience=a;JWTCertStore=k.jks;JWTCertPassword=p;\
    JWTCertAlias=x;JWTCertKeyPassword=q;JWTAlgorithm=RS256;JWTLifetime=100;\
    TokenURI=https://example.com/t;Scope=c;ScopeIn=Both;ClientID=d;ClientSecret=e;\
    ClientCredentialsMode=3;AuthHeader=X;SecurityToken=1;TrustStore=t.pem";

/// Cache key of [`FULL_CONNECTION_STRING`] with `options` as a prefix, which takes precedence.
fn cache_key_with(options: &str) -> CacheKey {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"test");
    let parsed = Options::parse(&format!("{options};{FULL_CONNECTION_STRING}")).unwrap();
    let config = resolve::resolve(&parsed).config.unwrap_or_else(|error| panic!("{options}: {error}"));
    CacheKey::digest(&key, &config.flow)
}

#[test]
fn cache_key_differs_by_token_options() {
    let mut seen = HashMap::from([(cache_key_with(""), "")]);
    for options in [
        "ClaimsIssuer=other",
        "ClaimsSubject=other",
        "ClaimsSubject=",
        "ClaimsAudience=other",
        "ClaimsAudience=",
        "JWTCertStore=other",
        "JWTCertPassword=other",
        "JWTCertPassword=",
        "JWTCertAlias=other",
        "JWTCertAlias=",
        "JWTCertKeyPassword=other",
        "JWTCertKeyPassword=",
        "JWTAlgorithm=PS256",
        "JWTAlgorithm=",
        "JWTLifetime=101",
        "JWTLifetime=",
        "TokenURI=https://example.com/T",
        "TokenURI=https://example.com:444/t",
        "TokenURI=https://example.com/t?a=1",
        "AuthenticationMethod=JWT;TokenURI=",
        "Scope=other",
        "Scope=",
        "ScopeIn=Claim",
        "ScopeIn=Parameter",
        "ClientID=other",
        "ClientSecret=other",
        "ClientCredentialsMode=0",
        "ClientCredentialsMode=",
        "ClientCredentialsMode=;TokenURI=GET https://example.com/t",
        "ClientCredentialsMode=;TokenURI=POST https://example.com/t",
        "AuthHeader=Y",
        "SecurityToken=2",
        "AuthHeader=;SecurityToken=",
        "TrustStore=other.pem",
        "TrustStore=",
        "ValidateServerCertificate=0",
        "TrustStorePassword=a",
        "TrustStorePassword=b",
        "HostNameInCertificate=a",
        "HostNameInCertificate=b",
        "CryptoProtocolVersion=TLSv1.2",
        "CryptoProtocolVersion=TLSv1.3",
        "KeyStore=a",
        "KeyStore=b",
        "KeyStore=a;KeyStorePassword=a",
        "KeyStore=a;KeyStorePassword=b",
        "KeyStore=a;KeyPassword=a",
        "KeyStore=a;KeyStoreAlias=a",
        "ProxyHost=a",
        "ProxyHost=b",
        "ProxyHost=socks5://a;ProxyPort=80",
        "ProxyHost=a;ProxyPort=81",
        "ProxyHost=a;ProxyUser=a",
        "ProxyHost=a;ProxyUser=b",
        "ProxyHost=a;ProxyUser=a;ProxyPassword=a",
    ] {
        if let Some(same) = seen.insert(cache_key_with(options), options) {
            panic!("\"{options}\" has the cache key of \"{same}\"");
        }
    }
}

#[test]
fn cache_key_ignores_unrelated_options() {
    for options in [
        "LoginTimeout=5",
        "RedirectURI=http://localhost:1",
        "AuthURI=https://example.com/auth",
        "RestConfigFile=/nowhere",
        "RestSamplePath=/x",
        "LogConfigFile=/x",
        "WSRetryCount=3",
        "Driver=x;Description=y;DataSourceName=z",
        "ValidateServerCertificate=1",
        "HostNameInCertificate=#SERVERNAME#",
        "CryptoProtocolVersion=TLSv1.3,TLSv1.2",
        "ProxyHost=a;ProxyMode=0",
        "KeyStorePassword=a;ProxyUser=a",
        "AuthenticationMethod=OAuth2-JWTBearer",
        "JWTAlgorithm=rs256",
        "cliss=i",
        "Nonsense=1",
    ] {
        assert_eq!(cache_key_with(options), cache_key_with(""), "{options}");
    }
}
