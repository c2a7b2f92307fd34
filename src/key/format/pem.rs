//! PEM (RFC 7468 and its predecessors): the only private key of a file, and the certificates stored alongside
//! it.
//!
//! As lenient as OpenSSL: accepts text between the blocks, any line length and any line ends. PEM has no
//! aliases, so JWTCertAlias is ignored.

use zeroize::Zeroizing;

use super::pem_encryption;
use crate::base::error::{Error, Result};
use crate::key::asn1::ber::{BerElement, BerElements, MalformedBer};
use crate::key::asn1::tag::{OCTET_STRING, SEQUENCE};
use crate::key::crypto::algorithm;
use crate::key::crypto::decrypt_error::DecryptError;
use crate::key::crypto::kdf_budget::KdfBudget;
use crate::key::crypto::password::PasswordEncodings;
use crate::key::crypto::pbe::EncryptionScheme;
use crate::key::crypto::weak_encryption;
use crate::key::parsed_key::{KeyBytes, KeyEntry, ParsedKey};
use crate::key::source::KeySource;
use crate::key::{lenient_base64, message};

const BEGIN_PREFIX: &[u8] = b"-----BEGIN ";
const END_PREFIX: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
const CERTIFICATE_LABEL: &str = "CERTIFICATE";

/// Labels that messages may contain; any other text between BEGIN and the dashes may be a secret.
const KNOWN_LABELS: [&str; 18] = [
    CERTIFICATE_LABEL,
    "TRUSTED CERTIFICATE",
    "X509 CERTIFICATE",
    "CERTIFICATE REQUEST",
    "NEW CERTIFICATE REQUEST",
    "X509 CRL",
    "PUBLIC KEY",
    "RSA PUBLIC KEY",
    "PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "RSA PRIVATE KEY",
    "EC PRIVATE KEY",
    "EC PARAMETERS",
    "DSA PARAMETERS",
    "DH PARAMETERS",
    "PKCS7",
    "CMS",
    "PKCS12",
];

struct PemBlock<'a> {
    label: String,
    /// Line of its beginning, from 1.
    line: usize,
    body: &'a [u8],
}

/// Whether `content` contains the beginning of a PEM block.
pub(in crate::key) fn is_pem(content: &[u8]) -> bool {
    find_bytes(content, BEGIN_PREFIX).is_some()
}

/// Replaces the escape sequences in the PEM text `text` by what they stand for: line breaks, and the
/// characters of base64 that JSON writers escape. The backslash may itself be escaped, any number of times.
///
/// No valid block contains a backslash, so that this cannot change one.
pub(in crate::key) fn unescape(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut plain = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    while let Some((before, escape)) = split_once(rest, b"\\") {
        plain.extend_from_slice(before);
        let backslashes = escape.iter().take_while(|byte| **byte == b'\\').count();
        let escape = escape.get(backslashes..).unwrap_or_default();
        let (replacement, length): (&[u8], usize) = match escape {
            [b'n', ..] => (b"\n", 1),
            [b'r', ..] => (b"\r", 1),
            [b'u', b'0', b'0', b'2', b'b' | b'B', ..] => (b"+", 5),
            // In a shell script, a backslash at the end of a line continues the text.
            [b'/' | b'\n' | b'\r', ..] => (b"", 0),
            _ => (b"\\", 0),
        };
        plain.extend_from_slice(replacement);
        rest = escape.get(length..).unwrap_or_default();
    }
    plain.extend_from_slice(rest);
    plain
}

/// Decodes the PKCS#12 store in a PEM text, as written by GnuTLS's certtool; `None` if it has none, or has a
/// private key in PEM.
pub(in crate::key) fn decode_pkcs12_block(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let blocks = split_blocks(text)?;
    if blocks.iter().any(PemBlock::is_private_key) {
        return None;
    }
    blocks.iter().find(|block| block.label == "PKCS12")?.decode()
}

/// Reads the only private key of the PEM text `content`.
pub(in crate::key) fn read_key(
    source: &KeySource,
    content: &[u8],
    budget: &mut KdfBudget,
) -> Result<ParsedKey> {
    let blocks = parse_blocks(source, content)?;
    let keys: Vec<_> = blocks.iter().filter(|block| block.is_private_key()).collect();
    let key = match *keys {
        [only] => only,
        [] => return Err(no_key_error(source, &blocks)),
        _ => {
            return Err(source.not_found_error(format!(
                "has {} private keys, and PEM has no aliases; keep only one key in the file",
                keys.len()
            )));
        }
    };
    open_key_block(source, &blocks, key, budget)
}

