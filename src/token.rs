//! An access token and what the server said with it: immutable, shared by counting, wiped when last let go.
//!
//! Text is kept as C strings, since that is how it leaves the library.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fmt;

use zeroize::Zeroizing;

use crate::identity::Identity;

/// One access token with what the server said of it; in C an `authgrant_token`, let go of with authgrant_token_free.
///
/// It never changes, and outlives the connection that it came from.
pub struct Token {
    pub(crate) value: Zeroizing<CString>,
    pub(crate) scope: Option<CString>,
    pub(crate) fields: BTreeMap<String, Zeroizing<CString>>,
    pub(crate) issued_at: i64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) identity: Identity,
}

impl Token {
    /// The token to send.
    #[must_use]
    pub fn value(&self) -> &CStr {
        &self.value
    }

    /// The one type there is: `Bearer` (RFC 6750).
    #[must_use]
    pub fn token_type(&self) -> &'static CStr {
        c"Bearer"
    }

    /// Seconds since 1970 at which it ends, if that is known.
    #[must_use]
    pub fn expires_at(&self) -> Option<i64> {
        self.expires_at
    }

    /// The scope as the server said it.
    #[must_use]
    pub fn scope(&self) -> Option<&CStr> {
        self.scope.as_deref()
    }

    /// Another member of the answer, as JSON text where it is not a string.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&CStr> {
        self.fields.get(name).map(|field| field.as_c_str())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("value", &"****")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;

    use super::*;

    #[test]
    fn debug_of_a_token_does_not_show_it() {
        let secret = || Zeroizing::new(CString::from(c"hunter2"));
        let token = Token {
            value: secret(),
            scope: None,
            fields: BTreeMap::from([("id_token".to_owned(), secret())]),
            issued_at: 0,
            expires_at: None,
            identity: Identity::of(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &"me"),
        };
        assert!(!format!("{token:?}").contains("hunter2"));
    }
}
