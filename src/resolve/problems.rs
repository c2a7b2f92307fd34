//! Problems found while options are resolved, collected so that all of them are reported together.

use crate::base::error::{Error, OptionError};
use crate::options::{KEY_FILE_OPTIONS, OptionId, Options};

/// Missing options, errors and warnings, each in the order in which they were found.
#[derive(Clone, Debug, Default)]
pub(super) struct Problems {
    pub(super) missing: Vec<OptionId>,
    pub(super) errors: Vec<Error>,
    pub(super) warnings: Vec<Error>,
}

/// A part of the resolution with the problems found in it. They concern a connection only if it uses the part.
#[derive(Debug)]
pub(super) struct Part<T> {
    pub(super) value: T,
    pub(super) problems: Problems,
}

impl Problems {
    /// Removes the problems that were found after the first `counts`.
    pub(super) fn split_off(&mut self, counts: [usize; 3]) -> Self {
        let [missing, errors, warnings] = counts;
        Self {
            missing: self.missing.split_off(missing.min(self.missing.len())),
            errors: self.errors.split_off(errors.min(self.errors.len())),
            warnings: self.warnings.split_off(warnings.min(self.warnings.len())),
        }
    }

    /// The numbers of problems, for [`Self::split_off`].
    pub(super) fn counts(&self) -> [usize; 3] {
        [self.missing.len(), self.errors.len(), self.warnings.len()]
    }

    pub(super) fn append(&mut self, other: &Self) {
        self.missing.extend_from_slice(&other.missing);
        self.errors.extend_from_slice(&other.errors);
        self.warnings.extend_from_slice(&other.warnings);
    }

    /// All errors combined into one, with one error for each missing option.
    pub(super) fn to_error(&self, options: &Options) -> Option<Error> {
        let mut errors = unique(&self.errors);
        let missing = unique(&self.missing);
        let may_be_in_key_file = missing.iter().any(|name| KEY_FILE_OPTIONS.contains(name));
        errors.extend(options.key_file_error().filter(|_| may_be_in_key_file).cloned());
        let model = if options.has_unreadable_model() {
            " (RestConfigFile could not be read and may contain it)"
        } else {
            ""
        };
        // The first error names all missing options: some drivers show only one.
        errors.extend(missing.iter().enumerate().map(|(index, name)| {
            let named = if index == 0 { missing.as_slice() } else { std::slice::from_ref(name) };
            let names: Vec<_> = named.iter().map(|name| name.as_str()).collect();
            let verb = if names.len() == 1 { "is" } else { "are" };
            let text = format!("{} {verb} missing{}{model}", names.join(" and "), missing_option_hint(*name));
            Error::new(OptionError::Missing, "options", text).with_option(name.as_str())
        }));
        Error::combine(errors)
    }
}

/// The items without duplicates, in their order: an option may be read several times.
fn unique<T: Clone + PartialEq>(all: &[T]) -> Vec<T> {
    let mut unique = Vec::with_capacity(all.len());
    for item in all {
        if !unique.contains(item) {
            unique.push(item.clone());
        }
    }
    unique
}

fn missing_option_hint(missing: OptionId) -> &'static str {
    match missing {
        OptionId::AuthenticationMethod => {
            " and cannot be inferred without ClaimsIssuer or JWTCertStore; set AuthenticationMethod=55 for \
             the JWT bearer grant"
        }
        OptionId::ClientSecret => " (not needed for mutual TLS: set KeyStore)",
        OptionId::SecurityToken => ": AuthHeader is set, but SecurityToken is not",
        OptionId::AuthHeader => ": SecurityToken is set, but AuthHeader is not",
        _ => "",
    }
}
