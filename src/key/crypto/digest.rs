//! The digests of key files, and what is derived by them: HMAC, PBKDF2, PBKDF1 and PKCS#12's own way.

use std::marker::PhantomData;
use std::num::NonZeroU32;

use ::der::asn1::ObjectIdentifier;
use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA384, PBKDF2_HMAC_SHA512};
use digest::block_api::BlockSizeUser;
use digest::{Digest, FixedOutput, KeyInit, Mac};
use hmac::{Hmac, SimpleHmac};
use zeroize::{Zeroize, Zeroizing};

use crate::key::asn1::oid;

/// A digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::key) enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512To224,
    Sha512To256,
    Sha3To224,
    Sha3To256,
    Sha3To384,
    Sha3To512,
    #[cfg(feature = "legacy-ciphers")]
    Other(Other),
}

/// Those before SHA, and the rare ones.
#[cfg(feature = "legacy-ciphers")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::key) enum Other {
    Blake2b,
    Blake2s,
    Md4,
    Md5,
    Ripemd160,
    Sm3,
    Whirlpool,
}

/// The numbers of the digests, and of HMAC by them.
const NUMBERS: [(Hash, ObjectIdentifier, ObjectIdentifier); 11] = [
    (Hash::Sha1, oid::of("1.3.14.3.2.26"), oid::of("1.2.840.113549.2.7")),
    (Hash::Sha224, oid::of("2.16.840.1.101.3.4.2.4"), oid::of("1.2.840.113549.2.8")),
    (Hash::Sha256, oid::of("2.16.840.1.101.3.4.2.1"), oid::of("1.2.840.113549.2.9")),
    (Hash::Sha384, oid::of("2.16.840.1.101.3.4.2.2"), oid::of("1.2.840.113549.2.10")),
    (Hash::Sha512, oid::of("2.16.840.1.101.3.4.2.3"), oid::of("1.2.840.113549.2.11")),
    (Hash::Sha512To224, oid::of("2.16.840.1.101.3.4.2.5"), oid::of("1.2.840.113549.2.12")),
    (Hash::Sha512To256, oid::of("2.16.840.1.101.3.4.2.6"), oid::of("1.2.840.113549.2.13")),
    (Hash::Sha3To224, oid::of("2.16.840.1.101.3.4.2.7"), oid::of("2.16.840.1.101.3.4.2.13")),
    (Hash::Sha3To256, oid::of("2.16.840.1.101.3.4.2.8"), oid::of("2.16.840.1.101.3.4.2.14")),
    (Hash::Sha3To384, oid::of("2.16.840.1.101.3.4.2.9"), oid::of("2.16.840.1.101.3.4.2.15")),
    (Hash::Sha3To512, oid::of("2.16.840.1.101.3.4.2.10"), oid::of("2.16.840.1.101.3.4.2.16")),
];

/// Another number of HMAC by SHA-1, from the tables of IPsec, which OpenSSL knows too.
const HMAC_SHA1_OF_IPSEC: ObjectIdentifier = oid::of("1.3.6.1.5.5.8.1.2");

#[cfg(feature = "legacy-ciphers")]
impl Other {
    fn of(number: &ObjectIdentifier) -> Option<Self> {
        Some(match *number {
            oid::BLAKE2B => Self::Blake2b,
            oid::BLAKE2S => Self::Blake2s,
            oid::MD4 => Self::Md4,
            oid::MD5 => Self::Md5,
            oid::RIPEMD160 => Self::Ripemd160,
            oid::SM3 => Self::Sm3,
            oid::WHIRLPOOL => Self::Whirlpool,
            _ => return None,
        })
    }

    fn of_hmac(number: &ObjectIdentifier) -> Option<Self> {
        Some(match *number {
            oid::HMAC_MD5 | oid::HMAC_MD5_OF_IPSEC => Self::Md5,
            oid::HMAC_SM3 => Self::Sm3,
            _ => return None,
        })
    }
}

