//! TrustStore: the place of a file in, the CA certificates that it holds out: PEM, JKS, PKCS#12 or one certificate in DER,
//! told apart by content.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

use crate::base::error::{Error, Result, Status};
use crate::base::file::{ConfiguredPath, ReadError};
use crate::base::secret::Secret;
use crate::key::{self, KeyOrigin, KeySource, StorePurpose};
use crate::sys;

/// An error about the file `store`.
pub(super) fn trust_store_error(store: &ConfiguredPath, text: &str) -> Error {
    Error::new(Status::KeyStore, "tls", format!("TrustStore {store} {text}")).with_option("TrustStore")
}

/// As [`store_error`], of a file that cannot be read.
pub(super) fn trust_store_read_error(store: &ConfiguredPath, fault: &ReadError) -> Error {
    let text = format!("TrustStore {store} {fault}");
    Error::new(fault.status_or(Status::KeyStore), "tls", text).with_option("TrustStore")
}

/// The certificates in the file `store`.
pub(super) fn read_trust_store(store: &ConfiguredPath, password: Option<&Secret>) -> Result<RootCertStore> {
    let (content, _) = store.read().map_err(|fault| trust_store_read_error(store, &fault))?;
    let found = match key::read_trusted_certificates(&trust_key_source(store, password), &content) {
        Some(found) => found?.into_iter().map(CertificateDer::from).collect(),
        None => parse_pem_certificates(&content).map_err(|text| trust_store_error(store, &text))?,
    };
    let mut roots = RootCertStore::empty();
    let count = found.len();
    let (added, _) = roots.add_parsable_certificates(found);
    match (count, added) {
        (0, _) => Err(trust_store_error(
            store,
            "holds no trusted certificate; name a PEM file (-----BEGIN CERTIFICATE-----), or a JKS or PKCS#12 store \
             with trusted certificates in it",
        )),
        (_, 0) => Err(trust_store_error(store, "holds no certificate that can be used; all are malformed")),
        _ => Ok(roots),
    }
}

/// The files of CA certificates that the systems have, without symbolic links of the caller's choice.
const SYSTEM_CA_FILES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Arch, Alpine
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",   // Fedora and RHEL before
    "/etc/ssl/ca-bundle.pem",             // SUSE
    "/etc/ssl/cert.pem",                  // BSD, Alpine
    "/usr/local/share/certs/ca-root-nss.crt", // FreeBSD
];

/// Whether the operating system's certificates must not be looked for by rustls-platform-verifier: on Unix it follows
/// SSL_CERT_FILE and SSL_CERT_DIR, which the caller of a set-user-ID program chooses.
pub(super) fn needs_system_ca_files() -> bool {
    cfg!(all(unix, not(target_vendor = "apple"), not(target_os = "android"))) && sys::is_secure_execution()
}

/// The operating system's CA certificates, by its own paths alone.
pub(super) fn read_system_ca_files() -> Result<RootCertStore> {
    read_first_ca_file(&SYSTEM_CA_FILES)
}

fn read_first_ca_file(paths: &[&str]) -> Result<RootCertStore> {
    let stores = paths.iter().map(|path| ConfiguredPath::new((*path).to_owned()));
    let found = stores.map(|store| read_trust_store(&store, None)).find_map(Result::ok);
    found.ok_or_else(|| {
        let text = format!(
            "no CA certificates were found in {}; TrustStore may name a file of them",
            paths.join(", ")
        );
        Error::new(Status::Tls, "tls", text)
    })
}

/// The store, as the readers of key stores know it.
fn trust_key_source(store: &ConfiguredPath, password: Option<&Secret>) -> KeySource {
    KeySource {
        purpose: StorePurpose::TrustStore,
        origin: KeyOrigin::File(store.clone()),
        password: password.cloned(),
        key_password: None,
        alias: None,
        certificate: None,
        // Certificates are public: their encryption keeps nothing secret.
        forbid_weak_encryption: false,
        require_private_file: false,
    }
}

/// The certificates of a PEM text, or what is wrong with the first that is not one. Nothing of the text is shown: what
/// was named by mistake may hold secrets.
fn parse_pem_certificates(content: &[u8]) -> std::result::Result<Vec<CertificateDer<'static>>, String> {
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(content) {
        let number = found.len().saturating_add(1);
        let text = |error| {
            format!("holds PEM that cannot be read: certificate {number} {}", describe_pem_error(&error))
        };
        found.push(certificate.map_err(text)?);
    }
    Ok(found)
}

fn describe_pem_error(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "has no END line",
        pem::Error::IllegalSectionStart { .. } => "comes after a malformed BEGIN line",
        pem::Error::Base64Decode(_) => "is not base64",
        _ => "is malformed",
    }
}

