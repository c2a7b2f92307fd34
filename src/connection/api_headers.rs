//! The headers that a request to the API must carry.

use std::ffi::CString;

use zeroize::Zeroizing;

use crate::base::error::{Error, Result, Status};
use crate::resolve::HttpHeader;
use crate::sys::SharedRef;
use crate::token::TokenHandle;

/// Header names and values, in the order in which they should be sent, with the token that is in them; in C an
/// `authgrant_headers`, freed with authgrant_headers_free.
///
/// They never change, and outlive the connection that they came from.
pub struct ApiHeaders {
    entries: Vec<(CString, Zeroizing<CString>)>,
    token: Option<SharedRef<TokenHandle>>,
}

impl ApiHeaders {
    /// The Bearer token (RFC 6750 section 2.1), and `more`. One of the same name does not count: the user's own
    /// Authorization went to the token endpoint, and the API gets the token.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] for a header that C cannot hold.
    pub fn new(lease: SharedRef<TokenHandle>, more: &[HttpHeader]) -> Result<Self> {
        let mut bearer = Zeroizing::new(b"Bearer ".to_vec());
        bearer.extend_from_slice(lease.token().value().to_bytes());
        let mut headers = Self { entries: vec![to_c_header("Authorization", &bearer)?], token: Some(lease) };
        headers.append_missing(more)?;
        Ok(headers)
    }

    /// Those of a method that has no token, and `more`.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] for a header that C cannot hold.
    pub fn without_token(own: &[HttpHeader], more: &[HttpHeader]) -> Result<Self> {
        let mut headers = Self { entries: Vec::new(), token: None };
        headers.append_missing(own)?;
        headers.append_missing(more)?;
        Ok(headers)
    }

    fn append_missing(&mut self, more: &[HttpHeader]) -> Result<()> {
        for header in more {
            let name = header.name.as_bytes();
            if !self.entries.iter().any(|(known, _)| known.to_bytes().eq_ignore_ascii_case(name)) {
                self.entries.push(to_c_header(&header.name, header.value.reveal().as_bytes())?);
            }
        }
        Ok(())
    }

    /// Names and values.
    #[must_use]
    pub fn as_slice(&self) -> &[(CString, Zeroizing<CString>)] {
        &self.entries
    }

    /// The token that is in them, if there is one.
    #[must_use]
    pub fn token(&self) -> Option<&SharedRef<TokenHandle>> {
        self.token.as_ref()
    }
}

fn to_c_header(name: &str, value: &[u8]) -> Result<(CString, Zeroizing<CString>)> {
    let nul = |_| Error::new(Status::InvalidOption, "headers", format!("the header {name} holds a NUL"));
    Ok((CString::new(name).map_err(nul)?, Zeroizing::new(CString::new(value).map_err(nul)?)))
}
