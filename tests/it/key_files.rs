//! Key files as users have them: in text armor, with the names of other programs, with parts that cannot be
//! read, and files that are mistaken for key files. Through the C API.

use std::fs;
use std::process::Command;

use crate::support::c_api::{Failure, get_token, open};
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
         openssl req -x509 -new -key key.pem -subj /CN=me -days 300 -out key.crt",
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

/// Writes an unencrypted PKCS#12 store whose key is named `key` and its certificate `certificate`.
fn write_named_store(dir: &TestDir, key: &str, certificate: &str) -> String {
    const PLACEHOLDER: &str = "placeholder-for-the-name";
    let bmp = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
    let pad = |text: &str| bmp(&format!("{text:\0<width$}", width = PLACEHOLDER.len()));
    run_shell(
        dir,
        &format!(
            "openssl pkcs12 -export -inkey key.pem -in key.crt -name {PLACEHOLDER} -keypbe NONE -certpbe NONE \
             -nomac -passout pass: -out named.p12"
        ),
    );
    let mut content = fs::read(dir.path("named.p12")).unwrap();
    // OpenSSL writes the certificate first.
    for name in [certificate, key] {
        let found = bmp(PLACEHOLDER);
        let offset = content.windows(found.len()).position(|window| window == found).unwrap();
        content.splice(offset..offset + found.len(), pad(name));
    }
    dir.write("named.p12", content)
}

