//! Identifiers of ciphers: OIDs in PBES2, OpenSSL's names in traditional PEM encryption.

use ::der::asn1::ObjectIdentifier;
use CipherAlgorithm::{Aes, Aria, Blowfish, Camellia, Cast5, Des, Idea, Rc2, Rc4, Seed, Sm4, TripleDes};
use CipherMode::{Cbc, Cfb, Ctr, Ecb, Ofb, Stream, Wrap};

use super::algorithm::{Cipher, CipherAlgorithm, CipherMode};

/// A cipher with a key length, in all modes that have an OID.
struct CipherFamily {
    /// Name in OpenSSL, without the mode.
    name: &'static str,
    algorithm: CipherAlgorithm,
    key_len: usize,
    oids: &'static [(CipherMode, &'static str)],
}

const fn new_family(
    name: &'static str,
    algorithm: CipherAlgorithm,
    key_len: usize,
    oids: &'static [(CipherMode, &'static str)],
) -> CipherFamily {
    CipherFamily { name, algorithm, key_len, oids }
}

const FAMILIES: [CipherFamily; 21] = [
    new_family(
        "AES-128",
        Aes,
        16,
        &[
            (Ecb, "2.16.840.1.101.3.4.1.1"),
            (Cbc, "2.16.840.1.101.3.4.1.2"),
            (Ofb, "2.16.840.1.101.3.4.1.3"),
            (Cfb, "2.16.840.1.101.3.4.1.4"),
            (Wrap, "2.16.840.1.101.3.4.1.8"),
        ],
    ),
    new_family(
        "AES-192",
        Aes,
        24,
        &[
            (Ecb, "2.16.840.1.101.3.4.1.21"),
            (Cbc, "2.16.840.1.101.3.4.1.22"),
            (Ofb, "2.16.840.1.101.3.4.1.23"),
            (Cfb, "2.16.840.1.101.3.4.1.24"),
            (Wrap, "2.16.840.1.101.3.4.1.28"),
        ],
    ),
    new_family(
        "AES-256",
        Aes,
        32,
        &[
            (Ecb, "2.16.840.1.101.3.4.1.41"),
            (Cbc, "2.16.840.1.101.3.4.1.42"),
            (Ofb, "2.16.840.1.101.3.4.1.43"),
            (Cfb, "2.16.840.1.101.3.4.1.44"),
            (Wrap, "2.16.840.1.101.3.4.1.48"),
        ],
    ),
    new_family(
        "ARIA-128",
        Aria,
        16,
        &[
            (Ecb, "1.2.410.200046.1.1.1"),
            (Cbc, "1.2.410.200046.1.1.2"),
            (Cfb, "1.2.410.200046.1.1.3"),
            (Ofb, "1.2.410.200046.1.1.4"),
            (Ctr, "1.2.410.200046.1.1.5"),
        ],
    ),
    new_family(
        "ARIA-192",
        Aria,
        24,
        &[
            (Ecb, "1.2.410.200046.1.1.6"),
            (Cbc, "1.2.410.200046.1.1.7"),
            (Cfb, "1.2.410.200046.1.1.8"),
            (Ofb, "1.2.410.200046.1.1.9"),
            (Ctr, "1.2.410.200046.1.1.10"),
        ],
    ),
    new_family(
        "ARIA-256",
        Aria,
        32,
        &[
            (Ecb, "1.2.410.200046.1.1.11"),
            (Cbc, "1.2.410.200046.1.1.12"),
            (Cfb, "1.2.410.200046.1.1.13"),
            (Ofb, "1.2.410.200046.1.1.14"),
            (Ctr, "1.2.410.200046.1.1.15"),
        ],
    ),
    new_family(
        "CAMELLIA-128",
        Camellia,
        16,
        &[
            (Ecb, "0.3.4401.5.3.1.9.1"),
            (Cbc, "1.2.392.200011.61.1.1.1.2"),
            (Ofb, "0.3.4401.5.3.1.9.3"),
            (Cfb, "0.3.4401.5.3.1.9.4"),
            (Ctr, "0.3.4401.5.3.1.9.9"),
        ],
    ),
    new_family(
        "CAMELLIA-192",
        Camellia,
        24,
        &[
            (Ecb, "0.3.4401.5.3.1.9.21"),
            (Cbc, "1.2.392.200011.61.1.1.1.3"),
            (Ofb, "0.3.4401.5.3.1.9.23"),
            (Cfb, "0.3.4401.5.3.1.9.24"),
            (Ctr, "0.3.4401.5.3.1.9.29"),
        ],
    ),
    new_family(
        "CAMELLIA-256",
        Camellia,
        32,
        &[
            (Ecb, "0.3.4401.5.3.1.9.41"),
            (Cbc, "1.2.392.200011.61.1.1.1.4"),
            (Ofb, "0.3.4401.5.3.1.9.43"),
            (Cfb, "0.3.4401.5.3.1.9.44"),
            (Ctr, "0.3.4401.5.3.1.9.49"),
        ],
    ),
    new_family(
        "SEED",
        Seed,
        16,
        &[
            (Ecb, "1.2.410.200004.1.3"),
            (Cbc, "1.2.410.200004.1.4"),
            (Cfb, "1.2.410.200004.1.5"),
            (Ofb, "1.2.410.200004.1.6"),
        ],
    ),
    new_family(
        "SM4",
        Sm4,
        16,
        &[
            (Ecb, "1.2.156.10197.1.104.1"),
            (Cbc, "1.2.156.10197.1.104.2"),
            (Ofb, "1.2.156.10197.1.104.3"),
            (Cfb, "1.2.156.10197.1.104.4"),
            (Ctr, "1.2.156.10197.1.104.7"),
        ],
    ),
    new_family(
        "DES",
        Des,
        8,
        &[(Ecb, "1.3.14.3.2.6"), (Cbc, "1.3.14.3.2.7"), (Ofb, "1.3.14.3.2.8"), (Cfb, "1.3.14.3.2.9")],
    ),
    new_family("DES-EDE", TripleDes, 16, &[(Ecb, "1.3.14.3.2.17")]),
    new_family("DES-EDE3", TripleDes, 24, &[(Cbc, "1.2.840.113549.3.7")]),
    new_family("RC2", Rc2(128), 16, &[(Cbc, "1.2.840.113549.3.2")]),
    new_family("RC2-64", Rc2(64), 8, &[]),
    new_family("RC2-40", Rc2(40), 5, &[]),
    new_family("RC4", Rc4, 16, &[(Stream, "1.2.840.113549.3.4")]),
    new_family("BF", Blowfish, 16, &[(Cbc, "1.3.6.1.4.1.3029.1.2")]),
    new_family("CAST5", Cast5, 16, &[(Cbc, "1.2.840.113533.7.66.10")]),
    new_family(
        "IDEA",
        Idea,
        16,
        &[
            (Ecb, "1.3.6.1.4.1.188.7.1.1.1"),
            (Cbc, "1.3.6.1.4.1.188.7.1.1.2"),
            (Cfb, "1.3.6.1.4.1.188.7.1.1.3"),
            (Ofb, "1.3.6.1.4.1.188.7.1.1.4"),
        ],
    ),
];

