//! `pkcs11:` URIs (RFC 7512), which select a token, a key and a module.
//!
//! A PIN is rejected here, before it can be shown: the option is not secret, and there is a separate option
//! for the PIN.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

const SCHEME: &str = "pkcs11:";

/// Attributes of a token, a slot or a library that are compared as text.
const TEXT_ATTRIBUTES: [&str; 9] = [
    "token",
    "manufacturer",
    "serial",
    "model",
    "library-manufacturer",
    "library-description",
    "library-version",
    "slot-manufacturer",
    "slot-description",
];

/// Selects the module that provides the token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum ModuleSelector {
    /// Any module in the configuration of p11-kit.
    #[default]
    Any,
    /// The module of this name in the configuration of p11-kit.
    Named(String),
    /// The module in this file.
    Path(PathBuf),
}

/// URI of a key on a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pkcs11Uri {
    configured: String,
    text_attributes: Vec<(&'static str, String)>,
    pub(super) slot_id: Option<u64>,
    pub(super) object: Option<String>,
    pub(super) id: Option<Vec<u8>>,
    pub(super) module: ModuleSelector,
    ignored_attributes: Vec<String>,
}

impl Pkcs11Uri {
    /// Whether `text` begins with `pkcs11:`.
    #[must_use]
    pub fn has_scheme(text: &str) -> bool {
        text.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
    }

    /// Whether `text` is a `pkcs11:` URI that contains a PIN or the location of one, and must not be shown.
    #[must_use]
    pub fn has_pin(text: &str) -> bool {
        Self::has_scheme(text) && text.split([':', ';', '?', '&']).any(is_pin_attribute)
    }

    /// Parses `text`.
    ///
    /// # Errors
    /// A text to be appended to the name of the option; it contains no value of an attribute.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text
            .get(SCHEME.len()..)
            .filter(|_| Self::has_scheme(text))
            .ok_or("does not begin with pkcs11:")?;
        if Self::has_pin(text) {
            return Err(
                "must not contain a PIN or its location; set the option for the password of this store to \
                 the PIN"
                    .to_owned(),
            );
        }
        let mut uri = Self { configured: text.to_owned(), ..Self::default() };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut seen = Vec::new();
        for part in path.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = split_attribute(part, &mut seen)?;
            uri.parse_path_attribute(name, value)?;
        }
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = split_attribute(part, &mut seen)?;
            uri.parse_query_attribute(name, value)?;
        }
        Ok(uri)
    }

    fn parse_path_attribute(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "object" => self.object = Some(decode_value(name, value)?),
            "id" => self.id = Some(percent_decode_str(value).collect()),
            "slot-id" => {
                let number = decode_value(name, value)?.parse();
                self.slot_id = Some(number.map_err(|_| "has a slot-id that is not a number".to_owned())?);
            }
            "type" if decode_value(name, value)? == "private" => {}
            "type" => return Err("has a type other than private; signing requires a private key".to_owned()),
            _ => {
                let known = TEXT_ATTRIBUTES
                    .into_iter()
                    .find(|known| *known == name)
                    .ok_or_else(|| unknown_attribute_text(name))?;
                self.text_attributes.push((known, decode_value(name, value)?));
            }
        }
        Ok(())
    }

    fn parse_query_attribute(&mut self, name: &str, value: &str) -> Result<(), String> {
        let module = match name {
            "module-name" => ModuleSelector::Named(decode_value(name, value)?),
            "module-path" => ModuleSelector::Path(require_absolute(decode_value(name, value)?)?),
            _ => {
                self.ignored_attributes.push(quote(name));
                return Ok(());
            }
        };
        if self.module != ModuleSelector::Any {
            return Err("has both module-name and module-path, which are mutually exclusive".to_owned());
        }
        self.module = module;
        Ok(())
    }

    /// The URI as configured; it contains no PIN.
    #[must_use]
    pub fn as_configured(&self) -> &str {
        &self.configured
    }

    /// The attributes that select the key, decoded and sorted, which do not depend on how the URI is written. The
    /// module is not among them: the path of the same module differs between machines.
    #[must_use]
    pub fn key_attributes(&self) -> Vec<(&'static str, Cow<'_, [u8]>)> {
        let Self { configured: _, text_attributes, slot_id, object, id, module: _, ignored_attributes: _ } =
            self;
        let text = text_attributes.iter().map(|(name, value)| (*name, Cow::from(value.as_bytes())));
        let slot_id = slot_id.map(|number| ("slot-id", Cow::from(number.to_string().into_bytes())));
        let object = object.as_ref().map(|label| ("object", Cow::from(label.as_bytes())));
        let id = id.as_ref().map(|id| ("id", Cow::from(id.as_slice())));
        let mut attributes: Vec<_> = text.chain(slot_id).chain(object).chain(id).collect();
        attributes.sort();
        attributes
    }

    /// Path of the module, if the URI contains one; a module is code.
    #[must_use]
    pub fn module_path(&self) -> Option<&Path> {
        match &self.module {
            ModuleSelector::Path(path) => Some(path),
            ModuleSelector::Any | ModuleSelector::Named(_) => None,
        }
    }

    /// Unknown attributes of the query, which are ignored (RFC 7512 section 2.4).
    #[must_use]
    pub fn ignored_attributes(&self) -> &[String] {
        &self.ignored_attributes
    }

    /// Whether each text attribute has the value that `lookup` returns for it.
    #[cfg(feature = "pkcs11")]
    pub(super) fn matches(&self, lookup: impl Fn(&str) -> Option<String>) -> bool {
        self.text_attributes.iter().all(|(name, value)| lookup(name).is_some_and(|found| found == *value))
    }
}

