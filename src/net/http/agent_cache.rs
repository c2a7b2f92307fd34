//! The agents of one process, each with its kept connections: one for each trust that is in force, and not for long.
//!
//! A TrustStore is text from outside, and each agent may hold sockets: so there is an end to how many are kept, and to
//! how long one that nobody asks for is.

use std::borrow::Cow;
use std::time::Duration;

use crate::net::tls::{FileVersion, TransportConfig};
use crate::sys;

/// More trust stores than this are not in use at once.
const MAX_AGENTS: usize = 32;

/// How long an idle connection is kept, suspended time included.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// What tells one agent from another: trust, client certificate and proxy, and who it was that could read their files.
/// `None` is plain HTTP, which trusts nobody and needs no certificates to be read.
pub(super) type AgentKey<'a> = Option<(Cow<'a, TransportConfig>, u32)>;

/// What of `trust` is in force.
pub(super) fn agent_key(trust: &TransportConfig, https: bool) -> AgentKey<'_> {
    https.then(|| (trust.effective(), sys::effective_user_id()))
}

/// `A` is an agent, but in tests.
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
    /// The agent of `key`, if its files still look like `stamps`.
    pub(super) fn get(&mut self, key: &AgentKey<'_>, stamps: &[FileVersion], now: Duration) -> Option<A> {
        let found = self.0.iter_mut().find(|kept| kept.key == *key && kept.file_versions == stamps)?;
        found.last_used = now;
        Some(found.agent.clone())
    }

    /// Takes out all but `key`'s own that nobody has asked for of late; to be dropped without the lock.
    pub(super) fn take_idle(&mut self, key: &AgentKey<'_>, now: Duration) -> Vec<A> {
        self.take_matching(|kept| now.saturating_sub(kept.last_used) >= IDLE_TIMEOUT && kept.key != *key)
    }

    /// Puts `agent` in the place of `key`'s, and takes out what there is no room for.
    pub(super) fn insert(
        &mut self,
        key: AgentKey<'_>,
        stamps: Vec<FileVersion>,
        agent: A,
        now: Duration,
    ) -> Vec<A> {
        let key = key.map(|(trust, user)| (Cow::Owned(trust.into_owned()), user));
        let mut gone = self.take_matching(|kept| kept.key == key);
        self.0.sort_by_key(|kept| kept.last_used);
        let surplus = self.0.len().saturating_add(1).saturating_sub(MAX_AGENTS);
        gone.extend(self.0.drain(..surplus).map(|kept| kept.agent));
        self.0.push(CachedAgent { key, file_versions: stamps, agent, last_used: now });
        gone
    }

    fn take_matching(&mut self, which: impl Fn(&CachedAgent<A>) -> bool) -> Vec<A> {
        self.0.extract_if(.., |kept| which(kept)).map(|kept| kept.agent).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::file::ConfiguredPath;
    use crate::net::proxy::{Proxy, ProxyConfig};

    fn key_for_store(store: &str) -> AgentKey<'static> {
        let trust = TransportConfig {
            trust_store: Some(ConfiguredPath::new(store.to_owned())),
            ..TransportConfig::default()
        };
        Some((Cow::Owned(trust), sys::effective_user_id()))
    }

    fn cached_agents(agents: &AgentCache<usize>) -> Vec<usize> {
        let mut names: Vec<usize> = agents.0.iter().map(|kept| kept.agent).collect();
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
        let trust = |store: &str, validate| TransportConfig {
            trust_store: Some(ConfiguredPath::new(store.to_owned())),
            validate_certificate: validate,
            ..TransportConfig::default()
        };
        assert_eq!(agent_key(&trust("a", false), true), agent_key(&trust("b", false), true));
        assert_eq!(agent_key(&trust("a", true), false), agent_key(&trust("b", false), false));
        assert_ne!(agent_key(&trust("a", true), true), agent_key(&trust("b", true), true));
        assert_ne!(agent_key(&TransportConfig::default(), true), agent_key(&trust("b", false), true));
        let proxy = Proxy::parse("p", None, "ProxyHost").unwrap();
        let through = TransportConfig { proxy: ProxyConfig::Explicit(proxy), ..trust("a", false) };
        assert_ne!(
            agent_key(&through, true),
            agent_key(&trust("a", false), true),
            "a proxy is one with any trust"
        );
    }
}
