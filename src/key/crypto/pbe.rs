//! Encryption under a password: PBES1 and PBES2 (RFC 8018), PKCS#12's own schemes (RFC 7292 appendix C), and Java's.
//!
//! An AlgorithmIdentifier in, a [`Scheme`] out that decrypts. Used by PKCS#12, encrypted PKCS#8 and JCEKS.

use ::der::asn1::ObjectIdentifier;
use zeroize::Zeroizing;

use super::cipher::{self, Block, Cipher};
use super::password::Password;
use crate::key::asn1::ber::{Element, Elements, INTEGER, Malformed, OCTETS, SEQUENCE};
use crate::key::asn1::oid;
use crate::key::crypto::digest::Hash;
use crate::key::crypto::kdf_budget::{Budget, Cost};

const PBES2: ObjectIdentifier = oid::of("1.2.840.113549.1.5.13");
const PBKDF2: ObjectIdentifier = oid::of("1.2.840.113549.1.5.12");
const SCRYPT: ObjectIdentifier = oid::of("1.3.6.1.4.1.11591.4.11");

/// No honest key, salt or vector is longer.
const MAX_KEY: u64 = 1024;

/// Why something under a password does not open.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::key) enum Fault {
    /// It is not of the form that it should have.
    Damaged,
    /// By this number.
    Unsupported(ObjectIdentifier),
    /// By this number, where the policy forbids what is weak.
    Weak(ObjectIdentifier),
    /// It asks for too much work, as the text says.
    Cost(String),
    /// The password is wrong, or what it protects was altered.
    Refused,
}

impl From<Malformed> for Fault {
    fn from(_: Malformed) -> Self {
        Self::Damaged
    }
}

/// How a key is made of a password.
pub(in crate::key) struct Kdf {
    way: Way,
    salt: Vec<u8>,
    rounds: u64,
    /// The length of the key, where the file says it.
    pub(in crate::key) length: Option<usize>,
}

#[cfg_attr(not(feature = "legacy-ciphers"), allow(dead_code))]
enum Way {
    /// RFC 8018 section 5.1.
    Pbkdf1(Hash),
    Pkcs12,
    /// Java's PBEWithMD5AndTripleDES.
    Java(Hash),
    Pbkdf2(Hash),
    Scrypt {
        n: u64,
        r: u64,
        p: u64,
    },
}

/// How something is encrypted under a password.
pub(in crate::key) struct Scheme {
    kdf: Kdf,
    cipher: Cipher,
    key_length: usize,
    /// The initialisation vector; nothing where it is derived too.
    vector: Option<Vec<u8>>,
}

/// The one place that every number of a scheme, cipher or digest passes before it is used; `strong` if what is weak
/// is forbidden.
pub(in crate::key) fn admit(number: ObjectIdentifier, strong: bool) -> Result<ObjectIdentifier, Fault> {
    if strong && oid::is_weak(&number) {
        return Err(Fault::Weak(number));
    }
    if oid::is_left_out(&number) {
        return Err(Fault::Unsupported(number));
    }
    Ok(number)
}

/// The digest of an AlgorithmIdentifier.
pub(in crate::key) fn hash_of(
    mut algorithm: Elements<'_>,
    of: fn(&ObjectIdentifier) -> Option<Hash>,
    strong: bool,
) -> Result<Hash, Fault> {
    let number = admit(algorithm.need()?.oid()?, strong)?;
    of(&number).ok_or(Fault::Unsupported(number))
}

impl Scheme {
    /// The scheme of an AlgorithmIdentifier.
    pub(in crate::key) fn read(mut algorithm: Elements<'_>, strong: bool) -> Result<Self, Fault> {
        let number = admit(algorithm.need()?.oid()?, strong)?;
        let parameters = algorithm.need()?.inside(SEQUENCE)?;
        if number == PBES2 {
            return pbes2(parameters, strong);
        }
        let (way, cipher, key_length) = first_scheme(&number).ok_or(Fault::Unsupported(number))?;
        let kdf = Kdf::salted(way, parameters)?;
        Ok(Self { kdf, cipher, key_length, vector: None })
    }

