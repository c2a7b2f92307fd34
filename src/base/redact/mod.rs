//! Redacts secrets from text that a server sent: some servers echo the request in an error description.
//!
//! The text is decoded rather than the secrets encoded, since one echo may mix encodings. Each [`View`] of the text is
//! searched, and what matches is redacted in the text itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::base::secret::Secret;
use crate::base::url;

mod needles;
mod view;

use needles::Needles;
use view::DecodedView;

/// Below this length a text may hold a secret by chance, and redacting it would say where.
const MIN_REDACTABLE_LEN: usize = 4;

/// So much of a text is searched, in bytes; the rest is dropped. About 1000 characters are shown.
const MAX_SCANNED: usize = 16 << 10;

/// What is dropped in front of the limit: less of a secret than is found there, in its longest encoding.
const CUT_MARGIN: usize = 512;

/// Encodings within each other that are undone.
const MAX_DEPTH: usize = 3;

/// With what an escape begins: percent-encoding, character references of HTML, JSON and JavaScript.
const ESCAPE_PREFIXES: &[u8] = b"%&\\";

/// What stands for a secret.
const REDACTED: &str = "****";

/// The secrets of one request, in every encoding in which a server may echo them.
pub struct Redactor {
    needles: Needles,
    too_short: Vec<Secret>,
}

impl Redactor {
    /// Redacts each of `secrets`; of a JWT its signature alone too, and the credentials of an Authorization header.
    pub fn new<'a>(secrets: impl Iterator<Item = &'a Secret>) -> Self {
        let (mut needles, mut too_short) = (Needles::default(), Vec::new());
        for secret in secrets {
            let text = secret.reveal();
            if text.len() < MIN_REDACTABLE_LEN {
                too_short.push(secret.clone());
                continue;
            }
            // Of a URL the scheme and the host are no secrets, and in many error descriptions.
            let add = if url::parse_scheme(text).is_some() { Needles::add_whole } else { Needles::add };
            add(&mut needles, &DecodedView::new(text));
            for part in embedded_secrets(text) {
                needles.add(&DecodedView::new(part.reveal()));
            }
        }
        needles.merge();
        Self { needles, too_short }
    }

    /// `text` with every secret redacted, and every part of one that is long enough; nothing of `text` if it contains a
    /// secret that is too short to redact. A very long text is cut.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        if self.too_short.iter().any(|secret| !secret.reveal().is_empty() && text.contains(secret.reveal())) {
            return "(not shown: it repeats a secret)".to_owned();
        }
        let (scanned, end) = if text.len() > MAX_SCANNED {
            let boundary = (0..=MAX_SCANNED).rev().find(|end| text.is_char_boundary(*end));
            (boundary.unwrap_or(0), MAX_SCANNED.saturating_sub(CUT_MARGIN))
        } else {
            (text.len(), text.len())
        };
        let scanned = text.get(..scanned).unwrap_or_default();
        let mut secret = vec![false; scanned.len()];
        visit_decodings(&DecodedView::new(scanned), MAX_DEPTH, &mut |view| {
            self.needles.mark(view, &mut secret);
            for base64 in (0..4).filter_map(|phase| view.decode_base64(phase)) {
                visit_decodings(&base64, 1, &mut |view| self.needles.mark(view, &mut secret));
            }
        });
        redact_marked(scanned, &secret, end)
    }
}

/// Visits `view` and what is left of it when encodings are undone: each by itself, since a secret may look like an escape
/// of another one, and all at once.
fn visit_decodings(view: &DecodedView, depth: usize, visitor: &mut dyn FnMut(&DecodedView)) {
    visitor(view);
    let Some(depth) = depth.checked_sub(1) else { return };
    let escapes: Vec<u8> = ESCAPE_PREFIXES.iter().copied().filter(|escape| view.contains(*escape)).collect();
    let each = escapes.iter().map(std::slice::from_ref).filter(|_| escapes.len() > 1);
    for view in each.chain([escapes.as_slice()]).filter_map(|escapes| view.unescape(escapes)) {
        visit_decodings(&view, depth, visitor);
    }
}

/// `text` up to `end`, with every run of bytes that are `secret` redacted.
fn redact_marked(text: &str, secret: &[bool], end: usize) -> String {
    let mut shown = String::with_capacity(end);
    let mut in_secret = false;
    for (place, c) in text.char_indices().take_while(|(place, _)| *place < end) {
        let bytes = secret.get(place..place.saturating_add(c.len_utf8())).unwrap_or_default();
        let is_secret = bytes.contains(&true);
        if !is_secret {
            shown.push(c);
        } else if !in_secret {
            shown.push_str(REDACTED);
        }
        in_secret = is_secret;
    }
    shown
}

/// The signature of a JWT, the credentials of an Authorization header, and the password in these.
fn embedded_secrets(secret: &str) -> Vec<Secret> {
    let signature = secret.rsplit_once('.').map(|(_, signature)| signature);
    let scheme = |scheme: &str| {
        let (found, credentials) = secret.split_once(' ')?;
        found.eq_ignore_ascii_case(scheme).then(|| credentials.trim())
    };
    let basic = scheme("Basic");
    let password = basic.and_then(|pair| {
        let pair = Zeroizing::new(STANDARD.decode(pair).ok()?);
        let (_, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
        Some(Secret::from(password))
    });
    let parts = [signature, basic, scheme("Bearer")].into_iter().flatten().map(Secret::from);
    parts.chain(password).filter(|part| part.reveal().len() >= MIN_REDACTABLE_LEN).collect()
}

#[cfg(test)]
mod tests;
