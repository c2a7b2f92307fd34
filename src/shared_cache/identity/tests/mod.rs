use std::sync::OnceLock;

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce, UnboundKey};

use super::*;
use crate::base::error::Status;
use crate::key::fixtures::{KeyDir, run_shell};
use crate::options::Options;
use crate::resolve::resolve;

mod entropy;
mod keys;
mod text;
mod vectors;

/// 32 random bytes in base64.
const RANDOM: &str = "kP3vX9rT0qLw7ZbY2sJfHn5mGcVd8aUeR1iOy4tBxQE=";

const CACHE_SECRET: (&str, &str) = ("TokenCacheSecret", "s3s3s3s3s3s3s3s3s3s3s3s3s3s3s3s3");

/// Options of a connection. `{dir}` stands for the folder of [`files`].
type Pairs = Vec<(&'static str, &'static str)>;

const URL: (&str, &str) = ("TokenEndpoint", "https://login.example/token");

/// An assertion for a user, with a private key.
fn jwt() -> Pairs {
    vec![
        ("AuthenticationMethod", "55"),
        URL,
        ("ClaimsIssuer", "me"),
        ("ClaimsSubject", "u"),
        ("JWTPrivateKey", keys::RSA),
    ]
}

/// The same with the key in a file.
fn jwt_file() -> Pairs {
    changed(&without(jwt(), "JWTPrivateKey"), "JWTCertStore", "{dir}/rsa.pem")
}

/// The same with a certificate.
fn jwt_certificate() -> Pairs {
    let base = changed(&jwt(), "JWTCertificate", "{dir}/rsa.crt");
    changed(&base, "JWTThumbprint", "x5t")
}

/// The same with a key on a token.
fn jwt_token() -> Pairs {
    let mut pairs = changed(&jwt_file(), "JWTCertStore", "pkcs11:token=t;object=o?module-name=m");
    pairs.extend([("JWTCertPassword", "1234"), CACHE_SECRET]);
    pairs
}

/// The same with a shared secret.
fn jwt_secret() -> Pairs {
    let mut pairs = without(jwt(), "JWTPrivateKey");
    pairs.extend([("JWTSecret", RANDOM), ("JWTAlgorithm", "HS256")]);
    pairs
}

/// Client credentials with a random secret.
fn client() -> Pairs {
    vec![("AuthenticationMethod", "53"), URL, ("ClientID", "c"), ("ClientSecret", RANDOM)]
}

/// The same with a header.
fn client_header() -> Pairs {
    let mut pairs = client();
    pairs.extend([("AuthHeader", "X-Tenant"), ("SecurityToken", "t")]);
    pairs
}

/// The same through a proxy.
fn client_proxy() -> Pairs {
    let mut pairs = client();
    pairs.extend([("ProxyHost", "proxy.example"), ("ProxyUser", "p"), ("ProxyPassword", "pp")]);
    pairs
}

/// Client credentials with a client certificate.
fn client_certificate() -> Pairs {
    changed(&without(client(), "ClientSecret"), "KeyStore", "{dir}/client.pem")
}

/// The same with its key on a token.
fn client_certificate_token() -> Pairs {
    let mut pairs = changed(&client_certificate(), "KeyStore", "pkcs11:token=t;object=o");
    pairs.extend([("KeyStorePassword", "1234"), CACHE_SECRET]);
    pairs
}

/// A client assertion.
fn client_assertion() -> Pairs {
    vec![
        ("AuthenticationMethod", "OAuth2-JWTClientAssertion"),
        URL,
        ("ClientID", "c"),
        ("ClaimsIssuer", "c"),
        ("JWTPrivateKey", keys::P256),
    ]
}

fn presigned() -> Pairs {
    let mut pairs = without(client_assertion(), "JWTPrivateKey");
    pairs.retain(|(name, _)| *name != "ClaimsIssuer");
    pairs.extend([("ClientAssertion", "e30.e30.c2ln"), CACHE_SECRET]);
    pairs
}

fn presigned_file() -> Pairs {
    changed(&without(presigned(), "ClientAssertion"), "ClientAssertionFile", "{dir}/first.jwt")
}

fn password() -> Pairs {
    let mut pairs = changed(&client(), "AuthenticationMethod", "52");
    pairs.extend([("User", "alice"), ("Password", "hunter2"), CACHE_SECRET]);
    pairs
}

fn refresh() -> Pairs {
    let mut pairs = changed(&client(), "AuthenticationMethod", "54");
    pairs.extend([
        ("RefreshToken", "r"),
        ("TokenCachePrompted", "1"),
        ("TokenCacheUser", "alice"),
        CACHE_SECRET,
    ]);
    pairs
}

