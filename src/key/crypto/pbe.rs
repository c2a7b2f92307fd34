//! Encryption under a password: PBES1 and PBES2 (RFC 8018), PKCS#12's own schemes (RFC 7292 appendix C), and Java's.
//!
//! An AlgorithmIdentifier in, a [`Scheme`] out that decrypts. Used by PKCS#12, encrypted PKCS#8 and JCEKS.

use ::der::asn1::ObjectIdentifier;
use zeroize::Zeroizing;

use super::cipher::{self, Cipher, CipherAlgorithm};
use super::password::PasswordEncodings;
use crate::key::asn1::ber::{BerElement, BerElements, INTEGER, MalformedBer, OCTET_STRING, SEQUENCE};
use crate::key::asn1::oid;
use crate::key::crypto::digest::DigestAlgorithm;
use crate::key::crypto::kdf_budget::{KdfBudget, KdfCost};

const PBES2: ObjectIdentifier = oid::parse("1.2.840.113549.1.5.13");
const PBKDF2: ObjectIdentifier = oid::parse("1.2.840.113549.1.5.12");
const SCRYPT: ObjectIdentifier = oid::parse("1.3.6.1.4.1.11591.4.11");

/// No honest key, salt or vector is longer.
const MAX_KEY_LEN: u64 = 1024;

/// Why something under a password does not open.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::key) enum DecryptError {
    /// It is not of the form that it should have.
    Damaged,
    /// By this number.
    Unsupported(ObjectIdentifier),
    /// By this number, where the policy forbids what is weak.
    Weak(ObjectIdentifier),
    /// It asks for too much work, as the text says.
    TooExpensive(String),
    /// The password is wrong, or what it protects was altered.
    WrongPasswordOrAltered,
}

impl From<MalformedBer> for DecryptError {
    fn from(_: MalformedBer) -> Self {
        Self::Damaged
    }
}

/// How a key is made of a password.
pub(in crate::key) struct Kdf {
    algorithm: KdfAlgorithm,
    salt: Vec<u8>,
    iterations: u64,
    /// The length of the key, where the file says it.
    pub(in crate::key) key_length: Option<usize>,
}

#[cfg_attr(not(feature = "legacy-ciphers"), allow(dead_code))]
enum KdfAlgorithm {
    /// RFC 8018 section 5.1.
    Pbkdf1(DigestAlgorithm),
    Pkcs12,
    /// Java's PBEWithMD5AndTripleDES.
    Java(DigestAlgorithm),
    Pbkdf2(DigestAlgorithm),
    Scrypt {
        n: u64,
        r: u64,
        p: u64,
    },
}

/// How something is encrypted under a password.
pub(in crate::key) struct EncryptionScheme {
    kdf: Kdf,
    cipher: Cipher,
    key_length: usize,
    /// The initialisation vector; nothing where it is derived too.
    iv: Option<Vec<u8>>,
}

/// The one place that every number of a scheme, cipher or digest passes before it is used; `strong` if what is weak
/// is forbidden.
pub(in crate::key) fn check_oid(
    number: ObjectIdentifier,
    strong: bool,
) -> Result<ObjectIdentifier, DecryptError> {
    if strong && oid::is_weak(&number) {
        return Err(DecryptError::Weak(number));
    }
    if oid::is_compiled_out(&number) {
        return Err(DecryptError::Unsupported(number));
    }
    Ok(number)
}

/// The digest of an AlgorithmIdentifier.
pub(in crate::key) fn read_digest_algorithm(
    mut algorithm: BerElements<'_>,
    of: fn(&ObjectIdentifier) -> Option<DigestAlgorithm>,
    strong: bool,
) -> Result<DigestAlgorithm, DecryptError> {
    let number = check_oid(algorithm.next_required()?.oid()?, strong)?;
    of(&number).ok_or(DecryptError::Unsupported(number))
}

impl EncryptionScheme {
    /// The scheme of an AlgorithmIdentifier.
    pub(in crate::key) fn parse(mut algorithm: BerElements<'_>, strong: bool) -> Result<Self, DecryptError> {
        let number = check_oid(algorithm.next_required()?.oid()?, strong)?;
        let parameters = algorithm.next_required()?.children(SEQUENCE)?;
        if number == PBES2 {
            return parse_pbes2(parameters, strong);
        }
        let (way, cipher, key_length) = pre_pbes2_scheme(&number).ok_or(DecryptError::Unsupported(number))?;
        let kdf = Kdf::parse_salt_and_iterations(way, parameters)?;
        Ok(Self { kdf, cipher, key_length, iv: None })
    }

