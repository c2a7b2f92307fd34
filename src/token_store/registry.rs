//! The stores that a process uses, and when a store that failed is asked again.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::folder::FolderStore;
use super::redis::RedisStore;
use super::{StoreLocation, TokenStore, application};
use crate::base::backoff::delay_after;
use crate::base::bounded_map::BoundedMap;
use crate::base::error::{Error, ErrorKind, OptionError, Result};

/// The maximum number of stores; untrusted connection strings may name any number of them.
const MAX_STORES: usize = 64;

/// The stores of a process. Thread-safe.
pub struct TokenStores(Mutex<BoundedMap<StoreLocation, Arc<StoreHandle>>>);

impl Default for TokenStores {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::with_capacity(MAX_STORES)))
    }
}

impl TokenStores {
    /// Returns the store at `location`. Opens no connection and no file.
    ///
    /// # Errors
    /// [`OptionError::Invalid`] if the application has not registered a store.
    pub fn get(&self, location: &StoreLocation) -> Result<Arc<StoreHandle>> {
        let mut stores = self.0.lock();
        if let Some(handle) = stores.get(location) {
            return Ok(Arc::clone(handle));
        }
        let handle = Arc::new(StoreHandle::new(location, open(location)?));
        stores.insert(location.clone(), Arc::clone(&handle));
        Ok(handle)
    }

    /// Closes the idle connections of all stores.
    pub fn close_idle(&self) {
        let stores: Vec<_> = self.0.lock().values().map(Arc::clone).collect();
        stores.iter().for_each(|handle| handle.store().close_idle());
    }
}

fn open(location: &StoreLocation) -> Result<Store> {
    Ok(match location {
        StoreLocation::Folder(path) => Store::Own(Box::new(FolderStore::new(path.clone()))),
        StoreLocation::Redis(redis) => Store::Own(Box::new(RedisStore::new((**redis).clone()))),
        StoreLocation::Application => Store::Application(application::registered().ok_or_else(|| {
            Error::new(
                ErrorKind::from(OptionError::Invalid),
                "token cache",
                "TokenCache is application:, but the application has not called authgrant_set_token_store",
            )
            .with_option("TokenCache")
        })?),
    })
}

enum Store {
    Own(Box<dyn TokenStore>),
    Application(&'static dyn TokenStore),
}

/// A store with its failures.
pub struct StoreHandle {
    store: Store,
    /// The name for messages.
    name: String,
    health: Mutex<Health>,
}

/// What an operation needs. A store may be readable although it is full or read-only, or grants no leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading a value.
    Read,
    /// Acquiring a lease, or writing a value.
    Write,
}

/// The last failure, if the store has not answered since.
#[derive(Default)]
struct Health {
    failure: Option<Failure>,
}

/// Times are on the boot-time clock.
struct Failure {
    access: Access,
    failed_at: Duration,
    retry_at: Duration,
    /// The number of consecutive failures.
    count: u32,
}

impl StoreHandle {
    fn new(location: &StoreLocation, store: Store) -> Self {
        Self { store, name: location.describe(), health: Mutex::default() }
    }

    #[cfg(test)]
    pub(crate) fn for_test(store: impl TokenStore + 'static) -> Arc<Self> {
        Arc::new(Self::new(&StoreLocation::Application, Store::Own(Box::new(store))))
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &dyn TokenStore {
        match &self.store {
            Store::Own(store) => &**store,
            Store::Application(store) => *store,
        }
    }

    /// The name of the store for messages, without secrets.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the store is not asked at `now` because it failed recently. When the pause is over, one caller
    /// asks the store, and the others go on without it until it answers.
    #[must_use]
    pub fn is_paused(&self, now: Duration) -> bool {
        match &mut self.health.lock().failure {
            Some(failure) if now < failure.retry_at => true,
            Some(failure) => {
                failure.retry_at = now.saturating_add(delay_after(failure.count));
                false
            }
            None => false,
        }
    }

    /// Records that an operation with `access` succeeded. Returns whether the store had failed before. Reading does
    /// not end a failure to write: otherwise a full store would be asked, and give a warning, each second.
    pub fn record_success(&self, access: Access) -> bool {
        let mut health = self.health.lock();
        let is_over = health
            .failure
            .as_ref()
            .is_some_and(|failure| access == Access::Write || failure.access == access);
        if is_over {
            health.failure = None;
        }
        is_over
    }

    /// Records that an operation with `access`, begun at `asked_at`, failed at `now`. Returns how long the store is
    /// not asked if this is its first failure since it last answered, so that one warning is given.
    pub fn record_failure(&self, access: Access, asked_at: Duration, now: Duration) -> Option<Duration> {
        let mut health = self.health.lock();
        let count = match &health.failure {
            // Another caller has recorded it meanwhile.
            Some(failure) if failure.failed_at >= asked_at => return None,
            Some(failure) => failure.count.saturating_add(1),
            None => 1,
        };
        let pause = delay_after(count);
        health.failure = Some(Failure { access, failed_at: now, retry_at: now.saturating_add(pause), count });
        (count == 1).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle() -> StoreHandle {
        let location = StoreLocation::Folder(None);
        StoreHandle::new(&location, open(&location).unwrap())
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn failed_store_is_asked_again_after_growing_pauses() {
        let handle = handle();
        assert!(!handle.is_paused(seconds(10)));
        assert_eq!(
            handle.record_failure(Access::Read, seconds(10), seconds(10)),
            Some(seconds(1)),
            "one warning"
        );
        let mut now = seconds(10);
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(handle.is_paused(now + seconds(pause) - Duration::from_millis(1)), "{pause}");
            now += seconds(pause);
            assert!(!handle.is_paused(now), "one caller asks after {pause} s");
            assert!(handle.is_paused(now), "the others do not");
            assert_eq!(handle.record_failure(Access::Read, now, now), None);
        }
        assert!(handle.record_success(Access::Read));
        assert!(!handle.is_paused(now) && !handle.record_success(Access::Read));
        assert_eq!(handle.record_failure(Access::Read, now, now), Some(seconds(1)));
    }

    #[test]
    fn concurrent_failures_count_once() {
        let handle = handle();
        assert!(handle.record_failure(Access::Read, seconds(10), seconds(11)).is_some());
        assert_eq!(handle.record_failure(Access::Read, seconds(10), seconds(11)), None);
        assert!(handle.is_paused(seconds(11)) && !handle.is_paused(seconds(12)));
    }

    #[test]
    fn reading_does_not_end_failure_to_write() {
        let handle = handle();
        assert!(handle.record_failure(Access::Write, seconds(10), seconds(10)).is_some());
        assert!(!handle.record_success(Access::Read) && handle.is_paused(seconds(10)));
        assert_eq!(handle.record_failure(Access::Write, seconds(11), seconds(11)), None);
        assert!(handle.is_paused(seconds(12)), "the pause grows");
        assert!(handle.record_success(Access::Write) && !handle.is_paused(seconds(12)));
        handle.record_failure(Access::Read, seconds(20), seconds(20));
        assert!(handle.record_success(Access::Write), "a store that can be written can be read");
    }

    #[test]
    fn equal_locations_are_one_store() {
        let stores = TokenStores::default();
        let location = StoreLocation::parse("file:/tmp/a").unwrap();
        let handle = stores.get(&location).unwrap();
        assert!(Arc::ptr_eq(&handle, &stores.get(&location).unwrap()));
        assert!(!Arc::ptr_eq(&handle, &stores.get(&StoreLocation::Folder(None)).unwrap()));
        assert_eq!(handle.name(), "file:/tmp/a");
    }
}
