//! What changes while the server runs, behind one lock: clients, used `jti`s, tokens, consents, plays, records.

use std::collections::{HashSet, VecDeque};

use crate::client::Client;
use crate::config::{Config, ExpiresIn};
use crate::play::Play;
use crate::record::Recorded;
use crate::refusal::{Fault, Refusal};
use crate::token::Grant;

pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) clients: Vec<Client>,
    pub(crate) seen: Seen,
    pub(crate) gate: Gate,
    pub(crate) connections: u64,
}

/// What `reset` forgets.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) requests: Vec<Recorded>,
    pub(crate) issued: Vec<Issued>,
    pub(crate) script: VecDeque<Play>,
    pub(crate) always: Option<Play>,
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
        State { config, clients: Vec::new(), seen: Seen::default(), gate: Gate::default(), connections: 0 }
    }

    /// Adds a client, or takes the place of the one with the same issuer.
    pub(crate) fn register(&mut self, client: Client) {
        self.clients.retain(|known| known.issuer != client.issuer);
        self.clients.push(client);
    }

    pub(crate) fn client(&self, issuer: &str) -> Option<usize> {
        self.clients.iter().position(|client| client.issuer == issuer)
    }

    pub(crate) fn use_up(&mut self, issuer: &str, jti: Option<&str>) -> Result<(), Refusal> {
        let Some(jti) = jti else { return Ok(()) };
        if self.seen.jtis.insert((issuer.to_owned(), jti.to_owned())) {
            return Ok(());
        }
        Err(Refusal::grant(Fault::Other, format!("jti {jti:?} was used before")))
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

    pub(crate) fn issue(&mut self, grant: &Grant, random: &str, now: i64) -> String {
        let token = format!("at-{}-{random}", self.seen.issued.len() + 1);
        let ends = match self.config.expires_in {
            ExpiresIn::Number(seconds) => i64::try_from(seconds).ok().and_then(|s| now.checked_add(s)),
            _ => None,
        };
        self.seen.issued.push(Issued { token: token.clone(), grant: grant.clone(), ends, revoked: false });
        token
    }

    pub(crate) fn live_token(&self, token: &str, now: i64) -> Option<&Issued> {
        let good =
            |one: &&Issued| one.token == token && !one.revoked && one.ends.is_none_or(|ends| now < ends);
        self.seen.issued.iter().find(good)
    }

    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        let found = self.seen.issued.iter_mut().find(|one| one.token == token);
        found.map(|one| one.revoked = true).is_some()
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
