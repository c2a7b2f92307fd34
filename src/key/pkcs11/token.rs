//! Selection of the token that a URI names, across all modules that it may name.

use cryptoki::context::{Info, Pkcs11};
use cryptoki::slot::{Slot, TokenInfo};

use super::{error, module};
use crate::base::error::{Error, Result};
use crate::key::message::{join_with_and, quote};
use crate::key::pkcs11_uri::Pkcs11Uri;
use crate::key::source::KeySource;

/// Maximum number of tokens listed in a message.
const MAX_LISTED_TOKENS: usize = 12;

/// A token in its slot.
pub(super) struct Pkcs11Token {
    pub(super) module: Pkcs11,
    pub(super) slot: Slot,
    pub(super) info: TokenInfo,
}

impl Pkcs11Token {
    /// Identifies the token, independent of the module that provides it.
    pub(super) fn identity(&self) -> [&str; 4] {
        let info = &self.info;
        [info.manufacturer_id(), info.model(), info.serial_number(), info.label()]
    }

    fn describe(&self) -> String {
        format!("{} (serial {})", quote(self.info.label()), quote(self.info.serial_number()))
    }
}

/// Finds the token that `uri` names.
pub(super) fn find(source: &KeySource, uri: &Pkcs11Uri) -> Result<Pkcs11Token> {
    let module_files = module::select_modules(uri).map_err(|reason| source.store_error(reason))?;
    let (mut available, mut matching, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for file in module_files {
        match module::load_module(&file).and_then(|module| find_matching_tokens(&module, uri)) {
            Ok((tokens, others)) => {
                available.extend(tokens.iter().map(Pkcs11Token::describe).chain(others));
                matching.extend(tokens);
            }
            Err(problem) => problems.push(problem),
        }
    }
    // Several modules may provide the same token; any of them will do.
    let is_other =
        |token: &Pkcs11Token| matching.first().is_some_and(|first| first.identity() != token.identity());
    if matching.iter().any(is_other) {
        let names = matching.iter().map(Pkcs11Token::describe).collect();
        let text = format!(
            "matches several tokens: {}; add token=… or serial=… to select one",
            join_with_and(names)
        );
        return Err(source.store_error(text));
    }
    matching.into_iter().next().ok_or_else(|| not_found_error(source, available, problems))
}

fn not_found_error(source: &KeySource, mut available: Vec<String>, problems: Vec<String>) -> Error {
    let more = available.len().saturating_sub(MAX_LISTED_TOKENS);
    available.truncate(MAX_LISTED_TOKENS);
    if more > 0 {
        available.push(format!("{more} more"));
    }
    let available = if available.is_empty() {
        "no tokens are present".to_owned()
    } else {
        format!("available: {}", join_with_and(available))
    };
    let text = format!("matches no token; {available}");
    source.store_error([text].into_iter().chain(problems).collect::<Vec<_>>().join("; "))
}

/// Returns the tokens of `module` that `uri` matches, and descriptions of the others.
fn find_matching_tokens(
    module: &Pkcs11,
    uri: &Pkcs11Uri,
) -> std::result::Result<(Vec<Pkcs11Token>, Vec<String>), String> {
    let to_text = |error| format!("a module returned {}", error::describe(&error));
    let library = module.get_library_info().map_err(to_text)?;
    let slots = module.get_slots_with_token().map_err(to_text)?;
    let (mut matching, mut others) = (Vec::new(), Vec::new());
    for slot in slots {
        // Removed meanwhile, or not initialized below: no candidate.
        let Ok(info) = module.get_token_info(slot) else { continue };
        if !info.token_initialized() {
            continue;
        }
        let token = Pkcs11Token { module: module.clone(), slot, info };
        let slot_matches = uri.slot_id.is_none_or(|slot_id| slot_id == slot.id());
        if slot_matches && uri.matches(|name| attribute_text(&token, &library, name)) {
            matching.push(token);
        } else {
            others.push(token.describe());
        }
    }
    Ok((matching, others))
}

/// Value of an RFC 7512 attribute of the token, its slot or its module.
fn attribute_text(token: &Pkcs11Token, library: &Info, name: &str) -> Option<String> {
    let info = &token.info;
    let slot = || token.module.get_slot_info(token.slot).ok();
    Some(match name {
        "token" => info.label().to_owned(),
        "manufacturer" => info.manufacturer_id().to_owned(),
        "serial" => info.serial_number().to_owned(),
        "model" => info.model().to_owned(),
        "library-manufacturer" => library.manufacturer_id().to_owned(),
        "library-description" => library.library_description().to_owned(),
        "library-version" => {
            let version = library.library_version();
            format!("{}.{}", version.major(), version.minor())
        }
        "slot-manufacturer" => slot()?.manufacturer_id().to_owned(),
        "slot-description" => slot()?.slot_description().to_owned(),
        _ => return None,
    })
}
