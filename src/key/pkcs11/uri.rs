//! `pkcs11:…` (RFC 7512): which token, which key, and by which module.
//!
//! A PIN is refused here, before anybody could show it: the option is no secret one, and there is another for the PIN.

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

const SCHEME: &str = "pkcs11:";

/// Attributes of a token, a slot or a library whose value is compared as text.
const TEXTS: [&str; 9] = [
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

/// The module that a token is reached by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Wanted {
    /// Any that p11-kit is configured with.
    #[default]
    Any,
    /// The one of these that is called so.
    Called(String),
    /// The one in this file.
    At(PathBuf),
}

/// Where a key on a token is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Uri {
    typed: String,
    texts: Vec<(&'static str, String)>,
    pub(super) slot: Option<u64>,
    pub(super) object: Option<String>,
    pub(super) id: Option<Vec<u8>>,
    pub(super) module: Wanted,
    ignored: Vec<String>,
}

impl Uri {
    /// Whether `text` is meant as one.
    #[must_use]
    pub fn is(text: &str) -> bool {
        text.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
    }

    /// Whether `text` is one that holds a PIN, or where to find one, and so must not be seen.
    #[must_use]
    pub fn holds_pin(text: &str) -> bool {
        Self::is(text) && text.split([':', ';', '?', '&']).any(is_pin)
    }

    /// Reads `text`; the error is to be put behind the name of the option, and repeats no value.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest =
            text.get(SCHEME.len()..).filter(|_| Self::is(text)).ok_or("does not begin with pkcs11:")?;
        if Self::holds_pin(text) {
            return Err(
                "holds a PIN, or says where one is; take it out, and set the option for the password of \
                        this store to the PIN"
                    .to_owned(),
            );
        }
        let mut uri = Self { typed: text.to_owned(), ..Self::default() };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut seen = Vec::new();
        for part in path.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = attribute(part, &mut seen)?;
            uri.in_path(name, value)?;
        }
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = attribute(part, &mut seen)?;
            uri.in_query(name, value)?;
        }
        Ok(uri)
    }

    fn in_path(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "object" => self.object = Some(decoded(name, value)?),
            "id" => self.id = Some(percent_decode_str(value).collect()),
            "slot-id" => {
                let number = decoded(name, value)?.parse();
                self.slot = Some(number.map_err(|_| "has a slot-id that is not a number".to_owned())?);
            }
            "type" if decoded(name, value)? == "private" => {}
            "type" => return Err("names a type other than private; a private key signs".to_owned()),
            _ => {
                let known = TEXTS.into_iter().find(|known| *known == name).ok_or_else(|| unknown(name))?;
                self.texts.push((known, decoded(name, value)?));
            }
        }
        Ok(())
    }

    fn in_query(&mut self, name: &str, value: &str) -> Result<(), String> {
        let module = match name {
            "module-name" => Wanted::Called(decoded(name, value)?),
            "module-path" => Wanted::At(absolute(decoded(name, value)?)?),
            _ => {
                self.ignored.push(quoted(name));
                return Ok(());
            }
        };
        if self.module != Wanted::Any {
            return Err("has both module-name and module-path; give one".to_owned());
        }
        self.module = module;
        Ok(())
    }

    /// As the user wrote it; there is no PIN in it.
    #[must_use]
    pub fn typed(&self) -> &str {
        &self.typed
    }

    /// The module's file, where it names one itself: a module is code.
    #[must_use]
    pub fn module_path(&self) -> Option<&Path> {
        match &self.module {
            Wanted::At(path) => Some(path),
            Wanted::Any | Wanted::Called(_) => None,
        }
    }

    /// Attributes of the query that mean nothing here, which are to be ignored (RFC 7512 section 2.4).
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Whether each text that is asked for is the one that `found` gives for its attribute.
    #[cfg(feature = "pkcs11")]
    pub(super) fn matches(&self, found: impl Fn(&str) -> Option<String>) -> bool {
        self.texts.iter().all(|(name, wanted)| found(name).is_some_and(|found| found == *wanted))
    }
}

/// A vendor's own attribute is unknown too: to leave it out could find another key than the one that is meant (RFC 7512
/// section 2.4).
fn unknown(name: &str) -> String {
    format!(
        "has the attribute {}, which is not known; there are {}, slot-id, object, id and type, and behind a ? \
         module-name and module-path (RFC 7512)",
        quoted(name),
        TEXTS.join(", ")
    )
}

fn is_pin(part: &str) -> bool {
    part.trim_start().get(..3).is_some_and(|start| start.eq_ignore_ascii_case("pin"))
}

