//! Stores of every kind as their own tools write them, whole and broken.

#[cfg(test)]
pub(super) mod formats;
#[cfg(test)]
pub(super) mod inline;
#[cfg(test)]
pub(super) mod list;

use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;

use super::fixtures::{KEY_PASSWORD, Place, STORE_PASSWORD, bytes, run};
use super::{KeyOrigin, KeySource, SigningKey, open};
use crate::base::error::{Error, Status};
use crate::base::file::ConfiguredPath;

const RIGHT: Option<&str> = Some(STORE_PASSWORD);

/// The error, after what holds of all: it names the store as typed, an option, and no password.
fn refused(source: &KeySource, status: Status) -> Error {
    let error = match open(source) {
        Ok(key) => panic!("opened {key:?}"),
        Err(error) => error,
    };
    assert_eq!(error.status(), status, "{error}");
    let start = format!("[authgrant][key store] {} ", source.named());
    assert!(error.message().starts_with(&start), "{error}");
    assert!(error.option().is_some_and(|option| option.starts_with("JWT")), "{error:?}");
    for password in [STORE_PASSWORD, KEY_PASSWORD, "wrong-one"] {
        assert!(!error.message().contains(password), "{error}");
    }
    error
}

fn says(error: &Error, what: &str) {
    assert!(error.message().contains(what), "{what:?} is not in {error}");
}

/// OpenSSL accepts what `key` signs, with the public key that its command `public` prints.
fn openssl_accepts(place: &Place, key: &SigningKey, algorithm: Algorithm, public: &str) {
    let signature = key.sign(algorithm, b"to be signed").unwrap();
    let signature = match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => ecdsa_der(&signature),
        _ => signature,
    };
    std::fs::write(place.file("message"), b"to be signed").unwrap();
    std::fs::write(place.file("signature"), signature).unwrap();
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
    run(place.path(), &format!("openssl {public} > public.pem"));
    run(
        place.path(),
        &format!("openssl dgst -{digest} -verify public.pem {pss} -signature signature message"),
    );
}

/// r and s side by side, as the SEQUENCE that OpenSSL wants.
fn ecdsa_der(raw: &[u8]) -> Vec<u8> {
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

fn opens_as(name: &str, password: Option<&str>, public: &str) -> SigningKey {
    let place = Place::new();
    let source = place.fixture(name, password);
    std::fs::write(place.file("rsa.pem"), bytes("rsa.pem")).unwrap();
    std::fs::write(place.file("ec.pem"), bytes("ec.pem")).unwrap();
    let key = open(&source).unwrap();
    let algorithm = key.algorithm(None).unwrap();
    openssl_accepts(&place, &key, algorithm, public);
    key
}

#[test]
fn every_kind_of_pem_key_signs_what_openssl_verifies() {
    for name in ["rsa.pem", "rsa-pkcs1.pem"] {
        opens_as(name, None, "rsa -pubout -in rsa.pem");
    }
    for name in
        ["rsa-encrypted.pem", "rsa-3des.pem", "rsa-scrypt.pem", "rsa-pbes1.pem", "rsa-old-encrypted.pem"]
    {
        opens_as(name, RIGHT, "rsa -pubout -in rsa.pem");
    }
    for name in ["ec.pem", "ec-short.pem", "ec-pkcs8.pem", "ec-pkcs8-short.pem"] {
        opens_as(name, None, "ec -pubout -in ec.pem");
    }
}

#[test]
fn every_kind_of_openssl_pkcs12_signs_what_openssl_verifies() {
    for name in ["rsa.p12", "rsa-legacy.p12", "rsa-nomac.p12", "rsa-rc2.p12"] {
        let key = opens_as(name, RIGHT, "rsa -pubout -in rsa.pem");
        assert_eq!(key.certificates().len(), 1, "{name}");
    }
    opens_as("ec.p12", RIGHT, "ec -pubout -in ec.pem");
}

#[test]
fn a_pkcs12_store_with_an_empty_password_or_none_needs_none() {
    for password in [None, Some("")] {
        opens_as("rsa-empty.p12", password, "rsa -pubout -in rsa.pem");
        opens_as("rsa-open.p12", password, "rsa -pubout -in rsa.pem");
    }
}

#[test]
fn a_jks_key_signs_what_its_certificate_verifies() {
    let place = Place::new();
    let source = place.fixture("one.jks", RIGHT).key_password_is(KEY_PASSWORD);
    let key = open(&source).unwrap();
    std::fs::write(place.file("leaf.der"), &key.certificates()[0]).unwrap();
    openssl_accepts(&place, &key, Algorithm::RS256, "x509 -pubkey -noout -in leaf.der");
    assert_eq!(key.alias(), Some("signer"));
}

#[test]
fn every_algorithm_that_a_key_offers_is_one_that_openssl_verifies() {
    let place = Place::new();
    let rsa = open(&place.fixture("rsa.pem", None)).unwrap();
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        let algorithm: Algorithm = algorithm.parse().unwrap();
        assert_eq!(rsa.algorithm(Some(algorithm)).unwrap(), algorithm);
        openssl_accepts(&place, &rsa, algorithm, "rsa -pubout -in rsa.pem");
    }
    let ec = open(&place.fixture("ec384.pem", None)).unwrap();
    assert_eq!(ec.algorithm(None).unwrap(), Algorithm::ES384);
    openssl_accepts(&place, &ec, Algorithm::ES384, "ec -pubout -in ec384.pem");
}

