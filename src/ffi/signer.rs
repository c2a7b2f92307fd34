//! Signer callback of the caller, used instead of a key store.

use std::ffi::{c_char, c_void};

use jsonwebtoken::Algorithm;

use crate::base::error::{ArgumentError, Error, Result};
use crate::base::sanitize;
use crate::connection::Connection;
use crate::ffi::callback::{self, authgrant_sign_fn};
use crate::ffi::error::ErrorObject;
use crate::ffi::status::authgrant_status;
use crate::key::CallbackSigner;

/// Algorithms of a signer callback. HMAC is excluded: its key is a secret that the server shares, not a
/// private key.
const ASYMMETRIC_ALGORITHMS: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

/// Registers a callback that signs the JWTs of this connection, for a key that must stay in a hardware module
/// or a key service. NULL unregisters it, and `algorithm` is then ignored.
///
/// `algorithm` is one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA (RFC 7518, RFC
/// 8037), in any case. The signer overrides JWTCertStore, JWTPrivateKey and JWTSecret, and counts like them
/// when AuthenticationMethod is inferred. If JWTAlgorithm is set to another algorithm, calls that sign return
/// AUTHGRANT_INVALID_OPTION. JWTKeyID and JWTHeaders keep their meaning. JWTCertificate is the certificate of
/// the key, for JWTThumbprint and for an issuer with a fingerprint (Snowflake): its key must match the
/// algorithm, and each signature is verified with it.
///
/// This function signs nothing, and authgrant_validate() and authgrant_explain() do not invoke the callback.
/// Calls in progress finish with the signer they started with. Tokens obtained with the signer are not shared
/// with other connections, and setting the same callback again requests new tokens.
///
/// `context` is passed to the callback. It must stay valid until authgrant_close(), or until the signer is
/// replaced or unregistered and all calls that started before have returned. The callback is not invoked
/// after that.
///
/// In calls that sign, a callback that returns a number other than 0, or a length of 0 or more than the
/// capacity, is AUTHGRANT_KEY_STORE_ERROR. A signature whose length does not fit the algorithm, or that
/// JWTCertificate does not verify, is AUTHGRANT_KEY_UNSUITABLE. Such an error is returned by one call only;
/// other calls that wait for the same token retry.
///
/// Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT, also for an unknown algorithm.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_set_signer(
    connection: *mut Connection,
    algorithm: *const c_char,
    function: authgrant_sign_fn,
    context: *mut c_void,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let connection = args.handle("connection", connection)?;
        let signer = match function {
            None => None,
            Some(function) => {
                let algorithm = parse_algorithm(args.text("algorithm", algorithm)?)?;
                Some(CallbackSigner::new(algorithm, callback::wrap_sign_fn(function, context)))
            }
        };
        connection.set_signer(signer.as_ref());
        Ok(())
    })
}

fn parse_algorithm(name: &str) -> Result<Algorithm> {
    let known = ASYMMETRIC_ALGORITHMS.iter().find(|known| known.eq_ignore_ascii_case(name));
    known.and_then(|known| known.parse().ok()).ok_or_else(|| {
        let name = sanitize::excerpt(name);
        let text = format!("algorithm is \"{name}\"; expected one of {}", ASYMMETRIC_ALGORITHMS.join(", "));
        Error::new(ArgumentError::Invalid, "argument", text)
    })
}
