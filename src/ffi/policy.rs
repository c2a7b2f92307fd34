//! The policy of the process, and its numbers.

use crate::ffi::error::ErrorObject;
use crate::ffi::status::authgrant_status;
use crate::policy::Policy;

/// Allowed by authgrant_set_policy: `env:NAME` and `file:PATH` as secrets in the text of a connection string, and in a
/// FILEDSN that it names by its path. Without it they are taken from authgrant_set_option, from odbc.ini and from the
/// machine's own FILEDSNs alone.
pub const AUTHGRANT_ALLOW_REFERENCES: u32 = 1;
/// Allowed by authgrant_set_policy: a PKCS#11 module that a connection string or a FILEDSN names by its path (module-path).
/// A module is code that runs in this process. authgrant_set_option and odbc.ini may name one anyhow. Without effect where
/// the library loads none.
pub const AUTHGRANT_ALLOW_MODULES: u32 = 2;

/// Forbidden by authgrant_set_policy: asking a token endpoint by GET. A TokenURI without a method is asked by POST.
pub const AUTHGRANT_FORBID_GET: u32 = 1;
/// Forbidden by authgrant_set_policy: ValidateServerCertificate=0.
pub const AUTHGRANT_FORBID_INSECURE_TLS: u32 = 2;
/// Forbidden by authgrant_set_policy: http:// to this machine, but for RedirectURI, to which a browser comes back.
pub const AUTHGRANT_FORBID_LOOPBACK_HTTP: u32 = 4;
/// Forbidden by authgrant_set_policy: EnableLoginPrompt=1, and authgrant_authorize with a NULL function.
pub const AUTHGRANT_FORBID_PROMPT: u32 = 8;
/// Forbidden by authgrant_set_policy: key stores encrypted with ciphers of 64-bit blocks (DES, 3DES, RC2, Blowfish, CAST5,
/// IDEA), RC4, in ECB mode or by PKCS#12's own schemes of SHA-1, PEM keys from before PKCS#8, JKS and JCEKS.
pub const AUTHGRANT_FORBID_WEAK_STORES: u32 = 16;
/// Forbidden by authgrant_set_policy: tokens in common with other connections; CacheScope=Connection holds for all.
pub const AUTHGRANT_FORBID_SHARING: u32 = 32;

/// Sets what connection strings may do in this process, for hosts that take them from strangers.
///
/// `allow` is AUTHGRANT_ALLOW_… numbers added up, and `forbid` AUTHGRANT_FORBID_… numbers; at first both are 0. Before the
/// first authgrant_open anything may be set. Afterwards it can only be tightened: bits of `allow` taken away, bits of
/// `forbid` added. It holds from the next call of every connection on, and in forked children. What a string says
/// against it is AUTHGRANT_INVALID_OPTION, a weak key store AUTHGRANT_KEY_STORE, and authgrant_authorize without a function
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
        call.ready()?;
        Policy::new(allow, forbid)?.set()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Allowed, Forbidden};

    #[test]
    fn the_numbers_of_the_header_are_those_of_the_policy() {
        for (number, what) in [
            (AUTHGRANT_FORBID_GET, Forbidden::Get),
            (AUTHGRANT_FORBID_INSECURE_TLS, Forbidden::InsecureTls),
            (AUTHGRANT_FORBID_LOOPBACK_HTTP, Forbidden::LoopbackHttp),
            (AUTHGRANT_FORBID_PROMPT, Forbidden::Prompt),
            (AUTHGRANT_FORBID_WEAK_STORES, Forbidden::WeakStores),
            (AUTHGRANT_FORBID_SHARING, Forbidden::Sharing),
        ] {
            assert_eq!(number, what as u32);
            assert!(include_str!("policy.rs").contains(&format!("{}: u32 = {number};", what.name())));
        }
        for (number, what) in
            [(AUTHGRANT_ALLOW_REFERENCES, Allowed::References), (AUTHGRANT_ALLOW_MODULES, Allowed::Modules)]
        {
            assert_eq!(number, what as u32);
            assert!(include_str!("policy.rs").contains(&format!("{}: u32 = {number};", what.name())));
        }
    }
}
