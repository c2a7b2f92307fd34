//! What modules answer, in words.

use cryptoki::error::{Error as Fault, RvError};

/// The code as the standard writes it, `CKR_DEVICE_REMOVED`, by which its maker's manual and the internet know it.
pub(super) fn describe(fault: &Fault) -> String {
    match fault {
        Fault::Pkcs11(RvError::VendorDefined(code) | RvError::UnknownErrorCode(code), _) => {
            format!("the error {code:#x}")
        }
        Fault::Pkcs11(code, _) => {
            let name = format!("{code:?}");
            let letters = name.chars().flat_map(|letter| {
                letter.is_uppercase().then_some('_').into_iter().chain([letter.to_ascii_uppercase()])
            });
            letters.fold("CKR".to_owned(), |mut name, letter| {
                name.push(letter);
                name
            })
        }
        fault => fault.to_string(),
    }
}

/// The code of the standard, if there is one.
pub(super) fn return_code(fault: &Fault) -> Option<RvError> {
    match fault {
        Fault::Pkcs11(code, _) => Some(*code),
        _ => None,
    }
}

/// Whether the session or the key is gone, so that another session may do.
pub(super) fn is_session_lost(fault: &Fault) -> bool {
    use RvError::{
        CryptokiNotInitialized, DeviceError, DeviceRemoved, FunctionFailed, GeneralError, KeyHandleInvalid,
        ObjectHandleInvalid, SessionClosed, SessionHandleInvalid, TokenNotPresent, TokenNotRecognized,
        UserNotLoggedIn,
    };
    matches!(
        return_code(fault),
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

/// Whether the module no longer knows the session's number, which may be another's by now and must not be closed.
pub(super) fn is_invalid_session(fault: &Fault) -> bool {
    use RvError::{CryptokiNotInitialized, SessionClosed, SessionHandleInvalid};
    matches!(return_code(fault), Some(CryptokiNotInitialized | SessionClosed | SessionHandleInvalid))
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn return_code_uses_standard_name() {
        let of = |code| describe(&Fault::Pkcs11(code, Function::Sign));
        assert_eq!(of(RvError::DeviceRemoved), "CKR_DEVICE_REMOVED");
        assert_eq!(of(RvError::PinLenRange), "CKR_PIN_LEN_RANGE");
        assert_eq!(of(RvError::VendorDefined(0x8000_0001)), "the error 0x80000001");
    }
}
