//! The one token that a URI means, over all modules that it may mean.

use cryptoki::context::{Info, Pkcs11};
use cryptoki::slot::{Slot, TokenInfo};

use super::super::KeySource;
use super::uri::Pkcs11Uri;
use super::{error, module};
use crate::base::error::{Error, Result};
use crate::key::select::{join_with_and, quote};

/// More tokens than these are not listed in a message.
const MAX_LISTED_TOKENS: usize = 12;

/// A token in its slot.
pub(super) struct Pkcs11Token {
    pub(super) module: Pkcs11,
    pub(super) slot: Slot,
    pub(super) info: TokenInfo,
}

impl Pkcs11Token {
    /// By what a token is told from all others, whichever module it is reached by.
    pub(super) fn identity(&self) -> [&str; 4] {
        let info = &self.info;
        [info.manufacturer_id(), info.model(), info.serial_number(), info.label()]
    }

    fn describe(&self) -> String {
        format!("{} (serial {})", quote(self.info.label()), quote(self.info.serial_number()))
    }
}

/// The token that `uri` means.
pub(super) fn find(source: &KeySource, uri: &Pkcs11Uri) -> Result<Pkcs11Token> {
    let modules = module::load_modules_for(uri).map_err(|reason| source.store_error(reason))?;
    let (mut there, mut meant, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for module in modules {
        match module.and_then(|module| find_matching_tokens(&module, uri)) {
            Ok((its, others)) => {
                there.extend(its.iter().map(Pkcs11Token::describe).chain(others));
                meant.extend(its);
            }
            Err(problem) => problems.push(problem),
        }
    }
    // One token may be reached by several modules; the first is as good as the others.
    let is_other =
        |token: &Pkcs11Token| meant.first().is_some_and(|first| first.identity() != token.identity());
    if meant.iter().any(is_other) {
        let names = meant.iter().map(Pkcs11Token::describe).collect();
        let text = format!(
            "could mean several tokens: {}; say which one by token=… or serial=…",
            join_with_and(names)
        );
        return Err(source.store_error(text));
    }
    meant.into_iter().next().ok_or_else(|| not_found_error(source, there, problems))
}

fn not_found_error(source: &KeySource, mut there: Vec<String>, problems: Vec<String>) -> Error {
    let more = there.len().saturating_sub(MAX_LISTED_TOKENS);
    there.truncate(MAX_LISTED_TOKENS);
    if more > 0 {
        there.push(format!("{more} more"));
    }
    let there = if there.is_empty() {
        "there is no token".to_owned()
    } else {
        format!("there is {}", join_with_and(there))
    };
    let text = format!("names a token that is not there; {there}");
    source.store_error([text].into_iter().chain(problems).collect::<Vec<_>>().join("; "))
}

/// The tokens of `module` that `uri` means, and names of the others.
fn find_matching_tokens(
    module: &Pkcs11,
    uri: &Pkcs11Uri,
) -> std::result::Result<(Vec<Pkcs11Token>, Vec<String>), String> {
    let unanswered = |error| format!("a module answered {}", error::describe(&error));
    let library = module.get_library_info().map_err(unanswered)?;
    let slots = module.get_slots_with_token().map_err(unanswered)?;
    let (mut meant, mut others) = (Vec::new(), Vec::new());
    for slot in slots {
        // Taken out since, or empty: not a token that anybody could mean.
        let Ok(info) = module.get_token_info(slot) else { continue };
        if !info.token_initialized() {
            continue;
        }
        let token = Pkcs11Token { module: module.clone(), slot, info };
        let is_slot = uri.slot_id.is_none_or(|wanted| wanted == slot.id());
        if is_slot && uri.matches(|name| attribute_text(&token, &library, name)) {
            meant.push(token);
        } else {
            others.push(token.describe());
        }
    }
    Ok((meant, others))
}

/// What the token, its slot or its module say for an attribute of RFC 7512.
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
