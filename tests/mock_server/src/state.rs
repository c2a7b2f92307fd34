//! Mutable state of the server, guarded by one lock: clients, used `jti`s, tokens, consents, behaviors,
//! requests.

use std::collections::{HashSet, VecDeque};

use rustls::crypto::aws_lc_rs;

use crate::client::Client;
use crate::config::{Config, ExpiresIn};
use crate::error::{ErrorReason, ErrorResponse};
use crate::grant_store::{GrantStore, NewRefreshToken};
use crate::id_token::IdTokenSigner;
use crate::request_log::RecordedRequest;
use crate::scenario::Behavior;
use crate::token_endpoint::{Grant, IssuedTokens};

pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) clients: Vec<Client>,
    pub(crate) resettable: ResettableState,
    pub(crate) gate: Gate,
    pub(crate) connection_count: u64,
    pub(crate) signer: IdTokenSigner,
}

/// The part of the state that `reset` clears.
#[derive(Default)]
pub(crate) struct ResettableState {
    pub(crate) requests: Vec<RecordedRequest>,
    pub(crate) issued_tokens: Vec<IssuedToken>,
    pub(crate) script: VecDeque<Behavior>,
    pub(crate) default_behavior: Option<Behavior>,
    pub(crate) grant_store: GrantStore,
    pub(crate) logoff_count: u64,
    pending_consents: HashSet<String>,
    used_jtis: HashSet<(String, String)>,
}

#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) open: bool,
    pub(crate) waiting: usize,
}

pub(crate) struct IssuedToken {
    pub(crate) token: String,
    pub(crate) grant: Grant,
    expires_at: Option<i64>,
    revoked: bool,
}

impl State {
    pub(crate) fn new(config: Config) -> Self {
        State {
            config,
            clients: Vec::new(),
            resettable: ResettableState::default(),
            gate: Gate::default(),
            connection_count: 0,
            signer: IdTokenSigner::new(),
        }
    }

    /// Adds a client, or replaces the one with the same issuer.
    pub(crate) fn register(&mut self, client: Client) {
        self.clients.retain(|other| other.issuer != client.issuer);
        self.clients.push(client);
    }

    pub(crate) fn find_client(&self, issuer: &str) -> Option<usize> {
        self.clients.iter().position(|client| client.issuer == issuer)
    }

    pub(crate) fn find_client_by_id(&self, id: &str) -> Option<usize> {
        self.clients.iter().position(|client| client.client_id() == id)
    }

    pub(crate) fn consume_jti(&mut self, issuer: &str, jti: Option<&str>) -> Result<(), ErrorResponse> {
        let Some(jti) = jti else { return Ok(()) };
        if self.resettable.used_jtis.insert((issuer.to_owned(), jti.to_owned())) {
            return Ok(());
        }
        Err(ErrorResponse::invalid_grant(ErrorReason::Replay, format!("jti {jti:?} was used before")))
    }

    pub(crate) fn require_consent(&mut self, subject: &str) {
        self.resettable.pending_consents.insert(subject.to_owned());
    }

    pub(crate) fn check_consent(&self, subject: Option<&str>) -> Result<(), ErrorResponse> {
        match subject {
            Some(subject) if self.resettable.pending_consents.contains(subject) => {
                Err(ErrorResponse::consent_required())
            }
            _ => Ok(()),
        }
    }

    // The authorization endpoint does not identify the user: one consent counts for all pending subjects.
    pub(crate) fn clear_pending_consents(&mut self) {
        self.resettable.pending_consents.clear();
    }

    /// Issues all tokens for a valid request to the server at this base URL.
    pub(crate) fn issue_tokens(&mut self, grant: &Grant, base_url: &str, now: i64) -> IssuedTokens {
        let access = self.issue_access_token(grant, &random_hex(), now);
        let refresh = self.resettable.grant_store.issue_refresh_token(grant, &random_hex());
        let issuer = self.config.issuer.as_deref().unwrap_or(base_url);
        let client = self.clients.iter().find(|client| client.issuer == grant.issuer);
        let id = grant.id_token_nonce.as_ref().zip(client).map(|(nonce, client)| {
            let subject = grant.subject.as_deref().unwrap_or_default();
            self.signer.sign_id_token(issuer, subject, client.client_id(), nonce.as_deref(), now)
        });
        IssuedTokens { access_token: access, refresh_token: refresh, id_token: id }
    }

    fn issue_access_token(&mut self, grant: &Grant, random: &str, now: i64) -> String {
        let token = format!("at-{}-{random}", self.resettable.issued_tokens.len() + 1);
        let expires_at = match self.config.expires_in {
            ExpiresIn::Number(seconds) => i64::try_from(seconds).ok().and_then(|s| now.checked_add(s)),
            _ => None,
        };
        self.resettable.issued_tokens.push(IssuedToken {
            token: token.clone(),
            grant: grant.clone(),
            expires_at,
            revoked: false,
        });
        token
    }

    pub(crate) fn issue_refresh_token(
        &mut self,
        issuer: &str,
        subject: &str,
        scope: Option<&str>,
    ) -> Result<String, String> {
        let client = self.find_client(issuer).ok_or_else(|| format!("{issuer:?} is not registered"))?;
        let (scope, subject) = (scope.map(str::to_owned), Some(subject.to_owned()));
        let grant = Grant::new(&self.clients[client], subject, scope);
        let family = self.resettable.grant_store.new_family();
        let grant = Grant {
            family: Some(family),
            new_refresh_token: Some(NewRefreshToken::initial(&grant)),
            ..grant
        };
        self.resettable
            .grant_store
            .issue_refresh_token(&grant, &random_hex())
            .ok_or_else(|| "no refresh token".to_owned())
    }

    pub(crate) fn find_valid_token(&self, token: &str, now: i64) -> Option<&IssuedToken> {
        let is_revoked =
            |one: &IssuedToken| one.revoked || self.resettable.grant_store.is_revoked(one.grant.family);
        let is_valid = |one: &&IssuedToken| {
            one.token == token && !is_revoked(one) && one.expires_at.is_none_or(|expires_at| now < expires_at)
        };
        self.resettable.issued_tokens.iter().find(is_valid)
    }

    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        let found = self.resettable.issued_tokens.iter_mut().find(|one| one.token == token);
        found.map(|one| one.revoked = true).is_some() || self.resettable.grant_store.revoke(token)
    }

    pub(crate) fn set_script(&mut self, script: Vec<Behavior>) {
        self.gate.open = false;
        self.resettable.script = script.into();
    }

    pub(crate) fn set_default_behavior(&mut self, behavior: Option<Behavior>) {
        self.gate.open = false;
        self.resettable.default_behavior = behavior;
    }

    pub(crate) fn next_behavior(&mut self) -> Option<Behavior> {
        self.resettable.script.pop_front().or_else(|| self.resettable.default_behavior.clone())
    }
}

/// 128 random bits in hexadecimal.
pub(crate) fn random_hex() -> String {
    let mut bytes = [0_u8; 16];
    let source = aws_lc_rs::default_provider().secure_random;
    source.fill(&mut bytes).expect("random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
