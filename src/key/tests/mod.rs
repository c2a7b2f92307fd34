//! Stores of every kind as their own tools write them, whole and broken.

#[cfg(test)]
pub(super) mod formats;
#[cfg(test)]
pub(super) mod inline;
#[cfg(test)]
pub(super) mod list;

use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;

use super::fixtures::{KEY_PASSWORD, KeyDir, STORE_PASSWORD, fixture_bytes, run_shell};
use super::{KeyOrigin, KeySource, SigningKey, open};
use crate::base::error::{Error, Status};
use crate::base::file::ConfiguredPath;

const CORRECT_PASSWORD: Option<&str> = Some(STORE_PASSWORD);

/// The error, after what holds of all: it names the store as typed, an option, and no password.
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

fn assert_message_contains(error: &Error, what: &str) {
    assert!(error.message().contains(what), "{what:?} is not in {error}");
}

/// OpenSSL accepts what `key` signs, with the public key that its command `public` prints.
fn assert_openssl_verifies(place: &KeyDir, key: &SigningKey, algorithm: Algorithm, public: &str) {
    let signature = key.sign(algorithm, b"to be signed").unwrap();
    let signature = match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => encode_ecdsa_der(&signature),
        _ => signature,
    };
    std::fs::write(place.file_path("message"), b"to be signed").unwrap();
    std::fs::write(place.file_path("signature"), signature).unwrap();
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
    run_shell(place.path(), &format!("openssl {public} > public.pem"));
    run_shell(
        place.path(),
        &format!("openssl dgst -{digest} -verify public.pem {pss} -signature signature message"),
    );
}

/// r and s side by side, as the SEQUENCE that OpenSSL wants.
fn encode_ecdsa_der(raw: &[u8]) -> Vec<u8> {
    let (r, s) = raw.split_at(raw.len() / 2);
    let integer = |number: &[u8]| {
        let mut body: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
        if body[0] & 0x80 != 0 {
            body.insert(0, 0);
        }
        [vec![2, body.len() as u8], body].concat()
    };
    let body = [integer(r), integer(s)].concat();
    [vec![0x30, body.len() as u8], body].concat()
}

fn open_and_verify(name: &str, password: Option<&str>, public: &str) -> SigningKey {
    let place = KeyDir::new();
    let source = place.fixture(name, password);
    std::fs::write(place.file_path("rsa.pem"), fixture_bytes("rsa.pem")).unwrap();
    std::fs::write(place.file_path("ec.pem"), fixture_bytes("ec.pem")).unwrap();
    let key = open(&source).unwrap();
    let algorithm = key.select_algorithm(None).unwrap();
    assert_openssl_verifies(&place, &key, algorithm, public);
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
    let place = KeyDir::new();
    let source = place.fixture("one.jks", CORRECT_PASSWORD).with_key_password(KEY_PASSWORD);
    let key = open(&source).unwrap();
    std::fs::write(place.file_path("leaf.der"), &key.certificates()[0]).unwrap();
    assert_openssl_verifies(&place, &key, Algorithm::RS256, "x509 -pubkey -noout -in leaf.der");
    assert_eq!(key.alias(), Some("signer"));
}

#[test]
fn every_offered_algorithm_verifies_with_openssl() {
    let place = KeyDir::new();
    let rsa = open(&place.fixture("rsa.pem", None)).unwrap();
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        let algorithm: Algorithm = algorithm.parse().unwrap();
        assert_eq!(rsa.select_algorithm(Some(algorithm)).unwrap(), algorithm);
        assert_openssl_verifies(&place, &rsa, algorithm, "rsa -pubout -in rsa.pem");
    }
    let ec = open(&place.fixture("ec384.pem", None)).unwrap();
    assert_eq!(ec.select_algorithm(None).unwrap(), Algorithm::ES384);
    assert_openssl_verifies(&place, &ec, Algorithm::ES384, "ec -pubout -in ec384.pem");
}

#[test]
fn ecdsa_signature_has_fixed_length() {
    let place = KeyDir::new();
    for (name, algorithm, length) in [("ec.pem", Algorithm::ES256, 64), ("ec384.pem", Algorithm::ES384, 96)] {
        let key = open(&place.fixture(name, None)).unwrap();
        assert_eq!(key.sign(algorithm, b"x").unwrap().len(), length);
    }
}

