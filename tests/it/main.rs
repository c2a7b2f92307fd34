//! Integration tests in one binary, with one module per subject. Tests that need a process of their own
//! are in `tests/isolated`.

#[path = "../support/mod.rs"]
mod support;

mod authorize;
mod browser_launch;
mod c_api_arguments;
mod cancel_token;
mod claims;
mod connection_string_export;
mod driver_functions;
mod feature_matrix;
mod file_permissions;
mod generated_files;
mod grants;
mod json_key_files;
mod key_corpus;
mod key_file_corruption;
mod key_files;
mod key_material;
mod login;
mod message_texts;
mod providers;
mod report;
mod responses;
mod retry;
mod sanitization;
mod secret_references;
mod signer;
mod statuses;
mod text_encodings;
mod token;
mod trust_store;
mod unused_options;
