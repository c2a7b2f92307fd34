//! The names of the algorithms that key files name by number, and which of them are weak.

use ::der::asn1::ObjectIdentifier;

pub(super) const MD5: ObjectIdentifier = of("1.2.840.113549.2.5");
pub(super) const HMAC_MD5: ObjectIdentifier = of("1.2.840.113549.2.6");
pub(super) const JKS_PROTECTION: ObjectIdentifier = of("1.3.6.1.4.1.42.2.17.1.1");
pub(super) const JCEKS_PROTECTION: ObjectIdentifier = of("1.3.6.1.4.1.42.2.19.1");

/// The number that is written so.
pub(super) const fn of(number: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(number)
}

const KNOWN: [(&str, &str); 43] = [
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
    ("1.2.840.113549.3.2", "RC2-CBC"),
    ("1.2.840.113549.3.4", "RC4"),
    ("1.2.840.113549.3.7", "3DES-CBC"),
    ("1.2.840.113549.3.9", "RC5-CBC"),
    ("1.2.840.113533.7.66.10", "CAST5-CBC"),
    ("1.2.156.10197.1.104.2", "SM4-CBC"),
    ("1.2.156.10197.1.401", "SM3"),
    ("1.2.392.200011.61.1.1.1.2", "CAMELLIA-128-CBC"),
    ("1.2.392.200011.61.1.1.1.3", "CAMELLIA-192-CBC"),
    ("1.2.392.200011.61.1.1.1.4", "CAMELLIA-256-CBC"),
    ("1.2.410.200004.1.4", "SEED-CBC"),
    ("1.2.410.200046.1.1.2", "ARIA-128-CBC"),
    ("1.2.410.200046.1.1.7", "ARIA-192-CBC"),
    ("1.2.410.200046.1.1.12", "ARIA-256-CBC"),
    ("1.2.643.2.2.21", "GOST 28147-89"),
    ("1.2.643.7.1.1.2.2", "Streebog-256"),
    ("1.2.643.7.1.1.2.3", "Streebog-512"),
    ("1.3.14.3.2.7", "DES-CBC"),
    ("1.3.36.3.2.1", "RIPEMD-160"),
    ("1.3.6.1.4.1.3029.1.2", "Blowfish-CBC"),
    ("1.3.6.1.4.1.11591.4.11", "scrypt"),
    ("1.3.6.1.4.1.42.2.19.1", "JCE PBE-MD5-3DES"),
];

/// `PBE-SHA1-RC2-128 (1.2.840.113549.1.12.1.5)`, or the number alone.
pub(super) fn name(oid: &ObjectIdentifier) -> String {
    let number = oid.to_string();
    match KNOWN.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => format!("{name} ({number})"),
        None => number,
    }
}

/// The families of [`is_weak`]: PBES1, the schemes of PKCS#12's own, RC2 and RC4 and 3DES.
const WEAK: [&str; 3] = ["1.2.840.113549.1.5.", "1.2.840.113549.1.12.1.", "1.2.840.113549.3."];

/// Those of the first family that are not weak in themselves: PBKDF2, PBES2, PBMAC1.
const SOUND: [&str; 3] = ["1.2.840.113549.1.5.12", "1.2.840.113549.1.5.13", "1.2.840.113549.1.5.14"];

/// Whether the cipher, scheme or digest of that number is one that stores should no longer be protected by: DES,
/// 3DES, RC2, RC4, MD5, and what Java's own formats have. Every reader asks here once it knows the number.
pub(super) fn is_weak(oid: &ObjectIdentifier) -> bool {
    let others = [MD5, HMAC_MD5, JKS_PROTECTION, JCEKS_PROTECTION, of("1.3.14.3.2.7")];
    let number = oid.to_string();
    let of_family = WEAK.iter().any(|family| number.starts_with(family));
    others.contains(oid) || (of_family && !SOUND.contains(&number.as_str()))
}

/// Why what has this number is not opened.
pub(super) fn refusal(oid: &ObjectIdentifier) -> String {
    let left_out = !cfg!(feature = "legacy-ciphers") && is_weak(oid);
    let why = if left_out { "which this build was made without" } else { "which is not supported" };
    format!("{}, {why}", name(oid))
}