#[test]
fn an_ecdsa_signature_is_r_and_s_side_by_side() {
    let place = Place::new();
    for (name, algorithm, length) in [("ec.pem", Algorithm::ES256, 64), ("ec384.pem", Algorithm::ES384, 96)] {
        let key = open(&place.fixture(name, None)).unwrap();
        assert_eq!(key.sign(algorithm, b"x").unwrap().len(), length);
    }
}

#[test]
fn an_alias_is_found_in_any_case_in_jks_and_pkcs12() {
    let place = Place::new();
    for alias in ["Second", "second", "SECOND"] {
        let jks = open(&place.fixture("two.jks", RIGHT).alias_is(alias)).unwrap();
        assert_eq!(jks.algorithm(None).unwrap(), Algorithm::ES256);
        let p12 = open(&place.fixture("two-keys.p12", RIGHT).alias_is(alias)).unwrap();
        assert_eq!(p12.algorithm(None).unwrap(), Algorithm::ES384);
        assert_eq!(p12.certificates().len(), 1);
    }
}

#[test]
fn the_content_decides_and_not_the_file_name() {
    let place = Place::new();
    let key = open(&place.fixture("really-p12.jks", RIGHT)).unwrap();
    assert_eq!(key.alias(), Some("first"));
    open(&place.with("jks.pem", bytes("one.jks"), RIGHT).key_password_is(KEY_PASSWORD)).unwrap();
    open(&place.with("pem.p12", bytes("rsa.pem"), None)).unwrap();
}

#[test]
fn a_key_without_a_name_goes_by_the_number_that_keytool_shows() {
    let place = Place::new();
    let key = open(&place.fixture("ec.p12", RIGHT).alias_is("1")).unwrap();
    assert_eq!(key.alias(), Some("1"));
}

#[test]
fn the_chain_begins_with_the_keys_own_certificate_whatever_the_order_in_the_file() {
    let place = Place::new();
    for source in [place.fixture("bundle.pem", None), place.fixture("chain.p12", RIGHT)] {
        let chain = open(&source).unwrap().certificates().to_vec();
        assert_eq!(chain.len(), 2);
        let has = |place: usize, name: &[u8]| chain[place].windows(name.len()).any(|part| part == name);
        assert!(has(0, b"leaf") && !has(1, b"leaf"), "{source:?}");
    }
}

#[test]
fn a_password_beyond_ascii_opens_what_java_and_openssl_wrote() {
    let place = Place::new();
    for name in ["umlaut.jks", "umlaut.p12", "umlaut-legacy.p12", "umlaut.pem"] {
        open(&place.fixture(name, Some("pässw€rd"))).unwrap();
    }
}

#[test]
fn a_jks_key_with_its_own_password_wants_that_password() {
    let place = Place::new();
    let error = refused(&place.fixture("one.jks", RIGHT), Status::KeyPassword);
    says(&error, "JWTCertKeyPassword");
    let wrong = place.fixture("one.jks", RIGHT).key_password_is("wrong-one");
    refused(&wrong, Status::KeyPassword);
}

#[test]
fn a_key_password_alone_opens_what_has_one_password() {
    let place = Place::new();
    open(&place.fixture("rsa.p12", None).key_password_is(STORE_PASSWORD)).unwrap();
    open(&place.fixture("rsa-encrypted.pem", None).key_password_is(STORE_PASSWORD)).unwrap();
    open(&place.fixture("one.jks", None).key_password_is(KEY_PASSWORD)).unwrap();
}