#[test]
fn alias_lookup_is_case_insensitive() {
    let place = KeyDir::new();
    for alias in ["Second", "second", "SECOND"] {
        let jks = open(&place.fixture("two.jks", CORRECT_PASSWORD).with_alias(alias)).unwrap();
        assert_eq!(jks.select_algorithm(None).unwrap(), Algorithm::ES256);
        let p12 = open(&place.fixture("two-keys.p12", CORRECT_PASSWORD).with_alias(alias)).unwrap();
        assert_eq!(p12.select_algorithm(None).unwrap(), Algorithm::ES384);
        assert_eq!(p12.certificates().len(), 1);
    }
}

#[test]
fn format_is_detected_by_content() {
    let place = KeyDir::new();
    let key = open(&place.fixture("really-p12.jks", CORRECT_PASSWORD)).unwrap();
    assert_eq!(key.alias(), Some("first"));
    open(
        &place
            .source_with_content("jks.pem", fixture_bytes("one.jks"), CORRECT_PASSWORD)
            .with_key_password(KEY_PASSWORD),
    )
    .unwrap();
    open(&place.source_with_content("pem.p12", fixture_bytes("rsa.pem"), None)).unwrap();
}

#[test]
fn unnamed_pkcs12_key_has_numeric_alias() {
    let place = KeyDir::new();
    let key = open(&place.fixture("ec.p12", CORRECT_PASSWORD).with_alias("1")).unwrap();
    assert_eq!(key.alias(), Some("1"));
}

#[test]
fn certificate_chain_starts_with_leaf() {
    let place = KeyDir::new();
    for source in [place.fixture("bundle.pem", None), place.fixture("chain.p12", CORRECT_PASSWORD)] {
        let chain = open(&source).unwrap().certificates().to_vec();
        assert_eq!(chain.len(), 2);
        let has = |place: usize, name: &[u8]| chain[place].windows(name.len()).any(|part| part == name);
        assert!(has(0, b"leaf") && !has(1, b"leaf"), "{source:?}");
    }
}

#[test]
fn non_ascii_password_opens_all_stores() {
    let place = KeyDir::new();
    for name in ["umlaut.jks", "umlaut.p12", "umlaut-legacy.p12", "umlaut.pem"] {
        open(&place.fixture(name, Some("pässw€rd"))).unwrap();
    }
}

#[test]
fn jks_key_with_own_password_requires_it() {
    let place = KeyDir::new();
    let error = open_error(&place.fixture("one.jks", CORRECT_PASSWORD), Status::KeyPassword);
    assert_message_contains(&error, "JWTCertKeyPassword");
    let wrong = place.fixture("one.jks", CORRECT_PASSWORD).with_key_password("wrong-one");
    open_error(&wrong, Status::KeyPassword);
}

#[test]
fn key_password_alone_opens_single_password_store() {
    let place = KeyDir::new();
    open(&place.fixture("rsa.p12", None).with_key_password(STORE_PASSWORD)).unwrap();
    open(&place.fixture("rsa-encrypted.pem", None).with_key_password(STORE_PASSWORD)).unwrap();
    open(&place.fixture("one.jks", None).with_key_password(KEY_PASSWORD)).unwrap();
}

#[test]
fn wrong_or_missing_password_is_reported() {
    let place = KeyDir::new();
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
        let wrong = open_error(&place.fixture(name, Some("wrong-one")), Status::KeyPassword);
        assert_message_contains(&wrong, "does not open with this JWTCertPassword, or was altered");
        let none = open_error(&place.fixture(name, None), Status::KeyPassword);
        assert_message_contains(&none, "no password was given");
    }
}

#[test]
fn wrong_password_with_valid_padding_is_detected() {
    let place = KeyDir::new();
    for number in 0..600 {
        for name in ["rsa-3des.pem", "rsa-quick.p12"] {
            let source = place.fixture(name, Some(&format!("wrong-one{number}")));
            open_error(&source, Status::KeyPassword);
        }
    }
}

