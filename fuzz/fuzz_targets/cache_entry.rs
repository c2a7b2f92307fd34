//! Shared entries as read from a store: files of a folder, values, and decrypted content.

#![no_main]

use std::time::Duration;

use authgrant::base::clock::Clock;
use authgrant::shared_cache::fuzzing::{Entry, constant_identity, encrypt};
use authgrant::token_store::fuzzing::{decode_entry_file, encode_entry_file};
use authgrant::token_store::{StoredValue, generation};
use authgrant_fuzz::{check_error, has_canary};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const TTL: Duration = Duration::from_secs(60);

fuzz_target!(|bytes: &[u8]| {
    if has_canary(bytes) {
        return;
    }
    let identity = constant_identity();
    if let Some((end, value)) = decode_entry_file(bytes) {
        assert_eq!(encode_entry_file(value, end), bytes);
        let _ = Entry::open(&identity, &StoredValue { bytes: value.to_vec(), ttl: TTL });
    }
    let encrypted = encrypt(&identity, 7, bytes).unwrap();
    assert_eq!(generation(&encrypted), Some(7));
    let Some(entry) = Entry::open(&identity, &StoredValue { bytes: encrypted, ttl: TTL }) else { return };
    if let Some(token) = entry.token(&ConstantClock) {
        assert!(!token.value().to_bytes().contains(&0));
    }
    if let Some(error) = entry.refusal() {
        check_error(&error);
    }
    let _ = entry.refresh_token();
    let Some(sealed) = entry.seal(&identity, &ConstantClock) else { return };
    let again = Entry::open(&identity, &sealed).expect("an entry opens that was sealed");
    assert_eq!((again.generation(), content(&again)), (entry.generation(), content(&entry)));
});

/// The content without the times of the write.
fn content(entry: &Entry) -> Value {
    let mut content: Value = serde_json::from_str(&entry.to_json().unwrap()).unwrap();
    content["ttl_millis"] = Value::Null;
    if let Some(token) = content.get_mut("token").filter(|token| token.is_object()) {
        token["age_millis"] = Value::Null;
    }
    content
}

struct ConstantClock;

impl Clock for ConstantClock {
    fn unix_seconds(&self) -> i64 {
        1_800_000_000
    }

    fn boot_time(&self) -> Duration {
        Duration::from_secs(1000)
    }
}
