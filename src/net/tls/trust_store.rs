//! TrustStore: reads CA certificates from a file in PEM, JKS or PKCS#12 format, or a single DER certificate.
//!
//! The format is detected from the content. PEM is parsed by rustls: a bundle must be well-formed, and the
//! error names its first malformed certificate. The PEM reader of `key` is for keys: it also accepts
//! encrypted blocks and what users paste into options.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

use crate::base::error::{Error, KeyError, NetworkError, Result};
use crate::base::file::{ConfiguredPath, ReadError};
use crate::base::secret::Secret;
use crate::key::{self, KeyOrigin, KeySource, StorePurpose, TrustedCertificates};
use crate::sys;

/// Returns an error about the file `store` of `option`.
pub(super) fn trust_store_error(option: &str, store: &ConfiguredPath, text: &str) -> Error {
    Error::new(KeyError::Store, "tls", format!("{option} {store} {text}")).with_option(option.to_owned())
}

/// Like [`trust_store_error`], for a file that cannot be read.
pub(super) fn trust_store_read_error(option: &str, store: &ConfiguredPath, error: &ReadError) -> Error {
    let text = format!("{option} {store} {error}");
    Error::new(error.kind_or(KeyError::Store), "tls", text).with_option(option.to_owned())
}

/// The certificates of a trust store.
pub(super) struct TrustStore {
    /// The certificates as issuers.
    pub(super) roots: RootCertStore,
    /// The same certificates, as they are in the store.
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

/// Reads the certificates in the file `store` of `option`.
pub(super) fn read_trust_store(
    option: &str,
    store: &ConfiguredPath,
    password: Option<&Secret>,
) -> Result<TrustStore> {
    let (content, _) = store.read().map_err(|error| trust_store_read_error(option, store, &error))?;
    let found = key::read_trusted_certificates(&trust_key_source(store, password), content);
    let certificates: Vec<_> = match found {
        TrustedCertificates::Found(found) => found?.into_iter().map(CertificateDer::from).collect(),
        TrustedCertificates::Pem(content) => {
            parse_pem_certificates(&content).map_err(|text| trust_store_error(option, store, &text))?
        }
    };
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates.iter().cloned());
    match (certificates.len(), added) {
        (0, _) => Err(trust_store_error(
            option,
            store,
            "contains no trusted certificate; use a PEM file (-----BEGIN CERTIFICATE-----), or a JKS or \
             PKCS#12 store with trusted certificates",
        )),
        (_, 0) => Err(trust_store_error(option, store, "contains only malformed certificates")),
        _ => Ok(TrustStore { roots, certificates }),
    }
}

/// CA certificate files of common operating systems; no path depends on the caller's environment.
const SYSTEM_CA_FILES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Arch, Alpine
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",   // Fedora and RHEL before
    "/etc/ssl/ca-bundle.pem",             // SUSE
    "/etc/ssl/cert.pem",                  // BSD, Alpine
    "/usr/local/share/certs/ca-root-nss.crt", // FreeBSD
];

/// Whether [`SYSTEM_CA_FILES`] must be used instead of rustls-platform-verifier: on Unix, the verifier reads
/// SSL_CERT_FILE and SSL_CERT_DIR, which the user of a set-user-ID program controls.
pub(super) fn needs_system_ca_files() -> bool {
    cfg!(all(unix, not(target_vendor = "apple"), not(target_os = "android"))) && sys::is_secure_execution()
}

/// Reads the operating system's CA certificates from [`SYSTEM_CA_FILES`].
pub(super) fn read_system_ca_files() -> Result<RootCertStore> {
    read_first_ca_file(&SYSTEM_CA_FILES)
}

fn read_first_ca_file(paths: &[&str]) -> Result<RootCertStore> {
    let stores = paths.iter().map(|path| ConfiguredPath::new((*path).to_owned()));
    let found = stores.map(|store| read_trust_store("TrustStore", &store, None)).find_map(Result::ok);
    found.map(|found| found.roots).ok_or_else(|| {
        let text = format!(
            "no CA certificates found in {}; set TrustStore to a file of CA certificates",
            paths.join(", ")
        );
        Error::new(NetworkError::Tls, "tls", text)
    })
}

/// Converts the trust store to a [`KeySource`] for the key store readers.
fn trust_key_source(store: &ConfiguredPath, password: Option<&Secret>) -> KeySource {
    KeySource {
        purpose: StorePurpose::TrustStore,
        origin: KeyOrigin::File(store.clone()),
        password: password.cloned(),
        key_password: None,
        alias: None,
        key_id: None,
        algorithm: None,
        certificate: None,
        // Certificates are public, so their encryption protects no secret.
        forbid_weak_encryption: false,
        require_private_file: false,
    }
}

/// Parses the certificates in a PEM text. The error describes the first malformed certificate. It contains
/// nothing of the text, because a file configured by mistake may contain secrets.
fn parse_pem_certificates(content: &[u8]) -> std::result::Result<Vec<CertificateDer<'static>>, String> {
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(content) {
        let number = found.len().saturating_add(1);
        let text =
            |error| format!("contains malformed PEM: certificate {number} {}", describe_pem_error(&error));
        found.push(certificate.map_err(text)?);
    }
    Ok(found)
}

fn describe_pem_error(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "has no END line",
        pem::Error::IllegalSectionStart { .. } => "follows a malformed BEGIN line",
        pem::Error::Base64Decode(_) => "is not valid base64",
        _ => "is malformed",
    }
}