/// Vendor-specific attributes are unknown, too: ignoring one could select a different key than intended (RFC
/// 7512 section 2.4).
fn unknown_attribute_text(name: &str) -> String {
    format!(
        "has the unknown attribute {}; expected {}, slot-id, object, id or type, or after a ? module-name or \
         module-path (RFC 7512)",
        quote(name),
        TEXT_ATTRIBUTES.join(", ")
    )
}

fn is_pin_attribute(part: &str) -> bool {
    part.trim_start().get(..3).is_some_and(|start| start.eq_ignore_ascii_case("pin"))
}

/// Splits `name=value`; each name may occur only once.
fn split_attribute<'a>(part: &'a str, seen: &mut Vec<&'a str>) -> Result<(&'a str, &'a str), String> {
    let (name, value) = part.split_once('=').ok_or("has a part that is not name=value")?;
    if seen.contains(&name) {
        return Err(format!("has the attribute {} twice", quote(name)));
    }
    seen.push(name);
    Ok((name, value))
}

fn decode_value(name: &str, value: &str) -> Result<String, String> {
    let text = percent_decode_str(value).decode_utf8();
    let text = text.map_err(|_| format!("has the attribute {}, which is not UTF-8", quote(name)))?;
    if text.contains('\0') {
        return Err(format!("has the attribute {} with a NUL character", quote(name)));
    }
    Ok(text.into())
}

fn require_absolute(path: String) -> Result<PathBuf, String> {
    let path = PathBuf::from(path);
    if path.is_absolute() { Ok(path) } else { Err("has a module-path that is not absolute".to_owned()) }
}