/// A cipher with its name and key length.
pub(in crate::key) struct NamedCipher {
    pub(in crate::key) name: String,
    pub(in crate::key) cipher: Cipher,
    pub(in crate::key) key_len: usize,
}

impl CipherFamily {
    fn with_mode(&self, mode: CipherMode) -> NamedCipher {
        let name = match mode.name() {
            "" => self.name.to_owned(),
            mode => format!("{}-{mode}", self.name),
        };
        NamedCipher { name, cipher: Cipher { algorithm: self.algorithm, mode }, key_len: self.key_len }
    }
}

impl CipherMode {
    /// Name in OpenSSL; empty for a stream cipher.
    fn name(self) -> &'static str {
        match self {
            Cbc => "CBC",
            Ecb => "ECB",
            Cfb => "CFB",
            Ofb => "OFB",
            Ctr => "CTR",
            Wrap => "WRAP-PAD",
            Stream => "",
        }
    }
}

/// Finds the cipher with this OID in PBES2.
pub(in crate::key) fn find_by_oid(oid: &ObjectIdentifier) -> Option<NamedCipher> {
    let oid = oid.to_string();
    FAMILIES.iter().find_map(|family| {
        let (mode, _) = family.oids.iter().find(|(_, known)| *known == oid)?;
        Some(family.with_mode(*mode))
    })
}

/// Finds the cipher with this name in a DEK-Info line, with or without an OID. Only ciphers with an IV are
/// found, because the salt of the key derivation is part of it.
pub(in crate::key) fn find_by_name(name: &str) -> Option<NamedCipher> {
    let (family, mode) = name.rsplit_once('-')?;
    let mode = [Cbc, Cfb, Ofb, Ctr].into_iter().find(|known| known.name() == mode)?;
    FAMILIES
        .iter()
        .find(|known| known.name == family && known.algorithm != Rc4)
        .map(|family| family.with_mode(mode))
}
