//! Stores of every format as written by their own tools, intact and damaged.

#[cfg(test)]
pub(super) mod formats;
#[cfg(test)]
pub(super) mod inline;
#[cfg(test)]
pub(super) mod list;
#[cfg(test)]
pub(super) mod material;
#[cfg(test)]
pub(super) mod rotation;

use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;

#[cfg(feature = "pkcs11")]
use super::fixtures::StubKey;
use super::fixtures::{KEY_PASSWORD, KeyDir, STORE_PASSWORD, fixture_bytes, run_shell};
use super::open::open_with_versions;
use super::{KeyOrigin, KeySource, SigningKey, open};
use crate::base::error::{Error, Status};
use crate::base::file::ConfiguredPath;

const CORRECT_PASSWORD: Option<&str> = Some(STORE_PASSWORD);

/// Returns the error of opening `source`, after checking that it names the store as configured and an option,
/// and contains no password.
fn open_error(source: &KeySource, status: Status) -> Error {
    let error = match open(source) {
        Ok(key) => panic!("opened {key:?}"),
        Err(error) => error,
    };
    assert_eq!(error.status(), status, "{error}");
    let start = format!("[authgrant][key store] {} ", source.display_name());
    assert!(error.message().starts_with(&start), "{error}");
    assert!(error.option().is_some_and(|option| option.starts_with("JWT")), "{error:?}");
    for password in [STORE_PASSWORD, KEY_PASSWORD, "wrong-one"] {
        assert!(!error.message().contains(password), "{error}");
    }
    error
}

fn assert_message_contains(error: &Error, fragment: &str) {
    assert!(error.message().contains(fragment), "{fragment:?} is not in {error}");
}

/// Asserts that OpenSSL verifies a signature by `key` with the public key that the OpenSSL command `public`
/// prints.
fn assert_openssl_verifies(dir: &KeyDir, key: &SigningKey, algorithm: Algorithm, public: &str) {
    let signature = key.sign_for_tls(algorithm, b"to be signed").unwrap();
    std::fs::write(dir.file_path("message"), b"to be signed").unwrap();
    std::fs::write(dir.file_path("signature"), signature).unwrap();
    let digest = match algorithm {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => "sha256",
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => "sha384",
        _ => "sha512",
    };
    let pss = match algorithm {
        Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 => {
            "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest"
        }
        _ => "",
    };
    run_shell(dir.path(), &format!("openssl {public} > public.pem"));
    run_shell(
        dir.path(),
        &format!("openssl dgst -{digest} -verify public.pem {pss} -signature signature message"),
    );
}

fn open_and_verify(name: &str, password: Option<&str>, public: &str) -> SigningKey {
    let dir = KeyDir::new();
    let source = dir.fixture(name, password);
    std::fs::write(dir.file_path("rsa.pem"), fixture_bytes("rsa.pem")).unwrap();
    std::fs::write(dir.file_path("ec.pem"), fixture_bytes("ec.pem")).unwrap();
    let key = open(&source).unwrap();
    let algorithm = key.select_algorithm(None).unwrap();
    assert_openssl_verifies(&dir, &key, algorithm, public);
    key
}

#[test]
fn pem_key_signatures_verify_with_openssl() {
    for name in ["rsa.pem", "rsa-pkcs1.pem"] {
        open_and_verify(name, None, "rsa -pubout -in rsa.pem");
    }
    for name in
        ["rsa-encrypted.pem", "rsa-3des.pem", "rsa-scrypt.pem", "rsa-pbes1.pem", "rsa-old-encrypted.pem"]
    {
        open_and_verify(name, CORRECT_PASSWORD, "rsa -pubout -in rsa.pem");
    }
    for name in ["ec.pem", "ec-short.pem", "ec-pkcs8.pem", "ec-pkcs8-short.pem"] {
        open_and_verify(name, None, "ec -pubout -in ec.pem");
    }
}

#[test]
fn openssl_pkcs12_signatures_verify_with_openssl() {
    for name in ["rsa.p12", "rsa-legacy.p12", "rsa-nomac.p12", "rsa-rc2.p12"] {
        let key = open_and_verify(name, CORRECT_PASSWORD, "rsa -pubout -in rsa.pem");
        assert_eq!(key.certificates().len(), 1, "{name}");
    }
    open_and_verify("ec.p12", CORRECT_PASSWORD, "ec -pubout -in ec.pem");
}

