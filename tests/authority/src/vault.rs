//! Codes and refresh tokens: who holds which, what they are good for, and which ended together.
//!
//! All that stems from one sign-in is a family. Using a code or a refresh token a second time ends the whole family,
//! access tokens too (RFC 6749 4.1.2, RFC 9700 4.14.2).

use std::collections::HashSet;

use crate::refusal::Refusal;
use crate::token::Grant;

#[derive(Default)]
pub(crate) struct Vault {
    codes: Vec<Code>,
    refresh_tokens: Vec<RefreshToken>,
    families: u64,
    ended: HashSet<u64>,
}

/// What the authorization page gave.
pub(crate) struct Code {
    pub(crate) text: String,
    pub(crate) issuer: String,
    pub(crate) redirect_uri: String,
    pub(crate) subject: String,
    pub(crate) scope: Option<String>,
    pub(crate) challenge: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) ends: i64,
    pub(crate) family: u64,
    pub(crate) used: bool,
}

#[derive(Clone)]
pub(crate) struct RefreshToken {
    text: String,
    issuer: String,
    pub(crate) subject: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) family: u64,
    ended: bool,
}

/// A refresh token to make.
#[derive(Clone, Debug)]
pub(crate) struct Renewal {
    pub(crate) scope: Option<String>,
    /// The one whose use it is the answer to.
    pub(crate) replaces: Option<String>,
}

impl Renewal {
    /// The first refresh token of a family.
    pub(crate) fn of(grant: &Grant) -> Self {
        Renewal { scope: grant.scope.clone(), replaces: None }
    }
}

impl Vault {
    pub(crate) fn new_family(&mut self) -> u64 {
        self.families += 1;
        self.families
    }

    pub(crate) fn has_ended(&self, family: Option<u64>) -> bool {
        family.is_some_and(|family| self.ended.contains(&family))
    }

    pub(crate) fn keep(&mut self, code: Code) {
        self.codes.push(code);
    }

    /// A code that was not used yet.
    pub(crate) fn code(&mut self, text: &str) -> Result<&Code, Refusal> {
        let known = self.codes.iter().find(|code| code.text == text);
        let code = known.ok_or_else(|| Refusal::not_good("the code was never given"))?;
        if code.used {
            self.ended.insert(code.family);
            return Err(Refusal::not_good("the code was used before; all that it gave has ended"));
        }
        Ok(code)
    }

    pub(crate) fn use_code(&mut self, text: &str) {
        for code in self.codes.iter_mut().filter(|code| code.text == text) {
            code.used = true;
        }
    }

    /// A refresh token that this client may use now.
    pub(crate) fn refresh_token(&mut self, text: &str, issuer: &str) -> Result<&RefreshToken, Refusal> {
        let known = self.refresh_tokens.iter().find(|token| token.text == text);
        let token = known.ok_or_else(|| Refusal::not_good("the refresh token was never given"))?;
        if token.issuer != issuer {
            return Err(Refusal::not_good("the refresh token was given to another client"));
        }
        if self.ended.contains(&token.family) {
            return Err(Refusal::not_good("the refresh token was revoked"));
        }
        if token.ended {
            self.ended.insert(token.family);
            return Err(Refusal::not_good("the refresh token was used before; its family has ended"));
        }
        Ok(token)
    }

    /// Ends the refresh token that a good request used.
    pub(crate) fn end_used(&mut self, grant: &Grant) {
        let used = grant.renewal.as_ref().and_then(|renewal| renewal.replaces.as_ref());
        for token in self.refresh_tokens.iter_mut().filter(|token| Some(&token.text) == used) {
            token.ended = true;
        }
    }

    pub(crate) fn issue(&mut self, grant: &Grant, random: &str) -> Option<String> {
        let (renewal, family) = (grant.renewal.as_ref()?, grant.family?);
        let text = format!("rt-{}-{random}", self.refresh_tokens.len() + 1);
        self.refresh_tokens.push(RefreshToken {
            text: text.clone(),
            issuer: grant.issuer.clone(),
            subject: grant.subject.clone(),
            scope: renewal.scope.clone(),
            family,
            ended: false,
        });
        Some(text)
    }

    /// Ends the family of a refresh token; `false` if it was never given.
    pub(crate) fn revoke(&mut self, text: &str) -> bool {
        let found = self.refresh_tokens.iter().find(|token| token.text == text);
        found.map(|token| self.ended.insert(token.family)).is_some()
    }

    pub(crate) fn refresh_tokens(&self) -> Vec<String> {
        self.refresh_tokens.iter().map(|token| token.text.clone()).collect()
    }
}