#[test]
fn a_wrong_password_and_none_are_the_passwords_fault_in_each_format() {
    let place = Place::new();
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
        let wrong = refused(&place.fixture(name, Some("wrong-one")), Status::KeyPassword);
        says(&wrong, "does not open with this JWTCertPassword, or was altered");
        let none = refused(&place.fixture(name, None), Status::KeyPassword);
        says(&none, "no password was given");
    }
}

#[test]
fn a_wrong_password_is_told_even_where_the_padding_looks_right_by_luck() {
    let place = Place::new();
    for number in 0..600 {
        for name in ["rsa-3des.pem", "rsa-quick.p12"] {
            let source = place.fixture(name, Some(&format!("wrong-one{number}")));
            refused(&source, Status::KeyPassword);
        }
    }
}

#[test]
fn what_is_not_a_readable_file_is_said_to_be_what_it_is() {
    let place = Place::new();
    let missing = refused(&place.source("missing", RIGHT), Status::KeyStore);
    says(&missing, "cannot be read: No such file");
    std::fs::create_dir(place.file("directory")).unwrap();
    says(&refused(&place.source("directory", RIGHT), Status::KeyStore), "is a directory");
    says(&refused(&place.with("empty", b"", RIGHT), Status::KeyStore), "0 bytes");
    let large = std::fs::File::create(place.file("large")).unwrap();
    large.set_len(16 * 1024 * 1024 + 1).unwrap();
    says(&refused(&place.source("large", RIGHT), Status::KeyStore), "16384 KiB");
    let mut device = place.source("x", RIGHT);
    device.origin = KeyOrigin::Store(ConfiguredPath::new("/dev/zero".to_owned()));
    says(&refused(&device, Status::KeyStore), "is a device");
    device.origin = KeyOrigin::Store(ConfiguredPath::new(String::new()));
    refused(&device, Status::KeyStore);
}

