//! Tokens that processes and machines share through a [`TokenStore`](crate::token_store::TokenStore),
//! encrypted: one of them requests a token, the others read it.

mod identity;

pub use identity::{Identity, Sharing, identify};
