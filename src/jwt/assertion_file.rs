//! A file with an assertion that another program has signed.

use crate::base::error::{Error, ErrorKind, KeyError, Result, WarningKind};
use crate::base::file::{ConfiguredPath, LoosePermissions};
use crate::base::secret::Secret;
use crate::base::text;
use crate::jwt::check_compact;

/// Reads the file of ClientAssertionFile. `warn` receives a warning about its permissions, which are an error
/// with `require_private_file`.
///
/// # Errors
/// `KeyError::Store` if the file cannot be read, is accessible to others, or does not contain one JWT alone.
pub fn read_assertion_file(
    location: &ConfiguredPath,
    require_private_file: bool,
    warn: &dyn Fn(Error),
) -> Result<Secret> {
    let error = |kind: ErrorKind, problem: String| {
        let text = format!("ClientAssertionFile {location} {problem}");
        Error::new(kind, "client assertion", text).with_option("ClientAssertionFile")
    };
    let file_error = |problem| error(KeyError::Store.into(), problem);
    let (content, metadata) =
        location.read().map_err(|cause| error(cause.kind_or(KeyError::Store), cause.to_string()))?;
    match LoosePermissions::detect(&metadata) {
        Some(permissions) if require_private_file => {
            return Err(file_error(format!("{permissions} (KeyFileCheck is 1)")));
        }
        Some(permissions) => {
            let text =
                format!("ClientAssertionFile {location} {permissions} (KeyFileCheck=1 makes this an error)");
            warn(
                Error::new(WarningKind::General, "client assertion", text).with_option("ClientAssertionFile"),
            );
        }
        None => {}
    }
    let content = text::to_utf8(content);
    let jwt = match std::str::from_utf8(&content).map(str::trim) {
        Ok("") => return Err(file_error("is empty; expected one JWT".to_owned())),
        Ok(text) => text,
        Err(_) => return Err(file_error("does not contain a single JWT".to_owned())),
    };
    check_compact(jwt).map_err(|found| file_error(format!("contains {found}, not one JWT")))?;
    Ok(Secret::from(jwt))
}
