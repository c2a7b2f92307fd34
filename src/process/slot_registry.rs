//! Registry of the slots from which connections return recently used tokens.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::sys::StripedSlots;
use crate::token::TokenHandle;

/// Registered slots. It allows clearing all of them and counting the tokens returned from them.
#[derive(Default)]
pub struct SlotRegistry(Mutex<RegisteredSlots>);

#[derive(Default)]
struct RegisteredSlots {
    slots: HashMap<usize, StripedSlots<TokenHandle>>,
    /// Tokens returned from slots that have been unregistered.
    unregistered_acquires: u64,
}

impl SlotRegistry {
    /// Creates and registers empty slots.
    #[must_use]
    pub fn register(&self) -> StripedSlots<TokenHandle> {
        let slots = StripedSlots::empty();
        self.0.lock().slots.insert(slots.id(), slots.clone());
        slots
    }

    /// Removes the slots of a closed connection. Their count is kept.
    pub fn unregister(&self, slots: &StripedSlots<TokenHandle>) {
        let mut registered = self.0.lock();
        if registered.slots.remove(&slots.id()).is_some() {
            registered.unregistered_acquires =
                registered.unregistered_acquires.wrapping_add(slots.acquired_count());
        }
    }

    /// Number of tokens returned from all slots, including those unregistered.
    #[must_use]
    pub fn acquired_count(&self) -> u64 {
        let registered = self.0.lock();
        registered
            .slots
            .values()
            .fold(registered.unregistered_acquires, |sum, slots| sum.wrapping_add(slots.acquired_count()))
    }

    #[cfg(test)]
    pub(crate) fn registered_count(&self) -> usize {
        self.0.lock().slots.len()
    }

    pub(super) fn clear(&self) {
        for slots in self.0.lock().slots.values() {
            slots.retain(|_| false);
        }
    }
}
