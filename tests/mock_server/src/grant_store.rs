//! Authorization codes and refresh tokens: their clients, grants and revocation.
//!
//! All tokens of one login form a family. Reuse of a code or of a refresh token revokes the whole family,
//! including access tokens (RFC 6749 section 4.1.2, RFC 9700 section 4.14.2).

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

/// A code issued by the authorization endpoint.
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

/// A refresh token to issue.
#[derive(Clone, Debug)]
pub(crate) struct NewRefreshToken {
    pub(crate) scope: Option<String>,
    /// The refresh token whose use requests the new one.
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

    /// Returns a code that has not been used. Reuse revokes its family.
    pub(crate) fn check_code(&mut self, value: &str) -> Result<&AuthorizationCode, ErrorResponse> {
        let found = self.codes.iter().find(|code| code.value == value);
        let code = found.ok_or_else(|| ErrorResponse::invalid_credential("the code is unknown"))?;
        if code.used {
            self.revoked_families.insert(code.family);
            return Err(ErrorResponse::invalid_credential(
                "the code was used before; all tokens issued for it are revoked",
            ));
        }
        Ok(code)
    }

    pub(crate) fn mark_code_used(&mut self, value: &str) {
        for code in self.codes.iter_mut().filter(|code| code.value == value) {
            code.used = true;
        }
    }

    /// Returns a refresh token that this client may use. Reuse revokes its family.
    pub(crate) fn check_refresh_token(
        &mut self,
        value: &str,
        issuer: &str,
    ) -> Result<&RefreshToken, ErrorResponse> {
        let found = self.refresh_tokens.iter().find(|token| token.value == value);
        let token = found.ok_or_else(|| ErrorResponse::invalid_credential("the refresh token is unknown"))?;
        if token.issuer != issuer {
            return Err(ErrorResponse::invalid_credential("the refresh token was issued to another client"));
        }
        if self.revoked_families.contains(&token.family) {
            return Err(ErrorResponse::invalid_credential("the refresh token was revoked"));
        }
        if token.used {
            self.revoked_families.insert(token.family);
            return Err(ErrorResponse::invalid_credential(
                "the refresh token was used before; its family is revoked",
            ));
        }
        Ok(token)
    }

    /// Invalidates the refresh token that a valid request used.
    pub(crate) fn mark_refresh_token_used(&mut self, grant: &Grant) {
        let used = grant.new_refresh_token.as_ref().and_then(|renewal| renewal.replaces.as_ref());
        for token in self.refresh_tokens.iter_mut().filter(|token| Some(&token.value) == used) {
            token.used = true;
        }
    }

    pub(crate) fn issue_refresh_token(&mut self, grant: &Grant, random: &str) -> Option<String> {
        let (renewal, family) = (grant.new_refresh_token.as_ref()?, grant.family?);
        let value = format!("rt-{}-{random}", self.refresh_tokens.len() + 1);
        self.refresh_tokens.push(RefreshToken {
            value: value.clone(),
            issuer: grant.issuer.clone(),
            subject: grant.subject.clone(),
            scope: renewal.scope.clone(),
            family,
            used: false,
        });
        Some(value)
    }

    /// Revokes the family of a refresh token; `false` if the token is unknown.
    pub(crate) fn revoke(&mut self, value: &str) -> bool {
        let found = self.refresh_tokens.iter().find(|token| token.value == value);
        found.map(|token| self.revoked_families.insert(token.family)).is_some()
    }

    pub(crate) fn refresh_tokens(&self) -> Vec<String> {
        self.refresh_tokens.iter().map(|token| token.value.clone()).collect()
    }
}
