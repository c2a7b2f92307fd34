//! Password-based encryption: PBES1 and PBES2 (RFC 8018), PKCS#12's own schemes (RFC 7292 appendix C), and
//! Java's.
//!
//! Parses an AlgorithmIdentifier to an [`EncryptionScheme`]. Used by PKCS#12, encrypted PKCS#8 and JCEKS.

use ::der::asn1::ObjectIdentifier;
use zeroize::Zeroizing;

use super::algorithm;
use super::cipher::{self, Cipher, CipherAlgorithm};
use super::password::PasswordEncodings;
use crate::key::asn1::ber::{BerElement, BerElements};
use crate::key::asn1::oid;
use crate::key::asn1::tag::{INTEGER, OCTET_STRING, SEQUENCE};
use crate::key::crypto::decrypt_error::DecryptError;
use crate::key::crypto::digest::DigestAlgorithm;
use crate::key::crypto::kdf_budget::{KdfBudget, KdfCost};

const PBES2: ObjectIdentifier = oid::parse("1.2.840.113549.1.5.13");
const PBKDF2: ObjectIdentifier = oid::parse("1.2.840.113549.1.5.12");
const SCRYPT: ObjectIdentifier = oid::parse("1.3.6.1.4.1.11591.4.11");

/// Maximum length of a derived key, more than any valid key has.
const MAX_KEY_LEN: u64 = 1024;

/// Key derivation from a password.
pub(in crate::key) struct Kdf {
    algorithm: KdfAlgorithm,
    salt: Vec<u8>,
    iterations: u64,
    /// Length of the key, if the file contains it.
    pub(in crate::key) key_length: Option<usize>,
}

#[cfg_attr(not(feature = "legacy-ciphers"), allow(dead_code))]
enum KdfAlgorithm {
    /// PBKDF1 (RFC 8018 section 5.1).
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

/// Scheme of password-based encryption.
pub(in crate::key) struct EncryptionScheme {
    kdf: Kdf,
    cipher: Cipher,
    key_length: usize,
    /// Initialization vector; `None` if it is derived from the password, too.
    iv: Option<Vec<u8>>,
}

/// Checks the OID of a scheme, cipher or digest; every OID must be checked here before use. With
/// `forbid_weak`, weak algorithms are errors.
pub(in crate::key) fn check_oid(
    oid: ObjectIdentifier,
    forbid_weak: bool,
) -> Result<ObjectIdentifier, DecryptError> {
    if forbid_weak && algorithm::is_weak(&oid) {
        return Err(DecryptError::Weak(oid));
    }
    if algorithm::is_compiled_out(&oid) {
        return Err(DecryptError::Unsupported(oid));
    }
    Ok(oid)
}

/// Reads the digest of an AlgorithmIdentifier.
pub(in crate::key) fn read_digest_algorithm(
    mut algorithm: BerElements<'_>,
    find_digest: fn(&ObjectIdentifier) -> Option<DigestAlgorithm>,
    forbid_weak: bool,
) -> Result<DigestAlgorithm, DecryptError> {
    let oid = check_oid(algorithm.next_required()?.oid()?, forbid_weak)?;
    find_digest(&oid).ok_or(DecryptError::Unsupported(oid))
}

impl EncryptionScheme {
    /// Parses the scheme of an AlgorithmIdentifier.
    pub(in crate::key) fn parse(
        mut algorithm: BerElements<'_>,
        forbid_weak: bool,
    ) -> Result<Self, DecryptError> {
        let oid = check_oid(algorithm.next_required()?.oid()?, forbid_weak)?;
        let parameters = algorithm.next_required()?.children(SEQUENCE)?;
        if oid == PBES2 {
            return parse_pbes2(parameters, forbid_weak);
        }
        let (kdf_algorithm, cipher, key_length) =
            pre_pbes2_scheme(&oid).ok_or(DecryptError::Unsupported(oid))?;
        let kdf = Kdf::parse_salt_and_iterations(kdf_algorithm, parameters)?;
        Ok(Self { kdf, cipher, key_length, iv: None })
    }