/// Reads all private keys of the PEM text `content`.
pub(in crate::key) fn read_all_keys(
    source: &KeySource,
    content: &[u8],
    budget: &mut KdfBudget,
) -> Result<Vec<KeyEntry>> {
    let blocks = parse_blocks(source, content)?;
    let keys = blocks.iter().filter(|block| block.is_private_key());
    Ok(keys.map(|key| KeyEntry::new(None, open_key_block(source, &blocks, key, budget))).collect())
}

fn parse_blocks<'a>(source: &KeySource, content: &'a [u8]) -> Result<Vec<PemBlock<'a>>> {
    split_blocks(content)
        .ok_or_else(|| source.store_error("is truncated or damaged PEM: a block has no END line"))
}

fn open_key_block(
    source: &KeySource,
    blocks: &[PemBlock<'_>],
    key: &PemBlock<'_>,
    budget: &mut KdfBudget,
) -> Result<ParsedKey> {
    let mut parsed = ParsedKey::new(KeyBytes::Private(read_private_key(source, key, budget)?));
    for block in blocks.iter().filter(|block| block.label == CERTIFICATE_LABEL) {
        match block.decode() {
            Some(certificate) => parsed.certificates.push(certificate.to_vec()),
            None => {
                let text = format!("has a certificate (line {}) that is empty or not base64", block.line);
                parsed.certificate_problem.get_or_insert(text);
            }
        }
    }
    Ok(parsed)
}

/// Reads the certificates of the PEM text `content`; `None` if it is damaged.
pub(in crate::key) fn parse_certificates(content: &[u8]) -> Option<Vec<Vec<u8>>> {
    let blocks = split_blocks(content)?;
    let certificates = blocks.iter().filter(|block| block.label == CERTIFICATE_LABEL);
    certificates.map(|block| Some(block.decode()?.to_vec())).collect()
}

fn no_key_error(source: &KeySource, blocks: &[PemBlock<'_>]) -> Error {
    let mut labels: Vec<_> = blocks.iter().map(PemBlock::printable_label).take(8).collect();
    labels.dedup();
    let labels = message::join_with_and(labels);
    source.not_found_error(format!("has no private key; it is PEM with {labels}"))
}

fn read_private_key(
    source: &KeySource,
    block: &PemBlock<'_>,
    budget: &mut KdfBudget,
) -> Result<Zeroizing<Vec<u8>>> {
    match block.label.as_str() {
        "OPENSSH PRIVATE KEY" => Err(source.store_error(
            "has a key in OpenSSH's format, which is not supported; convert a copy with \
             ssh-keygen -p -m PKCS8 -f COPY",
        )),
        "DSA PRIVATE KEY" => Err(source.unsuitable_error(format!(
            "has a DSA key; {} RSA, EC on P-256 or P-384, or Ed25519",
            source.supported_keys_prefix()
        ))),
        "ENCRYPTED PRIVATE KEY" => decrypt_pkcs8(source, &block.decode_or_error(source)?, budget),
        _ if pem_encryption::is_encrypted(block.body) => decrypt_traditional(source, block),
        _ => block.decode_or_error(source),
    }
}

/// Decrypts the key in a block with the headers of traditional encryption.
fn decrypt_traditional(source: &KeySource, block: &PemBlock<'_>) -> Result<Zeroizing<Vec<u8>>> {
    let damaged =
        || source.store_error(format!("has a damaged {} (Proc-Type: 4,ENCRYPTED)", block.printable_label()));
    let encrypted = pem_encryption::EncryptedPem::parse(block.body).ok_or_else(damaged)?;
    let (password, _) = source.single_password();
    let decrypted = encrypted.decrypt(password.unwrap_or_default(), source.forbid_weak_encryption);
    decrypted.map_err(|error| to_store_error(source, error, damaged))?.ok_or_else(|| {
        let cipher = encrypted.printable_cipher_name();
        source.store_error(format!("has a key in PEM encrypted with {cipher}, which is not supported"))
    })
}

fn to_store_error(source: &KeySource, error: DecryptError, damaged: impl Fn() -> Error) -> Error {
    match (error, source.single_password()) {
        (DecryptError::Damaged, _) => damaged(),
        (DecryptError::Unsupported(oid), _) => {
            source.store_error(format!("has a key encrypted with {}", algorithm::unsupported_text(&oid)))
        }
        (DecryptError::Weak(oid), _) => {
            weak_encryption::forbidden_error(source, &algorithm::display_name(&oid))
        }
        (DecryptError::TooExpensive(text), _) => source.store_error(text),
        (DecryptError::WrongPasswordOrAltered, (None, _)) => source.no_password_error(),
        (DecryptError::WrongPasswordOrAltered, (Some(_), option)) => source.wrong_password_error(option),
    }
}

/// Decrypts the key in an EncryptedPrivateKeyInfo (RFC 5958 section 3).
pub(in crate::key) fn decrypt_pkcs8(
    source: &KeySource,
    der: &[u8],
    budget: &mut KdfBudget,
) -> Result<Zeroizing<Vec<u8>>> {
    let (password, _) = source.single_password();
    // Without a password the empty one is tried: some programs encrypt with it.
    let encodings = PasswordEncodings::new(password.unwrap_or_default());
    try_decrypt_pkcs8(der, &encodings, source.forbid_weak_encryption, budget).map_err(|error| {
        to_store_error(source, error, || source.store_error("has a damaged ENCRYPTED PRIVATE KEY"))
    })
}

fn try_decrypt_pkcs8(
    der: &[u8],
    password: &PasswordEncodings,
    forbid_weak: bool,
    budget: &mut KdfBudget,
) -> std::result::Result<Zeroizing<Vec<u8>>, DecryptError> {
    let mut fields = BerElement::parse_sequence(der)?;
    let scheme = EncryptionScheme::parse(fields.next_required()?.children(SEQUENCE)?, forbid_weak)?;
    let encrypted = fields.next_required()?.octet_string(OCTET_STRING)?;
    scheme.try_passwords(&encrypted, &[password], budget)
}

/// Whether `der` has the structure of an encrypted key.
pub(in crate::key) fn is_encrypted_pkcs8(der: &[u8]) -> bool {
    let has_structure = |mut fields: BerElements<'_>| {
        fields.next_required()?.children(SEQUENCE)?.next_required()?.oid()?;
        fields.next_required()?.octet_string(OCTET_STRING)?;
        Ok::<_, MalformedBer>(fields.next().is_none())
    };
    BerElement::parse_sequence(der).and_then(has_structure).unwrap_or_default()
}

/// Splits a text into its blocks; `None` if a block has no end.
fn split_blocks(content: &[u8]) -> Option<Vec<PemBlock<'_>>> {
    let mut found = Vec::new();
    let (mut remaining, mut line) = (content, 1_usize);
    while let Some((before, after)) = split_once(remaining, BEGIN_PREFIX) {
        line = line.saturating_add(count_lines(before));
        let (block, rest) = split_block(after, line)?;
        let consumed = after.len().saturating_sub(rest.len());
        line = line.saturating_add(count_lines(after.get(..consumed).unwrap_or_default()));
        found.push(block);
        remaining = rest;
    }
    Some(found)
}