fn login() -> Pairs {
    let mut pairs = changed(&refresh(), "AuthenticationMethod", "56");
    pairs.extend([
        ("AuthURI", "https://login.example/authorize"),
        ("RedirectURI", "http://127.0.0.1:8400/done"),
        ("Scope", "a b"),
    ]);
    pairs
}

fn without(mut pairs: Pairs, name: &str) -> Pairs {
    pairs.retain(|(own, _)| *own != name);
    pairs
}

fn changed(pairs: &Pairs, name: &'static str, value: &'static str) -> Pairs {
    let mut pairs = without(pairs.clone(), name);
    pairs.push((name, value));
    pairs
}

fn jwt_with_claims(claims: &str) -> String {
    use base64::Engine as _;
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims);
    format!("e30.{payload}.c2ln")
}

/// The files of the connections.
fn files() -> &'static KeyDir {
    static FILES: OnceLock<KeyDir> = OnceLock::new();
    FILES.get_or_init(|| {
        let dir = KeyDir::new();
        let first = jwt_with_claims(r#"{"iss":"https://k8s.example","sub":"system:a","aud":["x"],"exp":1}"#);
        let second = jwt_with_claims(r#"{"iss":"https://k8s.example","sub":"system:b","aud":["x"],"exp":1}"#);
        let renewed = jwt_with_claims(
            r#"{"aud":["x"],"exp":9999999999,"iss":"https://k8s.example","jti":"n","sub":"system:a"}"#,
        );
        for (name, content) in [
            ("rsa.pem", keys::RSA),
            ("copy.pem", keys::RSA),
            ("other.pem", keys::P256),
            ("rsa.crt", keys::RSA_CERTIFICATE),
            ("client.pem", &format!("{}{}", keys::RSA, keys::RSA_CERTIFICATE)),
            ("first.jwt", &first),
            ("second.jwt", &second),
            ("renewed.jwt", &renewed),
        ] {
            dir.source_with_content(name, content.as_bytes(), None);
        }
        run_shell(
            dir.path(),
            "set -e
             openssl req -x509 -new -key rsa.pem -subj /CN=renewed -days 300 -out renewed.crt
             cat rsa.pem renewed.crt > renewed-client.pem
             chmod 600 renewed-client.pem",
        );
        dir
    })
}

fn options(pairs: &[(&str, &str)]) -> Options {
    let dir = files().path().to_str().unwrap();
    let mut options = Options::default();
    let cache = [("TokenCache", "application:")];
    for (name, value) in cache.iter().chain(pairs) {
        options.set(&[(*name, value.replace("{dir}", dir).as_str())]).unwrap();
    }
    options
}

fn config(pairs: &[(&str, &str)]) -> Config {
    let named = || pairs.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    resolve(&options(pairs)).config.unwrap_or_else(|error| panic!("{:?}: {error}", named()))
}

fn identify_pairs(pairs: &[(&str, &str)]) -> Result<Sharing> {
    let config = config(pairs);
    identify(&config, config.shared_cache.as_ref().unwrap(), &KeyCache::new([1; 32]))
}

fn identity(pairs: &[(&str, &str)]) -> Identity {
    match identify_pairs(pairs).unwrap_or_else(|error| panic!("{error}")) {
        Sharing::Shared(identity) => identity,
        Sharing::NotShared(reason) => panic!("not shared: {reason}"),
    }
}

fn name(pairs: &[(&str, &str)]) -> String {
    identity(pairs).name.as_str().to_owned()
}

fn canonical_text(pairs: &[(&str, &str)]) -> String {
    let config = config(pairs);
    let cache = KeyCache::new([2; 32]);
    let description = TokenDescription::new(&config, config.shared_cache.as_ref().unwrap(), &cache).unwrap();
    String::from_utf8(description.text.as_bytes().to_vec()).unwrap()
}

/// 32 zero bytes, encrypted with the key of the content.
fn sealed(pairs: &[(&str, &str)]) -> [u8; 32] {
    let mut content = [0; 32];
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*identity(pairs).key).unwrap());
    key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut content).map(|_| content).unwrap()
}

#[test]
fn tokens_without_request_are_not_shared() {
    let jwt = without(jwt(), "TokenEndpoint");
    for (pairs, fragment) in [
        (changed(&jwt, "ClaimsAudience", "a"), "signed without a request"),
        (vec![("AuthenticationMethod", "50"), ("AccessToken", "t")], "configured"),
        (vec![("AuthenticationMethod", "0"), ("User", "u"), ("Password", "p")], "no token"),
        (changed(&client(), "CacheScope", "Connection"), "CacheScope"),
        (changed(&without(refresh(), "TokenCacheUser"), "TokenCachePrompted", "0"), "user who logged in"),
        (changed(&without(login(), "TokenCacheUser"), "TokenCachePrompted", "0"), "user who logged in"),
    ] {
        match identify_pairs(&pairs).unwrap() {
            Sharing::NotShared(reason) => assert!(reason.contains(fragment), "{reason}"),
            Sharing::Shared(_) => panic!("shared, not because of {fragment}"),
        }
    }
}