    /// The DER that `data` is under one of the ways to write one of the passwords.
    pub(in crate::key) fn try_passwords(
        &self,
        data: &[u8],
        passwords: &[&PasswordEncodings],
        budget: &mut KdfBudget,
    ) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        for password in passwords {
            for written in self.kdf.password_encodings(password) {
                let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
                budget.charge(KdfCost { decrypt_bytes: bytes, ..self.cost() })?;
                let found = self.decrypt_with_password(data, written);
                // One wrong password in 256 leaves a padding that looks right.
                if let Some(plain) = found.filter(|plain| BerElement::parse_sequence(plain).is_ok()) {
                    return Ok(plain);
                }
            }
        }
        Err(DecryptError::WrongPasswordOrAltered)
    }

    fn cost(&self) -> KdfCost {
        let vector = if self.iv.is_none() { self.cipher.iv_len() } else { 0 };
        let mut cost = self.kdf.cost(self.key_length);
        if matches!(self.kdf.algorithm, KdfAlgorithm::Pkcs12) && vector > 0 {
            cost.output_blocks = cost.output_blocks.saturating_add(1);
        }
        cost
    }

    fn decrypt_with_password(&self, data: &[u8], password: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if let Some(vector) = &self.iv {
            let key = self.kdf.derive_key(password, self.key_length)?;
            return self.cipher.decrypt(&key, vector, data);
        }
        let length = self.cipher.iv_len();
        if matches!(self.kdf.algorithm, KdfAlgorithm::Pkcs12) {
            let key = self.kdf.derive_pkcs12(1, password, self.key_length);
            return self.cipher.decrypt(&key, &self.kdf.derive_pkcs12(2, password, length), data);
        }
        let both = self.kdf.derive_key(password, self.key_length.checked_add(length)?)?;
        let (key, vector) = both.split_at_checked(self.key_length)?;
        self.cipher.decrypt(key, vector, data)
    }
}

impl Kdf {
    /// The key derivation of an AlgorithmIdentifier: PBKDF2 or scrypt.
    pub(in crate::key) fn parse(mut algorithm: BerElements<'_>, strong: bool) -> Result<Self, DecryptError> {
        let number = check_oid(algorithm.next_required()?.oid()?, strong)?;
        let mut parameters = algorithm.next_required()?.children(SEQUENCE)?;
        if number == SCRYPT {
            let salt = parameters.next_required()?.octet_string(OCTET_STRING)?.into_owned();
            let mut number = || Ok::<_, DecryptError>(parameters.next_required()?.as_u64_saturating()?);
            let (n, r, p) = (number()?, number()?, number()?);
            if !n.is_power_of_two() {
                return Err(DecryptError::Damaged);
            }
            let way = KdfAlgorithm::Scrypt { n, r, p };
            return Ok(Self {
                algorithm: way,
                salt,
                iterations: 1,
                key_length: parse_key_length(&mut parameters)?,
            });
        }
        if number != PBKDF2 {
            return Err(DecryptError::Unsupported(number));
        }
        let mut kdf =
            Self::parse_salt_and_iterations(KdfAlgorithm::Pbkdf2(DigestAlgorithm::Sha1), parameters)?;
        parameters.next_required()?;
        parameters.next_required()?;
        kdf.key_length = parse_key_length(&mut parameters)?;
        if let Some(prf) = parameters.next() {
            kdf.algorithm = KdfAlgorithm::Pbkdf2(read_digest_algorithm(
                prf?.children(SEQUENCE)?,
                DigestAlgorithm::from_hmac_oid,
                strong,
            )?);
        }
        Ok(kdf)
    }

    /// With the salt and the iterations that parameters begin with.
    fn parse_salt_and_iterations(
        way: KdfAlgorithm,
        mut parameters: BerElements<'_>,
    ) -> Result<Self, DecryptError> {
        let salt = parameters.next_required()?.octet_string(OCTET_STRING)?.into_owned();
        let rounds = parameters.next_required()?.as_u64_saturating()?;
        Ok(Self { algorithm: way, salt, iterations: rounds, key_length: None })
    }

