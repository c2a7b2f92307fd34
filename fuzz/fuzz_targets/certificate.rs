//! The file of JWTCertificate, and that of TrustStore.

#![no_main]

use authgrant::base::file::ConfiguredPath;
use authgrant::key::{self, StorePurpose, TrustedCertificates};
use authgrant_fuzz::{check_error, files, has_canary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    if has_canary(content) {
        return;
    }
    let path = files::write("certificate", content);
    let key = files::write("key.pem", files::KEY.as_bytes());
    let mut source = files::key_source(&key, StorePurpose::Assertion);
    source.password = None;
    source.certificate = Some(ConfiguredPath::new(path.clone()));
    match key::open(&source) {
        Ok(key) => files::check_key(&key),
        Err(error) => check_error(&error),
    }
    let source = files::key_source(&path, StorePurpose::TrustStore);
    match key::read_trusted_certificates(&source, content.to_vec().into()) {
        TrustedCertificates::Found(Err(error)) => check_error(&error),
        TrustedCertificates::Found(Ok(_)) | TrustedCertificates::Pem(_) => {}
    }
});
