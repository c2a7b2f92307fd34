//! PEM (RFC 7468, and what came before it): the one private key of the text, and the certificates beside it.
//!
//! Lenient as OpenSSL is: text between the blocks, any line length, either line end. PEM has no aliases, so
//! JWTCertAlias is not looked at.

use zeroize::Zeroizing;

use super::pem_encryption;
use crate::base::error::{Error, Result};
use crate::key::asn1::ber::{Element, Elements, Malformed, OCTETS, SEQUENCE};
use crate::key::asn1::oid;
use crate::key::crypto::kdf_budget::Budget;
use crate::key::crypto::password::Password;
use crate::key::crypto::pbe::{Fault, Scheme};
use crate::key::crypto::weak_encryption;
use crate::key::{Candidate, Key, KeySource, Material, inline, select};

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
const CERTIFICATE: &str = "CERTIFICATE";

/// What may be told of a file's labels; anything else between BEGIN and dashes may be a secret.
const KNOWN: [&str; 17] = [
    CERTIFICATE,
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
];

struct Block<'a> {
    label: String,
    /// Where it begins, from 1.
    line: usize,
    body: &'a [u8],
}

/// Whether there is a PEM block somewhere in `content`.
pub(in crate::key) fn is_pem(content: &[u8]) -> bool {
    find(content, BEGIN).is_some()
}

/// The one private key of the PEM text `content`.
pub(in crate::key) fn read(source: &KeySource, content: &[u8]) -> Result<Material> {
    let blocks = whole_blocks(source, content)?;
    let keys: Vec<_> = blocks.iter().filter(|block| block.is_key()).collect();
    let key = match *keys {
        [only] => only,
        [] => return Err(no_key(source, &blocks)),
        _ => {
            return Err(source.not_found(format!(
                "has {} private keys, and PEM has no aliases to choose by; leave one in the file",
                keys.len()
            )));
        }
    };
    material(source, &blocks, key, &mut Budget::new())
}

/// Every private key of the PEM text `content`.
pub(in crate::key) fn all(source: &KeySource, content: &[u8]) -> Result<Vec<Candidate>> {
    let blocks = whole_blocks(source, content)?;
    let keys = blocks.iter().filter(|block| block.is_key());
    // One for all: a file with many keys is still one file.
    let mut budget = Budget::new();
    Ok(keys.map(|key| (None, material(source, &blocks, key, &mut budget))).collect())
}

fn whole_blocks<'a>(source: &KeySource, content: &'a [u8]) -> Result<Vec<Block<'a>>> {
    blocks(content)
        .ok_or_else(|| source.broken("is PEM with a block that has no END line: it was cut short or damaged"))
}

