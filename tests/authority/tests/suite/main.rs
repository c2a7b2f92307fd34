//! The authorization server held against hand-made requests: one thing wrong at a time must be refused for that thing.

mod acceptance;
mod client;
mod codes;
mod grants;
mod plays;
mod program;
mod providers;
mod refresh;
mod refusals;
mod signer;
mod tokens;
mod transport;
