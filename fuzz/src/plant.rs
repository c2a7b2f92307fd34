//! Puts the canary in the place of secrets.

use std::fmt::Write as _;

use authgrant::options::connection_string::{self, quote};
use authgrant::options::table;

use crate::CANARY;

/// Whether the option `name` is a secret.
pub fn is_secret_option(name: &str) -> bool {
    table::find(name).is_some_and(table::OptionSpec::is_secret)
}

/// The connection string `text` with the canary as the value of each secret before the first syntax error.
pub fn in_connection_string(text: &str) -> String {
    let (pairs, rest) = match connection_string::parse(text) {
        Ok(pairs) => (pairs, String::new()),
        Err(error) => (error.preceding, text.chars().skip(error.offset).collect()),
    };
    let mut planted = String::new();
    for pair in pairs {
        let value = if is_secret_option(&pair.name) { CANARY } else { pair.value.reveal() };
        // Writing to a String cannot fail.
        let _ = write!(planted, "{}={};", pair.name, quote(value));
    }
    planted + &rest
}

/// The ini file `text` with the canary as the value of each secret.
pub fn in_ini(text: &str) -> String {
    let plant = |line: &str| match line.split_once('=') {
        Some((name, _)) if is_secret_option(name.trim()) => format!("{name}={CANARY}"),
        _ => line.to_owned(),
    };
    text.split('\n').map(plant).collect::<Vec<_>>().join("\n")
}
