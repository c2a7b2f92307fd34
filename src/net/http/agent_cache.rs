//! The agents of one process, each with its kept connections: one for each trust that is in force, and not for long.
//!
//! A TrustStore is text from outside, and each agent may hold sockets: so there is an end to how many are kept, and to
//! how long one that nobody asks for is.

use std::borrow::Cow;
use std::time::Duration;

use crate::net::tls::{FileVersion, Trust};
use crate::sys;

/// More trust stores than this are not in use at once.
const MOST: usize = 32;

/// How long an idle connection is kept, suspended time included.
pub(super) const MAX_IDLE: Duration = Duration::from_secs(60);

/// What tells one agent from another: trust, client certificate and proxy, and who it was that could read their files.
/// `None` is plain HTTP, which trusts nobody and needs no certificates to be read.
pub(super) type Key<'a> = Option<(Cow<'a, Trust>, u32)>;

/// What of `trust` is in force.
pub(super) fn key(trust: &Trust, https: bool) -> Key<'_> {
    https.then(|| (trust.in_force(), sys::effective_user_id()))
}

/// `A` is an agent, but in tests.
pub(super) struct Agents<A>(Vec<Kept<A>>);

struct Kept<A> {
    key: Key<'static>,
    stamps: Vec<FileVersion>,
    agent: A,
    used: Duration,
}

impl<A> Default for Agents<A> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<A: Clone> Agents<A> {
    /// The agent of `key`, if its files still look like `stamps`.
    pub(super) fn get(&mut self, key: &Key<'_>, stamps: &[FileVersion], now: Duration) -> Option<A> {
        let found = self.0.iter_mut().find(|kept| kept.key == *key && kept.stamps == stamps)?;
        found.used = now;
        Some(found.agent.clone())
    }

    /// Takes out all but `key`'s own that nobody has asked for of late; to be dropped without the lock.
    pub(super) fn rested(&mut self, key: &Key<'_>, now: Duration) -> Vec<A> {
        self.take(|kept| now.saturating_sub(kept.used) >= MAX_IDLE && kept.key != *key)
    }

    /// Puts `agent` in the place of `key`'s, and takes out what there is no room for.
    pub(super) fn put(&mut self, key: Key<'_>, stamps: Vec<FileVersion>, agent: A, now: Duration) -> Vec<A> {
        let key = key.map(|(trust, user)| (Cow::Owned(trust.into_owned()), user));
        let mut gone = self.take(|kept| kept.key == key);
        self.0.sort_by_key(|kept| kept.used);
        let surplus = self.0.len().saturating_add(1).saturating_sub(MOST);
        gone.extend(self.0.drain(..surplus).map(|kept| kept.agent));
        self.0.push(Kept { key, stamps, agent, used: now });
        gone
    }

    fn take(&mut self, which: impl Fn(&Kept<A>) -> bool) -> Vec<A> {
        self.0.extract_if(.., |kept| which(kept)).map(|kept| kept.agent).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::file::ConfiguredPath;
    use crate::net::proxy::{Proxy, ProxyConfig};

    fn named(store: &str) -> Key<'static> {
        let trust = Trust { store: Some(ConfiguredPath::new(store.to_owned())), ..Trust::default() };
        Some((Cow::Owned(trust), sys::effective_user_id()))
    }

    fn names(agents: &Agents<usize>) -> Vec<usize> {
        let mut names: Vec<usize> = agents.0.iter().map(|kept| kept.agent).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn there_is_an_end_to_their_number_and_the_least_recently_used_goes_first() {
        let (mut agents, start) = (Agents::default(), Duration::from_secs(1000));
        let at = |second| start + Duration::from_secs(second);
        for number in 0..32 {
            assert!(agents.put(named(&number.to_string()), Vec::new(), number, start).is_empty());
        }
        for number in (0..32).filter(|number| *number != 7) {
            agents.get(&named(&number.to_string()), &[], at(1)).unwrap();
        }
        assert_eq!(agents.put(named("more"), Vec::new(), 32, at(2)), [7]);
        assert_eq!(names(&agents).len(), 32);
        assert_eq!(agents.put(named("more"), Vec::new(), 33, at(3)), [32]);
    }

    #[test]
    fn those_that_nobody_asks_for_go_when_another_is_asked_for() {
        let (mut agents, start) = (Agents::default(), Duration::from_secs(1000));
        let at = |second| start + Duration::from_secs(second);
        for number in 0..3 {
            agents.put(named(&number.to_string()), Vec::new(), number, start);
        }
        agents.get(&named("1"), &[], at(30)).unwrap();
        assert!(agents.rested(&named("0"), at(59)).is_empty());
        assert_eq!(agents.rested(&named("0"), at(60)), [2]);
        assert_eq!(names(&agents), [0, 1]);
    }

    #[test]
    fn only_what_is_in_force_tells_them_apart() {
        let trust = |store: &str, validate| Trust {
            store: Some(ConfiguredPath::new(store.to_owned())),
            validate,
            ..Trust::default()
        };
        assert_eq!(key(&trust("a", false), true), key(&trust("b", false), true));
        assert_eq!(key(&trust("a", true), false), key(&trust("b", false), false));
        assert_ne!(key(&trust("a", true), true), key(&trust("b", true), true));
        assert_ne!(key(&Trust::default(), true), key(&trust("b", false), true));
        let proxy = Proxy::parse("p", None, "ProxyHost").unwrap();
        let through = Trust { route: ProxyConfig::Explicit(proxy), ..trust("a", false) };
        assert_ne!(key(&through, true), key(&trust("a", false), true), "a proxy is one with any trust");
    }
}
