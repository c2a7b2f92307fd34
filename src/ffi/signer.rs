//! A signer of the caller's in the place of a key store.

use std::ffi::{c_char, c_void};

use jsonwebtoken::Algorithm;

use crate::base::error::{Error, Result, Status};
use crate::connection::Connection;
use crate::ffi::callback::{self, authgrant_sign_fn};
use crate::ffi::error::ErrorObject;
use crate::ffi::status::authgrant_status;
use crate::key::CallbackSigner;

/// What a signer may sign by. Not HS256 and its like: whoever has their secret can sign, so it is no signer's.
const ASYMMETRIC_ALGORITHMS: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

/// Signs the JWTs of this connection with `function`, for a key that must not leave where it is: a hardware module, a key
/// service.
///
/// `algorithm` is one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA (RFC 7518, RFC 8037), in any case. The
/// function outranks JWTCertStore, JWTPrivateKey and JWTSecret, as authgrant_set_option outranks a connection string, and
/// counts as they do where AuthenticationMethod is inferred; a JWTAlgorithm that says another one is
/// AUTHGRANT_INVALID_OPTION in the calls that sign. JWTKeyID and JWTHeaders say what they always do. JWTCertificate is the
/// certificate of the key, for JWTThumbprint and an issuer with a fingerprint (Snowflake): its key must fit the algorithm, and
/// each signature is verified with it. A NULL function takes the signer away; `algorithm` does not count then.
///
/// Nothing is signed here, and authgrant_validate and authgrant_explain do not call the function either. Calls in flight
/// finish with the signer that they began with. Tokens got with a signer belong to this one call of authgrant_set_signer:
/// other connections do not share them, and setting the same function again fetches anew.
///
/// `context` is handed to the function as it is, and must stay good until authgrant_close, or until another signer (or
/// NULL) was set and all calls that were inside the connection then have returned. After that the function is not called.
///
/// In calls that sign, a function that returns another number than 0, or a length of 0 or beyond the capacity, is
/// AUTHGRANT_KEY_STORE_ERROR; a signature of a length that the algorithm does not have, or that JWTCertificate does not verify, is
/// AUTHGRANT_KEY_UNSUITABLE. Such a failure ends the one call that met it: others that wait for the same token try themselves.
///
/// Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT, also for an unknown algorithm.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_set_signer(
    connection: *mut Connection,
    algorithm: *const c_char,
    function: authgrant_sign_fn,
    context: *mut c_void,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let connection = call.handle("connection", connection)?;
        let signer = match function {
            None => None,
            Some(function) => {
                let algorithm = parse_algorithm(call.text("algorithm", algorithm)?)?;
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
        let text = format!("algorithm is \"{name}\"; expected one of {}", ASYMMETRIC_ALGORITHMS.join(", "));
        Error::new(Status::InvalidArgument, "argument", text)
    })
}