/// Calls the function `$name` of [`By`] for the digest that `$hash` is, and the HMAC by it.
macro_rules! by {
    ($hash:expr, $name:ident($($argument:expr),*)) => {
        match $hash {
            Hash::Sha1 => By::<sha1::Sha1, Hmac<sha1::Sha1>>::$name($($argument),*),
            Hash::Sha224 => By::<sha2::Sha224, Hmac<sha2::Sha224>>::$name($($argument),*),
            Hash::Sha256 => By::<sha2::Sha256, Hmac<sha2::Sha256>>::$name($($argument),*),
            Hash::Sha384 => By::<sha2::Sha384, Hmac<sha2::Sha384>>::$name($($argument),*),
            Hash::Sha512 => By::<sha2::Sha512, Hmac<sha2::Sha512>>::$name($($argument),*),
            Hash::Sha512To224 => By::<sha2::Sha512_224, Hmac<sha2::Sha512_224>>::$name($($argument),*),
            Hash::Sha512To256 => By::<sha2::Sha512_256, Hmac<sha2::Sha512_256>>::$name($($argument),*),
            Hash::Sha3To224 => By::<sha3::Sha3_224, SimpleHmac<sha3::Sha3_224>>::$name($($argument),*),
            Hash::Sha3To256 => By::<sha3::Sha3_256, SimpleHmac<sha3::Sha3_256>>::$name($($argument),*),
            Hash::Sha3To384 => By::<sha3::Sha3_384, SimpleHmac<sha3::Sha3_384>>::$name($($argument),*),
            Hash::Sha3To512 => By::<sha3::Sha3_512, SimpleHmac<sha3::Sha3_512>>::$name($($argument),*),
            #[cfg(feature = "legacy-ciphers")]
            Hash::Other(other) => match other {
                Other::Blake2b => By::<blake2::Blake2b512, SimpleHmac<blake2::Blake2b512>>::$name($($argument),*),
                Other::Blake2s => By::<blake2::Blake2s256, SimpleHmac<blake2::Blake2s256>>::$name($($argument),*),
                Other::Md4 => By::<md4::Md4, Hmac<md4::Md4>>::$name($($argument),*),
                Other::Md5 => By::<md5::Md5, Hmac<md5::Md5>>::$name($($argument),*),
                Other::Ripemd160 => By::<ripemd::Ripemd160, Hmac<ripemd::Ripemd160>>::$name($($argument),*),
                Other::Sm3 => By::<sm3::Sm3, Hmac<sm3::Sm3>>::$name($($argument),*),
                Other::Whirlpool => By::<whirlpool::Whirlpool, Hmac<whirlpool::Whirlpool>>::$name($($argument),*),
            },
        }
    };
}

impl Hash {
    #[cfg(feature = "legacy-ciphers")]
    pub(in crate::key) const MD5: Self = Self::Other(Other::Md5);

    /// The digest of that number.
    pub(in crate::key) fn of(number: &ObjectIdentifier) -> Option<Self> {
        #[cfg(feature = "legacy-ciphers")]
        if let Some(other) = Other::of(number) {
            return Some(Self::Other(other));
        }
        NUMBERS.iter().find(|(_, digest, _)| digest == number).map(|(hash, ..)| *hash)
    }

    /// The digest whose HMAC has that number.
    pub(in crate::key) fn of_hmac(number: &ObjectIdentifier) -> Option<Self> {
        #[cfg(feature = "legacy-ciphers")]
        if let Some(other) = Other::of_hmac(number) {
            return Some(Self::Other(other));
        }
        if *number == HMAC_SHA1_OF_IPSEC {
            return Some(Self::Sha1);
        }
        NUMBERS.iter().find(|(.., hmac)| hmac == number).map(|(hash, ..)| *hash)
    }

    /// How many bytes it gives.
    pub(in crate::key) fn size(self) -> usize {
        by!(self, size())
    }

    /// How long HMAC by it takes in a derivation, in tenths of a microsecond; one digest takes half as long.
    pub(in crate::key) fn step(self) -> u64 {
        match self {
            Self::Sha1 | Self::Sha224 | Self::Sha256 => 3,
            Self::Sha384 | Self::Sha512 | Self::Sha512To224 | Self::Sha512To256 => 6,
            Self::Sha3To224 | Self::Sha3To256 | Self::Sha3To384 | Self::Sha3To512 => 13,
            #[cfg(feature = "legacy-ciphers")]
            Self::Other(Other::Blake2s | Other::Md4 | Other::Md5) => 3,
            #[cfg(feature = "legacy-ciphers")]
            Self::Other(Other::Blake2b | Other::Ripemd160 | Other::Sm3) => 6,
            #[cfg(feature = "legacy-ciphers")]
            Self::Other(Other::Whirlpool) => 20,
        }
    }