    /// Decrypts `data` to DER, with each encoding of each of the passwords in turn.
    pub(in crate::key) fn try_passwords(
        &self,
        data: &[u8],
        passwords: &[&PasswordEncodings],
        budget: &mut KdfBudget,
    ) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        for password in passwords {
            for encoding in self.kdf.password_encodings(password) {
                let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
                budget.charge(KdfCost { decrypt_bytes: bytes, ..self.cost() })?;
                let found = self.decrypt_with_password(data, encoding);
                // One in 256 wrong passwords yields valid padding.
                if let Some(plain) = found.filter(|plain| BerElement::parse_sequence(plain).is_ok()) {
                    return Ok(plain);
                }
            }
        }
        Err(DecryptError::WrongPasswordOrAltered)
    }

    fn cost(&self) -> KdfCost {
        let mut cost = self.kdf.cost(self.key_length);
        // The IV is derived separately, from one digest.
        if matches!(self.kdf.algorithm, KdfAlgorithm::Pkcs12) && self.cipher.iv_len() > 0 {
            cost.output_blocks = cost.output_blocks.saturating_add(1);
        }
        cost
    }

    fn decrypt_with_password(&self, data: &[u8], password: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if let Some(iv) = &self.iv {
            let key = self.kdf.derive_key(password, self.key_length)?;
            return self.cipher.decrypt(&key, iv, data);
        }
        let length = self.cipher.iv_len();
        if matches!(self.kdf.algorithm, KdfAlgorithm::Pkcs12) {
            let key = self.kdf.derive_key(password, self.key_length)?;
            return self.cipher.decrypt(&key, &self.kdf.derive_pkcs12(2, password, length), data);
        }
        let both = self.kdf.derive_key(password, self.key_length.checked_add(length)?)?;
        let (key, iv) = both.split_at_checked(self.key_length)?;
        self.cipher.decrypt(key, iv, data)
    }
}

