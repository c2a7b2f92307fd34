//! Origin of a reported value: an option and the place where it was set, the provider's profile, the key, or
//! a default.

use serde::Serialize;

use crate::key::CallbackSigner;
use crate::options::{OptionId, OptionOrigin, Options, SIGNING_KEY_OPTIONS};
use crate::provider::Profile;

/// Where a value comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct ValueOrigin {
    pub(super) origin: &'static str,
    /// The option that set the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) option: Option<&'static str>,
    /// The file, with the line if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<String>,
    /// The profile that supplied the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) profile: Option<&'static str>,
}

impl ValueOrigin {
    pub(super) fn new(origin: &'static str) -> Self {
        Self { origin, ..Self::default() }
    }
}

/// A value with its origin.
#[derive(Serialize)]
pub(super) struct WithOrigin<T> {
    pub(super) value: T,
    pub(super) from: ValueOrigin,
}

/// Finds the origin of a value among the options, the signer callback and the profile.
pub(super) struct OriginFinder<'a> {
    pub(super) options: &'a Options,
    pub(super) signer: Option<&'a CallbackSigner>,
    pub(super) profile: Option<&'static Profile>,
}

impl OriginFinder<'_> {
    /// The origin of an option that is set, or of the signer callback that replaces it.
    pub(super) fn option_origin(&self, name: OptionId) -> Option<ValueOrigin> {
        if self.signer.is_some() && SIGNING_KEY_OPTIONS.contains(&name) {
            return Some(ValueOrigin::new("authgrant_set_signer"));
        }
        let value = self.options.get(name)?;
        let (option, place) = (Some(name.as_str()), value.location.clone());
        Some(ValueOrigin { origin: origin_text(value.origin), option, place, profile: None })
    }

    /// The origin of the first of `names` that is set. If none is set, the profile, unless the value equals
    /// the default (`is_default`).
    pub(super) fn find_origin(&self, names: &[OptionId], is_default: bool) -> ValueOrigin {
        let option = names.iter().find_map(|name| self.option_origin(*name));
        let profile = self.profile.filter(|_| !is_default);
        let from_profile = |profile: &'static Profile| ValueOrigin {
            profile: Some(profile.name.as_str()),
            ..ValueOrigin::new("profile")
        };
        option.or(profile.map(from_profile)).unwrap_or_else(|| ValueOrigin::new("default"))
    }
}

fn origin_text(origin: OptionOrigin) -> &'static str {
    match origin {
        OptionOrigin::KeyFile => "key file",
        OptionOrigin::Model => "model file",
        OptionOrigin::Dsn => "DSN",
        OptionOrigin::FileDsn => "FILEDSN",
        OptionOrigin::ConnectionString => "connection string",
        OptionOrigin::SetOption => "authgrant_set_option",
    }
}
