#[cfg(test)]
pub(super) mod caching;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};

use mock_server::{Behavior, MockServer};

use super::*;
use crate::base::clock::Clock;
use crate::base::jitter::{Fraction, Jitter};
use crate::key::fixtures::KeyDir;
use crate::resolve;

/// A clock whose hands a test turns.
struct ManualClock {
    state: Arc<ManualClockState>,
}

#[derive(Default)]
struct ManualClockState {
    elapsed_secs: AtomicI64,
    /// By how much the wall clock was set forward.
    wall_clock_offset_secs: AtomicI64,
    /// Seconds by which the coarse clock is late.
    coarse_lag_secs: AtomicI64,
}

impl Clock for ManualClock {
    fn unix_seconds(&self) -> i64 {
        let ManualClockState { elapsed_secs: seconds, wall_clock_offset_secs: set, .. } = &*self.state;
        1_000_000 + seconds.load(Ordering::SeqCst) + set.load(Ordering::SeqCst)
    }

    fn coarse_unix_seconds(&self) -> i64 {
        self.unix_seconds() - self.state.coarse_lag_secs.load(Ordering::SeqCst)
    }

    fn boot_time(&self) -> Duration {
        Duration::from_secs(self.state.elapsed_secs.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// So that seconds are exact.
const NO_JITTER: Jitter = Jitter::pinned(Fraction::new(0));

/// A connection in a process of its own.
pub(super) struct ConnectionFixture {
    pub(super) connection: Connection,
    pub(super) process: &'static Process,
    clock_state: Arc<ManualClockState>,
    pub(super) connection_string: String,
    pub(super) key_file: PathBuf,
    _key_dir: KeyDir,
}

impl ConnectionFixture {
    /// The coarse clock is late by `seconds`.
    pub(super) fn set_coarse_clock_lag(&self, seconds: i64) {
        self.clock_state.coarse_lag_secs.store(seconds, Ordering::SeqCst);
    }

    /// So many seconds after the beginning.
    pub(super) fn advance_to(&self, second: i64) {
        self.clock_state.elapsed_secs.store(second, Ordering::SeqCst);
    }

    /// The wall clock is set forward or back.
    pub(super) fn shift_wall_clock(&self, seconds: i64) {
        self.clock_state.wall_clock_offset_secs.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Another connection with the same string.
    pub(super) fn open_equal_connection(&self) -> Connection {
        open_connection(&self.connection_string, self.process)
    }
}

pub(super) fn open_connection(text: &str, process: &'static Process) -> Connection {
    Connection::open_with_process(text, &ProcessEnvironment, Some(process)).unwrap()
}

pub(super) fn fixture(more: &str) -> ConnectionFixture {
    let turned: Arc<ManualClockState> = Arc::default();
    let hands = ManualClock { state: Arc::clone(&turned) };
    let process: &Process = Box::leak(Box::new(Process::with_jitter(Box::new(hands), NO_JITTER)));
    let place = KeyDir::new();
    let store = place.fixture("ec.pem", None);
    let store = store.files().next().unwrap();
    let string = format!("{more};am=55;ClaimsIssuer=me;JWTCertStore={{{store}}}");
    let connection = open_connection(&string, process);
    let store = PathBuf::from(store.to_string());
    ConnectionFixture {
        connection,
        process,
        clock_state: turned,
        connection_string: string,
        key_file: store,
        _key_dir: place,
    }
}

/// A server that answers every request with this token.
pub(super) fn start_token_server(answer: &str) -> (MockServer, String) {
    let authority = MockServer::start(mock_server::Config::http());
    authority.set_default_behavior(Behavior::TokenAnswer(answer.to_owned()));
    let endpoint = format!("TokenEndpoint={}", authority.url("/oauth/token"));
    (authority, endpoint)
}

pub(super) const ONE_HOUR_TOKEN_JSON: &str =
    r#"{"access_token":"at","token_type":"Bearer","expires_in":3600}"#;

fn token_value(token: &AccessToken) -> String {
    token.value().to_str().unwrap().to_owned()
}

#[test]
fn token_below_min_remaining_is_replaced() {
    let bench = fixture("");
    let get = |min_life| {
        bench.connection.get_token(CallOptions { min_remaining: min_life, ..CallOptions::default() }).unwrap()
    };
    let first = token_value(&get(0));
    bench.advance_to(100);
    assert_eq!(token_value(&get(190)), first, "295 s less 100 s are left");
    assert_ne!(token_value(&get(200)), first);
}

#[test]
fn short_lived_jwt_is_reused_until_margin() {
    let bench = fixture("JWTLifetime=60");
    let get = || token_value(&bench.connection.get_token(CallOptions::default()).unwrap());
    let first = get();
    bench.advance_to(49);
    assert_eq!(get(), first);
    bench.advance_to(50);
    assert_ne!(get(), first);
}

#[test]
fn no_network_rejects_token_below_min_remaining() {
    let (_authority, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let bench = fixture(&endpoint);
    bench.connection.get_token(CallOptions::default()).unwrap();
    bench.advance_to(600);
    let peek = |min_life| {
        bench.connection.get_token(CallOptions {
            min_remaining: min_life,
            no_network: true,
            ..CallOptions::default()
        })
    };
    assert_eq!(token_value(&peek(2999).unwrap()), "at");
    assert_eq!(peek(3000).unwrap_err().status(), Status::NotCached);
}

#[test]
fn clear_discards_token_and_idle_connection() {
    let (authority, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
    let bench = fixture(&endpoint);
    bench.connection.get_token(CallOptions::default()).unwrap();
    bench.process.clear();
    bench.connection.get_token(CallOptions::default()).unwrap();
    assert_eq!((authority.token_requests().len(), authority.connection_count()), (2, 2));
}

#[test]
fn repeated_warning_is_recorded_once() {
    let (authority, endpoint) = start_token_server(r#"{"access_token":"at"}"#);
    let bench = fixture(&endpoint);
    for scope in ["one", "two"] {
        bench.connection.set_options(&[("Scope", scope)]).unwrap();
        bench.connection.get_token(CallOptions::default()).unwrap();
    }
    assert_eq!(authority.token_requests().len(), 2);
    let warnings = bench.connection.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].message().contains("token_type") && warnings[0].sqlstate() == "01000",
        "{warnings:?}"
    );
}

#[test]
fn call_timeout_overrides_login_timeout() {
    let bench = fixture("LoginTimeout=15");
    let config = bench.connection.snapshot.load_revalidated();
    let limit = |timeout| {
        let wishes = CallOptions { timeout, ..CallOptions::default() };
        bench.connection.begin_call(config.config().unwrap(), wishes).timeout.to_string()
    };
    assert_eq!(limit(None), "15 s (LoginTimeout)");
    assert_eq!(limit(Some(Duration::from_millis(1500))), "1.5 s (the call's timeout)");
}

/// Every option that a token depends on.
const FULL_CONNECTION_STRING: &str = "am=55;ClaimsIssuer=i;ClaimsSubject=s;ClaimsAudience=a;JWTCertStore=k.jks;JWTCertPassword=p;\
    JWTCertAlias=x;JWTCertKeyPassword=q;JWTAlgorithm=RS256;JWTLifetime=100;TokenURI=https://example.com/t;Scope=c;\
    ScopeIn=Both;ClientID=d;ClientSecret=e;ClientCredentialsMode=3;AuthHeader=X;SecurityToken=1;TrustStore=t.pem";

/// The identity of the token of `FULL` with `first` in front, where it outranks what comes later.
fn cache_key_with(first: &str) -> CacheKey {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"test");
    let options = Options::parse(&format!("{first};{FULL_CONNECTION_STRING}")).unwrap();
    let config = resolve::resolve(&options).config.unwrap_or_else(|error| panic!("{first}: {error}"));
    CacheKey::digest(&key, &config.flow)
}

#[test]
fn cache_key_differs_by_token_options() {
    let mut known = HashMap::from([(cache_key_with(""), "")]);
    for first in [
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
        "TokenURI=",
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
        if let Some(same) = known.insert(cache_key_with(first), first) {
            panic!("\"{first}\" has the identity of \"{same}\"");
        }
    }
}

#[test]
fn cache_key_ignores_unrelated_options() {
    for first in [
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
        assert_eq!(cache_key_with(first), cache_key_with(""), "{first}");
    }
}
