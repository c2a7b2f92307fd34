//! Keys in JSON: JSON Web Keys and sets of them, files of Google and Box.

#![no_main]

use authgrant_fuzz::files::check_key_file;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| check_key_file(content));