#[test]
fn a_fifo_is_refused_at_once() {
    let place = Place::new();
    run(place.path(), "mkfifo pipe");
    let start = Instant::now();
    says(&refused(&place.source("pipe", RIGHT), Status::KeyStore), "FIFO");
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_file_cut_short_anywhere_is_never_blamed_on_the_password() {
    let place = Place::new();
    for name in ["one.jks", "two.jks", "rsa.p12", "two-keys.p12"] {
        let whole = bytes(name);
        for length in (1..whole.len()).step_by(37).chain([whole.len() - 1]) {
            refused(&place.with(name, &whole[..length], RIGHT), Status::KeyStore);
        }
    }
    let p12 = bytes("rsa.p12");
    let error = refused(&place.with("cut.p12", &p12[..1000], RIGHT), Status::KeyStore);
    says(&error, &format!("cut short: 1000 of {} bytes", p12.len()));
    let pem = bytes("rsa-encrypted.pem");
    says(&refused(&place.with("cut.pem", &pem[..pem.len() / 2], RIGHT), Status::KeyStore), "cut short");
}

#[test]
fn random_bytes_are_no_key_store() {
    let place = Place::new();
    let mut random = [0_u8; 4096];
    for seed in 0..50 {
        aws_lc_rs::rand::fill(&mut random).unwrap();
        random[0] = seed;
        refused(&place.with("random", &random, RIGHT), Status::KeyStore);
    }
}

#[test]
fn what_cannot_be_opened_is_named_with_what_to_do() {
    let place = Place::new();
    let unknown =
        String::from_utf8_lossy(bytes("rsa-old-camellia.pem")).replace("CAMELLIA-128-CBC", "RC5-CBC");
    let refusal = refused(&place.with("rc5.pem", unknown.as_bytes(), RIGHT), Status::KeyStore);
    says(&refusal, "RC5-CBC, which is not supported");
    // Camellia's number; another one at its end is nothing that is known.
    let number = [0x0b, 0x2a, 0x83, 0x08, 0x8c, 0x9a, 0x4b, 0x3d, 0x01, 0x01, 0x01, 0x04];
    let mut unknown = bytes("rsa-camellia.p12").to_vec();
    let found = unknown.windows(number.len()).position(|window| window == number).unwrap();
    unknown[found + number.len() - 1] = 0x05;
    let refusal = refused(&place.with("rc5.p12", &unknown, RIGHT), Status::KeyStore);
    says(&refusal, "uses 1.2.392.200011.61.1.1.1.5, which is not supported");
    let ber = [0x30, 0x80, 0x02, 0x01, 0x03, 0x30, 0x80, 0, 0];
    says(&refused(&place.with("ber.p12", &ber, RIGHT), Status::KeyStore), "damaged");
}

#[test]
fn a_jceks_store_tells_its_secret_keys_and_signs_with_its_private_ones() {
    let place = Place::new();
    says(&refused(&place.fixture("store.jceks", RIGHT), Status::KeyNotFound), "\"k\" (a secret key)");
    let key = open(&place.fixture("both.jceks", RIGHT)).unwrap();
    assert_eq!((key.alias(), key.certificates().len()), (Some("p"), 1));
    let cut = &bytes("both.jceks")[..700];
    says(&refused(&place.with("cut", cut, RIGHT), Status::KeyStore), "is a JCEKS store that ends too early");
    refused(&place.fixture("both.jceks", Some("wrong-one")), Status::KeyPassword);
}

#[test]
fn an_alias_that_is_not_there_is_answered_with_those_that_are() {
    let place = Place::new();
    let jks = refused(&place.fixture("two.jks", RIGHT).alias_is("nobody"), Status::KeyNotFound);
    says(&jks, "has no alias \"nobody\"; it has ");
    for name in ["\"signer\"", "\"second\"", "\"root\" (a trusted certificate)", "(set JWTCertAlias)"] {
        says(&jks, name);
    }
    assert_eq!(jks.option(), Some("JWTCertAlias"));
    let p12 = refused(&place.fixture("two-keys.p12", RIGHT).alias_is("nobody"), Status::KeyNotFound);
    says(&p12, "\"first\" and \"second\" (set JWTCertAlias)");
    let certificate = refused(&place.fixture("two.jks", RIGHT).alias_is("Root"), Status::KeyNotFound);
    says(&certificate, "only a trusted certificate as \"root\"");
}

#[test]
fn of_several_keys_none_is_taken_without_an_alias() {
    let place = Place::new();
    for name in ["two.jks", "two-keys.p12"] {
        let error = refused(&place.fixture(name, RIGHT), Status::KeyNotFound);
        says(&error, "several keys");
        says(&error, "(set JWTCertAlias)");
    }
    says(&refused(&place.fixture("two.pem", None), Status::KeyNotFound), "2 private keys");
}

#[test]
fn a_store_without_a_private_key_says_what_it_has_instead() {
    let place = Place::new();
    says(
        &refused(&place.fixture("trust.jks", RIGHT), Status::KeyNotFound),
        "\"root\" (a trusted certificate)",
    );
    says(&refused(&place.fixture("certs.p12", RIGHT), Status::KeyNotFound), "(a trusted certificate)");
    says(&refused(&place.fixture("ca.pem", RIGHT), Status::KeyNotFound), "PEM with CERTIFICATE");
}

#[test]
fn labels_that_no_pem_file_has_are_told_by_their_line() {
    let place = Place::new();
    let odd = "# one\n-----BEGIN hunter2-----\nAAAA\n-----END hunter2-----\n";
    let certificate = std::str::from_utf8(bytes("ca.pem")).unwrap();
    let text = format!("{odd}{certificate}{odd}");
    let error = refused(&place.with("odd.pem", text.as_bytes(), None), Status::KeyNotFound);
    let last = 5 + certificate.lines().count() + 1;
    says(
        &error,
        &format!("PEM with an unknown block (line 2), CERTIFICATE and an unknown block (line {last})"),
    );
    assert!(!error.message().contains("hunter2"), "{error}");
    let text = "-----BEGIN hunter2 PRIVATE KEY-----\n!\n-----END hunter2 PRIVATE KEY-----\n";
    let error = refused(&place.with("odd.pem", text.as_bytes(), None), Status::KeyStore);
    says(&error, "PEM with an unknown block (line 1), which is empty or not base64");
    assert!(!error.message().contains("hunter2"), "{error}");
}

#[test]
fn a_jks_store_tells_its_aliases_only_to_who_has_a_password_of_it() {
    let place = Place::new();
    for source in [
        place.fixture("one.jks", None),
        place.fixture("one.jks", None).alias_is("nobody"),
        place.fixture("one.jks", None).alias_is("signer"),
        place.fixture("two.jks", None),
        place.fixture("two.jks", None).alias_is("nobody"),
    ] {
        let error = refused(&source.key_password_is("wrong-one"), Status::KeyPassword);
        says(&error, "does not open with this JWTCertKeyPassword");
        let message = error.message().to_lowercase();
        assert!(["signer", "second", "root"].iter().all(|alias| !message.contains(alias)), "{error}");
    }
    let trust = refused(&place.fixture("trust.jks", None).key_password_is("x"), Status::KeyNotFound);
    assert!(!trust.message().contains("root"), "{trust}");
    for password in [KEY_PASSWORD, STORE_PASSWORD] {
        let right = place.fixture("two.jks", None).key_password_is(password).alias_is("nobody");
        says(&refused(&right, Status::KeyNotFound), "\"signer\"");
    }
}

#[test]
fn a_key_that_no_jwt_can_be_signed_with_is_named() {
    let place = Place::new();
    for (name, what) in [
        ("rsa512.pem", "an RSA key of 512 bits"),
        ("rsa1024.pem", "an RSA key of 1024 bits"),
        ("ec521.pem", "an EC key on P-521"),
        ("dsa.pem", "a DSA key"),
        ("dsa-pkcs8.pem", "a DSA key"),
    ] {
        says(&refused(&place.fixture(name, None), Status::KeyUnsuitable), what);
    }
}

#[test]
fn an_algorithm_that_the_key_does_not_fit_is_refused_with_the_one_that_it_does() {
    let place = Place::new();
    for (name, wanted, fits) in [
        ("rsa.pem", Algorithm::ES256, "RS256"),
        ("ec.pem", Algorithm::RS256, "ES256"),
        ("ec.pem", Algorithm::ES384, "ES256"),
        ("ec384.pem", Algorithm::ES256, "ES384"),
        ("rsa.pem", Algorithm::HS256, "RS256"),
        ("rsa.pem", Algorithm::EdDSA, "RS256"),
    ] {
        let key = open(&place.fixture(name, None)).unwrap();
        let error = key.algorithm(Some(wanted)).unwrap_err();
        assert_eq!(error.status(), Status::KeyUnsuitable);
        says(&error, &format!("which signs {fits}"));
        assert!(key.sign(wanted, b"x").is_err());
    }
}

#[test]
fn debug_of_a_key_shows_neither_key_nor_password() {
    let place = Place::new();
    let key = open(&place.fixture("rsa.p12", RIGHT)).unwrap();
    let shown = format!("{key:?}");
    assert!(shown.contains("an RSA key of 2048 bits") && !shown.contains(STORE_PASSWORD), "{shown}");
    assert!(shown.len() < 300, "{shown}");
}

/// A generator that is the same in each run, so that a failure can be met again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize).checked_rem(end).unwrap_or_default()
    }
}

