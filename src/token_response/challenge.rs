//! Parameters of a WWW-Authenticate header (RFC 9110 section 11.6.1, RFC 6750 section 3).

/// The parts of a challenge that explain a rejection.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) error: Option<String>,
    pub(super) description: Option<String>,
    /// Whether one of the schemes is DPoP (RFC 9449 section 7.1).
    pub(super) demands_dpop: bool,
}

impl Challenge {
    /// Parses the header. The schemes of several challenges share one list of parameters; the first value of a
    /// parameter counts.
    pub(super) fn parse(header: &str) -> Self {
        let mut challenge = Self::default();
        let mut rest = header;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let end = rest.find([' ', '\t', ',', '=', '"']).unwrap_or(rest.len());
            let (name, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            match after.strip_prefix('=') {
                Some(after) => {
                    let (value, after) = take_value(after);
                    challenge.set(name, value);
                    rest = after;
                }
                None if name.is_empty() => match after.chars().next() {
                    // A quote without a name.
                    Some(c) => rest = after.get(c.len_utf8()..).unwrap_or_default(),
                    None => return challenge,
                },
                None => {
                    challenge.demands_dpop |= name.eq_ignore_ascii_case("dpop");
                    rest = after;
                }
            }
        }
    }

    fn set(&mut self, name: &str, value: String) {
        let place = if name.eq_ignore_ascii_case("error") {
            &mut self.error
        } else if name.eq_ignore_ascii_case("error_description") {
            &mut self.description
        } else {
            return;
        };
        if place.is_none() && !value.is_empty() {
            *place = Some(value);
        }
    }
}

/// Splits off a token or a quoted string.
fn take_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        let (value, rest) = text.split_at_checked(end).unwrap_or((text, ""));
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((offset, c)) = chars.next() {
        match c {
            '"' => return (value, quoted.get(offset.saturating_add(1)..).unwrap_or_default()),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(header: &str) -> (Option<String>, Option<String>, bool) {
        let Challenge { error, description, demands_dpop } = Challenge::parse(header);
        (error, description, demands_dpop)
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn challenge_parameters_are_parsed() {
        for (header, expected) in [
            (
                r#"Bearer error="invalid_token", error_description="The token, \"x\", has expired""#,
                (some("invalid_token"), some("The token, \"x\", has expired"), false),
            ),
            (
                r#"Basic realm="a, error=\"no\"",Bearer Error=invalid_client,error="second""#,
                (some("invalid_client"), None, false),
            ),
            (r#"DPoP algs="ES256", error="use_dpop_nonce""#, (some("use_dpop_nonce"), None, true)),
            ("Bearer, dpop", (None, None, true)),
            ("Negotiate YII==", (None, None, false)),
            (r#"Bearer error="unfinished"#, (some("unfinished"), None, false)),
            (r#"Bearer error="""#, (None, None, false)),
            (r#"Bearer realm="DPoP" "é" ="#, (None, None, false)),
            ("", (None, None, false)),
        ] {
            assert_eq!(parse(header), expected, "{header}");
        }
    }
}
