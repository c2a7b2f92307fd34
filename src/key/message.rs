//! Names in messages: quotation and enumeration.

/// `a, b and c`.
pub(super) fn join_with_and(mut names: Vec<String>) -> String {
    match names.pop() {
        None => String::new(),
        Some(last) if names.is_empty() => last,
        Some(last) => format!("{} and {last}", names.join(", ")),
    }
}

/// Quotes a name from a file for one line of a message, without control characters and of limited length.
pub(super) fn quote(name: &str) -> String {
    let shown = name.chars().filter(|letter| !letter.is_control()).take(100);
    format!("\"{}\"", shown.collect::<String>())
}
