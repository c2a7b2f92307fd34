//! What changes while the server runs, behind one lock: clients, used `jti`s, tokens, consents, plays, records.

use std::collections::{HashSet, VecDeque};

use rustls::crypto::aws_lc_rs;

use crate::client::Client;
use crate::config::{Config, ExpiresIn};
use crate::id_token::Signer;
use crate::play::Play;
use crate::record::Recorded;
use crate::refusal::{Fault, Refusal};
use crate::token::{Grant, Tokens};
use crate::vault::{Renewal, Vault};

pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) clients: Vec<Client>,
    pub(crate) seen: Seen,
    pub(crate) gate: Gate,
    pub(crate) connections: u64,
    pub(crate) signer: Signer,
}

/// What `reset` forgets.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) requests: Vec<Recorded>,
    pub(crate) issued: Vec<Issued>,
    pub(crate) script: VecDeque<Play>,
    pub(crate) always: Option<Play>,
    pub(crate) vault: Vault,
    pub(crate) logoffs: u64,
    consent_missing: HashSet<String>,
    jtis: HashSet<(String, String)>,
}

#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) open: bool,
    pub(crate) waiting: usize,
}

pub(crate) struct Issued {
    pub(crate) token: String,
    pub(crate) grant: Grant,
    ends: Option<i64>,
    revoked: bool,
}

impl State {
    pub(crate) fn new(config: Config) -> Self {
        State {
            config,
            clients: Vec::new(),
            seen: Seen::default(),
            gate: Gate::default(),
            connections: 0,
            signer: Signer::new(),
        }
    }

    /// Adds a client, or takes the place of the one with the same issuer.
    pub(crate) fn register(&mut self, client: Client) {
        self.clients.retain(|known| known.issuer != client.issuer);
        self.clients.push(client);
    }

    pub(crate) fn client(&self, issuer: &str) -> Option<usize> {
        self.clients.iter().position(|client| client.issuer == issuer)
    }

    pub(crate) fn client_by_id(&self, id: &str) -> Option<usize> {
        self.clients.iter().position(|client| client.client_id() == id)
    }

    pub(crate) fn use_up(&mut self, issuer: &str, jti: Option<&str>) -> Result<(), Refusal> {
        let Some(jti) = jti else { return Ok(()) };
        if self.seen.jtis.insert((issuer.to_owned(), jti.to_owned())) {
            return Ok(());
        }
        Err(Refusal::grant(Fault::Replay, format!("jti {jti:?} was used before")))
    }

    pub(crate) fn require_consent(&mut self, subject: &str) {
        self.seen.consent_missing.insert(subject.to_owned());
    }

    pub(crate) fn consent_given(&self, subject: Option<&str>) -> Result<(), Refusal> {
        match subject {
            Some(subject) if self.seen.consent_missing.contains(subject) => Err(Refusal::consent()),
            _ => Ok(()),
        }
    }

    // The authorization page does not say who signs in; one visit stands for all who still had to.
    pub(crate) fn consent(&mut self) {
        self.seen.consent_missing.clear();
    }

    /// All tokens that a good request gets from the server of this base URL.
    pub(crate) fn issue(&mut self, grant: &Grant, base: &str, now: i64) -> Tokens {
        let access = self.issue_access_token(grant, &random(), now);
        let refresh = self.seen.vault.issue(grant, &random());
        let issuer = self.config.issuer.as_deref().unwrap_or(base);
        let client = self.clients.iter().find(|client| client.issuer == grant.issuer);
        let id = grant.id_token.as_ref().zip(client).map(|(nonce, client)| {
            let about = grant.subject.as_deref().unwrap_or_default();
            self.signer.id_token(issuer, about, client.client_id(), nonce.as_deref(), now)
        });
        Tokens { access, refresh, id }
    }

    fn issue_access_token(&mut self, grant: &Grant, random: &str, now: i64) -> String {
        let token = format!("at-{}-{random}", self.seen.issued.len() + 1);
        let ends = match self.config.expires_in {
            ExpiresIn::Number(seconds) => i64::try_from(seconds).ok().and_then(|s| now.checked_add(s)),
            _ => None,
        };
        self.seen.issued.push(Issued { token: token.clone(), grant: grant.clone(), ends, revoked: false });
        token
    }

    pub(crate) fn issue_refresh_token(
        &mut self,
        issuer: &str,
        subject: &str,
        scope: Option<&str>,
    ) -> Result<String, String> {
        let client = self.client(issuer).ok_or_else(|| format!("{issuer:?} is not registered"))?;
        let (scope, subject) = (scope.map(str::to_owned), Some(subject.to_owned()));
        let grant = Grant::plain(&self.clients[client], subject, scope);
        let family = self.seen.vault.new_family();
        let grant = Grant { family: Some(family), renewal: Some(Renewal::of(&grant)), ..grant };
        self.seen.vault.issue(&grant, &random()).ok_or_else(|| "no refresh token".to_owned())
    }

    pub(crate) fn live_token(&self, token: &str, now: i64) -> Option<&Issued> {
        let ended = |one: &Issued| one.revoked || self.seen.vault.has_ended(one.grant.family);
        let good =
            |one: &&Issued| one.token == token && !ended(one) && one.ends.is_none_or(|ends| now < ends);
        self.seen.issued.iter().find(good)
    }

    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        let found = self.seen.issued.iter_mut().find(|one| one.token == token);
        found.map(|one| one.revoked = true).is_some() || self.seen.vault.revoke(token)
    }

    pub(crate) fn play(&mut self, script: Vec<Play>) {
        self.gate.open = false;
        self.seen.script = script.into();
    }

    pub(crate) fn play_always(&mut self, play: Option<Play>) {
        self.gate.open = false;
        self.seen.always = play;
    }

    pub(crate) fn next_play(&mut self) -> Option<Play> {
        self.seen.script.pop_front().or_else(|| self.seen.always.clone())
    }
}

/// 128 bits that nobody guesses, as text.
pub(crate) fn random() -> String {
    let mut bytes = [0_u8; 16];
    let source = aws_lc_rs::default_provider().secure_random;
    source.fill(&mut bytes).expect("random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
