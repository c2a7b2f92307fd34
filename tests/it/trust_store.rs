//! TrustStore in the formats that people have, made by keytool and OpenSSL: through the C API, against the strict authority.

use std::path::Path;
use std::process::Command;

use crate::support::c_api::{Failure, get_token, open};
use crate::support::{minimal_string, start_mock_server, stores};
use authgrant::ffi::status::*;
use mock_server::{Config, MockServer};
use tempfile::TempDir;

struct TrustStoreFixture {
    authority: MockServer,
    folder: TempDir,
}

impl TrustStoreFixture {
    fn new() -> Self {
        let place = Self { authority: start_mock_server(Config::https()), folder: TempDir::new().unwrap() };
        std::fs::copy(place.authority.ca_pem_path(), place.folder.path().join("ca.pem")).unwrap();
        place
    }

    fn run_shell(&self, command: &str) {
        let here: &Path = self.folder.path();
        let output = Command::new("sh").args(["-ec", command]).current_dir(here).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&said));
    }

    fn connection_string(&self, store: &str, more: &str) -> String {
        let path = self.folder.path().join(store);
        // What stands in front outranks the TrustStore behind it.
        minimal_string(
            &self.authority,
            &format!("CacheScope=Connection;TrustStore={};{more}", path.display()),
        )
    }

    fn expect_failure(&self, store: &str, more: &str) -> Failure {
        *get_token(&self.connection_string(store, more)).unwrap_err()
    }
}

const KEYTOOL_IMPORT: &str = "keytool -importcert -noprompt -alias ca -file ca.pem -storepass changeit";

#[test]
fn trust_store_format_is_detected_by_content() {
    let place = TrustStoreFixture::new();
    place.run_shell(&format!("{KEYTOOL_IMPORT} -storetype JKS -keystore trust.p12"));
    place.run_shell(&format!("{KEYTOOL_IMPORT} -storetype PKCS12 -keystore trust.jks"));
    place.run_shell("openssl pkcs12 -export -nokeys -in ca.pem -passout pass:changeit -out openssl.p12");
    place.run_shell("openssl x509 -in ca.pem -outform DER -out ca.der");
    place.run_shell("(echo some text; openssl x509 -in ca.pem -text) > text.pem");
    for (store, more) in [
        ("trust.p12", "TrustStorePassword=changeit"),
        ("trust.p12", ""), // as Java does it
        ("trust.jks", "tsp=changeit"),
        ("openssl.p12", "TrustStorePassword=changeit"),
        ("ca.der", ""),
        ("text.pem", "TrustStorePassword=not needed"),
    ] {
        get_token(&place.connection_string(store, more))
            .unwrap_or_else(|failure| panic!("{store} {more}: {failure:?}"));
    }
}

#[test]
fn trust_store_error_names_its_options() {
    let place = TrustStoreFixture::new();
    place.run_shell(&format!("{KEYTOOL_IMPORT} -storetype JKS -keystore trust.jks"));
    place.run_shell(&format!("{KEYTOOL_IMPORT} -storetype PKCS12 -keystore trust.p12"));
    place.run_shell("openssl pkcs12 -export -nokeys -in ca.pem -passout pass:changeit -out openssl.p12");
    for (store, more) in [
        ("trust.jks", "TrustStorePassword=hunter2"),
        ("trust.p12", "TrustStorePassword=hunter2"),
        ("openssl.p12", "TrustStorePassword=hunter2"),
        ("openssl.p12", ""),
    ] {
        let failure = place.expect_failure(store, more);
        assert_eq!(failure.status, AUTHGRANT_KEY_PASSWORD, "{failure:?}");
        assert_eq!(failure.option.as_deref(), Some("TrustStorePassword"));
        assert!(failure.message.contains("TrustStore /") && failure.message.contains(store), "{failure:?}");
        assert!(!failure.message.contains("hunter2") && !failure.message.contains("JWTCert"), "{failure:?}");
    }
    assert_eq!(place.authority.connection_count(), 0);
}

#[test]
fn key_only_store_has_no_trusted_certificates() {
    let place = TrustStoreFixture::new();
    for store in ["keytool.jks", "openssl.p12"] {
        let failure = place.expect_failure(&stores::path(store), "TrustStorePassword=secret");
        assert_eq!(
            (failure.status, failure.option.as_deref()),
            (AUTHGRANT_KEY_STORE_ERROR, Some("TrustStore"))
        );
        assert!(failure.message.contains("holds no trusted certificate"), "{failure:?}");
    }
}

#[test]
fn host_name_in_certificate_overrides_url() {
    let place = TrustStoreFixture::new();
    let string = |name: &str| place.connection_string("ca.pem", &format!("HostNameInCertificate={name}"));
    get_token(&string("localhost")).unwrap();
    get_token(&string("#SERVERNAME#")).unwrap();
    let failure = get_token(&string("other.example")).unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_TLS);
    assert!(failure.message.contains("not for other.example (HostNameInCertificate)"), "{failure:?}");
}

#[test]
fn obsolete_tls_versions_are_unsupported() {
    let place = TrustStoreFixture::new();
    let string =
        |versions: &str| place.connection_string("ca.pem", &format!("CryptoProtocolVersion={versions}"));
    for good in ["TLSv1.2", "TLSv1.3", "TLSv1.3,TLSv1.2"] {
        get_token(&string(good)).unwrap_or_else(|failure| panic!("{good}: {failure:?}"));
    }
    let connection = open(&string("TLSv1.2,TLSv1.1")).unwrap();
    connection.get_token().unwrap();
    assert!(connection.warnings().iter().any(|warning| warning.message.contains("TLSv1.1")));
    for (versions, status) in [("TLSv1.1", AUTHGRANT_UNSUPPORTED), ("1.3", AUTHGRANT_INVALID_OPTION)] {
        let failure = get_token(&string(versions)).unwrap_err();
        assert_eq!((failure.status, failure.option.as_deref()), (status, Some("CryptoProtocolVersion")));
    }
}
