//! PKCS#12 stores, also those whose MAC is wrong.

#![no_main]

use authgrant_fuzz::files::check_key_file;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| check_key_file(content));
