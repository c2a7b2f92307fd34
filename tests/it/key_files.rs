//! Key files as users have them: in text armor. Through the C API.

use std::fs;
use std::process::Command;

use crate::support::c_api::{Failure, get_token};
use crate::support::stores;
use crate::support::tempdir::TestDir;
use authgrant::ffi::status::*;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// The signed JWT is the token, so that a key that opens yields a token. No token is shared: the tests write
/// different keys to the same file.
const SIGNED_JWT: &str = "am=55;ClaimsIssuer=me;CacheScope=Connection";

fn run_shell(dir: &TestDir, script: &str) {
    let output = Command::new("sh")
        .args(["-ec", &format!("umask 077; {script}")])
        .current_dir(&dir.0)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&text));
}

/// A directory with the key `key.pem` and its certificate `key.crt`.
fn dir_with_key() -> TestDir {
    let dir = TestDir::new();
    run_shell(
        &dir,
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem
         openssl req -x509 -new -key key.pem -subj /CN=me -days 30 -out key.crt",
    );
    dir
}

fn store_string(path: &str, options: &str) -> String {
    format!("{SIGNED_JWT};JWTCertStore={path};{options}")
}

fn inline_string(text: &str, options: &str) -> String {
    format!("{SIGNED_JWT};JWTPrivateKey={{{}}};{options}", text.replace('}', "}}"))
}

#[track_caller]
fn assert_opens(string: &str, case: &str) {
    if let Err(failure) = get_token(string) {
        panic!("{case}: {failure:?}");
    }
}

/// Asserts that getting a token fails because of `option`, and that the message contains all `fragments`.
#[track_caller]
fn assert_fails(string: &str, status: i32, option: &str, fragments: &[&str]) -> Box<Failure> {
    let failure = get_token(string).map(|token| token.value()).unwrap_err();
    assert_eq!((failure.status, failure.option.as_deref()), (status, Some(option)), "{string}: {failure:?}");
    for fragment in fragments {
        assert!(failure.message.contains(fragment), "no {fragment:?} in {}", failure.message);
    }
    failure
}

