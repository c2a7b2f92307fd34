//! JSON objects of claims and headers, JSON Web Tokens of others, and ClientAssertionFile.

#![no_main]

use authgrant::jwt::RawObject;
use authgrant::token::{unverified_jwt_exp, unverified_jwt_nonce};
use authgrant_fuzz::check_text;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match RawObject::parse(text) {
        Ok(object) => check_object(&object),
        Err(reason) => check_text(&reason),
    }
    let _ = (unverified_jwt_exp(text), unverified_jwt_nonce(text));
});

/// Checks that the members are those of the object that is written with them.
fn check_object(object: &RawObject) {
    let member = |name: &str| format!("{}:{}", serde_json::Value::from(name), object.get_raw(name).unwrap());
    let members: Vec<_> = object.names().map(member).collect();
    let again = RawObject::parse(&format!("{{{}}}", members.join(","))).unwrap();
    assert_eq!(&again, object);
    for name in object.names() {
        let _ = (object.get_string(name), object.get_timestamp(name));
    }
}
