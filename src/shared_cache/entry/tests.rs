//! Tests of the codec of entries.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use aws_lc_rs::aead::{LessSafeKey, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

fn identity(name: u8, key: u8) -> Identity {
    Identity { name: EntryName::from_digest([name; 32]), key: Zeroizing::new([key; 32]) }
}

#[derive(Default)]
struct TestClock {
    unix_seconds: AtomicI64,
    boot_millis: AtomicU64,
}

impl Clock for TestClock {
    fn unix_seconds(&self) -> i64 {
        self.unix_seconds.load(Ordering::SeqCst)
    }

    fn boot_time(&self) -> Duration {
        Duration::from_millis(self.boot_millis.load(Ordering::SeqCst))
    }
}

fn clock(unix_seconds: i64, boot_millis: u64) -> TestClock {
    TestClock { unix_seconds: unix_seconds.into(), boot_millis: boot_millis.into() }
}

fn cache_key() -> CacheKey {
    CacheKey::digest(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &"key")
}

fn token(clock: &dyn Clock) -> AccessToken {
    let field = |value: &str| Zeroizing::new(CString::new(value).unwrap());
    AccessToken {
        value: field("the-access-token"),
        scope: Some(CString::from(c"the-scope")),
        fields: BTreeMap::from([("instance_url".to_owned(), field("https://the-instance"))]),
        issued_at: clock.unix_seconds(),
        expires_at: Some(clock.unix_seconds() + 3600),
        cache_key: cache_key(),
        cache_state: CacheState::new(clock.boot_time()),
    }
}

fn refusal_error() -> Error {
    let kind = OAuthError {
        error: Some("invalid_grant".to_owned()),
        description: Some("the description".to_owned()),
        provider_code: Some("E42".to_owned()),
        http_status: NonZeroU16::new(401),
        retry_after: 30,
        ..OAuthReason::Throttled.into()
    };
    Error::new(kind, "token", "the text").with_cause(Cause::Server)
}

fn full_content(clock: &dyn Clock) -> Content {
    Content {
        token: Some(SharedToken::new(&token(clock))),
        refresh_token: Some(Text("the-refresh-token".to_owned())),
        is_spending: true,
        refusal: Refusal::new(&refusal_error(), 3),
        rejections: 4,
        failures: 5,
        machine: "the-machine".to_owned(),
        written_at: 1_700_000_000,
        ttl_millis: 0,
    }
}

fn stored(sealed: SealedEntry) -> StoredValue {
    StoredValue { bytes: sealed.bytes, ttl: sealed.ttl }
}

fn sealed_value() -> StoredValue {
    stored(seal(&identity(1, 1), 7, full_content(&clock(1000, 0)), &clock(1000, 0)).unwrap())
}

#[test]
fn all_fields_survive() {
    let writer = clock(1_000_000, 5_000);
    let entry = open(&identity(1, 1), &sealed_value()).unwrap();
    let reader = clock(2_000_000, 90_000);
    let read = entry.token(cache_key(), &reader).unwrap();
    let written = token(&writer);
    assert_eq!((&read.value, &read.scope, &read.fields), (&written.value, &written.scope, &written.fields));
    assert_eq!((read.issued_at, read.expires_at), (2_000_000, Some(2_003_600)));
    assert_eq!(read.cache_state.received_at(), Duration::from_secs(90));
    let origin = read.shared_origin().unwrap();
    assert_eq!((origin.machine.as_str(), origin.written_at), ("the-machine", 1_700_000_000));

    let Content { is_spending, rejections, failures, .. } = entry.content;
    assert_eq!((entry.generation, is_spending, rejections, failures), (7, true, 4, 5));
    assert_eq!(entry.refresh_token().unwrap().reveal(), "the-refresh-token");
    let error = entry.refusal().unwrap();
    assert_eq!(error.cause(), Cause::NegativeCache { age_secs: 0, retry_in_secs: 31 });
    assert_eq!((error.oauth_reason(), error.text()), (Some(OAuthReason::Throttled), "the text"));
    assert_eq!(
        (error.oauth_error(), error.oauth_description(), error.provider_code(), error.http_status()),
        (Some("invalid_grant".into()), Some("the description".into()), Some("E42".into()), 401)
    );
}

#[test]
fn every_reason_survives() {
    for reason in [
        OAuthReason::Denied,
        OAuthReason::ConsentRequired,
        OAuthReason::Throttled,
        OAuthReason::Server,
        OAuthReason::BadResponse,
        OAuthReason::Expired,
    ] {
        let error = Error::new(reason, "token", "no").with_cause(Cause::Server);
        let refusal = Refusal::new(&error, 0).unwrap();
        assert_eq!(refusal.to_error(Duration::ZERO).oauth_reason(), Some(reason));
    }
}