#[test]
fn key_is_found_by_name_of_its_certificate() {
    let dir = dir_with_key();
    let store = write_named_store(&dir, "{5A1F-00}", "My Signer");
    for alias in ["My Signer", "my signer", "{{5A1F-00}}}", "{{5a1f-00}}}"] {
        assert_opens(&store_string(&store, &format!("JWTCertAlias={alias}")), alias);
    }
    let fragments = [r#""{5A1F-00}" (its certificate: "My Signer")"#];
    let nobody = store_string(&store, "JWTCertAlias=nobody");
    assert_fails(&nobody, AUTHGRANT_KEY_NOT_FOUND, "JWTCertAlias", &fragments);
    let report: Value = serde_json::from_str(&open(&store_string(&store, "")).unwrap().validate()).unwrap();
    let key = &report["store"]["keys"][0];
    assert_eq!((&key["alias"], &key["certificate_alias"]), (&json!("{5A1F-00}"), &json!("My Signer")));
}

#[test]
fn alias_comparison_normalizes_names() {
    let dir = dir_with_key();
    let decomposed = "Mu\u{308}ller";
    run_shell(
        &dir,
        &format!(
            "LC_ALL=C.UTF-8 openssl pkcs12 -export -inkey key.pem -in key.crt -name {decomposed} \
             -passout pass:secret -out umlaut.p12"
        ),
    );
    for alias in [decomposed, "M\u{fc}ller", "m\u{dc}LLER"] {
        let options = format!("JWTCertPassword=secret;JWTCertAlias={alias}");
        assert_opens(&store_string(&dir.path("umlaut.p12"), &options), alias);
    }
    let store = write_named_store(&dir, "one", "one");
    for alias in ["one", "ONE"] {
        assert_opens(&store_string(&store, &format!("JWTCertAlias={alias}")), alias);
    }
}

#[test]
fn alias_error_shows_invisible_difference() {
    let dir = dir_with_key();
    for (name, shown) in [
        ("one\u{200b}", r"one\u{200b}"),
        ("on\u{ad}e", r"on\u{ad}e"),
        ("\u{feff}one", r"\u{feff}one"),
        ("o\u{1}ne", r"o\x01ne"),
        ("one\u{a0}", r"one\u{a0}"),
    ] {
        let store = write_named_store(&dir, name, name);
        let string = store_string(&store, "JWTCertAlias=one");
        let fragments = [&format!("no key with alias \"one\"; available: \"{shown}\"")[..]];
        assert_fails(&string, AUTHGRANT_KEY_NOT_FOUND, "JWTCertAlias", &fragments);
    }
}

#[test]
fn key_opens_without_unreadable_certificates() {
    let dir = dir_with_key();
    run_shell(
        &dir,
        "openssl pkcs12 -export -inkey key.pem -in key.crt -name me -passout pass:secret -nomac \
            -certpbe CAMELLIA-256-CBC -out camellia.p12
         openssl pkcs12 -export -inkey key.pem -in key.crt -name me -passout pass:secret -nomac \
            -certpbe AES-256-CBC -out aes.p12
         openssl pkcs12 -export -inkey key.pem -in key.crt -name me -passout pass: -nomac -keypbe NONE \
            -certpbe NONE -out clear.p12",
    );
    let replace = |name: &str, from: &[u8], to: &[u8]| {
        let mut content = fs::read(dir.path(name)).unwrap();
        let offset = content.windows(from.len()).position(|window| window == from).unwrap();
        content.splice(offset..offset + to.len(), to.iter().copied());
        dir.write(name, content)
    };
    // The last arc of the cipher's OID becomes an unknown one.
    let camellia = [0x0b, 0x2a, 0x83, 0x08, 0x8c, 0x9a, 0x4b, 0x3d, 0x01, 0x01, 0x01, 0x04];
    let unknown = [0x0b, 0x2a, 0x83, 0x08, 0x8c, 0x9a, 0x4b, 0x3d, 0x01, 0x01, 0x01, 0x05];
    replace("camellia.p12", &camellia, &unknown);
    // The certificates come first: their IV follows the OID of the cipher.
    let aes = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a, 0x04, 0x10];
    let mut content = fs::read(dir.path("aes.p12")).unwrap();
    let offset = content.windows(aes.len()).position(|window| window == aes).unwrap() + aes.len();
    content[offset] ^= 0xFF;
    dir.write("aes.p12", content);
    // OID of X.509 version 1 certificates in their bag, followed by [0] { OCTET STRING { SEQUENCE.
    let bag = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x16, 0x01, 0xa0, 0x82];
    let mut content = fs::read(dir.path("clear.p12")).unwrap();
    let offset = content.windows(bag.len()).position(|window| window == bag).unwrap() + bag.len() + 6;
    assert_eq!(content[offset], 0x30);
    content[offset] = 0x31;
    dir.write("clear.p12", content);
    let key = fs::read_to_string(dir.path("key.pem")).unwrap();
    dir.write("damaged.pem", format!("{key}-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"));
    for (name, reason) in [
        ("camellia.p12", "1.2.392.200011.61.1.1.1.5"),
        ("aes.p12", "cannot be decrypted"),
        ("clear.p12", "damaged certificates"),
        ("damaged.pem", "not base64"),
    ] {
        let string = store_string(&dir.path(name), "JWTCertPassword=secret");
        let connection = open(&string).unwrap();
        connection.get_token().unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
        let warnings = connection.warnings();
        let about_certificates = |warning: &Failure| {
            (warning.sqlstate.as_str(), warning.option.as_deref()) == ("01000", Some("JWTCertStore"))
                && warning.message.contains("certificate")
                && warning.message.contains(reason)
        };
        assert!(warnings.iter().any(about_certificates), "{name}: {warnings:?}");
        let fragments = [reason, "JWTThumbprint"];
        let required = format!("{string};JWTThumbprint=x5t");
        assert_fails(&required, AUTHGRANT_MISSING_OPTION, "JWTCertificate", &fragments);
    }
    let wrong = store_string(&dir.path("aes.p12"), "JWTCertPassword=wrong;JWTCertAlias=nobody");
    assert_fails(&wrong, AUTHGRANT_KEY_PASSWORD, "JWTCertPassword", &[]);
}

