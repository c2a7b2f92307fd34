//! A Redis server, or one with its protocol, such as Valkey.

use std::time::Duration;

use super::{EntryName, Owner, Put, RedisLocation, StoredValue, TokenStore};
use crate::base::call::CallContext;
use crate::base::error::{Error, ErrorKind, Result};

/// A Redis server.
pub struct RedisStore {
    location: RedisLocation,
}

impl RedisStore {
    /// A store on the server at `location`. Nothing is opened.
    #[must_use]
    pub fn new(location: RedisLocation) -> Self {
        Self { location }
    }

    fn error(&self) -> Error {
        Error::new(
            ErrorKind::Unsupported,
            "token cache",
            format!("{:?} is not supported", self.location.address),
        )
    }
}

impl TokenStore for RedisStore {
    fn get(&self, _: &EntryName, _: &CallContext) -> Result<Option<StoredValue>> {
        Err(self.error())
    }

    fn lease(&self, _: &EntryName, _: &Owner, _: Duration, _: &CallContext) -> Result<bool> {
        Err(self.error())
    }

    fn put(&self, _: &Put<'_>, _: &CallContext) -> Result<bool> {
        Err(self.error())
    }

    fn release(&self, _: &EntryName, _: &Owner, _: &CallContext) -> Result<()> {
        Err(self.error())
    }
}