#[test]
fn a_file_with_flipped_bytes_is_refused_or_opened_and_never_worse() {
    let place = Place::new();
    let mut dice = Dice(1);
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
            let mut content = bytes(name).to_vec();
            for _ in 0..=dice.below(3) {
                let place = dice.below(content.len().min(400));
                content[place] = dice.below(256) as u8;
            }
            if let Err(error) = open(&place.with(name, &content, RIGHT).alias_is("signer")) {
                let expected =
                    [Status::KeyStore, Status::KeyPassword, Status::KeyNotFound, Status::KeyUnsuitable];
                assert!(expected.contains(&error.status()), "{error}");
            }
        }
    }
}

#[test]
fn a_fingerprint_is_that_of_the_public_key_as_openssl_writes_it() {
    for name in ["rsa.pem", "ec.pem"] {
        let place = Place::new();
        let key = open(&place.fixture(name, None)).unwrap();
        let digest = "-pubout -outform DER | openssl dgst -sha256 -binary | base64 > print";
        run(place.path(), &format!("openssl pkey -in {name} {digest}"));
        let print = std::fs::read_to_string(place.file("print")).unwrap();
        assert_eq!(key.fingerprint().unwrap(), format!("SHA256:{}", print.trim()), "{name}");
    }
    let shared = open(&KeySource::shared(&"s".repeat(32))).unwrap();
    assert_eq!(shared.fingerprint().unwrap_err().status(), Status::KeyUnsuitable);
}