#[test]
fn unreadable_file_error_names_file_type() {
    let place = KeyDir::new();
    let missing = open_error(&place.source("missing", CORRECT_PASSWORD), Status::KeyStore);
    assert_message_contains(&missing, "cannot be read: No such file");
    std::fs::create_dir(place.file_path("directory")).unwrap();
    assert_message_contains(
        &open_error(&place.source("directory", CORRECT_PASSWORD), Status::KeyStore),
        "is a directory",
    );
    assert_message_contains(
        &open_error(&place.source_with_content("empty", b"", CORRECT_PASSWORD), Status::KeyStore),
        "0 bytes",
    );
    let large = std::fs::File::create(place.file_path("large")).unwrap();
    large.set_len(16 * 1024 * 1024 + 1).unwrap();
    assert_message_contains(
        &open_error(&place.source("large", CORRECT_PASSWORD), Status::KeyStore),
        "16384 KiB",
    );
    let mut device = place.source("x", CORRECT_PASSWORD);
    device.origin = KeyOrigin::File(ConfiguredPath::new("/dev/zero".to_owned()));
    assert_message_contains(&open_error(&device, Status::KeyStore), "is a device");
    device.origin = KeyOrigin::File(ConfiguredPath::new(String::new()));
    open_error(&device, Status::KeyStore);
}