#[test]
fn pkcs12_with_empty_password_opens_without_one() {
    for password in [None, Some("")] {
        open_and_verify("rsa-empty.p12", password, "rsa -pubout -in rsa.pem");
        open_and_verify("rsa-open.p12", password, "rsa -pubout -in rsa.pem");
    }
}

#[test]
fn jks_key_signature_verifies_with_its_certificate() {
    let dir = KeyDir::new();
    let source = dir.fixture("one.jks", CORRECT_PASSWORD).with_key_password(KEY_PASSWORD);
    let key = open(&source).unwrap();
    std::fs::write(dir.file_path("leaf.der"), &key.certificates()[0]).unwrap();
    assert_openssl_verifies(&dir, &key, Algorithm::RS256, "x509 -pubkey -noout -in leaf.der");
    assert_eq!(key.alias(), Some("signer"));
}

#[test]
fn every_offered_algorithm_verifies_with_openssl() {
    let dir = KeyDir::new();
    let rsa = open(&dir.fixture("rsa.pem", None)).unwrap();
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        let algorithm: Algorithm = algorithm.parse().unwrap();
        assert_eq!(rsa.select_algorithm(Some(algorithm)).unwrap(), algorithm);
        assert_openssl_verifies(&dir, &rsa, algorithm, "rsa -pubout -in rsa.pem");
    }
    let ec = open(&dir.fixture("ec384.pem", None)).unwrap();
    assert_eq!(ec.select_algorithm(None).unwrap(), Algorithm::ES384);
    assert_openssl_verifies(&dir, &ec, Algorithm::ES384, "ec -pubout -in ec384.pem");
}

#[test]
fn ecdsa_signature_has_fixed_length() {
    let dir = KeyDir::new();
    for (name, algorithm, length) in [("ec.pem", Algorithm::ES256, 64), ("ec384.pem", Algorithm::ES384, 96)] {
        let key = open(&dir.fixture(name, None)).unwrap();
        assert_eq!(key.sign(algorithm, b"x").unwrap().len(), length);
    }
}

#[test]
fn alias_lookup_is_case_insensitive() {
    let dir = KeyDir::new();
    for alias in ["Second", "second", "SECOND"] {
        let jks = open(&dir.fixture("two.jks", CORRECT_PASSWORD).with_alias(alias)).unwrap();
        assert_eq!(jks.select_algorithm(None).unwrap(), Algorithm::ES256);
        let p12 = open(&dir.fixture("two-keys.p12", CORRECT_PASSWORD).with_alias(alias)).unwrap();
        assert_eq!(p12.select_algorithm(None).unwrap(), Algorithm::ES384);
        assert_eq!(p12.certificates().len(), 1);
    }
}

#[test]
fn format_is_detected_by_content() {
    let dir = KeyDir::new();
    let key = open(&dir.fixture("really-p12.jks", CORRECT_PASSWORD)).unwrap();
    assert_eq!(key.alias(), Some("first"));
    open(
        &dir.source_with_content("jks.pem", fixture_bytes("one.jks"), CORRECT_PASSWORD)
            .with_key_password(KEY_PASSWORD),
    )
    .unwrap();
    open(&dir.source_with_content("pem.p12", fixture_bytes("rsa.pem"), None)).unwrap();
}

#[test]
fn unnamed_pkcs12_key_has_numeric_alias() {
    let dir = KeyDir::new();
    let key = open(&dir.fixture("ec.p12", CORRECT_PASSWORD).with_alias("1")).unwrap();
    assert_eq!(key.alias(), Some("1"));
}

#[test]
fn certificate_chain_starts_with_leaf() {
    let dir = KeyDir::new();
    for source in [dir.fixture("bundle.pem", None), dir.fixture("chain.p12", CORRECT_PASSWORD)] {
        let chain = open(&source).unwrap().certificates().to_vec();
        assert_eq!(chain.len(), 2);
        let contains = |index: usize, name: &[u8]| chain[index].windows(name.len()).any(|part| part == name);
        assert!(contains(0, b"leaf") && !contains(1, b"leaf"), "{source:?}");
    }
}

#[test]
fn non_ascii_password_opens_all_stores() {
    let dir = KeyDir::new();
    for name in ["umlaut.jks", "umlaut.p12", "umlaut-legacy.p12", "umlaut.pem"] {
        open(&dir.fixture(name, Some("pässw€rd"))).unwrap();
    }
}