#[cfg(test)]
mod tests {
    use super::super::TransportConfig;
    use super::*;
    use crate::base::error::Status;
    use crate::key::KeyCache;

    fn new_key_cache() -> KeyCache {
        KeyCache::new([7; 32])
    }

    fn configured_path(path: &std::path::Path) -> ConfiguredPath {
        ConfiguredPath::new(path.to_str().unwrap().to_owned())
    }

    fn config_with_trust_store(path: &std::path::Path) -> TransportConfig {
        TransportConfig { trust_store: Some(configured_path(path)), ..TransportConfig::default() }
    }

    fn trust_store_load_error(content: &[u8]) -> Error {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, content).unwrap();
        let error = config_with_trust_store(&path).build_client_config(&new_key_cache()).unwrap_err();
        assert_eq!(error.status(), Status::KeyStore);
        assert_eq!(error.option(), Some("TrustStore"));
        assert!(error.message().contains(path.to_str().unwrap()), "{error}");
        error
    }

    fn generate_ca_pem() -> String {
        rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap().cert.pem()
    }

    #[test]
    fn store_without_certificates_names_its_format() {
        for (content, format) in [
            ([0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2].as_slice(), "JKS"),
            (&[0xCE, 0xCE, 0xCE, 0xCE, 0, 0, 0, 2], "JCEKS"),
            (&[0x30, 0x82, 1, 2, 2, 1, 3], "PKCS#12"),
        ] {
            let error = trust_store_load_error(content);
            assert!(error.message().contains(format) && !error.message().contains("PEM"), "{error}");
        }
        for nothing in [b"".as_slice(), &[0x30, 0x82, 1, 2]] {
            assert!(trust_store_load_error(nothing).message().contains("no trusted certificate"));
        }
        assert!(
            trust_store_load_error(b"-----BEGIN CERTIFICATE-----\n!\n")
                .message()
                .contains("PEM: certificate 1 ")
        );
    }

    #[test]
    fn malformed_pem_error_omits_file_content() {
        let good = generate_ca_pem();
        for (text, what) in [
            ("-----BEGIN hunter2\n".to_owned(), "certificate 1 follows a malformed BEGIN line"),
            (format!("{good}-----BEGIN CERTIFICATE-----\nhunter2\n"), "certificate 2 has no END line"),
            (
                good.replace("-----BEGIN CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nhunter2!\n"),
                "certificate 1 is not valid base64",
            ),
        ] {
            let error = trust_store_load_error(text.as_bytes());
            assert!(error.message().contains(what), "{error}");
            // Neither as text nor as a list of bytes.
            assert!(!error.message().contains("hunter2") && !error.message().contains("104, 117"), "{error}");
        }
    }

    #[test]
    fn missing_or_directory_store_names_configured_path() {
        let dir = tempfile::tempdir().unwrap();
        let missing = config_with_trust_store(&dir.path().join("no.pem"))
            .build_client_config(&new_key_cache())
            .unwrap_err();
        assert_eq!(missing.status(), Status::KeyStore);
        assert!(missing.message().contains("no.pem"), "{missing}");
        let error = config_with_trust_store(dir.path()).build_client_config(&new_key_cache()).unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::KeyStore, Some("TrustStore")), "{error}");
    }

    #[test]
    fn relative_store_keeps_original_directory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let store = ConfiguredPath::with_path("certs/ca.pem", path.clone());
        let config = TransportConfig { trust_store: Some(store), ..TransportConfig::default() };
        for error in
            [config.build_client_config(&new_key_cache()).unwrap_err(), config.file_versions().unwrap_err()]
        {
            assert!(error.message().contains("TrustStore certs/ca.pem "), "{error}");
        }
        std::fs::write(&path, generate_ca_pem()).unwrap();
        assert!(config.build_client_config(&new_key_cache()).is_ok() && config.file_versions().is_ok());
    }

    #[test]
    fn pem_text_between_certificates_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(
            &path,
            format!("# Root One\n{}\nsubject=/CN=two\n{}", generate_ca_pem(), generate_ca_pem()),
        )
        .unwrap();
        assert_eq!(read_trust_store("TrustStore", &configured_path(&path), None).unwrap().roots.len(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn fifo_store_is_rejected_without_blocking() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let error = config_with_trust_store(&path).build_client_config(&new_key_cache()).unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::KeyStore, Some("TrustStore")), "{error}");
    }

    #[test]
    fn file_version_changes_with_store_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, "one").unwrap();
        let before = config_with_trust_store(&path).file_versions().unwrap();
        assert_eq!(before, config_with_trust_store(&path).file_versions().unwrap());
        std::fs::write(&path, "three").unwrap();
        assert_ne!(before, config_with_trust_store(&path).file_versions().unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn in_place_rewrite_changes_file_version() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, "one").unwrap();
        let before = config_with_trust_store(&path).file_versions().unwrap();
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        // The timestamps of the file system have a granularity of a few milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&path, "two").unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        assert_ne!(before, config_with_trust_store(&path).file_versions().unwrap());
    }

    #[test]
    fn first_readable_system_ca_file_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, generate_ca_pem()).unwrap();
        let roots = read_first_ca_file(&["/nowhere/ca.pem", path.to_str().unwrap()]).unwrap();
        assert_eq!(roots.len(), 1);
        let error = read_first_ca_file(&["/nowhere/ca.pem"]).unwrap_err();
        assert_eq!(error.status(), Status::Tls);
        assert!(error.message().contains("/nowhere/ca.pem"), "{error}");
    }
}
