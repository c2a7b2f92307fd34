//! Codes and refresh tokens: who holds which, what they are good for, and which ended together.
//!
//! All that stems from one sign-in is a family. Using a code or a refresh token a second time ends the whole family,
//! access tokens too (RFC 6749 4.1.2, RFC 9700 4.14.2).

use std::collections::HashSet;

use crate::error::ErrorResponse;
use crate::token_endpoint::Grant;

#[derive(Default)]
pub(crate) struct GrantStore {
    codes: Vec<AuthorizationCode>,
    refresh_tokens: Vec<RefreshToken>,
    last_family: u64,
    revoked_families: HashSet<u64>,
}

/// What the authorization page gave.
pub(crate) struct AuthorizationCode {
    pub(crate) value: String,
    pub(crate) issuer: String,
    pub(crate) redirect_uri: String,
    pub(crate) subject: String,
    pub(crate) scope: Option<String>,
    pub(crate) challenge: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) expires_at: i64,
    pub(crate) family: u64,
    pub(crate) used: bool,
}

#[derive(Clone)]
pub(crate) struct RefreshToken {
    value: String,
    issuer: String,
    pub(crate) subject: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) family: u64,
    used: bool,
}

/// A refresh token to make.
#[derive(Clone, Debug)]
pub(crate) struct NewRefreshToken {
    pub(crate) scope: Option<String>,
    /// The one whose use it is the answer to.
    pub(crate) replaces: Option<String>,
}

impl NewRefreshToken {
    /// The first refresh token of a family.
    pub(crate) fn initial(grant: &Grant) -> Self {
        NewRefreshToken { scope: grant.scope.clone(), replaces: None }
    }
}

impl GrantStore {
    pub(crate) fn new_family(&mut self) -> u64 {
        self.last_family += 1;
        self.last_family
    }

    pub(crate) fn is_revoked(&self, family: Option<u64>) -> bool {
        family.is_some_and(|family| self.revoked_families.contains(&family))
    }

    pub(crate) fn insert_code(&mut self, code: AuthorizationCode) {
        self.codes.push(code);
    }

    /// A code that was not used yet.
    pub(crate) fn check_code(&mut self, text: &str) -> Result<&AuthorizationCode, ErrorResponse> {
        let known = self.codes.iter().find(|code| code.value == text);
        let code = known.ok_or_else(|| ErrorResponse::invalid_credential("the code was never given"))?;
        if code.used {
            self.revoked_families.insert(code.family);
            return Err(ErrorResponse::invalid_credential(
                "the code was used before; all that it gave has ended",
            ));
        }
        Ok(code)
    }

    pub(crate) fn mark_code_used(&mut self, text: &str) {
        for code in self.codes.iter_mut().filter(|code| code.value == text) {
            code.used = true;
        }
    }

    /// A refresh token that this client may use now.
    pub(crate) fn check_refresh_token(
        &mut self,
        text: &str,
        issuer: &str,
    ) -> Result<&RefreshToken, ErrorResponse> {
        let known = self.refresh_tokens.iter().find(|token| token.value == text);
        let token =
            known.ok_or_else(|| ErrorResponse::invalid_credential("the refresh token was never given"))?;
        if token.issuer != issuer {
            return Err(ErrorResponse::invalid_credential("the refresh token was given to another client"));
        }
        if self.revoked_families.contains(&token.family) {
            return Err(ErrorResponse::invalid_credential("the refresh token was revoked"));
        }
        if token.used {
            self.revoked_families.insert(token.family);
            return Err(ErrorResponse::invalid_credential(
                "the refresh token was used before; its family has ended",
            ));
        }
        Ok(token)
    }

    /// Ends the refresh token that a good request used.
    pub(crate) fn mark_refresh_token_used(&mut self, grant: &Grant) {
        let used = grant.new_refresh_token.as_ref().and_then(|renewal| renewal.replaces.as_ref());
        for token in self.refresh_tokens.iter_mut().filter(|token| Some(&token.value) == used) {
            token.used = true;
        }
    }

    pub(crate) fn issue_refresh_token(&mut self, grant: &Grant, random: &str) -> Option<String> {
        let (renewal, family) = (grant.new_refresh_token.as_ref()?, grant.family?);
        let text = format!("rt-{}-{random}", self.refresh_tokens.len() + 1);
        self.refresh_tokens.push(RefreshToken {
            value: text.clone(),
            issuer: grant.issuer.clone(),
            subject: grant.subject.clone(),
            scope: renewal.scope.clone(),
            family,
            used: false,
        });
        Some(text)
    }

    /// Ends the family of a refresh token; `false` if it was never given.
    pub(crate) fn revoke(&mut self, text: &str) -> bool {
        let found = self.refresh_tokens.iter().find(|token| token.value == text);
        found.map(|token| self.revoked_families.insert(token.family)).is_some()
    }

    pub(crate) fn refresh_tokens(&self) -> Vec<String> {
        self.refresh_tokens.iter().map(|token| token.value.clone()).collect()
    }
}