/// One `name=value`, of which there is only one of each name.
fn attribute<'a>(part: &'a str, seen: &mut Vec<&'a str>) -> Result<(&'a str, &'a str), String> {
    let (name, value) = part.split_once('=').ok_or("has a part that is not name=value")?;
    if seen.contains(&name) {
        return Err(format!("has the attribute {} twice", quoted(name)));
    }
    seen.push(name);
    Ok((name, value))
}

fn decoded(name: &str, value: &str) -> Result<String, String> {
    let text = percent_decode_str(value).decode_utf8();
    let text = text.map_err(|_| format!("has the attribute {}, which is not UTF-8", quoted(name)))?;
    if text.contains('\0') {
        return Err(format!("has the attribute {} with a NUL character", quoted(name)));
    }
    Ok(text.into())
}

fn absolute(path: String) -> Result<PathBuf, String> {
    let path = PathBuf::from(path);
    if path.is_absolute() { Ok(path) } else { Err("has a module-path that is not absolute".to_owned()) }
}

fn quoted(name: &str) -> String {
    crate::key::select::quoted(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Uri {
        Uri::parse(text).unwrap_or_else(|reason| panic!("{text} {reason}"))
    }

    #[test]
    fn every_attribute_of_the_rfc_is_read_with_its_percent_signs() {
        let text = "PKCS11:token=The%20Token;manufacturer=m;serial=1;model=x;library-version=3.1;slot-id=7;\
                    object=a%3Bb;id=%01%FF;type=private?module-name=softhsm2";
        let uri = parsed(text);
        assert_eq!((uri.slot, uri.object.as_deref()), (Some(7), Some("a;b")));
        assert_eq!(uri.id.as_deref(), Some(&[1, 0xff][..]));
        assert_eq!(uri.module, Wanted::Called("softhsm2".to_owned()));
        assert_eq!(uri.typed(), text);
        #[cfg(feature = "pkcs11")]
        matches(&uri);
    }

    #[cfg(feature = "pkcs11")]
    fn matches(uri: &Uri) {
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
        assert!(parsed("pkcs11:").matches(|_| None));
        assert!(!parsed("pkcs11:slot-description=s").matches(|_| None));
    }

    #[test]
    fn what_is_not_understood_is_refused_by_its_name_and_without_its_value() {
        for (text, words) in [
            ("pkcs11:tokn=hunter2", "\"tokn\", which is not known"),
            ("pkcs11:x-vendor=hunter2", "\"x-vendor\", which is not known"),
            ("pkcs11:Token=hunter2", "\"Token\", which is not known"),
            ("pkcs11:token=hunter2;token=hunter2", "\"token\" twice"),
            ("pkcs11:hunter2", "not name=value"),
            ("pkcs11:type=cert", "private key signs"),
            ("pkcs11:slot-id=hunter2", "not a number"),
            ("pkcs11:object=%ff", "not UTF-8"),
            ("pkcs11:object=hunter2%00", "\"object\" with a NUL character"),
            ("pkcs11:?module-path=/hunter2%00.so", "\"module-path\" with a NUL character"),
            ("pkcs11:?module-path=./hunter2.so", "not absolute"),
            ("pkcs11:?module-path=/a.so&module-name=hunter2", "both"),
        ] {
            let reason = Uri::parse(text).unwrap_err();
            assert!(reason.contains(words) && !reason.contains("hunter2"), "{text}: {reason}");
        }
        assert_eq!(parsed("pkcs11:?x-color=red&mood=good").ignored(), ["\"x-color\"", "\"mood\""]);
    }

    #[test]
    fn a_pin_is_refused_wherever_it_stands_and_is_never_repeated() {
        for text in [
            "pkcs11:token=a?pin-value=hunter2",
            "pkcs11:token=a?pin-source=file:hunter2",
            "pkcs11:token=a;pin-value=hunter2",
            "pkcs11:pin-value=hunter2",
            "pkcs11:token=a?module-name=m&PIN-VALUE=hunter2",
            "pkcs11:token=a?pinvalue=hunter2",
            "Pkcs11:token=hunter2?pin-value=hunter2&x",
        ] {
            let reason = Uri::parse(text).unwrap_err();
            assert!(reason.contains("PIN") && !reason.contains("hunter2"), "{text}: {reason}");
            assert!(Uri::holds_pin(text));
        }
        assert!(
            !Uri::holds_pin("pkcs11:token=pin-value") && !Uri::holds_pin("/keys/pin-value=1?pin-value=2")
        );
    }
}
