//! HTTP headers to send with an API request.

use std::ffi::CString;

use zeroize::Zeroizing;

use crate::base::error::{Error, OptionError, Result};
use crate::base::sanitize;
use crate::resolve::HttpHeader;
use crate::sys::SharedRef;
use crate::token::TokenHandle;

/// Headers to send with an API request: names and values in sending order, and the token they contain.
/// Immutable and thread-safe; they outlive the connection. Free them with authgrant_headers_free().
pub struct ApiHeaders {
    entries: Vec<(CString, Zeroizing<CString>)>,
    token: Option<SharedRef<TokenHandle>>,
}

impl ApiHeaders {
    /// Creates the headers for the Bearer token (RFC 6750 section 2.1) of `handle`, and `additional`. An
    /// Authorization header in `additional` is ignored: it is for the token endpoint, while the API receives
    /// the token.
    ///
    /// # Errors
    /// [`OptionError::Invalid`] for a header that contains a NUL character.
    pub fn new(handle: SharedRef<TokenHandle>, additional: &[HttpHeader]) -> Result<Self> {
        let mut bearer = Zeroizing::new(b"Bearer ".to_vec());
        bearer.extend_from_slice(handle.token().value().to_bytes());
        let mut headers = Self { entries: vec![to_c_header("Authorization", &bearer)?], token: Some(handle) };
        headers.append_missing(additional)?;
        Ok(headers)
    }

    /// Creates the headers of a method without a token, and `additional`.
    ///
    /// # Errors
    /// [`OptionError::Invalid`] for a header that contains a NUL character.
    pub fn without_token(method_headers: &[HttpHeader], additional: &[HttpHeader]) -> Result<Self> {
        let mut headers = Self { entries: Vec::new(), token: None };
        headers.append_missing(method_headers)?;
        headers.append_missing(additional)?;
        Ok(headers)
    }

    fn append_missing(&mut self, additional: &[HttpHeader]) -> Result<()> {
        for header in additional {
            let name = header.name.as_bytes();
            if !self.entries.iter().any(|(existing, _)| existing.to_bytes().eq_ignore_ascii_case(name)) {
                self.entries.push(to_c_header(&header.name, header.value.reveal().as_bytes())?);
            }
        }
        Ok(())
    }

    /// Names and values in sending order.
    #[must_use]
    pub fn as_slice(&self) -> &[(CString, Zeroizing<CString>)] {
        &self.entries
    }

    /// The token that the headers contain, if any.
    #[must_use]
    pub fn token(&self) -> Option<&SharedRef<TokenHandle>> {
        self.token.as_ref()
    }
}

fn to_c_header(name: &str, value: &[u8]) -> Result<(CString, Zeroizing<CString>)> {
    let nul_error = |_| {
        let text = format!("the header {} contains a NUL character", sanitize::excerpt(name));
        Error::new(OptionError::Invalid, "headers", text)
    };
    Ok((CString::new(name).map_err(nul_error)?, Zeroizing::new(CString::new(value).map_err(nul_error)?)))
}
