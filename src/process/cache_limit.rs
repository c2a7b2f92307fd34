//! The limit of the token cache, from the environment of the process.

use crate::base::error::{Error, WarningKind};
use crate::base::sanitize;
use crate::options::Environment;
use crate::token::cache::DEFAULT_MAX_TOKENS;

/// The environment variable with the number of cached tokens that no open connection uses. It is the
/// administrator's: the size of a gateway is known where it is deployed, not where its driver is written.
const VARIABLE: &str = "AUTHGRANT_MAX_CACHED_TOKENS";

/// Upper limit of the variable. Each entry takes about 1 KiB and the text of its token.
const MAX: usize = 10_000_000;

/// The limit of the token cache.
pub(super) struct CacheLimit {
    pub(super) max_tokens: usize,
    /// Why the configured limit is not used.
    pub(super) warning: Option<Error>,
}

impl Default for CacheLimit {
    fn default() -> Self {
        Self { max_tokens: DEFAULT_MAX_TOKENS, warning: None }
    }
}

impl CacheLimit {
    /// The limit in the environment variable, else the default.
    pub(super) fn from_env(environment: &dyn Environment) -> Self {
        let Some(text) = environment.variable(VARIABLE) else { return Self::default() };
        let text = text.to_string_lossy();
        match text.trim().parse() {
            Ok(max_tokens @ 1..=MAX) => Self { max_tokens, warning: None },
            _ => {
                let text = format!(
                    "{VARIABLE} is \"{}\"; expected a number of tokens from 1 to {MAX}; {DEFAULT_MAX_TOKENS} \
                     is used",
                    sanitize::value(&text)
                );
                Self { warning: Some(Error::new(WarningKind::General, "process", text)), ..Self::default() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::environment::testing::FakeEnvironment;

    fn limit(text: &str) -> CacheLimit {
        let variables = [(VARIABLE, text.into())].into();
        CacheLimit::from_env(&FakeEnvironment { variables, ..FakeEnvironment::default() })
    }

    #[test]
    fn cache_limit_is_read_from_environment() {
        assert_eq!(CacheLimit::from_env(&FakeEnvironment::default()).max_tokens, 10_000);
        assert_eq!(limit(" 50000 ").max_tokens, 50_000);
        assert!(limit("50000").warning.is_none());
        for invalid in ["0", "-1", "1e5", "10000001", "lots\u{1b}"] {
            let limit = limit(invalid);
            assert_eq!(limit.max_tokens, 10_000, "{invalid}");
            let warning = limit.warning.unwrap().message();
            assert!(
                warning.contains("AUTHGRANT_MAX_CACHED_TOKENS") && !warning.contains('\u{1b}'),
                "{warning}"
            );
        }
    }
}
