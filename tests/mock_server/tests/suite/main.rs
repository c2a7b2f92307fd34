//! The authorization server held against hand-made requests: one thing wrong at a time must be refused for that thing.

mod accepted_requests;
mod access_token;
mod authorization_code;
mod command_line;
mod grants;
mod http_client;
mod providers;
mod refresh_token;
mod refused_requests;
mod scenarios;
mod signer;
mod transport;
