//! Process policy: what connection strings may do.

use std::ffi::c_char;

use crate::base::policy::{AllowedDirectories, Policy};
use crate::ffi::error::ErrorObject;
use crate::ffi::status::authgrant_status;

/// Permission of authgrant_set_policy(): secrets as `env:NAME` and `file:PATH`, and ClientAssertionFile, in a
/// connection string and in a FILEDSN that it names by path. Without it they are accepted only from
/// authgrant_set_option(), from odbc.ini and from the FILEDSNs of the machine.
pub const AUTHGRANT_ALLOW_SECRET_REFERENCES: u32 = 1;
/// Permission of authgrant_set_policy(): a PKCS#11 module that a connection string or a FILEDSN names by path
/// (module-path). A module is code that runs in this process. authgrant_set_option() and odbc.ini may always
/// name one. No effect if the library is built without PKCS#11.
pub const AUTHGRANT_ALLOW_PKCS11_MODULE_PATH: u32 = 2;
/// Permission of authgrant_set_policy(): TokenCache and the options that begin with TokenCache in a connection
/// string and in a FILEDSN that it names by path. They name folders and servers. Without it they are accepted only
/// from authgrant_set_option(), from odbc.ini and from the FILEDSNs of the machine.
pub const AUTHGRANT_ALLOW_TOKEN_CACHE: u32 = 4;

/// Restriction of authgrant_set_policy(): no token requests by GET. A TokenURI without a method is requested
/// by POST.
pub const AUTHGRANT_FORBID_HTTP_GET: u32 = 1;
/// Restriction of authgrant_set_policy(): no ValidateServerCertificate=0.
pub const AUTHGRANT_FORBID_INSECURE_TLS: u32 = 2;
/// Restriction of authgrant_set_policy(): no http:// URLs of this machine, except RedirectURI.
pub const AUTHGRANT_FORBID_LOOPBACK_HTTP: u32 = 4;
/// Restriction of authgrant_set_policy(): no EnableLoginPrompt=1, and no authgrant_authorize() without a
/// callback.
pub const AUTHGRANT_FORBID_PROMPT: u32 = 8;
/// Restriction of authgrant_set_policy(): no key stores encrypted with 64-bit block ciphers (DES, 3DES, RC2,
/// Blowfish, CAST5, IDEA), with RC4, in ECB mode or by the SHA-1 schemes of PKCS#12; no PEM encryption older
/// than PKCS#8; no JKS and JCEKS.
pub const AUTHGRANT_FORBID_WEAK_KEY_ENCRYPTION: u32 = 16;
/// Restriction of authgrant_set_policy(): no tokens shared between connections, as with
/// CacheScope=Connection.
pub const AUTHGRANT_FORBID_SHARED_TOKENS: u32 = 32;
/// Restriction of authgrant_set_policy(): no file paths in a connection string and in a FILEDSN that it names
/// by path, except below the directories of authgrant_allow_directory(). This covers key stores, trust
/// stores, certificates, assertions, model files, `file:` references and the FILEDSN itself; PKCS#11 URIs are
/// rejected below every directory, too. Options set by authgrant_set_option(), odbc.ini and a FILEDSN named
/// without a directory are not affected.
///
/// The flag also declares connection strings untrusted: secrets, key stores and the signer that the
/// application sets are protected like those of a data source. A string that sets where they are sent
/// (TokenURI, TokenEndpoint, AuthURI, TrustStore, ProxyHost, ClaimsAudience and others) is
/// AUTHGRANT_INVALID_OPTION, unless the application also sets that option, or sets AllowOverride=1 because
/// the secrets belong to the author of the string.
pub const AUTHGRANT_FORBID_FILE_PATHS: u32 = 64;
/// Restriction of authgrant_set_policy(): no TLS 1.2. Only TLS 1.3 is offered to authorization servers, to the API of
/// authgrant_test_connection() and to the Redis server of TokenCache (rediss://). CryptoProtocolVersion=TLSv1.2 is
/// AUTHGRANT_INVALID_OPTION; a server without TLS 1.3 is AUTHGRANT_TLS, and the message has the name of the flag.
pub const AUTHGRANT_FORBID_TLS12: u32 = 128;

/// Sets what connection strings may do in this process, for applications that accept them from untrusted
/// callers.
///
/// `allow` is a sum of AUTHGRANT_ALLOW_ flags and `forbid` a sum of AUTHGRANT_FORBID_ flags; both are 0
/// initially. Before the first authgrant_open() any policy may be set. Afterwards it can only be tightened:
/// flags removed from `allow`, flags added to `forbid`. It applies to the next call of every connection, and
/// in forked children. A connection string that violates it is AUTHGRANT_INVALID_OPTION, a weakly encrypted
/// key store AUTHGRANT_KEY_STORE_ERROR, and authgrant_authorize() without a callback AUTHGRANT_UNSUPPORTED;
/// the message has the name of the flag.
///
/// Process-wide. Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT for an unknown flag, and for a less strict
/// policy after the first authgrant_open(); the policy is then unchanged.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_set_policy(
    allow: u32,
    forbid: u32,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        args.check()?;
        Policy::new(allow, forbid)?.set()
    })
}

/// Allows file paths in connection strings below a directory although AUTHGRANT_FORBID_FILE_PATHS is set.
///
/// `path` is an existing directory; a relative path is resolved immediately. Each call adds a directory, for
/// the process and its forked children; none can be removed. Files are opened relative to the directory: a
/// path with `..` and a symbolic link that leaves the directory are rejected, on Linux also an absolute link.
/// Hard links and mounts below the directory cannot be distinguished from other files, so only trusted users
/// may have write access.
///
/// Call it before the first authgrant_open(). After that only a directory that is already allowed is
/// accepted.
///
/// Process-wide. Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT if the path is not a directory, and for a
/// new directory after the first authgrant_open().
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_allow_directory(
    path: *const c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| { AllowedDirectories::allow(args.text("path", path)?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::policy::{Permission, Restriction};

    #[test]
    fn policy_constants_match_policy_bits() {
        for (number, restriction) in [
            (AUTHGRANT_FORBID_HTTP_GET, Restriction::Get),
            (AUTHGRANT_FORBID_INSECURE_TLS, Restriction::InsecureTls),
            (AUTHGRANT_FORBID_LOOPBACK_HTTP, Restriction::LoopbackHttp),
            (AUTHGRANT_FORBID_PROMPT, Restriction::Prompt),
            (AUTHGRANT_FORBID_WEAK_KEY_ENCRYPTION, Restriction::WeakStores),
            (AUTHGRANT_FORBID_SHARED_TOKENS, Restriction::Sharing),
            (AUTHGRANT_FORBID_FILE_PATHS, Restriction::FilePaths),
            (AUTHGRANT_FORBID_TLS12, Restriction::Tls12),
        ] {
            assert_eq!(number, restriction as u32);
            assert!(include_str!("policy.rs").contains(&format!("{}: u32 = {number};", restriction.name())));
        }
        for (number, permission) in [
            (AUTHGRANT_ALLOW_SECRET_REFERENCES, Permission::References),
            (AUTHGRANT_ALLOW_PKCS11_MODULE_PATH, Permission::Modules),
            (AUTHGRANT_ALLOW_TOKEN_CACHE, Permission::TokenCache),
        ] {
            assert_eq!(number, permission as u32);
            assert!(include_str!("policy.rs").contains(&format!("{}: u32 = {number};", permission.name())));
        }
    }
}