fn quote(name: &str) -> String {
    crate::key::message::quote(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_uri(text: &str) -> Pkcs11Uri {
        Pkcs11Uri::parse(text).unwrap_or_else(|reason| panic!("{text} {reason}"))
    }

    #[test]
    fn every_rfc7512_attribute_is_percent_decoded() {
        let text = "PKCS11:token=The%20Token;manufacturer=m;serial=1;model=x;library-version=3.1;slot-id=7;\
                    object=a%3Bb;id=%01%FF;type=private?module-name=softhsm2";
        let uri = parse_uri(text);
        assert_eq!((uri.slot_id, uri.object.as_deref()), (Some(7), Some("a;b")));
        assert_eq!(uri.id.as_deref(), Some(&[1, 0xff][..]));
        assert_eq!(uri.module, ModuleSelector::Named("softhsm2".to_owned()));
        assert_eq!(uri.as_configured(), text);
        #[cfg(feature = "pkcs11")]
        assert_token_matching(&uri);
    }

    #[cfg(feature = "pkcs11")]
    fn assert_token_matching(uri: &Pkcs11Uri) {
        let found = |token: &'static str| {
            move |name: &str| match name {
                "token" => Some(token.to_owned()),
                "manufacturer" => Some("m".to_owned()),
                "serial" => Some("1".to_owned()),
                "model" => Some("x".to_owned()),
                "library-version" => Some("3.1".to_owned()),
                _ => None,
            }
        };
        assert!(uri.matches(found("The Token")) && !uri.matches(found("the token")));
        assert!(parse_uri("pkcs11:").matches(|_| None));
        assert!(!parse_uri("pkcs11:slot-description=s").matches(|_| None));
    }

    #[test]
    fn module_path_is_known_only_if_set() {
        let uri = parse_uri("pkcs11:token=a?module-path=/lib/the%20module.so");
        assert_eq!(uri.module_path(), Some(Path::new("/lib/the module.so")));
        for text in ["pkcs11:token=a", "pkcs11:token=a?module-name=softhsm2"] {
            assert_eq!(parse_uri(text).module_path(), None, "{text}");
        }
    }

    #[test]
    fn key_attributes_ignore_order_spelling_and_module() {
        let attributes = |text: &str| {
            let uri = parse_uri(text);
            uri.key_attributes().into_iter().map(|(name, value)| (name, value.to_vec())).collect::<Vec<_>>()
        };
        let all = attributes("pkcs11:token=a;serial=1;slot-id=007;object=k;id=%01%2f");
        assert_eq!(
            all,
            [("id", &b"\x01/"[..]), ("object", b"k"), ("serial", b"1"), ("slot-id", b"7"), ("token", b"a")]
                .map(|(name, value)| (name, value.to_vec()))
        );
        let same = "PKCS11:id=%01%2F;object=%6B;slot-id=7;token=%61;serial=1;type=private?module-name=m&x=y";
        assert_eq!(attributes(same), all);
        assert!(attributes("pkcs11:type=private").is_empty());
    }

    #[test]
    fn invalid_attribute_error_omits_value() {
        for (text, fragment) in [
            ("pkcs11:tokn=hunter2", "unknown attribute \"tokn\""),
            ("pkcs11:x-vendor=hunter2", "unknown attribute \"x-vendor\""),
            ("pkcs11:Token=hunter2", "unknown attribute \"Token\""),
            ("pkcs11:token=hunter2;token=hunter2", "\"token\" twice"),
            ("pkcs11:hunter2", "not name=value"),
            ("pkcs11:type=cert", "other than private"),
            ("pkcs11:slot-id=hunter2", "not a number"),
            ("pkcs11:object=%ff", "not UTF-8"),
            ("pkcs11:object=hunter2%00", "\"object\" with a NUL character"),
            ("pkcs11:?module-path=/hunter2%00.so", "\"module-path\" with a NUL character"),
            ("pkcs11:?module-path=./hunter2.so", "not absolute"),
            ("pkcs11:?module-path=/a.so&module-name=hunter2", "both"),
        ] {
            let reason = Pkcs11Uri::parse(text).unwrap_err();
            assert!(reason.contains(fragment) && !reason.contains("hunter2"), "{text}: {reason}");
        }
        assert_eq!(
            parse_uri("pkcs11:?x-color=red&mood=good").ignored_attributes(),
            ["\"x-color\"", "\"mood\""]
        );
    }

    #[test]
    fn pin_is_rejected_and_never_repeated() {
        for text in [
            "pkcs11:token=a?pin-value=hunter2",
            "pkcs11:token=a?pin-source=file:hunter2",
            "pkcs11:token=a;pin-value=hunter2",
            "pkcs11:pin-value=hunter2",
            "pkcs11:token=a?module-name=m&PIN-VALUE=hunter2",
            "pkcs11:token=a?pinvalue=hunter2",
            "Pkcs11:token=hunter2?pin-value=hunter2&x",
        ] {
            let reason = Pkcs11Uri::parse(text).unwrap_err();
            assert!(reason.contains("PIN") && !reason.contains("hunter2"), "{text}: {reason}");
            assert!(Pkcs11Uri::has_pin(text));
        }
        assert!(
            !Pkcs11Uri::has_pin("pkcs11:token=pin-value")
                && !Pkcs11Uri::has_pin("/keys/pin-value=1?pin-value=2")
        );
    }
}