#[test]
fn token_without_expiry_has_none() {
    let clock = clock(1000, 0);
    let unknown = AccessToken { expires_at: None, scope: None, ..token(&clock) };
    let content = Content { token: Some(SharedToken::new(&unknown)), ..Content::default() };
    let sealed = seal(&identity(1, 1), 1, content, &clock).unwrap();
    assert_eq!(sealed.ttl, Duration::from_secs(900));
    let read = open(&identity(1, 1), &stored(sealed)).unwrap().token(cache_key(), &clock).unwrap();
    assert_eq!((read.expires_at, read.scope), (None, None));
}

#[test]
fn entry_lives_as_long_as_its_content() {
    let written = clock(1000, 0);
    let now = clock(1000, 600_000);
    let shared = || Some(SharedToken::new(&token(&written)));
    let refusal = || Refusal::new(&refusal_error(), 0);
    for (content, seconds) in [
        (Content::default(), 60 + 600),
        (Content { token: shared(), ..Content::default() }, 3000 + 600),
        (Content { refusal: refusal(), ..Content::default() }, 30 + 600),
        (Content { token: shared(), refusal: refusal(), ..Content::default() }, 3000 + 600),
        (Content { refresh_token: Some(Text("r".to_owned())), ..Content::default() }, 90 * 86_400),
    ] {
        assert_eq!(seal(&identity(1, 1), 1, content, &now).unwrap().ttl, Duration::from_secs(seconds));
    }
}

#[test]
fn age_is_kept_by_replacement() {
    let writer = clock(1000, 0);
    let content = Content { token: Some(SharedToken::new(&token(&writer))), ..Content::default() };
    let mut value = stored(seal(&identity(1, 1), 1, content, &clock(1000, 2_500)).unwrap());
    value.ttl -= Duration::from_millis(1_500);
    let entry = open(&identity(1, 1), &value).unwrap();
    assert_eq!(entry.token_age(), Some(Duration::from_secs(4)));
    // It is read at 70 s, and written again after a request of 5 s.
    let replaced = entry.carry_over(&clock(0, 70_000));
    let mut value = stored(seal(&identity(1, 1), 2, replaced, &clock(0, 75_000)).unwrap());
    value.ttl -= Duration::from_secs(1);
    let reader = clock(5000, 50_000);
    let read = open(&identity(1, 1), &value).unwrap().token(cache_key(), &reader).unwrap();
    assert_eq!(read.issued_at, 5000 - 10);
    assert_eq!(read.cache_state.received_at(), Duration::from_secs(40));
}

#[test]
fn every_changed_bit_is_refused() {
    let value = sealed_value();
    assert!(open(&identity(1, 1), &value).is_some());
    for index in 0..value.bytes.len() {
        for bit in 0..8 {
            let mut changed = value.clone();
            changed.bytes[index] ^= 1 << bit;
            assert!(open(&identity(1, 1), &changed).is_none(), "{index} {bit}");
        }
    }
    for len in 0..value.bytes.len() {
        let part = StoredValue { bytes: value.bytes[..len].to_vec(), ttl: value.ttl };
        assert!(open(&identity(1, 1), &part).is_none(), "{len}");
    }
}

#[test]
fn value_belongs_to_name_and_key() {
    let value = sealed_value();
    for (name, key) in [(1, 2), (2, 1), (2, 2)] {
        assert!(open(&identity(name, key), &value).is_none());
    }
}

#[test]
fn value_contains_no_plaintext() {
    let value = sealed_value();
    for secret in ["the-", "access_token", "instance_url", "machine", "invalid_grant"] {
        let found = value.bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{secret}");
    }
    assert_eq!(value.bytes[..9], [1, 0, 0, 0, 0, 0, 0, 0, 7]);
    assert_ne!(value.bytes[9..21], sealed_value().bytes[9..21], "the nonce is random");
}

#[test]
fn size_of_value_is_limited() {
    let content = |len: usize| Content { refresh_token: Some(Text("x".repeat(len))), ..Content::default() };
    let overhead = seal(&identity(1, 1), 1, content(0), &clock(0, 0)).unwrap().bytes.len();
    let longest = seal(&identity(1, 1), 1, content(MAX_VALUE_LEN - overhead), &clock(0, 0)).unwrap();
    assert_eq!(longest.bytes.len(), MAX_VALUE_LEN);
    assert!(seal(&identity(1, 1), 1, content(MAX_VALUE_LEN - overhead + 1), &clock(0, 0)).is_none());
}

/// Encrypts `json` as the content of an entry.
fn seal_json(json: &str) -> StoredValue {
    let Identity { name, key } = identity(1, 1);
    let (nonce, header) = ([9; NONCE_LEN], token_store::header(3));
    let mut text = json.as_bytes().to_vec();
    let aad = Aad::from(associated_data(&name, &header));
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*key).unwrap());
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text).unwrap();
    StoredValue { bytes: [&header[..], &nonce[..], &text[..]].concat(), ttl: Duration::from_secs(1) }
}