    /// The DER that `data` is under one of the ways to write one of the passwords.
    pub(in crate::key) fn open(
        &self,
        data: &[u8],
        passwords: &[&Password],
        budget: &mut Budget,
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        for password in passwords {
            for written in self.kdf.writings(password) {
                let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
                budget.charge(Cost { bytes, ..self.cost() })?;
                let found = self.decrypt(data, written);
                // One wrong password in 256 leaves a padding that looks right.
                if let Some(plain) = found.filter(|plain| Element::sequence(plain).is_ok()) {
                    return Ok(plain);
                }
            }
        }
        Err(Fault::Refused)
    }

    fn cost(&self) -> Cost {
        let vector = if self.vector.is_none() { self.cipher.vector() } else { 0 };
        let mut cost = self.kdf.cost(self.key_length);
        if matches!(self.kdf.way, Way::Pkcs12) && vector > 0 {
            cost.blocks = cost.blocks.saturating_add(1);
        }
        cost
    }

    fn decrypt(&self, data: &[u8], password: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if let Some(vector) = &self.vector {
            let key = self.kdf.derive(password, self.key_length)?;
            return self.cipher.decrypt(&key, vector, data);
        }
        let length = self.cipher.vector();
        if matches!(self.kdf.way, Way::Pkcs12) {
            let key = self.kdf.pkcs12(1, password, self.key_length);
            return self.cipher.decrypt(&key, &self.kdf.pkcs12(2, password, length), data);
        }
        let both = self.kdf.derive(password, self.key_length.checked_add(length)?)?;
        let (key, vector) = both.split_at_checked(self.key_length)?;
        self.cipher.decrypt(key, vector, data)
    }
}

impl Kdf {
    /// The key derivation of an AlgorithmIdentifier: PBKDF2 or scrypt.
    pub(in crate::key) fn read(mut algorithm: Elements<'_>, strong: bool) -> Result<Self, Fault> {
        let number = admit(algorithm.need()?.oid()?, strong)?;
        let mut parameters = algorithm.need()?.inside(SEQUENCE)?;
        if number == SCRYPT {
            let salt = parameters.need()?.octets(OCTETS)?.into_owned();
            let mut number = || Ok::<_, Fault>(parameters.need()?.number()?);
            let (n, r, p) = (number()?, number()?, number()?);
            if !n.is_power_of_two() {
                return Err(Fault::Damaged);
            }
            let way = Way::Scrypt { n, r, p };
            return Ok(Self { way, salt, rounds: 1, length: length(&mut parameters)? });
        }
        if number != PBKDF2 {
            return Err(Fault::Unsupported(number));
        }
        let mut kdf = Self::salted(Way::Pbkdf2(Hash::Sha1), parameters)?;
        parameters.need()?;
        parameters.need()?;
        kdf.length = length(&mut parameters)?;
        if let Some(prf) = parameters.next() {
            kdf.way = Way::Pbkdf2(hash_of(prf?.inside(SEQUENCE)?, Hash::of_hmac, strong)?);
        }
        Ok(kdf)
    }

    /// With the salt and the iterations that parameters begin with.
    fn salted(way: Way, mut parameters: Elements<'_>) -> Result<Self, Fault> {
        let salt = parameters.need()?.octets(OCTETS)?.into_owned();
        let rounds = parameters.need()?.number()?;
        Ok(Self { way, salt, rounds, length: None })
    }

