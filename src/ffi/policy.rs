//! The policy of the process, and its numbers.

use std::ffi::c_char;

use crate::base::policy::{AllowedDirectories, Policy};
use crate::ffi::error::ErrorObject;
use crate::ffi::status::authgrant_status;

/// Allowed by authgrant_set_policy: `env:NAME` and `file:PATH` as secrets, and ClientAssertionFile, in the text of a connection
/// string and in a FILEDSN that it names by its path. Without it they are taken from authgrant_set_option, from odbc.ini and from the
/// machine's own FILEDSNs alone.
pub const AUTHGRANT_ALLOW_SECRET_REFERENCES: u32 = 1;
/// Allowed by authgrant_set_policy: a PKCS#11 module that a connection string or a FILEDSN names by its path (module-path).
/// A module is code that runs in this process. authgrant_set_option and odbc.ini may name one anyhow. Without effect where
/// the library loads none.
pub const AUTHGRANT_ALLOW_PKCS11_MODULE_PATH: u32 = 2;

/// Forbidden by authgrant_set_policy: asking a token endpoint by GET. A TokenURI without a method is asked by POST.
pub const AUTHGRANT_FORBID_HTTP_GET: u32 = 1;
/// Forbidden by authgrant_set_policy: ValidateServerCertificate=0.
pub const AUTHGRANT_FORBID_INSECURE_TLS: u32 = 2;
/// Forbidden by authgrant_set_policy: http:// to this machine, but for RedirectURI, to which a browser comes back.
pub const AUTHGRANT_FORBID_LOOPBACK_HTTP: u32 = 4;
/// Forbidden by authgrant_set_policy: EnableLoginPrompt=1, and authgrant_authorize with a NULL function.
pub const AUTHGRANT_FORBID_PROMPT: u32 = 8;
/// Forbidden by authgrant_set_policy: key stores encrypted with ciphers of 64-bit blocks (DES, 3DES, RC2, Blowfish, CAST5,
/// IDEA), RC4, in ECB mode or by PKCS#12's own schemes of SHA-1, PEM keys from before PKCS#8, JKS and JCEKS.
pub const AUTHGRANT_FORBID_WEAK_KEY_ENCRYPTION: u32 = 16;
/// Forbidden by authgrant_set_policy: tokens in common with other connections; CacheScope=Connection holds for all.
pub const AUTHGRANT_FORBID_SHARED_TOKENS: u32 = 32;
/// Forbidden by authgrant_set_policy: file paths in a connection string and in a FILEDSN that it names by its path, except
/// below the folders of authgrant_allow_directory. It covers key stores, trust stores, certificates, assertions, model files,
/// `file:` references and the FILEDSN itself; PKCS#11 URIs are refused everywhere. Not affected are options that
/// authgrant_set_option sets, odbc.ini and a FILEDSN that is named without a folder.
///
/// The bit declares connection strings untrusted. The secrets, the key stores and the signer that the application sets are then
/// guarded as those of a data source are: a string that says where they are sent (TokenURI, TokenEndpoint, AuthURI, TrustStore,
/// ProxyHost, ClaimsAudience, …) is AUTHGRANT_INVALID_OPTION, unless the application sets that option too, or sets
/// AllowOverride=1 because the secrets are those of the string's author.
pub const AUTHGRANT_FORBID_FILE_PATHS: u32 = 64;

/// Sets what connection strings may do in this process, for hosts that take them from strangers.
///
/// `allow` is AUTHGRANT_ALLOW_… numbers added up, and `forbid` AUTHGRANT_FORBID_… numbers; at first both are 0. Before the
/// first authgrant_open anything may be set. Afterwards it can only be tightened: bits of `allow` taken away, bits of
/// `forbid` added. It holds from the next call of every connection on, and in forked children. What a string says
/// against it is AUTHGRANT_INVALID_OPTION, a weak key store AUTHGRANT_KEY_STORE_ERROR, and authgrant_authorize without a function
/// AUTHGRANT_UNSUPPORTED; the messages name the constant.
///
/// Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT for a bit that means nothing, and for what would loosen it after the
/// first authgrant_open; nothing is changed then.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_set_policy(
    allow: u32,
    forbid: u32,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        call.check()?;
        Policy::new(allow, forbid)?.set()
    })
}

/// Allows file paths in connection strings below a folder, although AUTHGRANT_FORBID_FILE_PATHS is set.
///
/// `path` is an existing folder; a relative one is resolved now. Several calls allow several folders, for the process and its
/// forked children; none is taken back. A file is opened through the folder: a path with `..` and a symbolic link that leaves the
/// folder are refused, on Linux also an absolute link. Hard links and mounts below the folder are not told from other files, so
/// only trusted users may write there.
///
/// Call it before the first authgrant_open; afterwards only a folder that is allowed already is accepted.
///
/// Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT for what is not a folder, and for a new folder after the first
/// authgrant_open.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_allow_directory(
    path: *const c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| { AllowedDirectories::allow(call.text("path", path)?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::policy::{Permission, Restriction};

    #[test]
    fn policy_constants_match_policy_bits() {
        for (number, what) in [
            (AUTHGRANT_FORBID_HTTP_GET, Restriction::Get),
            (AUTHGRANT_FORBID_INSECURE_TLS, Restriction::InsecureTls),
            (AUTHGRANT_FORBID_LOOPBACK_HTTP, Restriction::LoopbackHttp),
            (AUTHGRANT_FORBID_PROMPT, Restriction::Prompt),
            (AUTHGRANT_FORBID_WEAK_KEY_ENCRYPTION, Restriction::WeakStores),
            (AUTHGRANT_FORBID_SHARED_TOKENS, Restriction::Sharing),
            (AUTHGRANT_FORBID_FILE_PATHS, Restriction::FilePaths),
        ] {
            assert_eq!(number, what as u32);
            assert!(include_str!("policy.rs").contains(&format!("{}: u32 = {number};", what.name())));
        }
        for (number, what) in [
            (AUTHGRANT_ALLOW_SECRET_REFERENCES, Permission::References),
            (AUTHGRANT_ALLOW_PKCS11_MODULE_PATH, Permission::Modules),
        ] {
            assert_eq!(number, what as u32);
            assert!(include_str!("policy.rs").contains(&format!("{}: u32 = {number};", what.name())));
        }
    }
}
