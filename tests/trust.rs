//! TrustStore in the formats that people have, made by keytool and OpenSSL: through the C API, against the strict authority.

mod support;

use std::path::Path;
use std::process::Command;

use authgrant::ffi::status::*;
use authority::{Authority, Config};
use support::c_api::{Failure, ask, open};
use support::{authority, short_string, stores};
use tempfile::TempDir;

struct Place {
    authority: Authority,
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { authority: authority(Config::https()), folder: TempDir::new().unwrap() };
        std::fs::copy(place.authority.ca_pem_path(), place.folder.path().join("ca.pem")).unwrap();
        place
    }

    fn run(&self, command: &str) {
        let here: &Path = self.folder.path();
        let output = Command::new("sh").args(["-ec", command]).current_dir(here).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&said));
    }

    fn string(&self, store: &str, more: &str) -> String {
        let path = self.folder.path().join(store);
        // What stands in front outranks the TrustStore behind it.
        short_string(&self.authority, &format!("CacheScope=Connection;TrustStore={};{more}", path.display()))
    }

    fn refusal(&self, store: &str, more: &str) -> Failure {
        *ask(&self.string(store, more)).unwrap_err()
    }
}

const IMPORT: &str = "keytool -importcert -noprompt -alias ca -file ca.pem -storepass changeit";

#[test]
fn a_trust_store_is_what_it_holds_and_not_what_it_is_called() {
    let place = Place::new();
    place.run(&format!("{IMPORT} -storetype JKS -keystore trust.p12"));
    place.run(&format!("{IMPORT} -storetype PKCS12 -keystore trust.jks"));
    place.run("openssl pkcs12 -export -nokeys -in ca.pem -passout pass:changeit -out openssl.p12");
    place.run("openssl x509 -in ca.pem -outform DER -out ca.der");
    place.run("(echo some text; openssl x509 -in ca.pem -text) > text.pem");
    for (store, more) in [
        ("trust.p12", "TrustStorePassword=changeit"),
        ("trust.p12", ""), // as Java does it
        ("trust.jks", "tsp=changeit"),
        ("openssl.p12", "TrustStorePassword=changeit"),
        ("ca.der", ""),
        ("text.pem", "TrustStorePassword=not needed"),
    ] {
        ask(&place.string(store, more)).unwrap_or_else(|failure| panic!("{store} {more}: {failure:?}"));
    }
}

#[test]
fn a_trust_store_that_does_not_open_names_its_own_options() {
    let place = Place::new();
    place.run(&format!("{IMPORT} -storetype JKS -keystore trust.jks"));
    place.run(&format!("{IMPORT} -storetype PKCS12 -keystore trust.p12"));
    place.run("openssl pkcs12 -export -nokeys -in ca.pem -passout pass:changeit -out openssl.p12");
    for (store, more) in [
        ("trust.jks", "TrustStorePassword=hunter2"),
        ("trust.p12", "TrustStorePassword=hunter2"),
        ("openssl.p12", "TrustStorePassword=hunter2"),
        ("openssl.p12", ""),
    ] {
        let failure = place.refusal(store, more);
        assert_eq!(failure.status, AUTHGRANT_KEY_PASSWORD, "{failure:?}");
        assert_eq!(failure.option.as_deref(), Some("TrustStorePassword"));
        assert!(failure.message.contains("TrustStore /") && failure.message.contains(store), "{failure:?}");
        assert!(!failure.message.contains("hunter2") && !failure.message.contains("JWTCert"), "{failure:?}");
    }
    assert_eq!(place.authority.connections(), 0);
}

#[test]
fn a_store_with_keys_alone_trusts_nobody() {
    let place = Place::new();
    for store in ["keytool.jks", "openssl.p12"] {
        let failure = place.refusal(&stores::path(store), "TrustStorePassword=secret");
        assert_eq!((failure.status, failure.option.as_deref()), (AUTHGRANT_KEY_STORE, Some("TrustStore")));
        assert!(failure.message.contains("holds no trusted certificate"), "{failure:?}");
    }
}

#[test]
fn the_certificate_may_be_for_another_name_than_the_urls() {
    let place = Place::new();
    let string = |name: &str| place.string("ca.pem", &format!("HostNameInCertificate={name}"));
    ask(&string("localhost")).unwrap();
    ask(&string("#SERVERNAME#")).unwrap();
    let failure = ask(&string("other.example")).unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_TLS);
    assert!(failure.message.contains("not for other.example (HostNameInCertificate)"), "{failure:?}");
}

#[test]
fn versions_of_tls_are_words_and_the_old_ones_are_not_built_in() {
    let place = Place::new();
    let string = |versions: &str| place.string("ca.pem", &format!("CryptoProtocolVersion={versions}"));
    for good in ["TLSv1.2", "TLSv1.3", "TLSv1.3,TLSv1.2"] {
        ask(&string(good)).unwrap_or_else(|failure| panic!("{good}: {failure:?}"));
    }
    let connection = open(&string("TLSv1.2,TLSv1.1")).unwrap();
    connection.get_token().unwrap();
    assert!(connection.warnings().iter().any(|warning| warning.message.contains("TLSv1.1")));
    for (versions, status) in [("TLSv1.1", AUTHGRANT_UNSUPPORTED), ("1.3", AUTHGRANT_INVALID_OPTION)] {
        let failure = ask(&string(versions)).unwrap_err();
        assert_eq!((failure.status, failure.option.as_deref()), (status, Some("CryptoProtocolVersion")));
    }
}
