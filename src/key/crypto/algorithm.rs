//! Algorithms in key files by OID: their names, and which of them are weak or not available in this build.

use ::der::asn1::ObjectIdentifier;

use super::cipher;
use crate::key::asn1::oid::{
    BLAKE2B, BLAKE2S, HMAC_MD5, HMAC_MD5_IPSEC, HMAC_SM3, JCEKS_PROTECTION, JKS_PROTECTION, MD4, MD5,
    RIPEMD160, SM3, WHIRLPOOL,
};

const ALGORITHM_NAMES: [(&str, &str); 36] = [
    ("1.2.840.113549.1.5.1", "PBE-MD2-DES"),
    ("1.2.840.113549.1.5.3", "PBE-MD5-DES"),
    ("1.2.840.113549.1.5.4", "PBE-MD2-RC2-64"),
    ("1.2.840.113549.1.5.6", "PBE-MD5-RC2-64"),
    ("1.2.840.113549.1.5.10", "PBE-SHA1-DES"),
    ("1.2.840.113549.1.5.11", "PBE-SHA1-RC2-64"),
    ("1.2.840.113549.1.5.12", "PBKDF2"),
    ("1.2.840.113549.1.5.13", "PBES2"),
    ("1.2.840.113549.1.5.14", "PBMAC1"),
    ("1.2.840.113549.1.7.2", "a signature (signedData)"),
    ("1.2.840.113549.1.7.3", "a recipient's public key (envelopedData)"),
    ("1.2.840.113549.1.12.1.1", "PBE-SHA1-RC4-128"),
    ("1.2.840.113549.1.12.1.2", "PBE-SHA1-RC4-40"),
    ("1.2.840.113549.1.12.1.3", "PBE-SHA1-3DES"),
    ("1.2.840.113549.1.12.1.4", "PBE-SHA1-2DES"),
    ("1.2.840.113549.1.12.1.5", "PBE-SHA1-RC2-128"),
    ("1.2.840.113549.1.12.1.6", "PBE-SHA1-RC2-40"),
    ("1.2.840.113549.2.2", "MD2"),
    ("1.2.840.113549.2.4", "MD4"),
    ("1.2.840.113549.2.5", "MD5"),
    ("1.2.840.113549.2.6", "HMAC-MD5"),
    ("1.2.840.113549.3.9", "RC5-CBC"),
    ("1.2.156.10197.1.401", "SM3"),
    ("1.2.643.2.2.21", "GOST 28147-89"),
    ("1.2.643.7.1.1.2.2", "Streebog-256"),
    ("1.2.643.7.1.1.2.3", "Streebog-512"),
    ("1.0.10118.3.0.55", "Whirlpool"),
    ("1.2.156.10197.1.401.2", "HMAC-SM3"),
    ("1.3.14.3.2.19", "MDC2"),
    ("1.3.36.3.2.1", "RIPEMD-160"),
    ("1.3.6.1.4.1.1722.12.2.1.16", "BLAKE2b-512"),
    ("1.3.6.1.4.1.1722.12.2.2.8", "BLAKE2s-256"),
    ("1.3.6.1.5.5.8.1.1", "HMAC-MD5"),
    ("2.5.8.3.101", "MDC2"),
    ("1.3.6.1.4.1.11591.4.11", "scrypt"),
    ("1.3.6.1.4.1.42.2.19.1", "JCE PBE-MD5-3DES"),
];

/// Formats as `PBE-SHA1-RC2-128 (1.2.840.113549.1.12.1.5)`, or as the OID alone if the name is unknown.
pub(in crate::key) fn display_name(oid: &ObjectIdentifier) -> String {
    let dotted = oid.to_string();
    let known =
        ALGORITHM_NAMES.iter().find(|(known, _)| *known == dotted).map(|(_, name)| (*name).to_owned());
    match known.or_else(|| cipher::find_by_oid(oid).map(|cipher| cipher.name)) {
        Some(name) => format!("{name} ({dotted})"),
        None => dotted,
    }
}

/// OID prefixes of weak schemes ([`is_weak`]): PBES1, and PKCS#12's own schemes.
const WEAK_ARCS: [&str; 2] = ["1.2.840.113549.1.5.", "1.2.840.113549.1.12.1."];

/// Exceptions in the first prefix, which are not weak in themselves: PBKDF2, PBES2, PBMAC1.
const STRONG_SCHEMES: [&str; 3] = ["1.2.840.113549.1.5.12", "1.2.840.113549.1.5.13", "1.2.840.113549.1.5.14"];