#[test]
fn json_of_another_kind_is_named_first() {
    let dir = TestDir::new();
    let installed = json!({ "client_id": "c", "client_secret": "hunter2", "token_uri": "https://a.example" });
    let user = json!({ "type": "authorized_user", "refresh_token": "hunter2", "client_secret": "hunter2" });
    for (content, fragment) in [
        (user.to_string(), "authorized_user"),
        (json!({ "type": "external_account", "audience": "a" }).to_string(), "external_account"),
        (json!({ "type": "impersonated_service_account" }).to_string(), "impersonated_service_account"),
        (json!({ "installed": installed }).to_string(), "OAuth client file"),
        (json!({ "web": installed }).to_string(), "OAuth client file"),
        (json!(user.to_string()).to_string(), "JSON in a JSON string"),
        (json!("hunter2").to_string(), "text in quotes"),
        (json!(["hunter2"]).to_string(), "JSON array"),
        (json!({ "value": "hunter2", "contentType": "application/x-pkcs12" }).to_string(), "Azure Key Vault"),
        (json!({ "appId": "a", "password": "hunter2", "tenant": "t" }).to_string(), "service principal"),
        (json!({ "realm": "r", "auth-server-url": "u" }).to_string(), "Keycloak"),
        (json!({ "boxAppSettings": { "clientID": "c" } }).to_string(), "without a key pair"),
        (json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" }).to_string(), "are public"),
        (json!({ "hunter2": 1 }).to_string(), "not a JSON Web Key"),
    ] {
        let path = dir.write("key.json", &content);
        for string in [format!("JWTCertStore={path}"), inline_string(&content, "")] {
            let failure = get_token(&string).map(|token| token.value()).unwrap_err();
            assert_eq!(failure.status, AUTHGRANT_KEY_NOT_FOUND, "{string}: {failure:?}");
            assert!(failure.message.contains(fragment), "{failure:?}");
            assert!(!failure.message.contains("hunter2"), "{failure:?}");
            let first = failure.message.find(fragment).unwrap();
            assert!(failure.message.find("missing").is_none_or(|missing| missing > first), "{failure:?}");
        }
    }
}

/// The numbers of an RSA key in base64url: n, e, d, p, q, dp, dq, qi.
fn rsa_members(pem: &str) -> Vec<String> {
    let output = Command::new("openssl")
        .args(["rsa", "-traditional", "-outform", "DER", "-in", pem])
        .output()
        .unwrap();
    let mut rest = &output.stdout[4..];
    let mut members = Vec::new();
    while let [0x02, length, tail @ ..] = rest {
        let (length, tail) = match length {
            0x82 => (usize::from(u16::from_be_bytes([tail[0], tail[1]])), &tail[2..]),
            0x81 => (usize::from(tail[0]), &tail[1..]),
            length => (usize::from(*length), tail),
        };
        members.push(URL_SAFE_NO_PAD.encode(&tail[..length]));
        rest = &tail[length..];
    }
    assert_eq!(members.len(), 9);
    members.split_off(1)
}

fn rsa_jwk(members: &[String], names: &[&str]) -> Value {
    let all = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];
    let mut jwk = json!({ "kty": "RSA", "kid": "rsa" });
    for (name, value) in all.iter().zip(members).filter(|(name, _)| names.contains(name)) {
        jwk[*name] = json!(value);
    }
    jwk
}

/// Asserts that OpenSSL verifies the JWT by RS256 with the public key of stores::path("key.pem").
fn assert_openssl_verifies(dir: &TestDir, jwt: &str) {
    let (message, signature) = jwt.rsplit_once('.').unwrap();
    dir.write("message", message);
    dir.write("signature", URL_SAFE_NO_PAD.decode(signature).unwrap());
    let key = stores::path("key.pem");
    run_shell(
        dir,
        &format!(
            "openssl pkey -in {key} -pubout -out public.pem
             openssl dgst -sha256 -verify public.pem -signature signature message"
        ),
    );
}

#[test]
fn rsa_jwk_without_primes_signs() {
    let dir = TestDir::new();
    let members = rsa_members(&stores::path("key.pem"));
    for names in [&["n", "e", "d"][..], &["n", "e", "d", "p", "q"]] {
        let path = dir.write("key.jwk", rsa_jwk(&members, names).to_string());
        let token = get_token(&store_string(&path, "JWTAlgorithm=RS256")).unwrap();
        assert_openssl_verifies(&dir, &token.value());
    }
    // Java and Go compute d modulo (p - 1)(q - 1), OpenSSL 3 modulo the least common multiple.
    let compute = "import base64, sys
e, p, q = (int.from_bytes(base64.urlsafe_b64decode(text + '=='), 'big') for text in sys.argv[1:])
d = pow(e, -1, (p - 1) * (q - 1)).to_bytes(256, 'big')
print(base64.urlsafe_b64encode(d).decode().rstrip('='), end='')";
    let output =
        Command::new("python3").args(["-c", compute, &members[1], &members[3], &members[4]]).output();
    let mut jwk = rsa_jwk(&members, &["n", "e"]);
    jwk["d"] = json!(String::from_utf8(output.unwrap().stdout).unwrap());
    let path = dir.write("key.jwk", jwk.to_string());
    let token = get_token(&store_string(&path, "JWTAlgorithm=RS256")).unwrap();
    assert_openssl_verifies(&dir, &token.value());
    let other = rsa_members(&stores::path("other.pem"));
    let mut mixed = rsa_jwk(&members, &["n", "e"]);
    mixed["d"] = json!(other[2]);
    let path = dir.write("key.jwk", mixed.to_string());
    let fragments = ["n, e and d"];
    assert_fails(&store_string(&path, ""), AUTHGRANT_KEY_STORE_ERROR, "JWTCertStore", &fragments);
}

