//! Names in messages: quotation and enumeration.

use crate::base::sanitize;

/// `a, b and c`.
pub(super) fn join_with_and(mut names: Vec<String>) -> String {
    match names.pop() {
        None => String::new(),
        Some(last) if names.is_empty() => last,
        Some(last) => format!("{} and {last}", names.join(", ")),
    }
}

/// Quotes a name from a file for one line of a message, of limited length. Invisible characters and unusual
/// spaces are escaped, so that two different names never look the same because of them.
pub(super) fn quote(name: &str) -> String {
    let mut visible = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_whitespace() && letter != ' ' {
            visible.extend(letter.escape_unicode());
        } else {
            visible.push(letter);
        }
    }
    format!("\"{}\"", sanitize::excerpt(&visible))
}