/// Whether the cipher, scheme or digest is too weak to protect a store: ciphers with blocks of 64 bits, RC4,
/// ECB mode, digests with known collisions, and the schemes of Java's own formats. Camellia, ARIA, SEED, SM4
/// and the other digests are rare, not weak. Every reader must check the OIDs that it reads.
pub(in crate::key) fn is_weak(oid: &ObjectIdentifier) -> bool {
    let weak_oids = [MD4, MD5, HMAC_MD5, HMAC_MD5_IPSEC, JKS_PROTECTION, JCEKS_PROTECTION];
    let dotted = oid.to_string();
    let has_weak_prefix = WEAK_ARCS.iter().any(|prefix| dotted.starts_with(prefix));
    let weak_cipher = cipher::find_by_oid(oid).is_some_and(|known| known.cipher.is_weak());
    weak_oids.contains(oid) || weak_cipher || (has_weak_prefix && !STRONG_SCHEMES.contains(&dotted.as_str()))
}

/// Whether this build lacks the algorithm.
pub(in crate::key) fn is_compiled_out(oid: &ObjectIdentifier) -> bool {
    !cfg!(feature = "legacy-ciphers") && is_legacy(oid)
}

/// Whether the algorithm is available only with the feature `legacy-ciphers`: all weak and all rare ones.
fn is_legacy(oid: &ObjectIdentifier) -> bool {
    let rare_digests = [BLAKE2B, BLAKE2S, RIPEMD160, SM3, HMAC_SM3, WHIRLPOOL];
    let rare_cipher = cipher::find_by_oid(oid).is_some_and(|known| !known.cipher.is_built_in());
    is_weak(oid) || rare_digests.contains(oid) || rare_cipher
}

/// Says that the algorithm is not supported, for messages.
pub(in crate::key) fn unsupported_text(oid: &ObjectIdentifier) -> String {
    let reason =
        if is_compiled_out(oid) { "which is not enabled in this build" } else { "which is not supported" };
    format!("{}, {reason}", display_name(oid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::asn1::oid;

    #[test]
    fn weakness_depends_on_block_size_and_mode() {
        for (dotted, name, weak) in [
            ("1.2.840.113549.3.4", "RC4 (1.2.840.113549.3.4)", true),
            ("1.2.840.113549.3.7", "DES-EDE3-CBC (1.2.840.113549.3.7)", true),
            ("2.16.840.1.101.3.4.1.41", "AES-256-ECB (2.16.840.1.101.3.4.1.41)", true),
            ("2.16.840.1.101.3.4.1.42", "AES-256-CBC (2.16.840.1.101.3.4.1.42)", false),
            ("2.16.840.1.101.3.4.1.48", "AES-256-WRAP-PAD (2.16.840.1.101.3.4.1.48)", false),
            ("1.2.840.113549.1.5.13", "PBES2 (1.2.840.113549.1.5.13)", false),
            ("1.2.840.113549.1.5.3", "PBE-MD5-DES (1.2.840.113549.1.5.3)", true),
            ("1.2.3", "1.2.3", false),
        ] {
            let oid = oid::parse(dotted);
            assert_eq!((display_name(&oid).as_str(), is_weak(&oid)), (name, weak));
        }
    }

    #[test]
    fn only_aes_cbc_and_sha_are_not_legacy() {
        for (dotted, legacy) in [
            ("2.16.840.1.101.3.4.1.2", false),
            ("2.16.840.1.101.3.4.1.42", false),
            ("1.2.840.113549.1.5.12", false),
            ("1.2.840.113549.1.5.13", false),
            ("1.3.6.1.4.1.11591.4.11", false),
            ("1.3.14.3.2.26", false),
            ("1.2.840.113549.2.9", false),
            ("2.16.840.1.101.3.4.2.10", false),
            // Modes and ciphers that are rare: AES-256-CFB, AES-128-WRAP-PAD, CAMELLIA-128-CBC, SM4-CBC.
            ("2.16.840.1.101.3.4.1.44", true),
            ("2.16.840.1.101.3.4.1.8", true),
            ("1.2.392.200011.61.1.1.1.2", true),
            ("1.2.156.10197.1.104.2", true),
            // Weak ones: AES-256-ECB, 3DES, RC4, two schemes, MD5.
            ("2.16.840.1.101.3.4.1.41", true),
            ("1.2.840.113549.3.7", true),
            ("1.2.840.113549.3.4", true),
            ("1.2.840.113549.1.5.3", true),
            ("1.2.840.113549.1.12.1.3", true),
            ("1.2.840.113549.2.5", true),
            // Rare digests.
            ("1.3.6.1.4.1.1722.12.2.1.16", true),
            ("1.3.36.3.2.1", true),
            ("1.2.156.10197.1.401.2", true),
        ] {
            let oid = oid::parse(dotted);
            let is_available = cfg!(feature = "legacy-ciphers") || !legacy;
            assert_eq!((is_legacy(&oid), !is_compiled_out(&oid)), (legacy, is_available), "{dotted}");
        }
    }
}