/// An EC key as a JSON Web Key.
fn ec_jwk(kid: &str) -> Value {
    let pem = stores::path("p256.sec1.pem");
    let der = |arguments: &[&str]| {
        Command::new("openssl")
            .args(["ec", "-in", &pem, "-outform", "DER"])
            .args(arguments)
            .output()
            .unwrap()
            .stdout
    };
    let (private, public) = (der(&[]), der(&["-pubout"]));
    let point = &public[public.len() - 64..];
    json!({
        "kty": "EC", "crv": "P-256", "kid": kid,
        "d": URL_SAFE_NO_PAD.encode(&private[7..39]),
        "x": URL_SAFE_NO_PAD.encode(&point[..32]),
        "y": URL_SAFE_NO_PAD.encode(&point[32..]),
    })
}

#[test]
fn jwk_set_key_is_selected_by_key_id() {
    let dir = TestDir::new();
    let rsa = rsa_jwk(&rsa_members(&stores::path("key.pem")), &["n", "e", "d"]);
    let path = dir.write("set.jwks", json!({ "keys": [rsa, ec_jwk("ec"), ec_jwk("EC")] }).to_string());
    let headers = |kid: &str| format!("JWTHeaders={{{{\"kid\":\"{kid}\"}}}}}}");
    for (options, kid, algorithm) in [
        ("JWTKeyID=rsa".to_owned(), "rsa", "RS256"),
        ("JWTKeyID=ec".to_owned(), "ec", "ES256"),
        ("JWTKeyID=EC".to_owned(), "EC", "ES256"),
        (headers("rsa"), "rsa", "RS256"),
        // The alias selects the key, and JWTKeyID is for the server.
        ("JWTCertAlias=rsa;JWTKeyID=ec".to_owned(), "ec", "RS256"),
    ] {
        let header = jwt_header(&store_string(&path, &options));
        assert_eq!((&header["kid"], &header["alg"]), (&json!(kid), &json!(algorithm)), "{options}");
    }
    let fragments = [r#""none""#, r#""rsa", "ec" and "EC""#, "JWTCertAlias"];
    let string = store_string(&path, "JWTKeyID=none");
    assert_fails(&string, AUTHGRANT_KEY_NOT_FOUND, "JWTKeyID", &fragments);
    assert_fails(&store_string(&path, ""), AUTHGRANT_KEY_NOT_FOUND, "JWTCertAlias", &["several keys"]);
    // The only key of a set is used with any kid.
    let path = dir.write("set.jwks", json!({ "keys": [ec_jwk("ec")] }).to_string());
    assert_eq!(jwt_header(&store_string(&path, "JWTKeyID=other"))["kid"], "other");
}

#[test]
fn jwk_alg_and_use_are_heeded() {
    let dir = TestDir::new();
    let members = rsa_members(&stores::path("key.pem"));
    let with = |restrictions: &Value| {
        let mut jwk = rsa_jwk(&members, &["n", "e", "d", "p", "q", "dp", "dq", "qi"]);
        jwk.as_object_mut().unwrap().extend(restrictions.as_object().unwrap().clone());
        jwk
    };
    let write = |jwk: &Value| dir.write("key.jwk", jwk.to_string());
    let path = write(&with(&json!({ "alg": "PS384", "use": "sig" })));
    assert_eq!(jwt_header(&store_string(&path, ""))["alg"], "PS384");
    assert_eq!(jwt_header(&store_string(&path, "JWTAlgorithm=PS384"))["alg"], "PS384");
    let string = store_string(&path, "JWTAlgorithm=RS256");
    assert_fails(&string, AUTHGRANT_KEY_UNSUITABLE, "JWTCertStore", &["RS256", "PS384"]);
    for (restrictions, status, fragment) in [
        (json!({ "use": "enc" }), AUTHGRANT_KEY_NOT_FOUND, "for encryption"),
        (json!({ "alg": "RSA-OAEP-256" }), AUTHGRANT_KEY_NOT_FOUND, "for encryption"),
        (json!({ "key_ops": ["decrypt"] }), AUTHGRANT_KEY_NOT_FOUND, "for encryption"),
        (json!({ "alg": "ES256" }), AUTHGRANT_KEY_UNSUITABLE, "alg ES256"),
        (json!({ "alg": "XS1" }), AUTHGRANT_KEY_UNSUITABLE, "unsupported alg"),
    ] {
        let failure = get_token(&store_string(&write(&with(&restrictions)), "")).map(|_| ()).unwrap_err();
        assert_eq!(failure.status, status, "{restrictions}: {failure:?}");
        assert!(failure.message.contains(fragment), "{failure:?}");
    }
    // Keycloak has a key for signatures and one for encryption.
    let set = json!({ "keys": [with(&json!({ "use": "enc", "kid": "e" })), with(&json!({ "use": "sig" }))] });
    assert_eq!(jwt_header(&store_string(&write(&set), ""))["kid"], "rsa");
    let oct = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode([7; 64]), "alg": "HS512" });
    assert_eq!(jwt_header(&store_string(&write(&oct), ""))["alg"], "HS512");
    let short = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode([7; 32]), "alg": "HS512" });
    assert_fails(&store_string(&write(&short), ""), AUTHGRANT_KEY_UNSUITABLE, "JWTCertStore", &["HS512"]);
}

