//! One file a grant: from a checked config to a token, or to what a support engineer needs to know.

use std::collections::BTreeMap;
use std::ffi::CString;

use zeroize::Zeroizing;

use crate::call::Call;
use crate::config::{Config, Flow};
use crate::error::{Error, Result, Status};
use crate::identity::Identity;
use crate::process::Process;
use crate::token::Token;

mod jwt_bearer;
mod signed_jwt;

/// What a flow works with besides its own options.
pub struct Context<'a> {
    /// Shared things and seams.
    pub process: &'a Process,
    /// The caller's bounds.
    pub call: &'a Call,
    /// For whom the token is.
    pub identity: Identity,
    /// Where to leave what the caller should know although it worked.
    pub warn: &'a dyn Fn(Error),
}

/// Fetches a token by the flow of `config`, whatever is cached.
///
/// # Errors
/// A key's, the network's, the server's.
pub fn fetch(config: &Config, context: &Context<'_>) -> Result<Token> {
    match &config.flow {
        Flow::JwtBearer(grant) => jwt_bearer::fetch(grant, config.consent.as_ref(), context),
        Flow::SignedJwt(signing) => signed_jwt::fetch(signing, context),
    }
}

/// Whether `config`'s tokens come over the network.
#[must_use]
pub fn needs_network(config: &Config) -> bool {
    matches!(config.flow, Flow::JwtBearer(_))
}

/// A token of our own making.
fn local_token(value: &str, expires_at: i64, context: &Context<'_>) -> Result<Token> {
    let value = CString::new(value)
        .map_err(|_| Error::new(Status::Internal, "assertion", "the signed JWT holds a NUL"))?;
    Ok(Token {
        value: Zeroizing::new(value),
        scope: None,
        fields: BTreeMap::new(),
        issued_at: context.process.clock.unix_seconds(),
        expires_at: Some(expires_at),
        identity: context.identity,
    })
}