fn material(
    source: &KeySource,
    blocks: &[Block<'_>],
    key: &Block<'_>,
    budget: &mut Budget,
) -> Result<Material> {
    let certificates = blocks.iter().filter(|block| block.label == CERTIFICATE);
    Ok(Material {
        key: Key::Private(private_key(source, key, budget)?),
        certificates: certificates
            .map(|block| block.decoded(source).map(|der| der.to_vec()))
            .collect::<Result<_>>()?,
        alias: None,
        key_id: None,
    })
}

/// The certificates of the PEM text `content`; nothing if it is damaged.
pub(in crate::key) fn certificates(content: &[u8]) -> Option<Vec<Vec<u8>>> {
    let blocks = blocks(content)?;
    let certificates = blocks.iter().filter(|block| block.label == CERTIFICATE);
    certificates.map(|block| Some(block.decode()?.to_vec())).collect()
}

fn no_key(source: &KeySource, blocks: &[Block<'_>]) -> Error {
    let mut labels: Vec<_> = blocks.iter().map(Block::name).take(8).collect();
    labels.dedup();
    let labels = select::joined(labels);
    source.not_found(format!("has no private key; it is PEM with {labels}"))
}

fn private_key(source: &KeySource, block: &Block<'_>, budget: &mut Budget) -> Result<Zeroizing<Vec<u8>>> {
    match block.label.as_str() {
        "OPENSSH PRIVATE KEY" => Err(source.broken(
            "has a key in OpenSSH's own format, which is not supported; convert a copy with \
             ssh-keygen -p -m PKCS8 -f COPY",
        )),
        "DSA PRIVATE KEY" => Err(source.unsuitable(format!("has a DSA key; {} others", source.signs_with()))),
        "ENCRYPTED PRIVATE KEY" => decrypt(source, &block.decoded(source)?, budget),
        _ if pem_encryption::is_encrypted(block.body) => decrypt_old(source, block),
        _ => block.decoded(source),
    }
}

/// The key in a block with headers.
fn decrypt_old(source: &KeySource, block: &Block<'_>) -> Result<Zeroizing<Vec<u8>>> {
    let damaged = || source.broken(format!("has a damaged {} (Proc-Type: 4,ENCRYPTED)", block.name()));
    let sealed = pem_encryption::Sealed::read(block.body).ok_or_else(damaged)?;
    let (password, _) = source.only_password();
    let opened = match password {
        Some(password) => sealed.open(password, source.strong),
        None => Err(Fault::Refused),
    };
    opened.map_err(|fault| explain(source, fault, damaged))?.ok_or_else(|| {
        let cipher = sealed.cipher();
        source.broken(format!("has a key in PEM encrypted with {cipher}, which is not supported"))
    })
}

fn explain(source: &KeySource, fault: Fault, damaged: impl Fn() -> Error) -> Error {
    match (fault, source.only_password()) {
        (Fault::Damaged, _) => damaged(),
        (Fault::Unsupported(number), _) => {
            source.broken(format!("has a key encrypted with {}", oid::refusal(&number)))
        }
        (Fault::Weak(number), _) => weak_encryption::refused(source, &oid::name(&number)),
        (Fault::Cost(text), _) => source.broken(text),
        (Fault::Refused, (None, _)) => source.no_password(),
        (Fault::Refused, (Some(_), option)) => source.wrong_password(option),
    }
}

/// The key in an EncryptedPrivateKeyInfo (RFC 5958 section 3).
pub(in crate::key) fn decrypt(
    source: &KeySource,
    der: &[u8],
    budget: &mut Budget,
) -> Result<Zeroizing<Vec<u8>>> {
    let (password, _) = source.only_password();
    let spelled = password.map(Password::new);
    unseal(der, spelled.as_ref(), source.strong, budget)
        .map_err(|fault| explain(source, fault, || source.broken("has a damaged ENCRYPTED PRIVATE KEY")))
}

fn unseal(
    der: &[u8],
    password: Option<&Password>,
    strong: bool,
    budget: &mut Budget,
) -> std::result::Result<Zeroizing<Vec<u8>>, Fault> {
    let mut fields = Element::sequence(der)?;
    let scheme = Scheme::read(fields.need()?.inside(SEQUENCE)?, strong)?;
    let sealed = fields.need()?.octets(OCTETS)?;
    scheme.open(&sealed, password.as_slice(), budget)
}

/// Whether `der` has the form of an encrypted key.
pub(in crate::key) fn is_encrypted_key(der: &[u8]) -> bool {
    let form = |mut fields: Elements<'_>| {
        fields.need()?.inside(SEQUENCE)?.need()?.oid()?;
        fields.need()?.octets(OCTETS)?;
        Ok::<_, Malformed>(fields.next().is_none())
    };
    Element::sequence(der).and_then(form).unwrap_or_default()
}

/// The blocks of a text; nothing if one has no end.
fn blocks(content: &[u8]) -> Option<Vec<Block<'_>>> {
    let mut found = Vec::new();
    let (mut left, mut line) = (content, 1_usize);
    while let Some((before, begun)) = split(left, BEGIN) {
        line = line.saturating_add(lines(before));
        let (block, rest) = block(begun, line)?;
        let within = begun.len().saturating_sub(rest.len());
        line = line.saturating_add(lines(begun.get(..within).unwrap_or_default()));
        found.push(block);
        left = rest;
    }
    Some(found)
}

/// The block, begun in `line`, whose label `text` begins with, and what comes after its END line.
fn block(text: &[u8], line: usize) -> Option<(Block<'_>, &[u8])> {
    let (label, rest) = split(text, DASHES)?;
    let (body, rest) = split(rest, END)?;
    let (end, rest) = split(rest, DASHES)?;
    let label = String::from_utf8_lossy(label).into_owned();
    let whole = end == label.as_bytes() && label.len() < 64 && find(body, BEGIN).is_none();
    whole.then_some((Block { label, line, body }, rest))
}

impl Block<'_> {
    fn is_key(&self) -> bool {
        self.label.ends_with("PRIVATE KEY")
    }

    /// Its label, if it is one that PEM files have.
    fn name(&self) -> String {
        match KNOWN.iter().find(|known| **known == self.label) {
            Some(known) => (*known).to_owned(),
            None => format!("an unknown block (line {})", self.line),
        }
    }

    fn decode(&self) -> Option<Zeroizing<Vec<u8>>> {
        inline::unpack(self.body.iter().copied(), self.body.len())
    }

    fn decoded(&self, source: &KeySource) -> Result<Zeroizing<Vec<u8>>> {
        self.decode().ok_or_else(|| {
            source.broken(format!("is PEM with {}, which is empty or not base64", self.name()))
        })
    }
}

fn lines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// What stands before and behind the first `what`.
fn split<'a>(text: &'a [u8], what: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (before, rest) = text.split_at_checked(find(text, what)?)?;
    Some((before, rest.strip_prefix(what)?))
}
