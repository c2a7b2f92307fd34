//! Description and classification of the errors of PKCS#11 modules.

use cryptoki::error::{Error as CryptokiError, RvError};

/// Return value as spelled in the standard, such as `CKR_DEVICE_REMOVED`, which manuals and search engines
/// know.
pub(super) fn describe(error: &CryptokiError) -> String {
    match error {
        CryptokiError::Pkcs11(RvError::VendorDefined(code) | RvError::UnknownErrorCode(code), _) => {
            format!("the error {code:#x}")
        }
        CryptokiError::Pkcs11(code, _) => {
            let name = format!("{code:?}");
            let letters = name.chars().flat_map(|letter| {
                letter.is_uppercase().then_some('_').into_iter().chain([letter.to_ascii_uppercase()])
            });
            letters.fold("CKR".to_owned(), |mut name, letter| {
                name.push(letter);
                name
            })
        }
        error => error.to_string(),
    }
}

/// Return value of the module, if there is one.
pub(super) fn return_code(error: &CryptokiError) -> Option<RvError> {
    match error {
        CryptokiError::Pkcs11(code, _) => Some(*code),
        _ => None,
    }
}

/// Whether the session or the key is lost, so that a new session may succeed.
pub(super) fn is_session_lost(error: &CryptokiError) -> bool {
    use RvError::{
        CryptokiNotInitialized, DeviceError, DeviceRemoved, FunctionFailed, GeneralError, KeyHandleInvalid,
        ObjectHandleInvalid, SessionClosed, SessionHandleInvalid, TokenNotPresent, TokenNotRecognized,
        UserNotLoggedIn,
    };
    matches!(
        return_code(error),
        Some(
            CryptokiNotInitialized
                | DeviceError
                | DeviceRemoved
                | FunctionFailed
                | GeneralError
                | KeyHandleInvalid
                | ObjectHandleInvalid
                | SessionClosed
                | SessionHandleInvalid
                | TokenNotPresent
                | TokenNotRecognized
                | UserNotLoggedIn
        )
    )
}

/// Whether the module does not know the session handle any more. The handle may have been reassigned, so it
/// must not be closed.
pub(super) fn is_invalid_session(error: &CryptokiError) -> bool {
    use RvError::{CryptokiNotInitialized, SessionClosed, SessionHandleInvalid};
    matches!(return_code(error), Some(CryptokiNotInitialized | SessionClosed | SessionHandleInvalid))
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn return_code_uses_standard_name() {
        let describe_code = |code| describe(&CryptokiError::Pkcs11(code, Function::Sign));
        assert_eq!(describe_code(RvError::DeviceRemoved), "CKR_DEVICE_REMOVED");
        assert_eq!(describe_code(RvError::PinLenRange), "CKR_PIN_LEN_RANGE");
        assert_eq!(describe_code(RvError::VendorDefined(0x8000_0001)), "the error 0x80000001");
    }
}
