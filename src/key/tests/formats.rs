//! Formats other than stores and PEM, and keys with restrictions.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;

use crate::base::error::{Error, Status};
use crate::key::fixtures::{KeyDir, STORE_PASSWORD, fixture_bytes, run_shell};
use crate::key::metadata::parse_metadata;
use crate::key::{CertHeader, KeySource, open};

fn key_dir_from_script(script: &str) -> KeyDir {
    let dir = KeyDir::new();
    run_shell(dir.path(), &format!("set -e\n{script}"));
    dir
}

#[track_caller]
fn open_error(source: &KeySource, status: Status, fragments: &[&str]) -> Error {
    let error = open(source).unwrap_err();
    assert_eq!(error.status(), status, "{error}");
    for fragment in fragments {
        assert!(error.message().contains(fragment), "no {fragment:?} in {error}");
    }
    error
}

#[test]
fn pss_key_parameters_restrict_algorithms() {
    let dir = key_dir_from_script(
        "openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out any.pem
         openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_pss_keygen_md:sha512 \
           -pkeyopt rsa_pss_keygen_mgf1_md:sha512 -pkeyopt rsa_pss_keygen_saltlen:64 -out sha512.pem
         openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_pss_keygen_md:sha256 \
           -pkeyopt rsa_pss_keygen_mgf1_md:sha1 -out mixed.pem",
    );
    let any = open(&dir.source("any.pem", None)).unwrap();
    assert_eq!(any.select_algorithm(None).unwrap(), Algorithm::PS256);
    assert_eq!(any.select_algorithm(Some(Algorithm::PS512)).unwrap(), Algorithm::PS512);
    let error = any.select_algorithm(Some(Algorithm::RS256)).unwrap_err();
    let own = "an RSA key of 2048 bits for RSASSA-PSS only (PS256, PS384, PS512)";
    assert!(error.message().contains(own), "{error}");
    assert!(any.sign(Algorithm::RS256, b"x").is_err());
    let sha512 = open(&dir.source("sha512.pem", None)).unwrap();
    assert_eq!(sha512.select_algorithm(None).unwrap(), Algorithm::PS512);
    assert!(sha512.select_algorithm(Some(Algorithm::PS256)).is_err());
    open_error(&dir.source("mixed.pem", None), Status::KeyUnsuitable, &["RSASSA-PSS"]);
}

#[test]
fn oct_jwk_signs_like_jwt_secret() {
    let set = r#"{"keys":[{"kty":"EC","kid":"public","crv":"P-256","x":"AA","y":"AA"},
        {"kty":"oct","kid":"long","k":"c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3M"},
        {"kty":"oct","kid":"short","k":"c3Nz"}]}"#;
    let source = KeySource::inline(set);
    let key = open(&source.clone().with_alias("long")).unwrap();
    assert_eq!(key.select_algorithm(None).unwrap(), Algorithm::HS256);
    let same = open(&KeySource::hmac_secret(&"s".repeat(32))).unwrap();
    let sign_with = |key: &crate::key::SigningKey| key.sign(Algorithm::HS256, b"x").unwrap();
    assert_eq!(sign_with(&key), sign_with(&same));
    assert_eq!(open(&source).unwrap().alias(), Some("long"), "the other is too short for any algorithm");
    let tied = set.replace("c3Nz\"", "c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3M\"");
    open_error(&KeySource::inline(&tied), Status::KeyNotFound, &["\"long\" and \"short\""]);
    let short = open(&source.with_alias("short")).unwrap();
    assert_eq!(short.select_algorithm(None).unwrap_err().status(), Status::KeyUnsuitable);
}

/// The example of RFC 8037 appendix A.1, with additional members.
fn ed25519_jwk(more: &str) -> String {
    format!(
        r#"{{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"{more}}}"#
    )
}

