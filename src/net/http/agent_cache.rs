//! LRU cache of ureq agents, each with its idle connections: one agent per effective transport configuration.
//!
//! The number of agents and their idle time are bounded, because TrustStore is untrusted input and each agent
//! may hold sockets.

use std::borrow::Cow;
use std::time::Duration;

use crate::net::tls::{FileVersion, TransportConfig};
use crate::sys;

/// More transport configurations than this are not expected to be in use at the same time.
const MAX_AGENTS: usize = 32;

/// Maximum idle time of a connection and of an agent, including the time for which the machine is suspended.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Key of an agent: the effective transport configuration (trust store, client certificate, proxy) and the
/// effective user ID that was allowed to read its files. `None` is plain HTTP, which needs no certificates.
pub(super) type AgentKey<'a> = Option<(Cow<'a, TransportConfig>, u32)>;

/// Returns the key for the settings of `config` that have an effect.
pub(super) fn agent_key(config: &TransportConfig, https: bool) -> AgentKey<'_> {
    https.then(|| (config.effective(), sys::effective_user_id()))
}

/// `A` is a ureq agent, except in tests. Not a `BoundedMap`, because idle agents are dropped too, and a
/// lookup borrows the parts of its key.
pub(super) struct AgentCache<A>(Vec<CachedAgent<A>>);

struct CachedAgent<A> {
    key: AgentKey<'static>,
    file_versions: Vec<FileVersion>,
    agent: A,
    last_used: Duration,
}

impl<A> Default for AgentCache<A> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<A: Clone> AgentCache<A> {
    /// Returns the agent for `key` if it was created with the same `file_versions`.
    pub(super) fn get(
        &mut self,
        key: &AgentKey<'_>,
        file_versions: &[FileVersion],
        now: Duration,
    ) -> Option<A> {
        let found =
            self.0.iter_mut().find(|entry| entry.key == *key && entry.file_versions == file_versions)?;
        found.last_used = now;
        Some(found.agent.clone())
    }

    /// Removes all agents not used for [`IDLE_TIMEOUT`], except that for `key`. The caller drops them after
    /// unlocking.
    pub(super) fn take_idle(&mut self, key: &AgentKey<'_>, now: Duration) -> Vec<A> {
        self.take_matching(|entry| now.saturating_sub(entry.last_used) >= IDLE_TIMEOUT && entry.key != *key)
    }

    /// Inserts or replaces the agent for `key`. Returns the agents that were replaced or evicted.
    pub(super) fn insert(
        &mut self,
        key: AgentKey<'_>,
        file_versions: Vec<FileVersion>,
        agent: A,
        now: Duration,
    ) -> Vec<A> {
        let key = key.map(|(config, user)| (Cow::Owned(config.into_owned()), user));
        let mut evicted = self.take_matching(|entry| entry.key == key);
        self.0.sort_by_key(|entry| entry.last_used);
        let surplus = self.0.len().saturating_add(1).saturating_sub(MAX_AGENTS);
        evicted.extend(self.0.drain(..surplus).map(|entry| entry.agent));
        self.0.push(CachedAgent { key, file_versions, agent, last_used: now });
        evicted
    }

    fn take_matching(&mut self, predicate: impl Fn(&CachedAgent<A>) -> bool) -> Vec<A> {
        self.0.extract_if(.., |entry| predicate(entry)).map(|entry| entry.agent).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::file::ConfiguredPath;
    use crate::net::proxy::{Proxy, ProxyConfig};

    fn key_for_store(store: &str) -> AgentKey<'static> {
        let config = TransportConfig {
            trust_store: Some(ConfiguredPath::new(store.to_owned())),
            ..TransportConfig::default()
        };
        Some((Cow::Owned(config), sys::effective_user_id()))
    }

    fn cached_agents(agents: &AgentCache<usize>) -> Vec<usize> {
        let mut names: Vec<usize> = agents.0.iter().map(|entry| entry.agent).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn lru_agent_is_evicted_at_max_agents() {
        let (mut agents, start) = (AgentCache::default(), Duration::from_secs(1000));
        let at = |second| start + Duration::from_secs(second);
        for number in 0..32 {
            assert!(agents.insert(key_for_store(&number.to_string()), Vec::new(), number, start).is_empty());
        }
        for number in (0..32).filter(|number| *number != 7) {
            agents.get(&key_for_store(&number.to_string()), &[], at(1)).unwrap();
        }
        assert_eq!(agents.insert(key_for_store("more"), Vec::new(), 32, at(2)), [7]);
        assert_eq!(cached_agents(&agents).len(), 32);
        assert_eq!(agents.insert(key_for_store("more"), Vec::new(), 33, at(3)), [32]);
    }

    #[test]
    fn idle_agents_are_taken_on_next_use() {
        let (mut agents, start) = (AgentCache::default(), Duration::from_secs(1000));
        let at = |second| start + Duration::from_secs(second);
        for number in 0..3 {
            agents.insert(key_for_store(&number.to_string()), Vec::new(), number, start);
        }
        agents.get(&key_for_store("1"), &[], at(30)).unwrap();
        assert!(agents.take_idle(&key_for_store("0"), at(59)).is_empty());
        assert_eq!(agents.take_idle(&key_for_store("0"), at(60)), [2]);
        assert_eq!(cached_agents(&agents), [0, 1]);
    }

    #[test]
    fn agent_key_ignores_ineffective_tls_settings() {
        let config = |store: &str, validate| TransportConfig {
            trust_store: Some(ConfiguredPath::new(store.to_owned())),
            validate_certificate: validate,
            ..TransportConfig::default()
        };
        assert_eq!(agent_key(&config("a", false), true), agent_key(&config("b", false), true));
        assert_eq!(agent_key(&config("a", true), false), agent_key(&config("b", false), false));
        assert_ne!(agent_key(&config("a", true), true), agent_key(&config("b", true), true));
        assert_ne!(agent_key(&TransportConfig::default(), true), agent_key(&config("b", false), true));
        let proxy = Proxy::parse("p", None, "ProxyHost").unwrap();
        let proxied = TransportConfig { proxy: ProxyConfig::Explicit(proxy), ..config("a", false) };
        assert_ne!(
            agent_key(&proxied, true),
            agent_key(&config("a", false), true),
            "the proxy is part of the key for any trust store"
        );
    }
}