#[test]
fn fifo_is_rejected_without_blocking() {
    let place = KeyDir::new();
    run_shell(place.path(), "mkfifo pipe");
    let start = Instant::now();
    assert_message_contains(&open_error(&place.source("pipe", CORRECT_PASSWORD), Status::KeyStore), "FIFO");
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn truncated_file_is_not_a_password_error() {
    let place = KeyDir::new();
    for name in ["one.jks", "two.jks", "rsa.p12", "two-keys.p12"] {
        let whole = fixture_bytes(name);
        for length in (1..whole.len()).step_by(37).chain([whole.len() - 1]) {
            open_error(
                &place.source_with_content(name, &whole[..length], CORRECT_PASSWORD),
                Status::KeyStore,
            );
        }
    }
    let p12 = fixture_bytes("rsa.p12");
    let error =
        open_error(&place.source_with_content("cut.p12", &p12[..1000], CORRECT_PASSWORD), Status::KeyStore);
    assert_message_contains(&error, &format!("cut short: 1000 of {} bytes", p12.len()));
    let pem = fixture_bytes("rsa-encrypted.pem");
    assert_message_contains(
        &open_error(
            &place.source_with_content("cut.pem", &pem[..pem.len() / 2], CORRECT_PASSWORD),
            Status::KeyStore,
        ),
        "cut short",
    );
}

#[test]
fn random_bytes_are_rejected() {
    let place = KeyDir::new();
    let mut random = [0_u8; 4096];
    for seed in 0..50 {
        aws_lc_rs::rand::fill(&mut random).unwrap();
        random[0] = seed;
        open_error(&place.source_with_content("random", &random, CORRECT_PASSWORD), Status::KeyStore);
    }
}

#[test]
fn unsupported_encryption_error_names_algorithm() {
    let place = KeyDir::new();
    let unknown =
        String::from_utf8_lossy(fixture_bytes("rsa-old-camellia.pem")).replace("CAMELLIA-128-CBC", "RC5-CBC");
    let refusal = open_error(
        &place.source_with_content("rc5.pem", unknown.as_bytes(), CORRECT_PASSWORD),
        Status::KeyStore,
    );
    assert_message_contains(&refusal, "RC5-CBC, which is not supported");
    // Camellia's number; another one at its end is nothing that is known.
    let number = [0x0b, 0x2a, 0x83, 0x08, 0x8c, 0x9a, 0x4b, 0x3d, 0x01, 0x01, 0x01, 0x04];
    let mut unknown = fixture_bytes("rsa-camellia.p12").to_vec();
    let found = unknown.windows(number.len()).position(|window| window == number).unwrap();
    unknown[found + number.len() - 1] = 0x05;
    let refusal =
        open_error(&place.source_with_content("rc5.p12", &unknown, CORRECT_PASSWORD), Status::KeyStore);
    assert_message_contains(&refusal, "uses 1.2.392.200011.61.1.1.1.5, which is not supported");
    let ber = [0x30, 0x80, 0x02, 0x01, 0x03, 0x30, 0x80, 0, 0];
    assert_message_contains(
        &open_error(&place.source_with_content("ber.p12", &ber, CORRECT_PASSWORD), Status::KeyStore),
        "damaged",
    );
}

#[test]
fn jceks_lists_secret_keys_and_signs() {
    let place = KeyDir::new();
    assert_message_contains(
        &open_error(&place.fixture("store.jceks", CORRECT_PASSWORD), Status::KeyNotFound),
        "\"k\" (a secret key)",
    );
    let key = open(&place.fixture("both.jceks", CORRECT_PASSWORD)).unwrap();
    assert_eq!((key.alias(), key.certificates().len()), (Some("p"), 1));
    let cut = &fixture_bytes("both.jceks")[..700];
    assert_message_contains(
        &open_error(&place.source_with_content("cut", cut, CORRECT_PASSWORD), Status::KeyStore),
        "is a JCEKS store that ends too early",
    );
    open_error(&place.fixture("both.jceks", Some("wrong-one")), Status::KeyPassword);
}

#[test]
fn unknown_alias_error_lists_aliases() {
    let place = KeyDir::new();
    let jks =
        open_error(&place.fixture("two.jks", CORRECT_PASSWORD).with_alias("nobody"), Status::KeyNotFound);
    assert_message_contains(&jks, "has no alias \"nobody\"; it has ");
    for name in ["\"signer\"", "\"second\"", "\"root\" (a trusted certificate)", "(set JWTCertAlias)"] {
        assert_message_contains(&jks, name);
    }
    assert_eq!(jks.option(), Some("JWTCertAlias"));
    let p12 = open_error(
        &place.fixture("two-keys.p12", CORRECT_PASSWORD).with_alias("nobody"),
        Status::KeyNotFound,
    );
    assert_message_contains(&p12, "\"first\" and \"second\" (set JWTCertAlias)");
    let certificate =
        open_error(&place.fixture("two.jks", CORRECT_PASSWORD).with_alias("Root"), Status::KeyNotFound);
    assert_message_contains(&certificate, "only a trusted certificate as \"root\"");
}

#[test]
fn several_keys_require_alias() {
    let place = KeyDir::new();
    for name in ["two.jks", "two-keys.p12"] {
        let error = open_error(&place.fixture(name, CORRECT_PASSWORD), Status::KeyNotFound);
        assert_message_contains(&error, "several keys");
        assert_message_contains(&error, "(set JWTCertAlias)");
    }
    assert_message_contains(
        &open_error(&place.fixture("two.pem", None), Status::KeyNotFound),
        "2 private keys",
    );
}

#[test]
fn missing_private_key_error_lists_entries() {
    let place = KeyDir::new();
    assert_message_contains(
        &open_error(&place.fixture("trust.jks", CORRECT_PASSWORD), Status::KeyNotFound),
        "\"root\" (a trusted certificate)",
    );
    assert_message_contains(
        &open_error(&place.fixture("certs.p12", CORRECT_PASSWORD), Status::KeyNotFound),
        "(a trusted certificate)",
    );
    assert_message_contains(
        &open_error(&place.fixture("ca.pem", CORRECT_PASSWORD), Status::KeyNotFound),
        "PEM with CERTIFICATE",
    );
}

#[test]
fn unknown_pem_labels_are_reported_by_line() {
    let place = KeyDir::new();
    let odd = "# one\n-----BEGIN hunter2-----\nAAAA\n-----END hunter2-----\n";
    let certificate = std::str::from_utf8(fixture_bytes("ca.pem")).unwrap();
    let text = format!("{odd}{certificate}{odd}");
    let error = open_error(&place.source_with_content("odd.pem", text.as_bytes(), None), Status::KeyNotFound);
    let last = 5 + certificate.lines().count() + 1;
    assert_message_contains(
        &error,
        &format!("PEM with an unknown block (line 2), CERTIFICATE and an unknown block (line {last})"),
    );
    assert!(!error.message().contains("hunter2"), "{error}");
    let text = "-----BEGIN hunter2 PRIVATE KEY-----\n!\n-----END hunter2 PRIVATE KEY-----\n";
    let error = open_error(&place.source_with_content("odd.pem", text.as_bytes(), None), Status::KeyStore);
    assert_message_contains(&error, "PEM with an unknown block (line 1), which is empty or not base64");
    assert!(!error.message().contains("hunter2"), "{error}");
}

#[test]
fn jks_aliases_require_password() {
    let place = KeyDir::new();
    for source in [
        place.fixture("one.jks", None),
        place.fixture("one.jks", None).with_alias("nobody"),
        place.fixture("one.jks", None).with_alias("signer"),
        place.fixture("two.jks", None),
        place.fixture("two.jks", None).with_alias("nobody"),
    ] {
        let error = open_error(&source.with_key_password("wrong-one"), Status::KeyPassword);
        assert_message_contains(&error, "does not open with this JWTCertKeyPassword");
        let message = error.message().to_lowercase();
        assert!(["signer", "second", "root"].iter().all(|alias| !message.contains(alias)), "{error}");
    }
    let trust = open_error(&place.fixture("trust.jks", None).with_key_password("x"), Status::KeyNotFound);
    assert!(!trust.message().contains("root"), "{trust}");
    for password in [KEY_PASSWORD, STORE_PASSWORD] {
        let right = place.fixture("two.jks", None).with_key_password(password).with_alias("nobody");
        assert_message_contains(&open_error(&right, Status::KeyNotFound), "\"signer\"");
    }
}

#[test]
fn unsupported_key_type_is_named() {
    let place = KeyDir::new();
    for (name, what) in [
        ("rsa512.pem", "an RSA key of 512 bits"),
        ("rsa1024.pem", "an RSA key of 1024 bits"),
        ("ec521.pem", "an EC key on P-521"),
        ("dsa.pem", "a DSA key"),
        ("dsa-pkcs8.pem", "a DSA key"),
    ] {
        assert_message_contains(&open_error(&place.fixture(name, None), Status::KeyUnsuitable), what);
    }
}

#[test]
fn algorithm_mismatch_error_lists_supported_algorithms() {
    let place = KeyDir::new();
    for (name, wanted, fits) in [
        ("rsa.pem", Algorithm::ES256, "RS256"),
        ("ec.pem", Algorithm::RS256, "ES256"),
        ("ec.pem", Algorithm::ES384, "ES256"),
        ("ec384.pem", Algorithm::ES256, "ES384"),
        ("rsa.pem", Algorithm::HS256, "RS256"),
        ("rsa.pem", Algorithm::EdDSA, "RS256"),
    ] {
        let key = open(&place.fixture(name, None)).unwrap();
        let error = key.select_algorithm(Some(wanted)).unwrap_err();
        assert_eq!(error.status(), Status::KeyUnsuitable);
        assert_message_contains(&error, &format!("which signs {fits}"));
        assert!(key.sign(wanted, b"x").is_err());
    }
}

#[test]
fn signing_key_debug_omits_secrets() {
    let place = KeyDir::new();
    let key = open(&place.fixture("rsa.p12", CORRECT_PASSWORD)).unwrap();
    let shown = format!("{key:?}");
    assert!(shown.contains("an RSA key of 2048 bits") && !shown.contains(STORE_PASSWORD), "{shown}");
    assert!(shown.len() < 300, "{shown}");
}

/// A generator that is the same in each run, so that a failure can be met again.
struct SeededRng(u64);

impl SeededRng {
    fn next_below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize).checked_rem(end).unwrap_or_default()
    }
}

#[test]
fn corrupted_file_never_panics() {
    let place = KeyDir::new();
    let mut dice = SeededRng(1);
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
            for _ in 0..=dice.next_below(3) {
                let place = dice.next_below(content.len().min(400));
                content[place] = dice.next_below(256) as u8;
            }
            if let Err(error) =
                open(&place.source_with_content(name, &content, CORRECT_PASSWORD).with_alias("signer"))
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
        let place = KeyDir::new();
        let key = open(&place.fixture(name, None)).unwrap();
        let digest = "-pubout -outform DER | openssl dgst -sha256 -binary | base64 > print";
        run_shell(place.path(), &format!("openssl pkey -in {name} {digest}"));
        let print = std::fs::read_to_string(place.file_path("print")).unwrap();
        assert_eq!(key.fingerprint().unwrap(), format!("SHA256:{}", print.trim()), "{name}");
    }
    let shared = open(&KeySource::hmac_secret(&"s".repeat(32))).unwrap();
    assert_eq!(shared.fingerprint().unwrap_err().status(), Status::KeyUnsuitable);
}