    /// What a key of `length` bytes takes.
    pub(in crate::key) fn cost(&self, length: usize) -> KdfCost {
        let (hash, size) = match self.algorithm {
            KdfAlgorithm::Scrypt { n, r, p } => return scrypt_cost(n, r, p),
            KdfAlgorithm::Pbkdf2(hash) => (hash, hash.output_len()),
            KdfAlgorithm::Pkcs12 => (DigestAlgorithm::Sha1, DigestAlgorithm::Sha1.output_len()),
            KdfAlgorithm::Pbkdf1(hash) | KdfAlgorithm::Java(hash) => (hash, 16),
        };
        // HMAC takes two digests where the others take one.
        let step = if matches!(self.algorithm, KdfAlgorithm::Pbkdf2(_)) {
            hash.unit_cost()
        } else {
            hash.unit_cost().div_ceil(2)
        };
        let blocks = u64::try_from(length.div_ceil(size.max(1))).unwrap_or(u64::MAX);
        KdfCost { iterations: self.iterations, output_blocks: blocks, unit_cost: step, ..KdfCost::default() }
    }

    /// The password in the ways that it may have been written for this.
    pub(in crate::key) fn password_encodings<'a>(
        &self,
        password: &'a PasswordEncodings,
    ) -> &'a [Zeroizing<Vec<u8>>] {
        if matches!(self.algorithm, KdfAlgorithm::Pkcs12) { password.bmp() } else { password.bytes() }
    }

    /// Those bytes of a key; the cost was charged before.
    pub(in crate::key) fn derive_key(&self, password: &[u8], length: usize) -> Option<Zeroizing<Vec<u8>>> {
        let mut key = Zeroizing::new(vec![0; length]);
        let rounds = self.iteration_count();
        match self.algorithm {
            KdfAlgorithm::Pbkdf1(hash) => {
                key = hash.iterate(&[password, &self.salt].concat(), &[], rounds);
                key.truncate(length);
            }
            KdfAlgorithm::Pkcs12 => key = self.derive_pkcs12(1, password, length),
            KdfAlgorithm::Java(hash) => {
                let (one, other) = split_java_salt(&self.salt)?;
                key = hash.iterate(&one, password, rounds);
                key.extend_from_slice(&hash.iterate(&other, password, rounds));
            }
            KdfAlgorithm::Pbkdf2(hash) => hash.pbkdf2(password, &self.salt, rounds, &mut key),
            KdfAlgorithm::Scrypt { n, r, p } => {
                let log = u8::try_from(n.checked_ilog2().filter(|_| n.is_power_of_two())?).ok()?;
                let number = |number: u64| u32::try_from(number).ok();
                let parameters = ::scrypt::Params::new(log, number(r)?, number(p)?).ok()?;
                ::scrypt::scrypt(password, &self.salt, &parameters, &mut key).ok()?;
            }
        }
        Some(key)
    }

    fn iteration_count(&self) -> u32 {
        u32::try_from(self.iterations).unwrap_or(u32::MAX).max(1)
    }

    fn derive_pkcs12(&self, purpose: u8, password: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(vec![0; length]);
        DigestAlgorithm::Sha1.pkcs12_kdf(purpose, password, &self.salt, self.iteration_count(), &mut out);
        out
    }
}

/// What scrypt takes (RFC 7914): a table of N blocks, and beside it p blocks that are worked on one after the other, of
/// which a MiB is not counted.
pub(in crate::key) fn scrypt_cost(n: u64, r: u64, p: u64) -> KdfCost {
    let size = |blocks: u64| blocks.saturating_mul(r).saturating_mul(128);
    let memory = size(n).saturating_add(size(p).saturating_sub(1024 * 1024));
    let rounds = n.saturating_mul(r).saturating_mul(p);
    KdfCost { iterations: rounds, output_blocks: 1, unit_cost: 6, memory_bytes: memory, ..KdfCost::default() }
}

/// Of Java's salt; one that says the same twice is turned around in part, as Java does, its own mistake included.
fn split_java_salt(salt: &[u8]) -> Option<([u8; 4], [u8; 4])> {
    let [a, b, c, d, other @ ..] = <[u8; 8]>::try_from(salt).ok()?;
    let one = if [a, b, c, d] == other { [d, a, b, d] } else { [a, b, c, d] };
    Some((one, other))
}

fn parse_key_length(parameters: &mut BerElements<'_>) -> Result<Option<usize>, DecryptError> {
    let Some(found) = parameters.next_if_tag(INTEGER)? else {
        return Ok(None);
    };
    let length = found.as_u64_saturating()?;
    let sound = usize::try_from(length).ok().filter(|_| (1..=MAX_KEY_LEN).contains(&length));
    Ok(Some(sound.ok_or(DecryptError::Damaged)?))
}

