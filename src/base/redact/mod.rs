//! Redacts secrets from text that a server sent: some servers echo the request in an error description.
//!
//! The text is decoded instead of encoding the secrets, because one echo may mix encodings. Every
//! `DecodedView` of the text is searched, and the matching parts of the original text are redacted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::base::secret::Secret;
use crate::base::url;

mod needles;
mod view;

use needles::Needles;
use view::DecodedView;

/// Minimum length of a secret that is redacted. A text may contain a shorter one by chance, and redacting it
/// there would reveal it.
const MIN_REDACTABLE_LEN: usize = 4;

/// Number of bytes of a text that are searched; the rest is dropped. About 1000 characters are displayed.
const MAX_SCANNED: usize = 16 << 10;

/// Number of bytes that are dropped before the limit: more than the longest encoding of a part of a secret
/// that is too short to be found there.
const CUT_MARGIN: usize = 512;

/// Maximum number of nested encodings that are decoded.
const MAX_DEPTH: usize = 3;

/// First bytes of an escape: percent-encoding, HTML character references, and JSON or JavaScript escapes.
const ESCAPE_PREFIXES: &[u8] = b"%&\\";

/// The replacement of a secret.
const REDACTED: &str = "****";

/// The secrets of one request, in every encoding in which a server may echo them.
pub struct Redactor {
    needles: Needles,
    too_short: Vec<Secret>,
}

impl Redactor {
    /// A redactor of `secrets`. It also redacts the signature of a JWT, the query of a URL, the credentials of an
    /// Authorization header and the password in Basic credentials separately.
    pub fn new<'a>(secrets: impl Iterator<Item = &'a Secret>) -> Self {
        let (mut needles, mut too_short) = (Needles::default(), Vec::new());
        for secret in secrets {
            let text = secret.reveal();
            if text.len() < MIN_REDACTABLE_LEN {
                too_short.push(secret.clone());
                continue;
            }
            // The scheme and host of a URL are not secret, and they occur in many error descriptions.
            let add = if url::parse_scheme(text).is_some() { Needles::add_whole } else { Needles::add };
            add(&mut needles, &DecodedView::new(text));
            for part in embedded_secrets(text) {
                needles.add(&DecodedView::new(part.reveal()));
            }
        }
        Self { needles: needles.merge(), too_short }
    }

    /// Redacts every secret in `text`, and every part of a secret that is long enough. The whole text is
    /// suppressed if it contains a secret that is too short to redact. A very long text is truncated.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        if self.too_short.iter().any(|secret| !secret.reveal().is_empty() && text.contains(secret.reveal())) {
            return "(suppressed: contains a secret)".to_owned();
        }
        let (scanned, end) = if text.len() > MAX_SCANNED {
            let boundary = (0..=MAX_SCANNED).rev().find(|end| text.is_char_boundary(*end));
            (boundary.unwrap_or(0), MAX_SCANNED.saturating_sub(CUT_MARGIN))
        } else {
            (text.len(), text.len())
        };
        let scanned = text.get(..scanned).unwrap_or_default();
        let mut marks = vec![false; scanned.len()];
        visit_decodings(&DecodedView::new(scanned), MAX_DEPTH, &mut |view| {
            self.needles.mark(view, &mut marks);
            for base64 in (0..4).filter_map(|phase| view.decode_base64(phase)) {
                visit_decodings(&base64, 1, &mut |view| self.needles.mark(view, &mut marks));
            }
        });
        redact_marked(scanned, &marks, end)
    }
}

/// Visits `view` and its decodings: each escape syntax is decoded alone, because a secret may look like an
/// escape of another syntax, and all of them together.
fn visit_decodings(view: &DecodedView, depth: usize, visitor: &mut dyn FnMut(&DecodedView)) {
    visitor(view);
    let Some(depth) = depth.checked_sub(1) else { return };
    let escapes: Vec<u8> = ESCAPE_PREFIXES.iter().copied().filter(|escape| view.contains(*escape)).collect();
    let each = escapes.iter().map(std::slice::from_ref).filter(|_| escapes.len() > 1);
    for view in each.chain([escapes.as_slice()]).filter_map(|escapes| view.unescape(escapes)) {
        visit_decodings(&view, depth, visitor);
    }
}

/// `text` up to `end`, with every run of marked bytes redacted.
fn redact_marked(text: &str, marks: &[bool], end: usize) -> String {
    let mut redacted = String::with_capacity(end);
    let mut in_secret = false;
    for (offset, c) in text.char_indices().take_while(|(offset, _)| *offset < end) {
        let bytes = marks.get(offset..offset.saturating_add(c.len_utf8())).unwrap_or_default();
        let is_secret = bytes.contains(&true);
        if !is_secret {
            redacted.push(c);
        } else if !in_secret {
            redacted.push_str(REDACTED);
        }
        in_secret = is_secret;
    }
    redacted
}

/// The signature of a JWT, the query of a URL, the credentials of an Authorization header, and the password in
/// Basic credentials.
fn embedded_secrets(secret: &str) -> Vec<Secret> {
    let is_url = url::parse_scheme(secret).is_some();
    // The text after the last '.' of a URL is often a word such as "com/" or "default".
    let tail = if is_url { secret.split_once('?') } else { secret.rsplit_once('.') };
    let tail = tail.map(|(_, tail)| tail);
    let credentials_of = |scheme: &str| {
        let (found, credentials) = secret.split_once(' ')?;
        found.eq_ignore_ascii_case(scheme).then(|| credentials.trim())
    };
    let basic = credentials_of("Basic");
    let password = basic.and_then(|credentials| {
        let decoded = Zeroizing::new(STANDARD.decode(credentials).ok()?);
        let (_, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        Some(Secret::from(password))
    });
    let parts = [tail, basic, credentials_of("Bearer")].into_iter().flatten().map(Secret::from);
    parts.chain(password).filter(|part| part.reveal().len() >= MIN_REDACTABLE_LEN).collect()
}

#[cfg(test)]
mod tests;
