//! One file a grant: from a checked config to a token, or to what a support engineer needs to know.

use std::collections::BTreeMap;
use std::ffi::CString;

use zeroize::Zeroizing;

use crate::call::Call;
use crate::config::{AssertionSource, Config, Flow, Grant};
use crate::error::{Error, Result, Status};
use crate::identity::Identity;
use crate::process::Process;
use crate::secret::Secret;
use crate::session::Session;
use crate::token::Token;

mod access_token;
mod client_assertion;
mod client_credentials;
mod exchange;
mod jwt_bearer;
mod password;
mod refresh_token;
mod retry;
mod signed_jwt;
mod verdict;

/// What a flow works with besides its own options.
pub struct Context<'a> {
    /// Shared things and seams.
    pub process: &'a Process,
    /// What the connection remembers.
    pub session: &'a Session,
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
/// A key's, the network's, the server's; [`Status::Unsupported`] for a method that has no token.
pub fn fetch(config: &Config, context: &Context<'_>) -> Result<Token> {
    match &config.flow {
        Flow::Exchange(exchange) => exchange::fetch(exchange, config.consent.as_ref(), context),
        Flow::SignedJwt(signing) => signed_jwt::fetch(signing, context),
        Flow::AccessToken(token) => access_token::fetch(token, context),
        Flow::Headers(_) => Err(no_token()),
    }
}

/// Whether `config`'s tokens come over the network.
#[must_use]
pub fn needs_network(config: &Config) -> bool {
    matches!(config.flow, Flow::Exchange(_))
}

/// The JWT that `config`'s flow signs, made anew and sent nowhere.
///
/// # Errors
/// The key's; [`Status::Unsupported`] where the flow signs nothing.
pub fn sign(config: &Config, process: &Process) -> Result<Secret> {
    let signing = match &config.flow {
        Flow::SignedJwt(signing) => Some(&**signing),
        Flow::Exchange(exchange) => match &exchange.grant {
            Grant::JwtBearer { signing, .. } => Some(&**signing),
            Grant::ClientAssertion { assertion: AssertionSource::Signed(signing), .. } => Some(&**signing),
            _ => None,
        },
        _ => None,
    };
    let text = "this AuthenticationMethod signs no JWT";
    let signing = signing.ok_or_else(|| Error::new(Status::Unsupported, "assertion", text))?;
    Ok(signed_jwt::sign(signing, 0, process)?.text().clone())
}

fn no_token() -> Error {
    let text = "this AuthenticationMethod has headers and no token; call authgrant_get_headers";
    Error::new(Status::Unsupported, "token", text).with_option("AuthenticationMethod")
}

/// A token that no server has sent.
fn local_token(value: &str, expires_at: Option<i64>, context: &Context<'_>) -> Result<Token> {
    let value = CString::new(value)
        .map_err(|_| Error::new(Status::InvalidOption, "token", "the access token holds a NUL"))?;
    Ok(Token {
        value: Zeroizing::new(value),
        scope: None,
        fields: BTreeMap::new(),
        issued_at: context.process.clock.unix_seconds(),
        expires_at,
        identity: context.identity,
    })
}
