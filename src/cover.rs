//! A server's words without what was sent to it: some repeat the whole request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::form;
use crate::secret::Secret;

/// Below this length a text may hold a secret by chance, and covering it would say where.
const SHORT: usize = 4;

/// The forms in which secrets may come back.
pub struct Cover {
    forms: Vec<Secret>,
    short: Vec<Secret>,
}

impl Cover {
    /// Covers each of `secrets` as it is, percent-encoded, escaped as JSON, and in base64; of a JWT its signature alone
    /// too.
    pub fn new<'a>(secrets: impl Iterator<Item = &'a Secret>) -> Self {
        let (mut forms, mut short) = (Vec::new(), Vec::new());
        for secret in secrets {
            let text = secret.reveal();
            if text.len() < SHORT {
                short.push(secret.clone());
                continue;
            }
            forms.push(secret.clone());
            forms.push(Secret::new(form::encode(text).to_string()));
            forms.push(Secret::new(STANDARD.encode(text)));
            forms.extend(json(text));
            forms.extend(parts(text).filter(|part| part.len() >= SHORT).map(Secret::from));
        }
        // The longest first, so that no rest of one is left behind by another.
        forms.sort_by_key(|form| std::cmp::Reverse(form.reveal().len()));
        Self { forms, short }
    }

    /// `text` with every secret covered; nothing of it where a very short one stands in it.
    #[must_use]
    pub fn over(&self, text: &str) -> String {
        if self.short.iter().any(|secret| !secret.reveal().is_empty() && text.contains(secret.reveal())) {
            return "(not shown: it repeats a secret)".to_owned();
        }
        self.forms.iter().fold(text.to_owned(), |text, form| text.replace(form.reveal(), "****"))
    }
}

/// As it stands in JSON text, where that differs; some writers put a backslash before each slash.
fn json(secret: &str) -> Vec<Secret> {
    let quoted = serde_json::Value::from(secret).to_string();
    let inside = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default();
    let forms = [inside.to_owned(), inside.replace('/', "\\/")];
    forms.into_iter().filter(|form| form != secret && !form.is_empty()).map(Secret::new).collect()
}

/// The signature of a JWT, the credentials of an Authorization header.
fn parts(secret: &str) -> impl Iterator<Item = &str> {
    let signature = secret.rsplit_once('.').map(|(_, signature)| signature);
    let credentials = secret.strip_prefix("Basic ").or_else(|| secret.strip_prefix("Bearer "));
    signature.into_iter().chain(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(secrets: &[&str], text: &str) -> String {
        let secrets: Vec<_> = secrets.iter().map(|secret| Secret::from(*secret)).collect();
        Cover::new(secrets.iter()).over(text)
    }

    #[test]
    fn a_secret_is_covered_in_each_form_in_which_it_may_come_back() {
        let secret = "p@ss word";
        for form in [secret, "p%40ss%20word", &STANDARD.encode(secret)] {
            assert_eq!(over(&[secret], &format!("you sent {form}!")), "you sent ****!");
        }
        for form in [r#"a"b\c/d"#, r#"a\"b\\c/d"#, r#"a\"b\\c\/d"#] {
            assert_eq!(over(&[r#"a"b\c/d"#], form), "****");
        }
        assert_eq!(over(&["head.load.signature"], "sig: signature"), "sig: ****");
        assert_eq!(over(&["Basic Y2xpZW50"], "got Y2xpZW50"), "got ****");
    }

    #[test]
    fn a_longer_secret_is_covered_before_a_shorter_one_in_it() {
        assert_eq!(over(&["secret", "secret-and-more"], "secret-and-more"), "****");
    }

    #[test]
    fn words_that_hold_a_very_short_secret_are_not_shown_at_all() {
        assert_eq!(over(&["42"], "the tenant is 42"), "(not shown: it repeats a secret)");
        assert_eq!(over(&["", "42"], "unknown tenant"), "unknown tenant");
    }
}
