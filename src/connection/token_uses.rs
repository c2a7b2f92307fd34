//! Record of the tokens that one connection uses and that its close affects.

use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::base::cache_key::CacheKey;
use crate::process::Process;
use crate::process::Snapshot;

/// Maximum number of uses for each purpose. Beyond it, the oldest use ends: a shared token is not logged off
/// and expires by itself, a private token is removed from the cache.
const MAX_USES: usize = 64;

/// What happens to a token when the connection is closed.
pub(super) enum Purpose {
    /// The last connection that uses the token logs it off, with the options of the snapshot.
    LogOffWithLast(Arc<Snapshot>),
    /// The token is removed from the cache, because no other connection can use it.
    RemoveAtClose,
}

struct TokenUse {
    cache_key: CacheKey,
    purpose: Purpose,
}

impl TokenUse {
    fn has_purpose(&self, purpose: &Purpose) -> bool {
        mem::discriminant(&self.purpose) == mem::discriminant(purpose)
    }

    fn is_for_logoff(&self) -> bool {
        matches!(self.purpose, Purpose::LogOffWithLast(_))
    }
}

/// Tokens that one connection uses, oldest first. Thread-safe. A forked child starts with an empty record, so
/// that it contains only tokens that the child obtained.
#[derive(Default)]
pub(super) struct TokenUses(Mutex<Vec<TokenUse>>);

impl TokenUses {
    /// Records that the connection uses the token of `cache_key`, once for each purpose.
    pub(super) fn record(&self, cache_key: CacheKey, purpose: Purpose, process: &Process) {
        let mut uses = self.0.lock();
        if uses.iter().any(|known| known.cache_key == cache_key && known.has_purpose(&purpose)) {
            return;
        }
        if let Purpose::LogOffWithLast(_) = purpose {
            process.token_users.acquire(cache_key);
        }
        let is_full = uses.iter().filter(|known| known.has_purpose(&purpose)).count() >= MAX_USES;
        let oldest =
            is_full.then(|| uses.extract_if(.., |known| known.has_purpose(&purpose)).next()).flatten();
        uses.push(TokenUse { cache_key, purpose });
        drop(uses);
        match oldest {
            Some(TokenUse { cache_key, purpose: Purpose::LogOffWithLast(_) }) => {
                process.token_users.release(cache_key);
            }
            Some(TokenUse { cache_key, purpose: Purpose::RemoveAtClose }) => {
                process.cache.remove(cache_key);
            }
            None => {}
        }
    }

    /// Ends the use of a token that the caller logs off.
    pub(super) fn release(&self, cache_key: CacheKey, process: &Process) {
        for _ in self.take_if(|known| known.cache_key == cache_key && known.is_for_logoff()) {
            process.token_users.release(cache_key);
        }
    }

    /// Ends the use of all tokens with [`Purpose::LogOffWithLast`]. Returns those that no other connection
    /// uses.
    pub(super) fn release_all(&self, process: &Process) -> Vec<(CacheKey, Arc<Snapshot>)> {
        let uses = self.take_if(TokenUse::is_for_logoff).into_iter();
        uses.filter_map(|TokenUse { cache_key, purpose }| match purpose {
            Purpose::LogOffWithLast(snapshot) if process.token_users.release(cache_key) => {
                Some((cache_key, snapshot))
            }
            _ => None,
        })
        .collect()
    }

    /// Removes all tokens with [`Purpose::RemoveAtClose`] from the cache.
    pub(super) fn remove_private_tokens(&self, process: &Process) {
        for private in self.take_if(|known| !known.is_for_logoff()) {
            process.cache.remove(private.cache_key);
        }
    }

