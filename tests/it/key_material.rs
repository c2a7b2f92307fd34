//! No part of a private key leaves the process or appears in a text, in any encoding.

use crate::support::c_api::{
    Connection, LogLines, c_str_to_string, collect_failures, get_token, open, poisoned_ptr,
};
use crate::support::{ISSUER, start_mock_server, stores};
use authgrant::ffi::report::authgrant_get_stats;
use authgrant::ffi::text::authgrant_string_free;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use mock_server::{Config, MockServer};

/// Bytes of a key that are searched for together. Their encodings are too long to occur by chance.
const WINDOW: usize = 12;

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = std::process::Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The private exponent and what follows it of the RSA key `key.pem`, and the private number of the EC key
/// `p256.key.pem`, without their public keys.
fn private_parts() -> [Vec<u8>; 2] {
    let rsa = openssl(&["rsa", "-in", &stores::path("key.pem"), "-traditional", "-outform", "DER"]);
    let ec = openssl(&["ec", "-in", &stores::path("p256.key.pem"), "-outform", "DER"]);
    // PKCS#1: the headers, the version, a modulus of 257 bytes, and 65537. SEC1: the headers and the version.
    [rsa[4 + 3 + 4 + 257 + 5..].to_vec(), ec[7..7 + 32].to_vec()]
}

/// Every encoding of every part of `bytes`: base64 in both alphabets, hexadecimal, and a list of numbers.
fn encodings(bytes: &[u8]) -> Vec<String> {
    let hex = |window: &[u8]| window.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    bytes
        .windows(WINDOW)
        .flat_map(|window| {
            let decimal = format!("{window:?}").replace(' ', "");
            [
                STANDARD_NO_PAD.encode(window),
                URL_SAFE_NO_PAD.encode(window),
                hex(window),
                decimal.trim_matches(['[', ']']).to_owned(),
            ]
        })
        .collect()
}

/// Asserts that no part of a key is in `texts`, whatever divides it: line breaks, escapes, colons.
fn assert_no_key_material(texts: &[String]) {
    let encodings: Vec<_> = private_parts().iter().flat_map(|part| encodings(part)).collect();
    for text in texts {
        let dense: String = text.replace("\\n", "").replace([' ', '\n', '\r', ':', '\\'], "");
        let lower = dense.to_lowercase();
        let found = encodings.iter().find(|encoding| dense.contains(*encoding) || lower.contains(*encoding));
        assert_eq!(found, None, "in {text}");
    }
}

fn process_stats() -> String {
    let mut json = poisoned_ptr();
    assert_eq!(collect_failures(|error| authgrant_get_stats(&raw mut json, error)), []);
    let text = c_str_to_string(json).unwrap();
    authgrant_string_free(json);
    text
}

/// The texts that an application can get from a connection, and what it sent to `server`.
fn all_texts(connection: &Connection, server: &MockServer) -> Vec<String> {
    let lines: &'static LogLines = Box::leak(Box::default());
    connection.collect_log(lines);
    let headers = connection.get_headers();
    let mut texts = vec![
        format!("{headers:?}"),
        format!("{:?}", connection.explain()),
        connection.validate(),
        format!("{:?}", connection.warnings()),
        format!("{:?}", connection.make_assertion()),
        connection.completed_string(0),
        process_stats(),
        format!("{:?}", server.requests()),
    ];
    texts.extend(lines.0.lock().unwrap().iter().cloned());
    texts
}

#[test]
fn encodings_of_key_file_are_found() {
    let pem = std::fs::read_to_string(stores::path("pkcs1.pem")).unwrap();
    let escaped = pem.replace('\n', "\\n");
    let hex = openssl(&["rsa", "-in", &stores::path("key.pem"), "-noout", "-text"]);
    for text in [pem, escaped, String::from_utf8(hex).unwrap(), format!("{:?}", private_parts()[1])] {
        let outcome = std::panic::catch_unwind(|| assert_no_key_material(std::slice::from_ref(&text)));
        assert!(outcome.is_err(), "{text}");
    }
}

#[test]
fn key_material_is_in_no_text_and_request() {
    let server = start_mock_server(Config::http());
    let read = |name: &str| std::fs::read_to_string(stores::path(name)).unwrap();
    let [_, ec] = private_parts();
    let mut texts = Vec::new();
    for (key, ends_with_token) in [
        (format!("JWTCertStore={};JWTCertPassword=secret", stores::path("keytool.jks")), true),
        (format!("JWTCertStore={};JWTCertPassword=secret", stores::path("openssl.p12")), true),
        (format!("JWTCertStore={}", stores::path("pkcs1.pem")), true),
        (format!("JWTPrivateKey={}", read("key.pem")), true),
        (format!("JWTPrivateKey={}", read("pkcs1.pem").replace('\n', "\\n")), true),
        (format!("JWTPrivateKey={}", read("p256.sec1.pem")), false),
        // Mistakes: a damaged key, another algorithm, and a key in place of its file, a password or a secret.
        (format!("JWTPrivateKey={}", read("key.pem").replace("-----END", "-----")), false),
        (format!("JWTPrivateKey={}", read("key.pem").replace("MII", "MI")), false),
        (format!("JWTAlgorithm=ES256;JWTPrivateKey={}", read("key.pem")), false),
        (format!("JWTCertStore={}", read("key.pem")), false),
        (format!("JWTCertStore={}", read("p256.sec1.pem").replace('\n', "\\n")), false),
        (format!("JWTCertificate={};JWTPrivateKey={}", read("key.pem"), read("key.pem")), false),
        (format!("JWTCertStore={};JWTCertPassword={}", stores::path("keytool.jks"), read("key.pem")), false),
        (format!("JWTSecret={}", read("key.pem")), false),
        (format!("TrustStore={};JWTPrivateKey=x", read("key.pem")), false),
        (format!("JWTCertStore={{\"kty\":\"EC\",\"d\":\"{}\"}}", URL_SAFE_NO_PAD.encode(&ec)), false),
    ] {
        let string = format!(
            "am=55;CacheScope=Connection;ClaimsIssuer={ISSUER};ClaimsSubject=a;Scope=s;{key};TokenURI=POST {}",
            server.url("/oauth/token")
        );
        let outcome = get_token(&string);
        assert_eq!(outcome.is_ok(), ends_with_token, "{:?}", outcome.err());
        texts.extend(outcome.err().map(|failure| format!("{failure:?}")));
        texts.extend(all_texts(&open(&string).unwrap(), &server));
    }
    assert!(texts.len() > 100, "{}", texts.len());
    assert_no_key_material(&texts);
}
