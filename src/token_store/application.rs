//! The callbacks of authgrant_set_token_store().

use once_cell::race::OnceBox;

use super::TokenStore;

/// The store of the application. A static of its own, because forked children keep it.
static STORE: OnceBox<Box<dyn TokenStore>> = OnceBox::new();

/// Registers the store of the application. Returns false if there is one.
pub fn register(store: Box<dyn TokenStore>) -> bool {
    STORE.set(Box::new(store)).is_ok()
}

/// The store of the application, if one is registered.
#[must_use]
pub fn registered() -> Option<&'static dyn TokenStore> {
    STORE.get().map(|store| &**store)
}