fn jwt_header(string: &str) -> Value {
    let token = get_token(string).unwrap_or_else(|failure| panic!("{string}: {failure:?}")).value();
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice(&header).unwrap()
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

fn wrap_lines(base64: &str) -> String {
    base64.as_bytes().chunks(64).map(|line| format!("{}\r\n", String::from_utf8_lossy(line))).collect()
}

#[test]
fn base64_text_of_store_opens() {
    let dir = TestDir::new();
    for name in ["openssl.p12", "keytool.jks", "keytool-pkcs12.jks", "openssl.pem"] {
        let encoded = STANDARD.encode(fs::read(stores::path(name)).unwrap());
        for (case, content) in [
            ("one line", encoded.clone().into_bytes()),
            ("lines", wrap_lines(&encoded).into_bytes()),
            ("URL alphabet", encoded.replace('+', "-").replace('/', "_").replace('=', "").into_bytes()),
            ("byte order mark", format!("\u{feff}{encoded}\r\n").into_bytes()),
            ("UTF-16", utf16(&format!("\u{feff}{encoded}"), u16::to_le_bytes)),
            ("UTF-16 without mark", utf16(&encoded, u16::to_le_bytes)),
            ("twice", STANDARD.encode(&encoded).into_bytes()),
        ] {
            let path = dir.write("store", content);
            assert_opens(&store_string(&path, "JWTCertPassword=secret"), &format!("{name}, {case}"));
        }
    }
    let cut = &STANDARD.encode(fs::read(stores::path("openssl.p12")).unwrap())[..800];
    let path = dir.write("store", cut);
    let string = store_string(&path, "JWTCertPassword=secret");
    assert_fails(&string, AUTHGRANT_KEY_STORE_ERROR, "JWTCertStore", &["cut short: 600 of"]);
}

#[test]
fn pkcs12_in_pem_opens() {
    let dir = dir_with_key();
    // Without --outder, certtool writes PEM.
    run_shell(
        &dir,
        "certtool --to-p12 --load-privkey key.pem --load-certificate key.crt --p12-name me --password secret \
         --pkcs-cipher aes-256 --outfile me.p12",
    );
    assert!(fs::read_to_string(dir.path("me.p12")).unwrap().contains("-----BEGIN PKCS12-----"));
    assert_opens(&store_string(&dir.path("me.p12"), "JWTCertPassword=secret;JWTThumbprint=x5t"), "certtool");
}

/// PEM with other line breaks than those of a text file.
fn escaped_variants(pem: &str) -> Vec<(&'static str, String)> {
    vec![
        (r"\n", pem.replace('\n', r"\n")),
        (r"\r\n", pem.replace('\n', r"\r\n")),
        (r"\\n", pem.replace('\n', r"\\n")),
        (r"\\r\\n", pem.replace('\n', r"\\r\\n")),
        (r"\\\\n", pem.replace('\n', r"\\\\n")),
        (r"\n in quotes", format!("\"{}\"", pem.replace('\n', r"\n"))),
        (r"\/", pem.replace('\n', r"\n").replace('/', r"\/")),
        (r"\u002B", pem.replace('\n', r"\n").replace('+', r"\u002B")),
        ("shell", pem.replace('\n', "\\\n")),
        ("mixed", pem.replacen('\n', r"\n", 1)),
        ("byte order mark", format!("\u{feff}{pem}")),
    ]
}

#[test]
fn escaped_line_breaks_of_pem_open() {
    let dir = TestDir::new();
    for name in ["openssl.pem", "pkcs1.pem", "p256.sec1.pem", "encrypted.pem"] {
        let pem = fs::read_to_string(stores::path(name)).unwrap();
        for (case, text) in escaped_variants(&pem) {
            let path = dir.write("key", &text);
            assert_opens(&store_string(&path, "JWTCertPassword=secret"), &format!("{name}, file, {case}"));
            assert_opens(&inline_string(&text, "JWTCertPassword=secret"), &format!("{name}, inline, {case}"));
            let google = json!({ "type": "service_account", "private_key": text }).to_string();
            let path = dir.write("key.json", google);
            assert_opens(&store_string(&path, "JWTCertPassword=secret"), &format!("{name}, JSON, {case}"));
        }
    }
    // A backslash within base64 is damage.
    let pem = fs::read_to_string(stores::path("pkcs1.pem")).unwrap();
    let path = dir.write("key", pem.replacen("MII", r"MI\I", 1));
    assert_fails(&store_string(&path, ""), AUTHGRANT_KEY_STORE_ERROR, "JWTCertStore", &["not base64"]);
}

#[test]
fn utf16_key_files_open() {
    let dir = TestDir::new();
    let pem = fs::read_to_string(stores::path("openssl.pem")).unwrap();
    let google = json!({ "type": "service_account", "private_key": pem, "client_email": "ä@b.example" });
    for text in [pem, google.to_string()] {
        for to_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            let marked = dir.write("key", utf16(&format!("\u{feff}{text}"), to_bytes));
            assert_opens(&store_string(&marked, ""), "UTF-16 with a byte order mark");
        }
        let ascii = text.replace('ä', "a");
        let path = dir.write("key", utf16(&ascii, u16::to_le_bytes));
        assert_opens(&store_string(&path, ""), "UTF-16 without a byte order mark");
        assert_opens(&inline_string(&format!("\u{feff}{ascii}"), ""), "inline");
    }
}

#[test]
fn certificate_file_in_text_armor_opens() {
    let dir = dir_with_key();
    run_shell(&dir, "openssl x509 -in key.crt -outform DER -out der");
    let pem = fs::read_to_string(dir.path("key.crt")).unwrap();
    let der = STANDARD.encode(fs::read(dir.path("der")).unwrap());
    let mut variants = escaped_variants(&pem);
    variants.extend([("base64", der.clone()), ("lines of base64", wrap_lines(&der))]);
    let mut variants: Vec<_> = variants.into_iter().map(|(case, text)| (case, text.into_bytes())).collect();
    variants.push(("UTF-16", utf16(&format!("\u{feff}{pem}"), u16::to_le_bytes)));
    for (case, content) in variants {
        let certificate = dir.write("certificate", content);
        let options = format!("JWTThumbprint=x5t;JWTCertificate={certificate}");
        assert!(jwt_header(&store_string(&dir.path("key.pem"), &options))["x5t"].is_string(), "{case}");
    }
}
