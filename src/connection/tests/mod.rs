#[cfg(test)]
pub(super) mod caching;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};

use authority::{Authority, Play};

use super::*;
use crate::base::clock::Clock;
use crate::base::jitter::{Fraction, Jitter};
use crate::key::fixtures::Place;
use crate::resolve;

/// A clock whose hands a test turns.
struct Hands {
    turned: Arc<Turned>,
}

#[derive(Default)]
struct Turned {
    seconds: AtomicI64,
    /// By how much the wall clock was set forward.
    set: AtomicI64,
    /// Seconds by which the coarse clock is late.
    late: AtomicI64,
}

impl Clock for Hands {
    fn unix_seconds(&self) -> i64 {
        let Turned { seconds, set, .. } = &*self.turned;
        1_000_000 + seconds.load(Ordering::SeqCst) + set.load(Ordering::SeqCst)
    }

    fn coarse_unix_seconds(&self) -> i64 {
        self.unix_seconds() - self.turned.late.load(Ordering::SeqCst)
    }

    fn boot_time(&self) -> Duration {
        Duration::from_secs(self.turned.seconds.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// So that seconds are exact.
const NO_JITTER: Jitter = Jitter::pinned(Fraction::new(0));

/// A connection in a process of its own.
pub(super) struct Bench {
    pub(super) connection: Connection,
    pub(super) process: &'static Process,
    turned: Arc<Turned>,
    pub(super) string: String,
    pub(super) store: PathBuf,
    _place: Place,
}

impl Bench {
    /// The coarse clock is late by `seconds`.
    pub(super) fn coarse_clock_is_late_by(&self, seconds: i64) {
        self.turned.late.store(seconds, Ordering::SeqCst);
    }

    /// So many seconds after the beginning.
    pub(super) fn at(&self, second: i64) {
        self.turned.seconds.store(second, Ordering::SeqCst);
    }

    /// The wall clock is set forward or back.
    pub(super) fn set_clock(&self, seconds: i64) {
        self.turned.set.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Another connection with the same string.
    pub(super) fn equal(&self) -> Connection {
        open(&self.string, self.process)
    }
}

pub(super) fn open(text: &str, process: &'static Process) -> Connection {
    Connection::open_within(text, &ProcessEnvironment, Some(process)).unwrap()
}

pub(super) fn bench(more: &str) -> Bench {
    let turned: Arc<Turned> = Arc::default();
    let hands = Hands { turned: Arc::clone(&turned) };
    let process: &Process = Box::leak(Box::new(Process::with_jitter(Box::new(hands), NO_JITTER)));
    let place = Place::new();
    let store = place.fixture("ec.pem", None);
    let store = store.files().next().unwrap();
    let string = format!("{more};am=55;ClaimsIssuer=me;JWTCertStore={{{store}}}");
    let connection = open(&string, process);
    let store = PathBuf::from(store.to_string());
    Bench { connection, process, turned, string, store, _place: place }
}

/// A server that answers every request with this token.
pub(super) fn server(answer: &str) -> (Authority, String) {
    let authority = Authority::start(authority::Config::http());
    authority.play_always(Play::TokenAnswer(answer.to_owned()));
    let endpoint = format!("TokenEndpoint={}", authority.url("/oauth/token"));
    (authority, endpoint)
}

pub(super) const HOUR: &str = r#"{"access_token":"at","token_type":"Bearer","expires_in":3600}"#;

fn value(token: &AccessToken) -> String {
    token.value().to_str().unwrap().to_owned()
}

#[test]
fn a_token_with_less_life_than_asked_for_is_replaced() {
    let bench = bench("");
    let get = |min_life| bench.connection.get_token(Wishes { min_life, ..Wishes::default() }).unwrap();
    let first = value(&get(0));
    bench.at(100);
    assert_eq!(value(&get(190)), first, "295 s less 100 s are left");
    assert_ne!(value(&get(200)), first);
}

#[test]
fn a_signed_jwt_of_a_short_life_is_kept_for_most_of_it() {
    let bench = bench("JWTLifetime=60");
    let get = || value(&bench.connection.get_token(Wishes::default()).unwrap());
    let first = get();
    bench.at(49);
    assert_eq!(get(), first);
    bench.at(50);
    assert_ne!(get(), first);
}

#[test]
fn without_network_a_token_with_less_life_than_asked_for_is_none() {
    let (_authority, endpoint) = server(HOUR);
    let bench = bench(&endpoint);
    bench.connection.get_token(Wishes::default()).unwrap();
    bench.at(600);
    let peek =
        |min_life| bench.connection.get_token(Wishes { min_life, no_network: true, ..Wishes::default() });
    assert_eq!(value(&peek(2999).unwrap()), "at");
    assert_eq!(peek(3000).unwrap_err().status(), Status::NotCached);
}

#[test]
fn after_a_clear_the_token_and_the_way_to_the_server_are_new() {
    let (authority, endpoint) = server(HOUR);
    let bench = bench(&endpoint);
    bench.connection.get_token(Wishes::default()).unwrap();
    bench.process.clear();
    bench.connection.get_token(Wishes::default()).unwrap();
    assert_eq!((authority.token_requests().len(), authority.connections()), (2, 2));
}

#[test]
fn the_same_warning_is_told_once() {
    let (authority, endpoint) = server(r#"{"access_token":"at"}"#);
    let bench = bench(&endpoint);
    for scope in ["one", "two"] {
        bench.connection.set_options(&[("Scope", scope)]).unwrap();
        bench.connection.get_token(Wishes::default()).unwrap();
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
fn the_timeout_of_a_call_outranks_login_timeout() {
    let bench = bench("LoginTimeout=15");
    let config = bench.connection.snapshot.load_full();
    let limit = |timeout| {
        let wishes = Wishes { timeout, ..Wishes::default() };
        bench.connection.call(config.config().unwrap(), wishes).timeout.to_string()
    };
    assert_eq!(limit(None), "15 s (LoginTimeout)");
    assert_eq!(limit(Some(Duration::from_millis(1500))), "1.5 s (the call's timeout)");
}

/// Every option that a token depends on.
const FULL: &str = "am=55;ClaimsIssuer=i;ClaimsSubject=s;ClaimsAudience=a;JWTCertStore=k.jks;JWTCertPassword=p;\
    JWTCertAlias=x;JWTCertKeyPassword=q;JWTAlgorithm=RS256;JWTLifetime=100;TokenURI=https://example.com/t;Scope=c;\
    ScopeIn=Both;ClientID=d;ClientSecret=e;ClientCredentialsMode=3;AuthHeader=X;SecurityToken=1;TrustStore=t.pem";

/// The identity of the token of `FULL` with `first` in front, where it outranks what comes later.
fn identity_with(first: &str) -> CacheKey {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"test");
    let options = Options::parse(&format!("{first};{FULL}")).unwrap();
    let config = resolve::resolve(&options).config.unwrap_or_else(|error| panic!("{first}: {error}"));
    CacheKey::digest(&key, &config.flow)
}

#[test]
fn whatever_makes_a_token_another_makes_its_identity_another() {
    let mut known = HashMap::from([(identity_with(""), "")]);
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
        if let Some(same) = known.insert(identity_with(first), first) {
            panic!("\"{first}\" has the identity of \"{same}\"");
        }
    }
}

#[test]
fn what_does_not_change_a_token_leaves_its_identity() {
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
        assert_eq!(identity_with(first), identity_with(""), "{first}");
    }
}
