//! Decryption of key files: ciphers, digests, key derivation and its limits.

pub(super) mod algorithm;
pub(super) mod cipher;
pub(super) mod decrypt_error;
pub(super) mod digest;
pub(super) mod integrity;
pub(super) mod kdf_budget;
pub(super) mod password;
pub(super) mod pbe;
pub(super) mod rsa_primes;
pub(super) mod weak_encryption;
