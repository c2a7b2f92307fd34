//! Why something is as it is: which option said it and where, the provider's profile, the key, or nobody.

use serde::Serialize;

use crate::key::CallbackSigner;
use crate::options::{OptionId, OptionOrigin, Options};
use crate::provider::Profile;

/// Who said something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct ValueOrigin {
    pub(super) origin: &'static str,
    /// The option, where one said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) option: Option<&'static str>,
    /// The file, with the line where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<String>,
    /// The profile, where one said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) profile: Option<&'static str>,
}

impl ValueOrigin {
    pub(super) fn new(origin: &'static str) -> Self {
        Self { origin, ..Self::default() }
    }
}

/// Something with who said it.
#[derive(Serialize)]
pub(super) struct WithOrigin<T> {
    pub(super) value: T,
    pub(super) from: ValueOrigin,
}

/// The options that a signer outranks.
const REPLACED_BY_SIGNER: [OptionId; 3] =
    [OptionId::JWTCertStore, OptionId::JWTPrivateKey, OptionId::JWTSecret];

/// Whoever may have said something.
pub(super) struct OriginFinder<'a> {
    pub(super) options: &'a Options,
    pub(super) signer: Option<&'a CallbackSigner>,
    pub(super) profile: Option<&'static Profile>,
}

impl OriginFinder<'_> {
    /// The option, if it is given, or what has taken its place.
    pub(super) fn option_origin(&self, name: OptionId) -> Option<ValueOrigin> {
        if self.signer.is_some() && REPLACED_BY_SIGNER.contains(&name) {
            return Some(ValueOrigin::new("authgrant_set_signer"));
        }
        let value = self.options.get(name)?;
        let (option, place) = (Some(name.as_str()), value.location.clone());
        Some(ValueOrigin { origin: origin_text(value.origin), option, place, profile: None })
    }

    /// The first of `names` that is given. Where none is, the profile has said what is not as it usually is.
    pub(super) fn find_origin(&self, names: &[OptionId], is_usual: bool) -> ValueOrigin {
        let given = names.iter().find_map(|name| self.option_origin(*name));
        let profile = self.profile.filter(|_| !is_usual);
        let by_profile = |profile: &'static Profile| ValueOrigin {
            profile: Some(profile.name.as_str()),
            ..ValueOrigin::new("profile")
        };
        given.or(profile.map(by_profile)).unwrap_or_else(|| ValueOrigin::new("default"))
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