/// Splits off the block whose label is at the beginning of `text`, in line `line`; returns the rest after its
/// END line.
fn split_block(text: &[u8], line: usize) -> Option<(PemBlock<'_>, &[u8])> {
    let (label, rest) = split_once(text, DASHES)?;
    let (body, rest) = split_once(rest, END_PREFIX)?;
    let (end, rest) = split_once(rest, DASHES)?;
    let label = String::from_utf8_lossy(label).into_owned();
    let is_valid = end == label.as_bytes() && label.len() < 64 && find_bytes(body, BEGIN_PREFIX).is_none();
    is_valid.then_some((PemBlock { label, line, body }, rest))
}

impl PemBlock<'_> {
    fn is_private_key(&self) -> bool {
        self.label.ends_with("PRIVATE KEY")
    }

    /// The label, if it is a known one.
    fn printable_label(&self) -> String {
        match KNOWN_LABELS.iter().find(|known| **known == self.label) {
            Some(known) => (*known).to_owned(),
            None => format!("an unknown block (line {})", self.line),
        }
    }

    fn decode(&self) -> Option<Zeroizing<Vec<u8>>> {
        lenient_base64::decode_bytes(self.body.iter().copied(), self.body.len())
    }

    fn decode_or_error(&self, source: &KeySource) -> Result<Zeroizing<Vec<u8>>> {
        self.decode().ok_or_else(|| {
            source
                .store_error(format!("is PEM with {}, which is empty or not base64", self.printable_label()))
        })
    }
}

fn count_lines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

fn find_bytes(text: &[u8], pattern: &[u8]) -> Option<usize> {
    text.windows(pattern.len()).position(|window| window == pattern)
}

/// Splits at the first occurrence of `what`.
fn split_once<'a>(text: &'a [u8], pattern: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (before, rest) = text.split_at_checked(find_bytes(text, pattern)?)?;
    Some((before, rest.strip_prefix(pattern)?))
}
