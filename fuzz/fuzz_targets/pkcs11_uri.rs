//! The URI of a key on a token (RFC 7512).

#![no_main]

use authgrant::key::Pkcs11Uri;
use authgrant_fuzz::{CANARY, CANARY_MARK, check_text, has_canary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if has_canary(text) {
        return;
    }
    if let Ok(uri) = Pkcs11Uri::parse(text) {
        assert!(Pkcs11Uri::has_scheme(text) && !Pkcs11Uri::has_pin(text));
        assert_eq!(uri.as_configured(), text);
        uri.ignored_attributes().iter().for_each(|name| check_text(name));
        assert!(uri.module_path().is_none_or(|path| path.is_absolute()));
        // The attributes select the same key in any order.
        if let Some((path, "")) = text.split_once('?').or(Some((text, ""))) {
            let mut parts: Vec<_> = path["pkcs11:".len()..].split(';').collect();
            parts.reverse();
            let reversed = Pkcs11Uri::parse(&format!("pkcs11:{}", parts.join(";"))).unwrap();
            assert_eq!(reversed.key_attributes(), uri.key_attributes());
        }
    }
    // A value is in no message; the name of an attribute may be.
    let planted = text.replace(&format!("={CANARY_MARK}"), &format!("={CANARY}"));
    if let Err(reason) = Pkcs11Uri::parse(&planted) {
        check_text(&reason);
    }
});