    /// What a key of `length` bytes takes.
    pub(in crate::key) fn cost(&self, length: usize) -> Cost {
        let (hash, size) = match self.way {
            Way::Scrypt { n, r, p } => return scrypt(n, r, p),
            Way::Pbkdf2(hash) => (hash, hash.size()),
            Way::Pkcs12 => (Hash::Sha1, Hash::Sha1.size()),
            Way::Pbkdf1(hash) | Way::Java(hash) => (hash, 16),
        };
        // HMAC takes two digests where the others take one.
        let step = if matches!(self.way, Way::Pbkdf2(_)) { hash.step() } else { hash.step().div_ceil(2) };
        let blocks = u64::try_from(length.div_ceil(size.max(1))).unwrap_or(u64::MAX);
        Cost { rounds: self.rounds, blocks, step, ..Cost::default() }
    }

    /// The password in the ways that it may have been written for this.
    pub(in crate::key) fn writings<'a>(&self, password: &'a Password) -> &'a [Zeroizing<Vec<u8>>] {
        if matches!(self.way, Way::Pkcs12) { password.wide() } else { password.plain() }
    }

    /// Those bytes of a key; the cost was charged before.
    pub(in crate::key) fn derive(&self, password: &[u8], length: usize) -> Option<Zeroizing<Vec<u8>>> {
        let mut key = Zeroizing::new(vec![0; length]);
        let rounds = self.rounds();
        match self.way {
            Way::Pbkdf1(hash) => {
                key = hash.chain(&[password, &self.salt].concat(), &[], rounds);
                key.truncate(length);
            }
            Way::Pkcs12 => key = self.pkcs12(1, password, length),
            Way::Java(hash) => {
                let (one, other) = halves(&self.salt)?;
                key = hash.chain(&one, password, rounds);
                key.extend_from_slice(&hash.chain(&other, password, rounds));
            }
            Way::Pbkdf2(hash) => hash.pbkdf2(password, &self.salt, rounds, &mut key),
            Way::Scrypt { n, r, p } => {
                let log = u8::try_from(n.checked_ilog2().filter(|_| n.is_power_of_two())?).ok()?;
                let number = |number: u64| u32::try_from(number).ok();
                let parameters = ::scrypt::Params::new(log, number(r)?, number(p)?).ok()?;
                ::scrypt::scrypt(password, &self.salt, &parameters, &mut key).ok()?;
            }
        }
        Some(key)
    }

    fn rounds(&self) -> u32 {
        u32::try_from(self.rounds).unwrap_or(u32::MAX).max(1)
    }

    fn pkcs12(&self, purpose: u8, password: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(vec![0; length]);
        Hash::Sha1.pkcs12(purpose, password, &self.salt, self.rounds(), &mut out);
        out
    }
}

/// What scrypt takes (RFC 7914): a table of N blocks, and beside it p blocks that are worked on one after the other, of
/// which a MiB is not counted.
pub(in crate::key) fn scrypt(n: u64, r: u64, p: u64) -> Cost {
    let size = |blocks: u64| blocks.saturating_mul(r).saturating_mul(128);
    let memory = size(n).saturating_add(size(p).saturating_sub(1024 * 1024));
    let rounds = n.saturating_mul(r).saturating_mul(p);
    Cost { rounds, blocks: 1, step: 6, memory, ..Cost::default() }
}

/// Of Java's salt; one that says the same twice is turned around in part, as Java does, its own mistake included.
fn halves(salt: &[u8]) -> Option<([u8; 4], [u8; 4])> {
    let [a, b, c, d, other @ ..] = <[u8; 8]>::try_from(salt).ok()?;
    let one = if [a, b, c, d] == other { [d, a, b, d] } else { [a, b, c, d] };
    Some((one, other))
}

fn length(parameters: &mut Elements<'_>) -> Result<Option<usize>, Fault> {
    let Some(found) = parameters.optional(INTEGER)? else {
        return Ok(None);
    };
    let length = found.number()?;
    let sound = usize::try_from(length).ok().filter(|_| (1..=MAX_KEY).contains(&length));
    Ok(Some(sound.ok_or(Fault::Damaged)?))
}