#[test]
fn members_of_later_releases_are_ignored() {
    let value = seal_json(
        r#"{"token":{"access_token":"a","scope":null,"fields":{},"lifetime_secs":60,"age_millis":0,"later":[1]},
            "refresh_token":null,"refusal":null,"machine":"m","written_at":1,"ttl_millis":1000,"later":{"x":true}}"#,
    );
    let entry = open(&identity(1, 1), &value).unwrap();
    assert_eq!(entry.token(cache_key(), &clock(0, 0)).unwrap().value.as_c_str(), c"a");
    assert!(!entry.content.is_spending && entry.content.rejections == 0 && entry.content.failures == 0);
    assert!(open(&identity(1, 1), &seal_json("{}")).is_none(), "a member is missing");
    assert!(open(&identity(1, 1), &seal_json("no JSON")).is_none());
}

#[test]
fn token_with_nul_is_not_used() {
    let value = seal_json(
        r#"{"token":{"access_token":"a\u0000b","scope":null,"fields":{},"lifetime_secs":60,"age_millis":0},
            "refresh_token":null,"refusal":null,"machine":"m","written_at":1,"ttl_millis":1000}"#,
    );
    assert!(open(&identity(1, 1), &value).unwrap().token(cache_key(), &clock(0, 0)).is_none());
}

/// A value as it was first written. Later releases must read it.
const PINNED: &str = "AQAAAAAAAAAHHY6LSjD0pCvq/1oo/sfBnCnxqpJOSHMJIuCPC+agBJI9yqyE79YCsZtHQ0zALRUr0oDDCkprZmq4HbFkbp6hCXpXZkMrqe348sm+A1xhR7kHL4zftAiPRzcvo+lk/Dnq4Ksc+sPDxnEtUnvfyjPij+8NBVNxluWdlrqSXc+GcfawgzL+7PxvjL+sd6ughNKZoNkUhoZezpg7dpoqILwdQIfeuhxzz3rHsNb8zwRqtI2d0Hxz/KaG00xx1oUZfDWBMqxRE7JVjawwCRrNn1xLw/VVKx3B9pU+UTt+m4iDfL1BP0nfT9byMSawbkXjBQQbNNpjAYyuuRWBMKmgdHaCQBhPl96XZ4xlVKWi15iHymwp2byZKNdMd30/CkYhiEKZGLDQWacvDwj2PraA70lTDen7D/+7AdeOCybFzXVeKABkbGy4MGBmsEWe6DTnh39Onuv4IDvCTVvhAs28Gb0Fcwuc4mBBP1OBHADUmMnD/HEB5tnXQJzGL21EJHEbamvX3LPF5TqPwRr6Peq7dVQcy/zlzbTa1tsg8sZGPdcov4MTtVDhkXXd5JTYrx2DFDCaiu9wwmncSxRoWzbSL6gjO4Lis5rrl3LCI2G7SMXlcRgZp3Ysg2pnUVu96teOk4eqaGaL5ISORdXMvZgNZr/uPLWD3zvfZ1Iq";

#[test]
fn value_of_first_release_is_read() {
    let bytes = STANDARD.decode(PINNED).unwrap();
    let ttl = Duration::from_secs(90 * 86_400);
    let entry = open(&identity(1, 1), &StoredValue { bytes, ttl }).unwrap();
    let token = entry.token(cache_key(), &clock(0, 0)).unwrap();
    assert_eq!((token.value.as_c_str(), token.scope.as_deref()), (c"the-access-token", Some(c"the-scope")));
    assert_eq!(token.field("instance_url"), Some(c"https://the-instance"));
    assert_eq!(token.expires_at, Some(3600));
    let Content { refresh_token, is_spending, rejections, failures, machine, written_at, .. } =
        &entry.content;
    assert_eq!(refresh_token.as_ref().unwrap().0, "the-refresh-token");
    assert_eq!((entry.generation, *is_spending, *rejections, *failures), (7, true, 4, 5));
    assert_eq!((machine.as_str(), *written_at), ("the-machine", 1_700_000_000));
    assert_eq!(entry.refusal().unwrap().provider_code().as_deref(), Some("E42"));
}

#[test]
fn generation_is_time_unless_a_later_one_was_seen() {
    let clock = clock(1_700_000_000, 0);
    assert_eq!(next_generation(0, &clock), 1_700_000_000_000);
    assert_eq!(next_generation(1_700_000_000_000, &clock), 1_700_000_000_001);
    assert_eq!(next_generation(1_800_000_000_000, &clock), 1_800_000_000_001);
    assert_eq!(next_generation(u64::MAX, &clock), u64::MAX);
}

#[test]
fn secrets_are_wiped() {
    fn assert_wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}
    let Content { token, refresh_token, .. } = full_content(&clock(0, 0));
    let token = token.unwrap();
    assert_wiped(&token.access_token);
    token.fields.values().for_each(assert_wiped);
    let mut refresh_token = refresh_token.unwrap();
    refresh_token.zeroize();
    assert_eq!(refresh_token.0, "");
}