    pub(in crate::key) fn hmac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        by!(self, hmac(key, message))
    }

    /// RFC 8018 section 5.2.
    pub(in crate::key) fn pbkdf2(self, password: &[u8], salt: &[u8], rounds: u32, out: &mut [u8]) {
        // Where most of the time goes, by the library that is made for this machine.
        let fast = match self {
            Self::Sha1 => PBKDF2_HMAC_SHA1,
            Self::Sha256 => PBKDF2_HMAC_SHA256,
            Self::Sha384 => PBKDF2_HMAC_SHA384,
            Self::Sha512 => PBKDF2_HMAC_SHA512,
            _ => return by!(self, pbkdf2(password, salt, rounds, out)),
        };
        pbkdf2::derive(fast, NonZeroU32::new(rounds).unwrap_or(NonZeroU32::MIN), salt, password, out);
    }

    /// RFC 7292 appendix B.2; `purpose` is its ID.
    pub(in crate::key) fn pkcs12(
        self,
        purpose: u8,
        password: &[u8],
        salt: &[u8],
        rounds: u32,
        out: &mut [u8],
    ) {
        by!(self, pkcs12(purpose, password, salt, rounds, out));
    }

    /// `rounds` digests, each of what the one before gave and `tail`; the first of `head` and `tail`.
    pub(in crate::key) fn chain(self, head: &[u8], tail: &[u8], rounds: u32) -> Zeroizing<Vec<u8>> {
        by!(self, chain(head, tail, rounds))
    }
}

/// A digest and the HMAC by it.
struct By<D, M>(PhantomData<(D, M)>);

impl<D, M> By<D, M>
where
    D: Digest + BlockSizeUser,
    M: KeyInit + Mac + digest::Update + FixedOutput + Clone,
{
    fn size() -> usize {
        <D as Digest>::output_size()
    }

    fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
        // HMAC takes keys of any length.
        <M as KeyInit>::new_from_slice(key)
            .map(|mac| Mac::finalize(Mac::chain_update(mac, message)).into_bytes().to_vec())
            .unwrap_or_default()
    }

    fn pbkdf2(password: &[u8], salt: &[u8], rounds: u32, out: &mut [u8]) {
        // Fails for no password, as HMAC takes keys of any length.
        let _ = ::pbkdf2::pbkdf2::<M>(password, salt, rounds, out);
    }

    fn chain(head: &[u8], tail: &[u8], rounds: u32) -> Zeroizing<Vec<u8>> {
        let mut found = <D as Digest>::new().chain_update(head).chain_update(tail).finalize();
        for _ in 1..rounds {
            found = <D as Digest>::new().chain_update(&found).chain_update(tail).finalize();
        }
        let kept = Zeroizing::new(found.to_vec());
        found.zeroize();
        kept
    }

    fn pkcs12(purpose: u8, password: &[u8], salt: &[u8], rounds: u32, out: &mut [u8]) {
        let block = D::block_size();
        let diversifier = vec![purpose; block];
        let mut input = Zeroizing::new(filled(salt, block));
        input.extend_from_slice(&Zeroizing::new(filled(password, block)));
        for part in out.chunks_mut(<D as Digest>::output_size()) {
            let mut found = <D as Digest>::new().chain_update(&diversifier).chain_update(&*input).finalize();
            for _ in 1..rounds {
                found = <D as Digest>::digest(&found);
            }
            for (to, from) in part.iter_mut().zip(&found) {
                *to = *from;
            }
            let addend: Zeroizing<Vec<u8>> =
                Zeroizing::new(found.iter().copied().cycle().take(block).collect());
            for number in input.chunks_mut(block) {
                add_with_one(number, &addend);
            }
            found.zeroize();
        }
    }
}

/// `bytes` over and over, up to a whole number of blocks.
fn filled(bytes: &[u8], block: usize) -> Vec<u8> {
    let length = bytes.len().div_ceil(block).saturating_mul(block);
    bytes.iter().copied().cycle().take(length).collect()
}

/// `number + addend + 1`, the big end first, without what does not fit.
fn add_with_one(number: &mut [u8], addend: &[u8]) {
    let mut carry = 1;
    for (digit, other) in number.iter_mut().zip(addend).rev() {
        let sum = u16::from(*digit).wrapping_add(u16::from(*other)).wrapping_add(carry);
        let [high, low] = sum.to_be_bytes();
        *digit = low;
        carry = u16::from(high);
    }
}