#[test]
fn jks_key_with_own_password_requires_it() {
    let dir = KeyDir::new();
    let error = open_error(&dir.fixture("one.jks", CORRECT_PASSWORD), Status::KeyPassword);
    assert_message_contains(&error, "JWTCertKeyPassword");
    let wrong = dir.fixture("one.jks", CORRECT_PASSWORD).with_key_password("wrong-one");
    open_error(&wrong, Status::KeyPassword);
}

#[test]
fn key_password_alone_opens_single_password_store() {
    let dir = KeyDir::new();
    open(&dir.fixture("rsa.p12", None).with_key_password(STORE_PASSWORD)).unwrap();
    open(&dir.fixture("rsa-encrypted.pem", None).with_key_password(STORE_PASSWORD)).unwrap();
    open(&dir.fixture("one.jks", None).with_key_password(KEY_PASSWORD)).unwrap();
}

#[test]
fn wrong_or_missing_password_is_reported() {
    let dir = KeyDir::new();
    for name in [
        "one.jks",
        "rsa.p12",
        "rsa-legacy.p12",
        "rsa-nomac.p12",
        "two-keys.p12",
        "rsa-encrypted.pem",
        "rsa-scrypt.pem",
        "rsa-old-encrypted.pem",
    ] {
        let wrong = open_error(&dir.fixture(name, Some("wrong-one")), Status::KeyPassword);
        assert_eq!(wrong.option(), Some("JWTCertPassword"), "{wrong}");
        let none = open_error(&dir.fixture(name, None), Status::KeyPassword);
        assert_message_contains(&none, "set JWTCertPassword");
    }
}

#[test]
fn wrong_password_with_valid_padding_is_detected() {
    let dir = KeyDir::new();
    for number in 0..600 {
        for name in ["rsa-3des.pem", "rsa-quick.p12"] {
            let source = dir.fixture(name, Some(&format!("wrong-one{number}")));
            open_error(&source, Status::KeyPassword);
        }
    }
}

#[test]
fn unreadable_file_error_names_file_type() {
    let dir = KeyDir::new();
    let missing = open_error(&dir.source("missing", CORRECT_PASSWORD), Status::KeyStore);
    assert_message_contains(&missing, "missing");
    std::fs::create_dir(dir.file_path("directory")).unwrap();
    assert_message_contains(
        &open_error(&dir.source("directory", CORRECT_PASSWORD), Status::KeyStore),
        "directory",
    );
    assert_message_contains(
        &open_error(&dir.source_with_content("empty", b"", CORRECT_PASSWORD), Status::KeyStore),
        "0 bytes",
    );
    let large = std::fs::File::create(dir.file_path("large")).unwrap();
    large.set_len(16 * 1024 * 1024 + 1).unwrap();
    assert_message_contains(
        &open_error(&dir.source("large", CORRECT_PASSWORD), Status::KeyStore),
        "16384 KiB",
    );
    let mut device = dir.source("x", CORRECT_PASSWORD);
    device.origin = KeyOrigin::File(ConfiguredPath::new("/dev/zero".to_owned()));
    assert_message_contains(&open_error(&device, Status::KeyStore), "device");
    device.origin = KeyOrigin::File(ConfiguredPath::new(String::new()));
    open_error(&device, Status::KeyStore);
}