#[test]
fn needless_password_error_says_so() {
    let dir = dir_with_key();
    run_shell(
        &dir,
        "export='openssl pkcs12 -export -inkey key.pem -in key.crt -name me -passout pass:'
         $export -out mac.p12
         $export -nomac -out nomac.p12
         $export -keypbe NONE -certpbe NONE -out clear-mac.p12
         certtool --to-p12 --load-privkey key.pem --load-certificate key.crt --p12-name me --null-password \
            --pkcs-cipher aes-256 --outder --outfile null.p12
         openssl pkey -in key.pem -aes256 -passout pass: -out empty.pem",
    );
    for name in ["mac.p12", "nomac.p12", "clear-mac.p12", "null.p12", "empty.pem"] {
        let path = dir.path(name);
        assert_opens(&store_string(&path, ""), name);
        let fragments = ["opens without a password", "remove JWTCertPassword"];
        let wrong = store_string(&path, "JWTCertPassword=hunter2");
        let failure = assert_fails(&wrong, AUTHGRANT_KEY_PASSWORD, "JWTCertPassword", &fragments);
        assert!(!failure.message.contains("hunter2"), "{failure:?}");
        let wrong = store_string(&path, "JWTCertKeyPassword=hunter2");
        if !name.ends_with(".p12") || name == "mac.p12" {
            let fragments = ["opens without a password", "remove JWTCertKeyPassword"];
            assert_fails(&wrong, AUTHGRANT_KEY_PASSWORD, "JWTCertKeyPassword", &fragments);
        }
    }
    let wrong = store_string(&stores::path("openssl.p12"), "JWTCertPassword=hunter2");
    let failure = assert_fails(&wrong, AUTHGRANT_KEY_PASSWORD, "JWTCertPassword", &["wrong JWTCertPassword"]);
    assert!(!failure.message.contains("without a password"), "{failure:?}");
}

#[test]
fn appended_key_is_used_with_warning() {
    let dir = TestDir::new();
    let add_key = |alias: &str, kind: &str, start: &str| {
        run_shell(
            &dir,
            &format!(
                "keytool -genkeypair -keystore keys.p12 -alias {alias} -keyalg {kind} -dname CN={alias} \
                 -startdate {start} -validity 100 -storepass secret"
            ),
        );
    };
    let more = "JWTCertPassword=secret;ClaimsSubject=user;ClaimsAudience=api";
    let string = store_string(&dir.path("keys.p12"), more);
    add_key("old", "RSA -keysize 2048", "-2d");
    let connection = open(&string).unwrap();
    connection.get_token().unwrap();
    assert!(connection.warnings().is_empty(), "{:?}", connection.warnings());
    add_key("new", "EC -groupname secp256r1", "-1d");
    let connection = open(&string).unwrap();
    connection.get_token().unwrap();
    let warnings = connection.warnings();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert_eq!(warning.option.as_deref(), Some("JWTCertAlias"));
    assert!(warning.message.contains("\"new\" is used"), "{warning:?}");
    let report: Value = serde_json::from_str(&connection.validate()).unwrap();
    assert_eq!((&report["valid"], &report["warnings"][0]["option"]), (&json!(true), &json!("JWTCertAlias")));
    for (options, algorithm) in [("", "ES256"), ("JWTKeyID=old", "RS256"), ("JWTAlgorithm=RS256", "RS256")] {
        assert_eq!(jwt_header(&format!("{string};{options}"))["alg"], algorithm, "{options}");
    }
}