#[cfg(test)]
mod tests {
    use super::super::TransportConfig;
    use super::*;
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
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
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
        assert!(
            trust_store_load_error(&[0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2])
                .message()
                .contains("a JKS store that ends")
        );
        assert!(
            trust_store_load_error(&[0xCE, 0xCE, 0xCE, 0xCE, 0, 0, 0, 2]).message().contains("a JCEKS store")
        );
        assert!(
            trust_store_load_error(&[0x30, 0x82, 1, 2, 2, 1, 3])
                .message()
                .contains("a PKCS#12 store cut short")
        );
        for nothing in [b"".as_slice(), &[0x30, 0x82, 1, 2]] {
            assert!(trust_store_load_error(nothing).message().contains("holds no trusted certificate"));
        }
        assert!(
            trust_store_load_error(b"-----BEGIN CERTIFICATE-----\n!\n").message().contains("cannot be read")
        );
    }

    #[test]
    fn malformed_pem_error_omits_file_content() {
        let good = generate_ca_pem();
        for (text, what) in [
            ("-----BEGIN hunter2\n".to_owned(), "certificate 1 comes after a malformed BEGIN line"),
            (format!("{good}-----BEGIN CERTIFICATE-----\nhunter2\n"), "certificate 2 has no END line"),
            (
                good.replace("-----BEGIN CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nhunter2!\n"),
                "is not base64",
            ),
        ] {
            let error = trust_store_load_error(text.as_bytes());
            assert!(error.message().contains(what), "{error}");
            // The line as text, and as the list of its bytes.
            assert!(!error.message().contains("hunter2") && !error.message().contains("104, 117"), "{error}");
        }
    }

    #[test]
    fn missing_or_directory_store_names_configured_path() {
        let folder = tempfile::tempdir().unwrap();
        let missing = config_with_trust_store(&folder.path().join("no.pem"))
            .build_client_config(&new_key_cache())
            .unwrap_err();
        assert_eq!(missing.status(), Status::KeyStore);
        assert!(missing.message().contains("no.pem cannot be read"), "{missing}");
        let error = config_with_trust_store(folder.path()).build_client_config(&new_key_cache()).unwrap_err();
        assert!(error.message().contains("not a file"), "{error}");
    }

    #[test]
    fn relative_store_keeps_original_directory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let store = ConfiguredPath::with_path("certs/ca.pem", path.clone());
        let trust = TransportConfig { trust_store: Some(store), ..TransportConfig::default() };
        for error in
            [trust.build_client_config(&new_key_cache()).unwrap_err(), trust.file_versions().unwrap_err()]
        {
            assert!(error.message().contains("TrustStore certs/ca.pem cannot be read"), "{error}");
        }
        std::fs::write(&path, generate_ca_pem()).unwrap();
        assert!(trust.build_client_config(&new_key_cache()).is_ok() && trust.file_versions().is_ok());
    }

    #[test]
    fn pem_text_between_certificates_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(
            &path,
            format!("# Root One\n{}\nsubject=/CN=two\n{}", generate_ca_pem(), generate_ca_pem()),
        )
        .unwrap();
        assert_eq!(read_trust_store(&configured_path(&path), None).unwrap().len(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn fifo_store_is_rejected_without_blocking() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(
            config_with_trust_store(&path)
                .build_client_config(&new_key_cache())
                .unwrap_err()
                .message()
                .contains("not a file")
        );
    }

    #[test]
    fn file_version_changes_with_store_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "one").unwrap();
        let before = config_with_trust_store(&path).file_versions().unwrap();
        assert_eq!(before, config_with_trust_store(&path).file_versions().unwrap());
        std::fs::write(&path, "three").unwrap();
        assert_ne!(before, config_with_trust_store(&path).file_versions().unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn in_place_rewrite_changes_file_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "one").unwrap();
        let before = config_with_trust_store(&path).file_versions().unwrap();
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        // The clock of the file system ticks every few milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&path, "two").unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        assert_ne!(before, config_with_trust_store(&path).file_versions().unwrap());
    }

    #[test]
    fn first_readable_system_ca_file_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, generate_ca_pem()).unwrap();
        let roots = read_first_ca_file(&["/nowhere/ca.pem", path.to_str().unwrap()]).unwrap();
        assert_eq!(roots.len(), 1);
        let error = read_first_ca_file(&["/nowhere/ca.pem"]).unwrap_err();
        assert_eq!(error.status(), Status::Tls);
        assert!(error.message().contains("/nowhere/ca.pem"), "{error}");
    }
}