#[test]
fn fifo_is_rejected_without_blocking() {
    let dir = KeyDir::new();
    run_shell(dir.path(), "mkfifo pipe");
    let start = Instant::now();
    assert_message_contains(&open_error(&dir.source("pipe", CORRECT_PASSWORD), Status::KeyStore), "FIFO");
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn truncated_file_is_not_a_password_error() {
    let dir = KeyDir::new();
    for name in ["one.jks", "two.jks", "rsa.p12", "two-keys.p12"] {
        let whole = fixture_bytes(name);
        for length in (1..whole.len()).step_by(37).chain([whole.len() - 1]) {
            open_error(&dir.source_with_content(name, &whole[..length], CORRECT_PASSWORD), Status::KeyStore);
        }
    }
    let p12 = fixture_bytes("rsa.p12");
    let error =
        open_error(&dir.source_with_content("cut.p12", &p12[..1000], CORRECT_PASSWORD), Status::KeyStore);
    assert_message_contains(&error, &format!("cut short: 1000 of {} bytes", p12.len()));
    let pem = fixture_bytes("rsa-encrypted.pem");
    assert_message_contains(
        &open_error(
            &dir.source_with_content("cut.pem", &pem[..pem.len() / 2], CORRECT_PASSWORD),
            Status::KeyStore,
        ),
        "END line",
    );
}

#[test]
fn random_bytes_are_rejected() {
    let dir = KeyDir::new();
    let mut random = [0_u8; 4096];
    for seed in 0..50 {
        aws_lc_rs::rand::fill(&mut random).unwrap();
        random[0] = seed;
        open_error(&dir.source_with_content("random", &random, CORRECT_PASSWORD), Status::KeyStore);
    }
}

#[test]
fn unsupported_encryption_error_names_algorithm() {
    let dir = KeyDir::new();
    let unknown =
        String::from_utf8_lossy(fixture_bytes("rsa-old-camellia.pem")).replace("CAMELLIA-128-CBC", "RC5-CBC");
    let error = open_error(
        &dir.source_with_content("rc5.pem", unknown.as_bytes(), CORRECT_PASSWORD),
        Status::KeyStore,
    );
    assert_message_contains(&error, "RC5-CBC");
    // The OID of Camellia; with a different last arc, it is unknown.
    let oid = [0x0b, 0x2a, 0x83, 0x08, 0x8c, 0x9a, 0x4b, 0x3d, 0x01, 0x01, 0x01, 0x04];
    let mut unknown = fixture_bytes("rsa-camellia.p12").to_vec();
    let found = unknown.windows(oid.len()).position(|window| window == oid).unwrap();
    unknown[found + oid.len() - 1] = 0x05;
    let error = open_error(&dir.source_with_content("rc5.p12", &unknown, CORRECT_PASSWORD), Status::KeyStore);
    assert_message_contains(&error, "1.2.392.200011.61.1.1.1.5");
    let ber = [0x30, 0x80, 0x02, 0x01, 0x03, 0x30, 0x80, 0, 0];
    assert_message_contains(
        &open_error(&dir.source_with_content("ber.p12", &ber, CORRECT_PASSWORD), Status::KeyStore),
        "damaged",
    );
}

#[test]
fn jceks_lists_secret_keys_and_signs() {
    let dir = KeyDir::new();
    assert_message_contains(
        &open_error(&dir.fixture("store.jceks", CORRECT_PASSWORD), Status::KeyNotFound),
        "\"k\" (a secret key)",
    );
    let key = open(&dir.fixture("both.jceks", CORRECT_PASSWORD)).unwrap();
    assert_eq!((key.alias(), key.certificates().len()), (Some("p"), 1));
    let cut = &fixture_bytes("both.jceks")[..700];
    assert_message_contains(
        &open_error(&dir.source_with_content("cut", cut, CORRECT_PASSWORD), Status::KeyStore),
        "JCEKS store",
    );
    open_error(&dir.fixture("both.jceks", Some("wrong-one")), Status::KeyPassword);
}

#[test]
fn unknown_alias_error_lists_aliases() {
    let dir = KeyDir::new();
    let jks = open_error(&dir.fixture("two.jks", CORRECT_PASSWORD).with_alias("nobody"), Status::KeyNotFound);
    assert_message_contains(&jks, "\"nobody\"");
    for name in ["\"signer\"", "\"second\"", "\"root\" (a trusted certificate)", "(set JWTCertAlias)"] {
        assert_message_contains(&jks, name);
    }
    assert_eq!(jks.option(), Some("JWTCertAlias"));
    let p12 =
        open_error(&dir.fixture("two-keys.p12", CORRECT_PASSWORD).with_alias("nobody"), Status::KeyNotFound);
    assert_message_contains(&p12, "\"first\" and \"second\" (set JWTCertAlias)");
    let certificate =
        open_error(&dir.fixture("two.jks", CORRECT_PASSWORD).with_alias("Root"), Status::KeyNotFound);
    assert_message_contains(&certificate, "trusted certificate with alias \"root\"");
}

#[test]
fn several_keys_without_valid_certificate_require_alias() {
    let dir = KeyDir::new();
    let after_all_certificates = i64::from(u32::MAX);
    for name in ["two-keys.p12", "rotated.p12"] {
        let source = dir.fixture(name, CORRECT_PASSWORD);
        let error = open_with_versions(&source, after_all_certificates).err().unwrap();
        assert_eq!((error.status(), error.option()), (Status::KeyNotFound, Some("JWTCertAlias")), "{error}");
        assert_message_contains(&error, "(set JWTCertAlias)");
    }
    assert_message_contains(
        &open_error(&dir.fixture("two.pem", None), Status::KeyNotFound),
        "2 private keys",
    );
}

#[test]
fn missing_private_key_error_lists_entries() {
    let dir = KeyDir::new();
    assert_message_contains(
        &open_error(&dir.fixture("trust.jks", CORRECT_PASSWORD), Status::KeyNotFound),
        "\"root\" (a trusted certificate)",
    );
    assert_message_contains(
        &open_error(&dir.fixture("certs.p12", CORRECT_PASSWORD), Status::KeyNotFound),
        "(a trusted certificate)",
    );
    assert_message_contains(
        &open_error(&dir.fixture("ca.pem", CORRECT_PASSWORD), Status::KeyNotFound),
        "PEM with CERTIFICATE",
    );
}

#[test]
fn unknown_pem_labels_are_reported_by_line() {
    let dir = KeyDir::new();
    let odd = "# one\n-----BEGIN hunter2-----\nAAAA\n-----END hunter2-----\n";
    let certificate = std::str::from_utf8(fixture_bytes("ca.pem")).unwrap();
    let text = format!("{odd}{certificate}{odd}");
    let error = open_error(&dir.source_with_content("odd.pem", text.as_bytes(), None), Status::KeyNotFound);
    let last = 5 + certificate.lines().count() + 1;
    assert_message_contains(
        &error,
        &format!("an unknown block (line 2), CERTIFICATE and an unknown block (line {last})"),
    );
    assert!(!error.message().contains("hunter2"), "{error}");
    let text = "-----BEGIN hunter2 PRIVATE KEY-----\n!\n-----END hunter2 PRIVATE KEY-----\n";
    let error = open_error(&dir.source_with_content("odd.pem", text.as_bytes(), None), Status::KeyStore);
    assert_message_contains(&error, "unknown block (line 1)");
    assert!(!error.message().contains("hunter2"), "{error}");
}

#[test]
fn jks_aliases_require_password() {
    let dir = KeyDir::new();
    for source in [
        dir.fixture("one.jks", None),
        dir.fixture("one.jks", None).with_alias("nobody"),
        dir.fixture("one.jks", None).with_alias("signer"),
        dir.fixture("two.jks", None),
        dir.fixture("two.jks", None).with_alias("nobody"),
    ] {
        let error = open_error(&source.with_key_password("wrong-one"), Status::KeyPassword);
        assert_eq!(error.option(), Some("JWTCertKeyPassword"), "{error}");
        let message = error.message().to_lowercase();
        assert!(["signer", "second", "root"].iter().all(|alias| !message.contains(alias)), "{error}");
    }
    let trust = open_error(&dir.fixture("trust.jks", None).with_key_password("x"), Status::KeyNotFound);
    assert!(!trust.message().contains("root"), "{trust}");
    for password in [KEY_PASSWORD, STORE_PASSWORD] {
        let right = dir.fixture("two.jks", None).with_key_password(password).with_alias("nobody");
        assert_message_contains(&open_error(&right, Status::KeyNotFound), "\"signer\"");
    }
}

#[test]
fn unsupported_key_type_is_named() {
    let dir = KeyDir::new();
    for (name, fragment) in [
        ("rsa512.pem", "an RSA key of 512 bits"),
        ("rsa1024.pem", "an RSA key of 1024 bits"),
        ("ec521.pem", "an EC key on P-521"),
        ("dsa.pem", "a DSA key"),
        ("dsa-pkcs8.pem", "a DSA key"),
    ] {
        assert_message_contains(&open_error(&dir.fixture(name, None), Status::KeyUnsuitable), fragment);
    }
}

#[test]
fn algorithm_mismatch_error_lists_supported_algorithms() {
    let dir = KeyDir::new();
    let rsa = "an RSA key of 2048 bits (RS256, RS384, RS512, PS256, PS384, PS512)";
    let secret = "a shared secret (JWTSecret, or a JSON Web Key of kty oct";
    for (name, requested, own, required) in [
        ("rsa.pem", Algorithm::ES256, rsa, "an EC key on P-256 is required"),
        ("rsa.pem", Algorithm::ES384, rsa, "an EC key on P-384 is required"),
        ("ec.pem", Algorithm::RS256, "an EC key on P-256 (ES256)", "an RSA key is required"),
        ("ec.pem", Algorithm::ES384, "an EC key on P-256 (ES256)", "an EC key on P-384 is required"),
        ("ec384.pem", Algorithm::PS512, "an EC key on P-384 (ES384)", "an RSA key is required"),
        ("ec384.pem", Algorithm::ES256, "an EC key on P-384 (ES384)", "an EC key on P-256 is required"),
        ("rsa.pem", Algorithm::HS256, rsa, secret),
        ("rsa.pem", Algorithm::HS384, rsa, secret),
        ("rsa.pem", Algorithm::HS512, rsa, secret),
        ("rsa.pem", Algorithm::EdDSA, rsa, "an Ed25519 key is required"),
        ("ed25519.pem", Algorithm::RS256, "an Ed25519 key (EdDSA)", "an RSA key is required"),
    ] {
        let key = open(&dir.fixture(name, None)).unwrap();
        let error = key.select_algorithm(Some(requested)).unwrap_err();
        assert_eq!(error.status(), Status::KeyUnsuitable);
        assert_message_contains(&error, &format!("with {requested:?}: it is {own}; {required}"));
        assert!(key.sign(requested, b"x").is_err());
    }
}

#[test]
fn unrecognized_content_error_lists_formats() {
    let dir = KeyDir::new();
    let file = open_error(&dir.source_with_content("text", b"hunter2;", None), Status::KeyStore);
    assert_message_contains(&file, "is not a recognized key store (JKS, ");
    let inline = open_error(&KeySource::inline("hunter2;"), Status::KeyStore);
    assert_message_contains(&inline, "is not a recognized key (PEM, ");
}

#[cfg(feature = "pkcs11")]
#[test]
fn label_of_external_key_is_its_alias() {
    let key = SigningKey::from_external(&KeySource::inline(""), StubKey { is_detached: false });
    assert_eq!(key.alias(), None);
    assert_eq!(key.with_alias("label".to_owned()).alias(), Some("label"));
}

#[test]
fn signing_key_debug_omits_secrets() {
    let dir = KeyDir::new();
    let key = open(&dir.fixture("rsa.p12", CORRECT_PASSWORD)).unwrap();
    let debug = format!("{key:?}");
    assert!(debug.contains("an RSA key of 2048 bits") && !debug.contains(STORE_PASSWORD), "{debug}");
    assert!(debug.len() < 300, "{debug}");
}

/// Random number generator with a fixed seed, so that failures are reproducible.
struct SeededRng(u64);

impl SeededRng {
    fn next_below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize).checked_rem(end).unwrap_or_default()
    }
}

