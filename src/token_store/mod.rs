//! Stores of encrypted entries that share tokens between processes: a folder, Redis, or callbacks of the
//! application.
//!
//! A store keeps one value for each name and knows nothing of its content but the generation in its header.
//! What the operations are for is described in `shared_cache`, their only user.

pub mod application;
mod folder;
mod location;
mod redis;
mod registry;
#[cfg(test)]
pub(crate) mod testing;

/// What fuzz targets use of the stores.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use super::folder::fuzzing::*;
    pub use super::redis::fuzzing::*;
}

use std::time::Duration;

use crate::base::call::CallContext;
use crate::base::error::Result;

pub use location::{RedisAddress, RedisLocation, StoreLocation};
pub use registry::{Access, StoreHandle, TokenStores};

/// The version of the format of values. A value of another version is not read.
pub(crate) const VALUE_VERSION: u8 = 1;

/// The length of the header of a value: the version, and the generation as a big-endian number.
pub(crate) const VALUE_HEADER_LEN: usize = 9;

/// The maximum length of a value in bytes. A longer one is neither written nor read.
pub(crate) const MAX_VALUE_LEN: usize = 256 << 10;

/// The maximum time for which a store waits for a change. Then the caller looks whether the lease has ended.
pub(crate) const MAX_CHANGE_WAIT: Duration = Duration::from_millis(400);

/// The name of an entry: 43 characters of the base64url alphabet, a keyed digest of what determines the token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryName(String);

impl EntryName {
    /// A name made of a 256-bit digest.
    #[must_use]
    pub fn from_digest(digest: [u8; 32]) -> Self {
        use base64::Engine as _;
        Self(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The random identity of one lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(pub [u8; 16]);

/// A value with its remaining lifetime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredValue {
    /// The header and the encrypted content.
    pub bytes: Vec<u8>,
    /// The time after which the store deletes the value, by the clock of the store.
    pub ttl: Duration,
}

/// A value to be written.
#[derive(Clone, Copy, Debug)]
pub struct Put<'a> {
    /// The name of the entry.
    pub name: &'a EntryName,
    /// The owner of the lease.
    pub owner: &'a Owner,
    /// The generation of the value that is replaced; 0 if there must be none, or one without a valid header.
    pub expected_generation: u64,
    /// The value, which begins with its header.
    pub value: &'a [u8],
    /// The time after which the store deletes the value.
    pub ttl: Duration,
    /// Whether the lease ends with the write.
    pub releases_lease: bool,
    /// Whether the loss of the value would be costly, so that it should have reached a replica or the disk.
    pub is_durable: bool,
}

/// A store. Thread-safe. Every operation ends at the deadline of its call, and if the call is cancelled.
///
/// An error means that the store did not answer as it should, not that there is no value or that another
/// process has the lease. Its message describes what failed, without secrets.
pub trait TokenStore: Send + Sync {
    /// Returns the value of `name`, if there is one.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn get(&self, name: &EntryName, call: &CallContext) -> Result<Option<StoredValue>>;

    /// Acquires the lease of `name` for `owner`, unless another owner holds it. It ends after `ttl` at the
    /// latest; a store that notices the death of the holder may end it earlier and ignore `ttl`. Does not wait.
    ///
    /// # Errors
    /// If it is unknown whether the lease was acquired.
    fn lease(&self, name: &EntryName, owner: &Owner, ttl: Duration, call: &CallContext) -> Result<bool>;

    /// Writes a value if its owner holds the lease and the current value has the expected generation. Returns
    /// whether it was written. Readers see the old value or the new one, never a part.
    ///
    /// # Errors
    /// If it is unknown whether the value was written.
    fn put(&self, put: &Put<'_>, call: &CallContext) -> Result<bool>;

    /// Ends the lease of `name` if `owner` holds it. After a failure the deadline of `call` may have passed: what this
    /// process itself holds, such as a file lock, is released all the same.
    ///
    /// # Errors
    /// If the store does not answer. The lease then ends by itself.
    fn release(&self, name: &EntryName, owner: &Owner, call: &CallContext) -> Result<()>;

    /// Waits until the generation of the value of `name` may differ from `generation`, or for about `interval`. A
    /// store that is notified of changes may wait for 400 ms, within the deadline of the call.
    ///
    /// # Errors
    /// If the store does not answer, and if the call is cancelled.
    fn wait_for_change(
        &self,
        _name: &EntryName,
        _generation: u64,
        interval: Duration,
        call: &CallContext,
    ) -> Result<()> {
        call.sleep(interval)
    }

    /// Closes idle connections.
    fn close_idle(&self) {}
}

/// The generation in the header of a value; `None` if the value is too short or has another version.
#[must_use]
pub fn generation(value: &[u8]) -> Option<u64> {
    let (version, rest) = value.split_first()?;
    let generation: &[u8; 8] = rest.first_chunk()?;
    (*version == VALUE_VERSION).then(|| u64::from_be_bytes(*generation))
}

/// The header of a value of `generation`.
#[must_use]
pub fn header(generation: u64) -> [u8; VALUE_HEADER_LEN] {
    let [a, b, c, d, e, f, g, h] = generation.to_be_bytes();
    [VALUE_VERSION, a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_contains_version_and_generation() {
        let value = [&header(0x0102_0304_0506_0708)[..], b"content"].concat();
        assert_eq!(value[..VALUE_HEADER_LEN], [1, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(generation(&value), Some(0x0102_0304_0506_0708));
        assert_eq!(generation(&[2, 1, 2, 3, 4, 5, 6, 7, 8]), None, "another version");
        assert_eq!(generation(&value[..8]), None, "too short");
        assert_eq!(generation(&[]), None);
    }

    #[test]
    fn entry_name_has_43_characters() {
        let name = EntryName::from_digest([0xff; 32]);
        assert_eq!(name.as_str().len(), 43);
        assert!(name.as_str().starts_with("_____"));
    }
}
