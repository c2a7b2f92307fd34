//! Readers of key files, one per format.

pub(super) mod java_serialization;
pub(super) mod jks;
pub(super) mod json;
pub(super) mod jwk;
pub(super) mod pem;
pub(super) mod pem_encryption;
pub(super) mod pkcs12;