#[test]
fn corrupted_file_never_panics() {
    let dir = KeyDir::new();
    let mut rng = SeededRng(1);
    for name in [
        "two.jks",
        "rsa.p12",
        "rsa-legacy.p12",
        "rsa-open.p12",
        "rsa-nomac.p12",
        "chain.p12",
        "ec.p12",
        "rsa-encrypted.pem",
        "bundle.pem",
        "ec.pem",
    ] {
        for _ in 0..60 {
            let mut content = fixture_bytes(name).to_vec();
            for _ in 0..=rng.next_below(3) {
                let index = rng.next_below(content.len().min(400));
                content[index] = rng.next_below(256) as u8;
            }
            if let Err(error) =
                open(&dir.source_with_content(name, &content, CORRECT_PASSWORD).with_alias("signer"))
            {
                let expected =
                    [Status::KeyStore, Status::KeyPassword, Status::KeyNotFound, Status::KeyUnsuitable];
                assert!(expected.contains(&error.status()), "{error}");
            }
        }
    }
}

#[test]
fn fingerprint_matches_openssl_public_key_digest() {
    for name in ["rsa.pem", "ec.pem"] {
        let dir = KeyDir::new();
        let key = open(&dir.fixture(name, None)).unwrap();
        let digest = "-pubout -outform DER | openssl dgst -sha256 -binary | base64 > print";
        run_shell(dir.path(), &format!("openssl pkey -in {name} {digest}"));
        let print = std::fs::read_to_string(dir.file_path("print")).unwrap();
        assert_eq!(key.fingerprint().unwrap(), format!("SHA256:{}", print.trim()), "{name}");
    }
    let shared = open(&KeySource::hmac_secret(&"s".repeat(32))).unwrap();
    assert_eq!(shared.fingerprint().unwrap_err().status(), Status::KeyUnsuitable);
}
