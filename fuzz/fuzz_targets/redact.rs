//! A secret (first line) in a text of a server, which repeats it in some encoding.

#![no_main]

use authgrant::base::redact::Redactor;
use authgrant::base::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;

/// Encodings in which a server may repeat a secret.
const ENCODINGS: [fn(&str) -> String; 6] = [
    str::to_owned,
    |secret| secret.bytes().map(|byte| format!("%{byte:02x}")).collect(),
    |secret| secret.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect(),
    |secret| secret.chars().map(|c| format!("&#{};", u32::from(c))).collect(),
    |secret| STANDARD.encode(secret),
    |secret| URL_SAFE_NO_PAD.encode(secret),
];

fuzz_target!(|text: &str| {
    let Some((secret, rest)) = text.split_once('\n') else { return };
    // A shorter one suppresses the text, and asterisks are what it is replaced with.
    let is_usual =
        (8..200).contains(&secret.len()) && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let redactor = Redactor::new([Secret::from(secret)].iter());
    let redacted = redactor.redact(rest);
    if !is_usual {
        return;
    }
    assert!(!redacted.contains(secret), "{redacted:?}");
    let (before, after) = rest.split_at(rest.floor_char_boundary(rest.len() / 2));
    for encode in ENCODINGS {
        let encoded = encode(secret);
        let redacted = redactor.redact(&format!("{before} {encoded} {after}"));
        assert!(!redacted.contains(&encoded), "{encoded} in {redacted:?}");
    }
});
