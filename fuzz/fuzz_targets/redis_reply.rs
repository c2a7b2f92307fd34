//! What a Redis server sends.

#![no_main]

use std::sync::LazyLock;

use authgrant::base::secret::Secret;
use authgrant::token_store::fuzzing::{Received, decode_redis_reply, redis_error};
use authgrant::token_store::{RedisLocation, StoreLocation};
use authgrant_fuzz::{CANARY, CANARY_MARK, check_error, has_canary};
use libfuzzer_sys::fuzz_target;

static LOCATION: LazyLock<RedisLocation> =
    LazyLock::new(|| match StoreLocation::parse("redis://redis.example") {
        Ok(StoreLocation::Redis(location)) => {
            RedisLocation { password: Some(Secret::from(CANARY)), ..*location }
        }
        _ => unreachable!("a URL of Redis"),
    });

fuzz_target!(|bytes: &[u8]| {
    if has_canary(bytes) {
        return;
    }
    let Received::Reply(length, error) = decode_redis_reply(bytes) else { return };
    assert!((1..=bytes.len()).contains(&length));
    assert_eq!(decode_redis_reply(&bytes[..length]), Received::Reply(length, error.clone()));
    // The reply may be received in parts.
    for received in [length / 2, length - 1] {
        assert_eq!(
            decode_redis_reply(&bytes[..received]),
            Received::Incomplete,
            "{received} of {length} bytes"
        );
    }
    if let Some(text) = error {
        check_error(&redis_error(&text.replace(CANARY_MARK, CANARY), &LOCATION).unwrap());
    }
});