/// PBES1, PKCS#12's own schemes and Java's: how the key is made, and how long it is.
#[cfg(feature = "legacy-ciphers")]
fn first_scheme(number: &ObjectIdentifier) -> Option<(Way, Cipher, usize)> {
    let rc4 = Cipher { block: Block::Rc4, mode: super::cipher::Mode::Stream };
    let (des, triple) = (Cipher::cbc(Block::Des), Cipher::cbc(Block::TripleDes));
    let rc2 = |bits| Cipher::cbc(Block::Rc2(bits));
    Some(match number.to_string().as_str() {
        "1.2.840.113549.1.5.3" => (Way::Pbkdf1(Hash::MD5), des, 8),
        "1.2.840.113549.1.5.6" => (Way::Pbkdf1(Hash::MD5), rc2(64), 8),
        "1.2.840.113549.1.5.10" => (Way::Pbkdf1(Hash::Sha1), des, 8),
        "1.2.840.113549.1.5.11" => (Way::Pbkdf1(Hash::Sha1), rc2(64), 8),
        "1.2.840.113549.1.12.1.1" => (Way::Pkcs12, rc4, 16),
        "1.2.840.113549.1.12.1.2" => (Way::Pkcs12, rc4, 5),
        "1.2.840.113549.1.12.1.3" => (Way::Pkcs12, triple, 24),
        "1.2.840.113549.1.12.1.4" => (Way::Pkcs12, triple, 16),
        "1.2.840.113549.1.12.1.5" => (Way::Pkcs12, rc2(128), 16),
        "1.2.840.113549.1.12.1.6" => (Way::Pkcs12, rc2(40), 5),
        "1.3.6.1.4.1.42.2.19.1" => (Way::Java(Hash::MD5), triple, 24),
        _ => return None,
    })
}

#[cfg(not(feature = "legacy-ciphers"))]
fn first_scheme(_: &ObjectIdentifier) -> Option<(Way, Cipher, usize)> {
    None
}

fn pbes2(mut parameters: Elements<'_>, strong: bool) -> Result<Scheme, Fault> {
    let kdf = Kdf::read(parameters.need()?.inside(SEQUENCE)?, strong)?;
    let mut encryption = parameters.need()?.inside(SEQUENCE)?;
    let number = admit(encryption.need()?.oid()?, strong)?;
    let known = cipher::by_number(&number).ok_or(Fault::Unsupported(number))?;
    let (mut cipher, mut key_length) = (known.cipher, known.key);
    let vector = if let Block::Rc2(bits) = &mut cipher.block {
        let vector = rc2_parameters(encryption.need()?, bits)?;
        key_length = kdf.length.unwrap_or(usize::from(*bits).div_ceil(8));
        vector
    } else if cipher.vector() == 0 {
        // Empty, NULL or left out, as the writer likes.
        Vec::new()
    } else {
        encryption.need()?.octets(OCTETS)?.into_owned()
    };
    if vector.len() != cipher.vector() || kdf.length.is_some_and(|said| said != key_length) {
        return Err(Fault::Damaged);
    }
    Ok(Scheme { kdf, cipher, key_length, vector: Some(vector) })
}

/// The vector, with the effective bits where a version tells them (RFC 8018 appendix B.2.3).
fn rc2_parameters(parameter: Element<'_>, bits: &mut u16) -> Result<Vec<u8>, Fault> {
    *bits = 32;
    let Ok(mut fields) = parameter.inside(SEQUENCE) else {
        return Ok(parameter.octets(OCTETS)?.into_owned());
    };
    if let Some(version) = fields.optional(INTEGER)? {
        *bits = match version.number()? {
            160 => 40,
            120 => 64,
            58 => 128,
            larger => {
                u16::try_from(larger).ok().filter(|bits| (256..=1024).contains(bits)).ok_or(Fault::Damaged)?
            }
        };
    }
    Ok(fields.need()?.octets(OCTETS)?.into_owned())
}