impl Kdf {
    /// Parses the key derivation of an AlgorithmIdentifier: PBKDF2 or scrypt.
    pub(in crate::key) fn parse(
        mut algorithm: BerElements<'_>,
        forbid_weak: bool,
    ) -> Result<Self, DecryptError> {
        let oid = check_oid(algorithm.next_required()?.oid()?, forbid_weak)?;
        let mut parameters = algorithm.next_required()?.children(SEQUENCE)?;
        if oid == SCRYPT {
            let salt = parameters.next_required()?.octet_string(OCTET_STRING)?.into_owned();
            let mut next_number = || Ok::<_, DecryptError>(parameters.next_required()?.as_u64_saturating()?);
            let (n, r, p) = (next_number()?, next_number()?, next_number()?);
            if !n.is_power_of_two() {
                return Err(DecryptError::Damaged);
            }
            return Ok(Self {
                algorithm: KdfAlgorithm::Scrypt { n, r, p },
                salt,
                iterations: 1,
                key_length: parse_key_length(&mut parameters)?,
            });
        }
        if oid != PBKDF2 {
            return Err(DecryptError::Unsupported(oid));
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
                forbid_weak,
            )?);
        }
        Ok(kdf)
    }

    /// Parses the salt and the iterations at the beginning of `parameters`.
    fn parse_salt_and_iterations(
        algorithm: KdfAlgorithm,
        mut parameters: BerElements<'_>,
    ) -> Result<Self, DecryptError> {
        let salt = parameters.next_required()?.octet_string(OCTET_STRING)?.into_owned();
        let iterations = parameters.next_required()?.as_u64_saturating()?;
        Ok(Self { algorithm, salt, iterations, key_length: None })
    }

    /// Cost of deriving a key of `length` bytes.
    pub(in crate::key) fn cost(&self, length: usize) -> KdfCost {
        let (hash, size) = match self.algorithm {
            KdfAlgorithm::Scrypt { n, r, p } => return scrypt_cost(n, r, p),
            KdfAlgorithm::Pbkdf2(hash) => (hash, hash.output_len()),
            KdfAlgorithm::Pkcs12 => (DigestAlgorithm::Sha1, DigestAlgorithm::Sha1.output_len()),
            KdfAlgorithm::Pbkdf1(hash) | KdfAlgorithm::Java(hash) => (hash, 16),
        };
        // HMAC computes two digests, the other derivations one.
        let unit_cost = if matches!(self.algorithm, KdfAlgorithm::Pbkdf2(_)) {
            hash.unit_cost()
        } else {
            hash.unit_cost().div_ceil(2)
        };
        let blocks = u64::try_from(length.div_ceil(size.max(1))).unwrap_or(u64::MAX);
        KdfCost { iterations: self.iterations, output_blocks: blocks, unit_cost, ..KdfCost::default() }
    }

    /// Encodings of the password for this derivation.
    pub(in crate::key) fn password_encodings<'a>(
        &self,
        password: &'a PasswordEncodings,
    ) -> &'a [Zeroizing<Vec<u8>>] {
        if matches!(self.algorithm, KdfAlgorithm::Pkcs12) { password.bmp() } else { password.bytes() }
    }

    /// Derives a key of `length` bytes; the cost must have been charged before.
    pub(in crate::key) fn derive_key(&self, password: &[u8], length: usize) -> Option<Zeroizing<Vec<u8>>> {
        let mut key = Zeroizing::new(vec![0; length]);
        let iterations = self.iteration_count();
        match self.algorithm {
            KdfAlgorithm::Pbkdf1(hash) => {
                key = hash.iterate(&[password, &self.salt].concat(), &[], iterations);
                key.truncate(length);
            }
            KdfAlgorithm::Pkcs12 => key = self.derive_pkcs12(1, password, length),
            KdfAlgorithm::Java(hash) => {
                let (first, second) = split_java_salt(&self.salt)?;
                key = hash.iterate(&first, password, iterations);
                key.extend_from_slice(&hash.iterate(&second, password, iterations));
            }
            KdfAlgorithm::Pbkdf2(hash) => hash.pbkdf2(password, &self.salt, iterations, &mut key),
            KdfAlgorithm::Scrypt { n, r, p } => {
                let log = u8::try_from(n.checked_ilog2().filter(|_| n.is_power_of_two())?).ok()?;
                let to_u32 = |value: u64| u32::try_from(value).ok();
                let parameters = ::scrypt::Params::new(log, to_u32(r)?, to_u32(p)?).ok()?;
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

/// Cost of scrypt (RFC 7914): memory for a table of N blocks, and for p blocks that are processed one after
/// the other, of which 1 MiB is not counted.
pub(in crate::key) fn scrypt_cost(n: u64, r: u64, p: u64) -> KdfCost {
    let size = |blocks: u64| blocks.saturating_mul(r).saturating_mul(128);
    let memory = size(n).saturating_add(size(p).saturating_sub(1024 * 1024));
    let iterations = n.saturating_mul(r).saturating_mul(p);
    KdfCost { iterations, output_blocks: 1, unit_cost: 6, memory_bytes: memory, ..KdfCost::default() }
}

/// Splits Java's salt. If both halves are equal, the first is partly reversed, including the bug in Java's
/// implementation.
fn split_java_salt(salt: &[u8]) -> Option<([u8; 4], [u8; 4])> {
    let [a, b, c, d, second @ ..] = <[u8; 8]>::try_from(salt).ok()?;
    let first = if [a, b, c, d] == second { [d, a, b, d] } else { [a, b, c, d] };
    Some((first, second))
}

fn parse_key_length(parameters: &mut BerElements<'_>) -> Result<Option<usize>, DecryptError> {
    let Some(found) = parameters.next_if_tag(INTEGER)? else {
        return Ok(None);
    };
    let length = found.as_u64_saturating()?;
    let valid = usize::try_from(length).ok().filter(|_| (1..=MAX_KEY_LEN).contains(&length));
    Ok(Some(valid.ok_or(DecryptError::Damaged)?))
}

/// Key derivation, cipher and key length of a scheme of PBES1, PKCS#12 or Java.
#[cfg(feature = "legacy-ciphers")]
fn pre_pbes2_scheme(oid: &ObjectIdentifier) -> Option<(KdfAlgorithm, Cipher, usize)> {
    let (des, triple) = (Cipher::cbc(CipherAlgorithm::Des), Cipher::cbc(CipherAlgorithm::TripleDes));
    let rc2 = |bits| Cipher::cbc(CipherAlgorithm::Rc2(bits));
    Some(match oid.to_string().as_str() {
        "1.2.840.113549.1.5.3" => (KdfAlgorithm::Pbkdf1(DigestAlgorithm::MD5), des, 8),
        "1.2.840.113549.1.5.6" => (KdfAlgorithm::Pbkdf1(DigestAlgorithm::MD5), rc2(64), 8),
        "1.2.840.113549.1.5.10" => (KdfAlgorithm::Pbkdf1(DigestAlgorithm::Sha1), des, 8),
        "1.2.840.113549.1.5.11" => (KdfAlgorithm::Pbkdf1(DigestAlgorithm::Sha1), rc2(64), 8),
        "1.2.840.113549.1.12.1.1" => (KdfAlgorithm::Pkcs12, Cipher::RC4, 16),
        "1.2.840.113549.1.12.1.2" => (KdfAlgorithm::Pkcs12, Cipher::RC4, 5),
        "1.2.840.113549.1.12.1.3" => (KdfAlgorithm::Pkcs12, triple, 24),
        "1.2.840.113549.1.12.1.4" => (KdfAlgorithm::Pkcs12, triple, 16),
        "1.2.840.113549.1.12.1.5" => (KdfAlgorithm::Pkcs12, rc2(128), 16),
        "1.2.840.113549.1.12.1.6" => (KdfAlgorithm::Pkcs12, rc2(40), 5),
        "1.3.6.1.4.1.42.2.19.1" => (KdfAlgorithm::Java(DigestAlgorithm::MD5), triple, 24),
        _ => return None,
    })
}

#[cfg(not(feature = "legacy-ciphers"))]
fn pre_pbes2_scheme(_: &ObjectIdentifier) -> Option<(KdfAlgorithm, Cipher, usize)> {
    None
}

fn parse_pbes2(mut parameters: BerElements<'_>, forbid_weak: bool) -> Result<EncryptionScheme, DecryptError> {
    let kdf = Kdf::parse(parameters.next_required()?.children(SEQUENCE)?, forbid_weak)?;
    let mut encryption = parameters.next_required()?.children(SEQUENCE)?;
    let oid = check_oid(encryption.next_required()?.oid()?, forbid_weak)?;
    let known = cipher::find_by_oid(&oid).ok_or(DecryptError::Unsupported(oid))?;
    let (mut cipher, mut key_length) = (known.cipher, known.key_len);
    let iv = if let CipherAlgorithm::Rc2(bits) = &mut cipher.algorithm {
        let iv = parse_rc2_parameters(encryption.next_required()?, bits)?;
        key_length = kdf.key_length.unwrap_or(usize::from(*bits).div_ceil(8));
        iv
    } else if cipher.iv_len() == 0 {
        // Empty, NULL or absent, depending on the writer.
        Vec::new()
    } else {
        encryption.next_required()?.octet_string(OCTET_STRING)?.into_owned()
    };
    if iv.len() != cipher.iv_len() || kdf.key_length.is_some_and(|configured| configured != key_length) {
        return Err(DecryptError::Damaged);
    }
    Ok(EncryptionScheme { kdf, cipher, key_length, iv: Some(iv) })
}

/// Parses the IV, and the effective key bits if there is a version (RFC 8018 appendix B.2.3).
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::asn1::der::{encode_element, encode_integer, encode_sequence};
    use crate::key::asn1::tag::OID;
    use crate::key::crypto::kdf_budget::MAX_TOTAL_COST;

    type Der = Zeroizing<Vec<u8>>;

    fn algorithm(oid: &ObjectIdentifier, parameters: &[u8]) -> Der {
        encode_sequence(&[&encode_element(OID, &[oid.as_bytes()]), parameters])
    }

    fn octets(length: usize) -> Der {
        encode_element(OCTET_STRING, &[&vec![7; length]])
    }

    fn parse_scheme(scheme: &Der) -> Result<EncryptionScheme, DecryptError> {
        EncryptionScheme::parse(BerElement::parse_sequence(scheme).unwrap(), false)
    }

    /// PBES2 with this key derivation and AES-256-CBC.
    fn aes_scheme(kdf: &Der, iv_len: usize) -> Der {
        let aes = algorithm(&oid::parse("2.16.840.1.101.3.4.1.42"), &octets(iv_len));
        algorithm(&PBES2, &encode_sequence(&[kdf, &aes]))
    }

    fn parse_aes_scheme(kdf: &Der, iv_len: usize) -> Result<(), DecryptError> {
        parse_scheme(&aes_scheme(kdf, iv_len)).map(|_| ())
    }

    /// PBKDF2 with nine iterations of the HMAC with this OID.
    fn pbkdf2(hmac: &str) -> Der {
        let prf = algorithm(&oid::parse(hmac), &[]);
        algorithm(&PBKDF2, &encode_sequence(&[&octets(8), &encode_integer(&[9]), &prf]))
    }

    fn scrypt(n: u8, r: u8, p: u8) -> Der {
        let [n, r, p] = [n, r, p].map(|number| encode_integer(&[number]));
        algorithm(&SCRYPT, &encode_sequence(&[&octets(8), &n, &r, &p]))
    }

    #[test]
    fn iv_and_key_length_must_fit_cipher() {
        let kdf = |length: u8| {
            let parameters =
                encode_sequence(&[&octets(8), &encode_integer(&[9]), &encode_integer(&[length])]);
            algorithm(&PBKDF2, &parameters)
        };
        assert_eq!(parse_aes_scheme(&kdf(32), 16), Ok(()));
        assert_eq!(parse_aes_scheme(&kdf(32), 8), Err(DecryptError::Damaged));
        assert_eq!(parse_aes_scheme(&kdf(16), 16), Err(DecryptError::Damaged));
        assert_eq!(parse_aes_scheme(&kdf(0), 16), Err(DecryptError::Damaged));
    }

    #[test]
    fn scrypt_cost_must_be_power_of_two() {
        assert_eq!(parse_aes_scheme(&scrypt(16, 8, 1), 16), Ok(()));
        for n in [0, 15, 17] {
            assert_eq!(parse_aes_scheme(&scrypt(n, 8, 1), 16), Err(DecryptError::Damaged), "{n}");
        }
    }

    #[test]
    fn cost_is_that_of_iterations_and_blocks() {
        let cost = |scheme: &Der| parse_scheme(scheme).unwrap().cost();
        for (hmac, output_blocks, unit_cost) in [
            // SHA-1 is shorter than the key.
            ("1.2.840.113549.2.7", 2, 3),
            ("1.2.840.113549.2.9", 1, 3),
            ("1.2.840.113549.2.11", 1, 6),
            ("2.16.840.1.101.3.4.2.13", 2, 13),
        ] {
            let expected = KdfCost { iterations: 9, output_blocks, unit_cost, ..KdfCost::default() };
            assert_eq!(cost(&aes_scheme(&pbkdf2(hmac), 16)), expected, "{hmac}");
        }
        let expected = KdfCost {
            iterations: 16 * 8 * 3,
            output_blocks: 1,
            unit_cost: 6,
            decrypt_bytes: 0,
            memory_bytes: 16 * 8 * 128,
        };
        assert_eq!(cost(&aes_scheme(&scrypt(16, 8, 3), 16)), expected);
    }

    /// A derivation computes digests, without HMAC: two of SHA-1 or MD5 cost as much as one HMAC, rounded up.
    #[test]
    #[cfg(feature = "legacy-ciphers")]
    fn cost_of_older_schemes_includes_iv() {
        for (dotted, output_blocks) in [
            // PBKDF1 derives key and IV together.
            ("1.2.840.113549.1.5.3", 1),
            ("1.2.840.113549.1.5.11", 1),
            // PKCS#12 derives the IV separately; RC4 has none.
            ("1.2.840.113549.1.12.1.1", 1),
            ("1.2.840.113549.1.12.1.2", 1),
            ("1.2.840.113549.1.12.1.3", 3),
            ("1.2.840.113549.1.12.1.4", 2),
            ("1.2.840.113549.1.12.1.6", 2),
            // Java's has two halves.
            ("1.3.6.1.4.1.42.2.19.1", 2),
        ] {
            let parameters = encode_sequence(&[&octets(8), &encode_integer(&[9])]);
            let scheme = parse_scheme(&algorithm(&oid::parse(dotted), &parameters)).unwrap();
            let expected = KdfCost { iterations: 9, output_blocks, unit_cost: 2, ..KdfCost::default() };
            assert_eq!(scheme.cost(), expected, "{dotted}");
        }
    }

    #[test]
    fn each_attempt_is_charged_with_its_bytes() {
        // Nine iterations of two blocks at 3 each.
        let scheme = parse_scheme(&aes_scheme(&pbkdf2("1.2.840.113549.2.7"), 16)).unwrap();
        let (one, other) = (PasswordEncodings::new("one"), PasswordEncodings::new("other"));
        let cost = 54 + 160;
        let try_with = |remaining: u64, passwords: &[&PasswordEncodings]| {
            let mut budget = KdfBudget::new();
            let used = KdfCost { decrypt_bytes: MAX_TOTAL_COST - remaining, ..KdfCost::default() };
            budget.charge(used).unwrap();
            scheme.try_passwords(&[0; 160], passwords, &mut budget).unwrap_err()
        };
        for passwords in [&[&one][..], &[&one, &other]] {
            let total = cost * u64::try_from(passwords.len()).unwrap();
            assert_eq!(try_with(total, passwords), DecryptError::WrongPasswordOrAltered);
            let error = try_with(total - 1, passwords);
            assert!(matches!(error, DecryptError::TooExpensive(_)), "{error:?}");
        }
    }

    #[test]
    #[cfg(feature = "legacy-ciphers")]
    fn keys_in_older_schemes_of_openssl_open() {
        use crate::key::fixtures::{KeyDir, STORE_PASSWORD, run_shell};
        use crate::key::open;
        use jsonwebtoken::Algorithm;

        let dir = KeyDir::new();
        let sign = |source| open(&source).unwrap().sign(Algorithm::EdDSA, b"x").unwrap();
        let expected = sign(dir.fixture("ed25519.pem", None));
        for (scheme, dotted) in [
            ("PBE-MD5-DES", "1.2.840.113549.1.5.3"),
            ("PBE-MD5-RC2-64", "1.2.840.113549.1.5.6"),
            ("PBE-SHA1-DES", "1.2.840.113549.1.5.10"),
            ("PBE-SHA1-RC2-64", "1.2.840.113549.1.5.11"),
            ("PBE-SHA1-RC4-128", "1.2.840.113549.1.12.1.1"),
            ("PBE-SHA1-RC4-40", "1.2.840.113549.1.12.1.2"),
            ("PBE-SHA1-3DES", "1.2.840.113549.1.12.1.3"),
            ("PBE-SHA1-2DES", "1.2.840.113549.1.12.1.4"),
            ("PBE-SHA1-RC2-128", "1.2.840.113549.1.12.1.5"),
            ("PBE-SHA1-RC2-40", "1.2.840.113549.1.12.1.6"),
        ] {
            let encrypt = "openssl pkcs8 -topk8 -in ed25519.pem -provider default -provider legacy -passout pass:changeit";
            run_shell(dir.path(), &format!("{encrypt} -v1 {scheme} -outform DER -out {scheme}.der"));
            let oid = encode_element(OID, &[oid::parse(dotted).as_bytes()]);
            let der = std::fs::read(dir.file_path(&format!("{scheme}.der"))).unwrap();
            assert!(der.windows(oid.len()).any(|part| part == &**oid), "{scheme}");
            assert_eq!(
                sign(dir.source(&format!("{scheme}.der"), Some(STORE_PASSWORD))),
                expected,
                "{scheme}"
            );
        }
    }

    /// The encodings of RFC 8018 appendix B.2.3, and an IV alone.
    #[test]
    fn rc2_version_determines_effective_bits() {
        let parse = |parameter: &[u8]| {
            let mut bits = 0;
            let (parameter, _) = BerElement::parse_first(parameter).unwrap();
            parse_rc2_parameters(parameter, &mut bits).map(|iv| (iv.len(), bits))
        };
        let with_version = |version: &[u8]| parse(&encode_sequence(&[&encode_integer(version), &octets(8)]));
        assert_eq!(parse(&octets(8)), Ok((8, 32)));
        assert_eq!(parse(&encode_sequence(&[&octets(8)])), Ok((8, 32)));
        for (version, bits) in [(&[160][..], 40), (&[120], 64), (&[58], 128), (&[1, 0], 256), (&[4, 0], 1024)]
        {
            assert_eq!(with_version(version), Ok((8, bits)));
        }
        for version in [&[59][..], &[255], &[4, 1], &[1, 0, 0]] {
            assert_eq!(with_version(version), Err(DecryptError::Damaged), "{version:?}");
        }
    }
}