    fn take_if(&self, condition: impl Fn(&TokenUse) -> bool) -> Vec<TokenUse> {
        self.0.lock().extract_if(.., |known| condition(known)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture;
    use super::*;
    use crate::base::secret::Secret;
    use crate::grants::access_token;
    use crate::resolve::PresetToken;
    use crate::token::cache::Requirements;

    /// Uses of one connection, and a token in the cache for each number.
    struct UsesFixture {
        uses: TokenUses,
        snapshot: Arc<Snapshot>,
        process: &'static Process,
    }

    impl UsesFixture {
        fn new() -> Self {
            let fixture = fixture("");
            let snapshot = fixture.connection.snapshot.load();
            Self { uses: TokenUses::default(), snapshot, process: fixture.process }
        }

        fn cache_key(&self, number: usize) -> CacheKey {
            CacheKey::digest(&self.process.cache_key_secret, &number)
        }

        fn cache_token(&self, number: usize) {
            let preset = PresetToken { token: Some(Secret::from("at")), expires_at: Some(2_000_000) };
            let (clock, cache_key) = (self.process.clock.as_ref(), self.cache_key(number));
            let token = access_token::initial_token(&preset, clock, cache_key).unwrap();
            self.process.cache.insert_if_absent(cache_key, token);
        }

        fn is_cached(&self, number: usize) -> bool {
            let clock = self.process.clock.as_ref();
            self.process.cache.peek(self.cache_key(number), Requirements::default(), clock).is_some()
        }

        fn record_for_logoff(&self, uses: &TokenUses, number: usize) {
            let purpose = Purpose::LogOffWithLast(Arc::clone(&self.snapshot));
            uses.record(self.cache_key(number), purpose, self.process);
        }

        fn record_private(&self, number: usize) {
            self.uses.record(self.cache_key(number), Purpose::RemoveAtClose, self.process);
        }

        /// The cache keys of the tokens to log off when the connection with `uses` is closed.
        fn release_all(&self, uses: &TokenUses) -> Vec<CacheKey> {
            uses.release_all(self.process).into_iter().map(|(cache_key, _)| cache_key).collect()
        }
    }

    #[test]
    fn shared_token_is_returned_to_last_user() {
        let fixture = UsesFixture::new();
        let other = TokenUses::default();
        fixture.record_for_logoff(&fixture.uses, 0);
        fixture.record_for_logoff(&fixture.uses, 0);
        fixture.record_for_logoff(&other, 0);
        assert_eq!(fixture.release_all(&fixture.uses), []);
        assert_eq!(fixture.release_all(&fixture.uses), [], "the use has ended");
        assert_eq!(fixture.release_all(&other), [fixture.cache_key(0)]);
    }

    #[test]
    fn released_token_is_not_returned_at_close() {
        let fixture = UsesFixture::new();
        let other = TokenUses::default();
        for number in 0..2 {
            fixture.record_for_logoff(&fixture.uses, number);
        }
        fixture.record_for_logoff(&other, 0);
        fixture.uses.release(fixture.cache_key(0), fixture.process);
        assert_eq!(fixture.release_all(&fixture.uses), [fixture.cache_key(1)]);
        assert_eq!(fixture.release_all(&other), [fixture.cache_key(0)]);
    }

    #[test]
    fn oldest_shared_use_ends_beyond_limit() {
        let fixture = UsesFixture::new();
        fixture.cache_token(0);
        fixture.record_private(MAX_USES + 1);
        for number in 0..=MAX_USES {
            fixture.record_for_logoff(&fixture.uses, number);
        }
        let expected: Vec<_> = (1..=MAX_USES).map(|number| fixture.cache_key(number)).collect();
        assert!(!fixture.process.token_users.release(fixture.cache_key(0)), "nobody uses it");
        assert_eq!(fixture.release_all(&fixture.uses), expected);
        assert!(fixture.is_cached(0), "the token expires by itself");
    }

    #[test]
    fn oldest_private_token_is_removed_beyond_limit() {
        let fixture = UsesFixture::new();
        fixture.record_for_logoff(&fixture.uses, MAX_USES + 1);
        for number in 0..=MAX_USES {
            fixture.cache_token(number);
            fixture.record_private(number);
            fixture.record_private(number);
        }
        assert!(!fixture.is_cached(0));
        assert!((1..=MAX_USES).all(|number| fixture.is_cached(number)));
        fixture.uses.remove_private_tokens(fixture.process);
        assert!((1..=MAX_USES).all(|number| !fixture.is_cached(number)));
    }

    #[test]
    fn private_token_stays_cached_until_logoff() {
        let fixture = UsesFixture::new();
        fixture.cache_token(0);
        fixture.record_private(0);
        fixture.record_for_logoff(&fixture.uses, 0);
        assert_eq!(fixture.release_all(&fixture.uses), [fixture.cache_key(0)]);
        assert!(fixture.is_cached(0), "it is sent to LogoffURI");
        fixture.uses.remove_private_tokens(fixture.process);
        assert!(!fixture.is_cached(0));
    }
}