#[test]
fn same_key_in_each_format_has_same_name() {
    let dir = files();
    run_shell(
        dir.path(),
        "set -e
         openssl rsa -in rsa.pem -traditional -out f-pkcs1.pem
         openssl pkcs8 -topk8 -in rsa.pem -passout pass:changeit -out f-encrypted.pem
         openssl pkcs8 -topk8 -nocrypt -in rsa.pem -outform DER -out f.der
         openssl pkcs12 -export -inkey rsa.pem -in rsa.crt -name k -passout pass:changeit -out f.p12
         keytool -importkeystore -noprompt -srckeystore f.p12 -srcstorepass changeit -deststoretype JKS \
           -destkeystore f.jks -deststorepass changeit",
    );
    for (name, content) in [("f-swapped.pem", keys::RSA_SWAPPED), ("f.json", keys::RSA_JWK)] {
        dir.source_with_content(name, content.as_bytes(), None);
    }
    let expected = name(&jwt());
    for (file, is_encrypted) in [
        ("{dir}/rsa.pem", false),
        ("{dir}/f-pkcs1.pem", false),
        ("{dir}/f-swapped.pem", false),
        ("{dir}/f-encrypted.pem", true),
        ("{dir}/f.der", false),
        ("{dir}/f.p12", true),
        ("{dir}/f.jks", true),
        ("{dir}/f.json", false),
    ] {
        let mut pairs = changed(&jwt_file(), "JWTCertStore", file);
        if is_encrypted {
            pairs.push(("JWTCertPassword", "changeit"));
        }
        assert_eq!(name(&pairs), expected, "{file}");
    }
    let wrong = changed(&changed(&jwt_file(), "JWTCertStore", "{dir}/f.p12"), "JWTCertPassword", "wrong");
    let error = identify_pairs(&wrong).err().unwrap();
    assert_eq!((error.status(), error.option()), (Status::KeyPassword, Some("JWTCertPassword")));
}

#[test]
fn assertion_file_is_identified_by_its_claims() {
    let first = name(&presigned_file());
    let at = |file: &'static str| name(&changed(&presigned_file(), "ClientAssertionFile", file));
    assert_eq!(at("{dir}/renewed.jwt"), first);
    assert_ne!(at("{dir}/second.jwt"), first);
    let dir = files();
    for (file, content) in [("opaque.jwt", "e30.e30.c2ln"), ("opaque2.jwt", "e30.e30.c2lo")] {
        dir.source_with_content(file, content.as_bytes(), None);
    }
    assert_ne!(at("{dir}/opaque.jwt"), at("{dir}/opaque2.jwt"), "by the content");
    let missing = identify_pairs(&changed(&presigned_file(), "ClientAssertionFile", "{dir}/none"));
    assert_eq!(missing.err().unwrap().option(), Some("ClientAssertionFile"));
}

#[test]
fn trust_store_and_keys_are_identified_by_content() {
    let trusting = |file: &'static str| name(&changed(&client(), "TrustStore", file));
    files().source_with_content("copy.crt", keys::RSA_CERTIFICATE.as_bytes(), None);
    assert_eq!(trusting("{dir}/rsa.crt"), trusting("{dir}/copy.crt"));
    assert_ne!(trusting("{dir}/rsa.crt"), trusting("{dir}/renewed.crt"));
    let missing = identify_pairs(&changed(&client(), "TrustStore", "{dir}/none")).err().unwrap();
    assert_eq!(missing.option(), Some("TrustStore"));
    let unused = changed(&changed(&client(), "TrustStore", "{dir}/none"), "ValidateServerCertificate", "0");
    assert_eq!(name(&unused), name(&changed(&client(), "ValidateServerCertificate", "0")));
    assert_eq!(name(&jwt_file()), name(&changed(&jwt_file(), "JWTCertStore", "{dir}/copy.pem")));
    let renewed = changed(&client_certificate(), "KeyStore", "{dir}/renewed-client.pem");
    assert_ne!(name(&client_certificate()), name(&renewed), "a token may be bound to the certificate");
}

#[test]
fn content_key_depends_on_each_secret() {
    let base = password();
    let all = [
        sealed(&base),
        sealed(&changed(&base, "ClientSecret", "x")),
        sealed(&changed(&base, "Password", "hunter3")),
        sealed(&changed(&base, "TokenCacheSecret", "t3t3t3t3t3t3t3t3t3t3t3t3t3t3t3t3")),
    ];
    let distinct: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!((sealed(&base), distinct.len()), (all[0], all.len()));
}
