//! The headers that a request to the API must carry.

use std::ffi::CString;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::config::Header;
use crate::error::{Error, Result, Status};
use crate::token::Token;

/// Header names and values, in the order in which they should be sent, with the token that is in them; in C an
/// `authgrant_headers`, freed with authgrant_headers_free.
///
/// They never change, and outlive the connection that they came from.
pub struct Headers {
    lines: Vec<(CString, Zeroizing<CString>)>,
    token: Option<Arc<Token>>,
}

impl Headers {
    /// The Bearer token (RFC 6750 section 2.1), and the header of AuthHeader unless that is the same one: then
    /// the user's value went to the token endpoint, and the API gets the token.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] for a header that C cannot hold.
    pub fn new(token: Arc<Token>, header: Option<&Header>) -> Result<Self> {
        let mut bearer = Zeroizing::new(b"Bearer ".to_vec());
        bearer.extend_from_slice(token.value().to_bytes());
        let mut lines = vec![line("Authorization", &bearer)?];
        if let Some(header) = header.filter(|header| !header.name.eq_ignore_ascii_case("authorization")) {
            lines.push(line(&header.name, header.value.reveal().as_bytes())?);
        }
        Ok(Self { lines, token: Some(token) })
    }

    /// Those of a method that has no token.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] for a header that C cannot hold.
    pub fn without_token(headers: &[Header]) -> Result<Self> {
        let lines = headers.iter().map(|header| line(&header.name, header.value.reveal().as_bytes()));
        Ok(Self { lines: lines.collect::<Result<_>>()?, token: None })
    }

    /// Names and values.
    #[must_use]
    pub fn lines(&self) -> &[(CString, Zeroizing<CString>)] {
        &self.lines
    }

    /// The token that is in them, if there is one.
    #[must_use]
    pub fn token(&self) -> Option<&Arc<Token>> {
        self.token.as_ref()
    }
}

fn line(name: &str, value: &[u8]) -> Result<(CString, Zeroizing<CString>)> {
    let nul = |_| Error::new(Status::InvalidOption, "headers", format!("the header {name} holds a NUL"));
    Ok((CString::new(name).map_err(nul)?, Zeroizing::new(CString::new(value).map_err(nul)?)))
}