/// PBES1, PKCS#12's own schemes and Java's: how the key is made, and how long it is.
#[cfg(feature = "legacy-ciphers")]
fn pre_pbes2_scheme(number: &ObjectIdentifier) -> Option<(KdfAlgorithm, Cipher, usize)> {
    let rc4 = Cipher { algorithm: CipherAlgorithm::Rc4, mode: super::cipher::CipherMode::Stream };
    let (des, triple) = (Cipher::cbc(CipherAlgorithm::Des), Cipher::cbc(CipherAlgorithm::TripleDes));
    let rc2 = |bits| Cipher::cbc(CipherAlgorithm::Rc2(bits));
    Some(match number.to_string().as_str() {
        "1.2.840.113549.1.5.3" => (KdfAlgorithm::Pbkdf1(DigestAlgorithm::MD5), des, 8),
        "1.2.840.113549.1.5.6" => (KdfAlgorithm::Pbkdf1(DigestAlgorithm::MD5), rc2(64), 8),
        "1.2.840.113549.1.5.10" => (KdfAlgorithm::Pbkdf1(DigestAlgorithm::Sha1), des, 8),
        "1.2.840.113549.1.5.11" => (KdfAlgorithm::Pbkdf1(DigestAlgorithm::Sha1), rc2(64), 8),
        "1.2.840.113549.1.12.1.1" => (KdfAlgorithm::Pkcs12, rc4, 16),
        "1.2.840.113549.1.12.1.2" => (KdfAlgorithm::Pkcs12, rc4, 5),
        "1.2.840.113549.1.12.1.3" => (KdfAlgorithm::Pkcs12, triple, 24),
        "1.2.840.113549.1.12.1.4" => (KdfAlgorithm::Pkcs12, triple, 16),
        "1.2.840.113549.1.12.1.5" => (KdfAlgorithm::Pkcs12, rc2(128), 16),
        "1.2.840.113549.1.12.1.6" => (KdfAlgorithm::Pkcs12, rc2(40), 5),
        "1.3.6.1.4.1.42.2.19.1" => (KdfAlgorithm::Java(DigestAlgorithm::MD5), triple, 24),
        _ => return None,
    })
}

#[cfg(not(feature = "legacy-ciphers"))]
fn pre_pbes2_scheme(_: &ObjectIdentifier) -> Option<(Way, Cipher, usize)> {
    None
}

fn parse_pbes2(mut parameters: BerElements<'_>, strong: bool) -> Result<EncryptionScheme, DecryptError> {
    let kdf = Kdf::parse(parameters.next_required()?.children(SEQUENCE)?, strong)?;
    let mut encryption = parameters.next_required()?.children(SEQUENCE)?;
    let number = check_oid(encryption.next_required()?.oid()?, strong)?;
    let known = cipher::find_by_oid(&number).ok_or(DecryptError::Unsupported(number))?;
    let (mut cipher, mut key_length) = (known.cipher, known.key_len);
    let vector = if let CipherAlgorithm::Rc2(bits) = &mut cipher.algorithm {
        let vector = parse_rc2_parameters(encryption.next_required()?, bits)?;
        key_length = kdf.key_length.unwrap_or(usize::from(*bits).div_ceil(8));
        vector
    } else if cipher.iv_len() == 0 {
        // Empty, NULL or left out, as the writer likes.
        Vec::new()
    } else {
        encryption.next_required()?.octet_string(OCTET_STRING)?.into_owned()
    };
    if vector.len() != cipher.iv_len() || kdf.key_length.is_some_and(|said| said != key_length) {
        return Err(DecryptError::Damaged);
    }
    Ok(EncryptionScheme { kdf, cipher, key_length, iv: Some(vector) })
}

/// The vector, with the effective bits where a version tells them (RFC 8018 appendix B.2.3).
fn parse_rc2_parameters(parameter: BerElement<'_>, bits: &mut u16) -> Result<Vec<u8>, DecryptError> {
    *bits = 32;
    let Ok(mut fields) = parameter.children(SEQUENCE) else {
        return Ok(parameter.octet_string(OCTET_STRING)?.into_owned());
    };
    if let Some(version) = fields.next_if_tag(INTEGER)? {
        *bits = match version.as_u64_saturating()? {
            160 => 40,
            120 => 64,
            58 => 128,
            larger => u16::try_from(larger)
                .ok()
                .filter(|bits| (256..=1024).contains(bits))
                .ok_or(DecryptError::Damaged)?,
        };
    }
    Ok(fields.next_required()?.octet_string(OCTET_STRING)?.into_owned())
}