#[test]
fn jwk_alg_must_fit_its_kty() {
    let oct = |alg: &str| format!(r#"{{"kty":"oct","k":"c3Nz","alg":"{alg}"}}"#);
    for alg in ["HS256", "HS384", "HS512"] {
        assert_eq!(open(&KeySource::inline(&oct(alg))).unwrap().algorithms(), [alg.parse().unwrap()]);
    }
    open(&KeySource::inline(&ed25519_jwk(r#","alg":"EdDSA""#))).unwrap();
    for (jwk, fragment) in [
        (oct("RS256"), "alg RS256, but it is a shared secret of 24 bits"),
        (oct("ES256"), "alg ES256, but it is a shared secret of 24 bits"),
        (ed25519_jwk(r#","alg":"RS256""#), "alg RS256, but it is an Ed25519 key"),
        (ed25519_jwk(r#","alg":"HS256""#), "alg HS256, but it is an Ed25519 key"),
    ] {
        open_error(&KeySource::inline(&jwk), Status::KeyUnsuitable, &[fragment]);
    }
}

#[test]
fn key_pair_in_jwt_secret_is_rejected() {
    let jwk = ed25519_jwk("");
    open(&KeySource::inline(&jwk)).unwrap();
    let error = open_error(&KeySource::hmac_secret(&jwk), Status::KeyUnsuitable, &["set JWTPrivateKey"]);
    assert_eq!(error.option(), Some("JWTSecret"));
}

#[test]
fn nul_is_found_next_to_deep_nesting() {
    let nested = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let text = format!(r#"{{"kty":"oct","k":"c3Nz","kid":"hunter2\u0000","deep":{nested}}}"#);
    open_error(&KeySource::inline(&text), Status::KeyStore, &["NUL character in a member"]);
    open(&KeySource::inline(&text.replace("\\u0000", ""))).unwrap();
}

#[test]
fn repeated_kid_is_ambiguous() {
    let set = r#"{"keys":[{"kty":"oct","kid":"same","k":"c3Nz"},{"kty":"oct","kid":"same","k":"c3Nz"}]}"#;
    let source = KeySource::inline(set).with_key_id("same");
    let fragments = ["2 private keys with the kid \"same\" (JWTKeyID)"];
    let error = open_error(&source, Status::KeyNotFound, &fragments);
    assert_eq!(error.option(), Some("JWTKeyID"));
}

#[test]
fn single_jwk_is_used_with_any_alias() {
    let jwk = r#"{"kty":"oct","kid":"only","k":"c3Nz"}"#;
    for text in [jwk.to_owned(), format!(r#"{{"keys":[{jwk}]}}"#)] {
        let key = open(&KeySource::inline(&text).with_alias("other")).unwrap();
        assert_eq!(key.alias(), Some("only"), "{text}");
    }
}

#[test]
fn jwk_has_certificates_of_x5c() {
    let der = fixture_bytes("ed25519.der");
    let public = Ed25519KeyPair::from_pkcs8(der).unwrap().public_key().as_ref().to_vec();
    let pem = std::str::from_utf8(fixture_bytes("ed25519.crt")).unwrap();
    let certificate: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let open_with_x5c = |x5c: &str| {
        let (d, x) = (URL_SAFE_NO_PAD.encode(&der[16..]), URL_SAFE_NO_PAD.encode(&public));
        let jwk = serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "d": d, "x": x, "x5c": [x5c] });
        open(&KeySource::inline(&jwk.to_string())).unwrap()
    };
    assert_eq!(open_with_x5c(&certificate).certificates().len(), 1);
    let error = open_with_x5c("!").certificate_header(CertHeader::X5t).unwrap_err();
    assert!(error.message().contains("whose x5c is empty or not base64"), "{error}");
}

#[test]
fn json_web_keys_have_no_metadata() {
    let parse = |text: &str| parse_metadata(&KeySource::inline(text), text.as_bytes());
    for key in [r#"{"kty":"oct","k":"c3Nz"}"#, r#"{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AQAB"}"#] {
        for text in [key.to_owned(), format!(r#"{{"keys":[{key}]}}"#)] {
            assert!(parse(&text).unwrap().is_none(), "{text}");
        }
    }
    let public = r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#;
    for text in [public.to_owned(), format!(r#"{{"keys":[{public}]}}"#)] {
        let error = parse(&text).err().unwrap();
        assert!(error.message().contains("all its JSON Web Keys are public"), "{error}");
    }
}

#[test]
fn json_length_is_bounded() {
    let key = r#"{"kty":"oct","k":"c3Nz"}"#;
    let largest = format!("{key}{}", " ".repeat(512 * 1024 - key.len()));
    open(&KeySource::inline(&largest)).unwrap();
    let larger = KeySource::inline(&format!("{largest} "));
    open_error(&larger, Status::KeyStore, &["too large for a JSON key (524289 bytes, limit 524288)"]);
}

#[test]
fn pem_block_without_matching_end_is_damage() {
    let pem = std::str::from_utf8(fixture_bytes("ed25519.pem")).unwrap();
    let labelled = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n{pem}");
    open(&KeySource::inline(&labelled(&"A".repeat(63)))).unwrap();
    for text in [
        labelled(&"A".repeat(64)),
        pem.replace("END PRIVATE KEY", "END EC PRIVATE KEY"),
        format!("-----BEGIN PRIVATE KEY-----\nAAAA\n{pem}"),
    ] {
        open_error(&KeySource::inline(&text), Status::KeyStore, &["a block has no END line"]);
    }
}

/// PEM with a key in traditional encryption.
fn encrypted_pem(dek_info: &str) -> String {
    format!(
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: {dek_info}\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
    )
}

#[test]
fn unknown_pem_cipher_is_named_if_printable() {
    let longest = "A".repeat(31);
    for (cipher, shown) in [
        ("RC5-CBC", "RC5-CBC"),
        (&*longest, &*longest),
        (&format!("{longest}A"), "an unknown cipher"),
        ("hunter2;", "an unknown cipher"),
    ] {
        let source = KeySource::inline(&encrypted_pem(&format!("{cipher},00")));
        let fragment = format!("encrypted with {shown}, which is not supported");
        open_error(&source.with_password(STORE_PASSWORD), Status::KeyStore, &[&fragment]);
    }
}

#[test]
fn unreadable_pem_key_error_names_reason() {
    let damaged = "damaged RSA PRIVATE KEY (Proc-Type: 4,ENCRYPTED)";
    for (text, fragment) in [
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n".to_owned(),
            "ssh-keygen -p",
        ),
        // IVs that are too short, and half a byte longer.
        (encrypted_pem("AES-128-CBC,0011223344556677"), damaged),
        (encrypted_pem("AES-128-CBC,001122334455667788990011223344556"), damaged),
        (encrypted_pem("AES-128-CBC"), damaged),
    ] {
        open_error(&KeySource::inline(&text).with_password(STORE_PASSWORD), Status::KeyStore, &[fragment]);
    }
}

#[test]
fn json_without_key_error_omits_content() {
    for (text, status, fragments) in [
        (
            r#"{"type":"external_account","x":"hunter2"}"#,
            Status::KeyNotFound,
            &["external_account", "service account"][..],
        ),
        (r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#, Status::KeyNotFound, &["public"]),
        (r#"{"some":"hunter2"}"#, Status::KeyNotFound, &["JSON Web Key"]),
        (r#"{"kty":"RSA","d":"hunter2","n":7}"#, Status::KeyStore, &["line 1, column"]),
        (r#"{"kty":"RSA","d":"AQAB","n":"AQAB"}"#, Status::KeyStore, &["the member e"]),
        (r#"{"kty":"RSA","d":"!","n":"!","e":"!"}"#, Status::KeyStore, &["not base64url"]),
        (r#"{"kty":"XYZ","d":"AQAB"}"#, Status::KeyUnsuitable, &["kty"]),
        (r#"{"type":"service_account","private_key":"hunter2"}"#, Status::KeyStore, &["not PEM"]),
        (r#"{"kty":"hunter2"#, Status::KeyStore, &["line 1"]),
        (r#"{"kty":"EC","crv":"hunter2","d":"AQAB"}"#, Status::KeyUnsuitable, &["unknown EC curve"]),
        (r#"{"kty":"OKP","crv":"hunter2","d":"AQAB"}"#, Status::KeyUnsuitable, &["not Ed25519"]),
        (r#"{"some":[1,"hunter2\u0000"]}"#, Status::KeyStore, &["NUL character in the member \"some\""]),
        (r#"{"hunter2\u0000":1}"#, Status::KeyStore, &["NUL character in the name of a member"]),
    ] {
        let error = open_error(&KeySource::inline(text), status, fragments);
        assert!(!error.message().contains("hunter2"), "{error}");
    }
}

#[test]
fn configured_password_overrides_box_passphrase() {
    let dir = key_dir_from_script(
        "openssl genpkey -algorithm ED25519 -out key.pem
         openssl pkcs8 -topk8 -in key.pem -passout pass:changeit -out encrypted.pem",
    );
    let encrypted = std::fs::read_to_string(dir.file_path("encrypted.pem")).unwrap();
    let file = |passphrase: &str| {
        serde_json::json!({
            "boxAppSettings": { "appAuth": { "privateKey": encrypted, "passphrase": passphrase } }
        })
        .to_string()
    };
    open(&KeySource::inline(&file(STORE_PASSWORD))).unwrap();
    open(&KeySource::inline(&file("wrong-one")).with_password(STORE_PASSWORD)).unwrap();
    open_error(&KeySource::inline(&file("wrong-one")), Status::KeyPassword, &["JWTCertPassword"]);
}

#[test]
fn pkcs12_opens_with_key_or_store_password() {
    // Without a MAC and with an unencrypted certificate, the only password of the store is that of its key.
    let dir = key_dir_from_script(
        "openssl genpkey -algorithm ED25519 -out key.pem
         openssl req -x509 -new -key key.pem -subj /CN=a -days 9 -out key.crt
         openssl pkcs12 -export -inkey key.pem -in key.crt -name a -certpbe NONE -passout pass:another1 -nomac -out a.p12",
    );
    open(&dir.source("a.p12", None).with_key_password("another1")).unwrap();
    open(&dir.source("a.p12", Some("of-the-store")).with_key_password("another1")).unwrap();
    open_error(&dir.source("a.p12", None), Status::KeyPassword, &["set JWTCertPassword"]);
    open_error(&dir.source("a.p12", Some("wrong-one")), Status::KeyPassword, &["JWTCertPassword"]);
}
