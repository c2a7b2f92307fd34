//! Keys in PEM and in DER: PKCS#8, PKCS#1 and SEC1, encrypted or not.

#![no_main]

use authgrant_fuzz::files::check_key_file;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| check_key_file(content));
