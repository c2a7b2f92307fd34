//! TrustStore: the place of a PEM file in, the CA certificates that it holds out.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

use crate::error::{Error, Result, Status};
use crate::file::{self, Location};

/// An error about the file `store`.
pub(super) fn store_error(store: &Location, text: &str) -> Error {
    Error::new(Status::KeyStore, "tls", format!("TrustStore {store} {text}")).with_option("TrustStore")
}

/// The certificates in the PEM file `store`.
pub(super) fn read_store(store: &Location) -> Result<RootCertStore> {
    let (content, _) = file::read(store.path()).map_err(|fault| store_error(store, &fault.to_string()))?;
    if let Some(what) = foreign(&content) {
        return Err(store_error(
            store,
            &format!("is {what}; a PEM file (-----BEGIN CERTIFICATE-----) is needed for now"),
        ));
    }
    let mut roots = RootCertStore::empty();
    let found = certificates(&content).map_err(|text| store_error(store, &text))?;
    let count = found.len();
    let (added, _) = roots.add_parsable_certificates(found);
    match (count, added) {
        (0, _) => Err(store_error(store, "holds no certificate (-----BEGIN CERTIFICATE-----)")),
        (_, 0) => Err(store_error(store, "holds no certificate that can be used; all are malformed")),
        _ => Ok(roots),
    }
}

/// The certificates of a PEM text, or what is wrong with the first that is not one. Nothing of the text is shown: what
/// was named by mistake may hold secrets.
fn certificates(content: &[u8]) -> std::result::Result<Vec<CertificateDer<'static>>, String> {
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(content) {
        let number = found.len().saturating_add(1);
        let text = |error| format!("holds PEM that cannot be read: certificate {number} {}", wrong(&error));
        found.push(certificate.map_err(text)?);
    }
    Ok(found)
}

fn wrong(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "has no END line",
        pem::Error::IllegalSectionStart { .. } => "comes after a malformed BEGIN line",
        pem::Error::Base64Decode(_) => "is not base64",
        _ => "is malformed",
    }
}

/// The formats that people have for trust stores and that are not read yet, by their first bytes.
fn foreign(content: &[u8]) -> Option<&'static str> {
    match content {
        [0xFE, 0xED, 0xFE, 0xED, ..] => Some("a JKS store"),
        [0xCE, 0xCE, 0xCE, 0xCE, ..] => Some("a JCEKS store"),
        [0x30, 0x80..=0x84, ..] => Some("a PKCS#12 store or a DER certificate"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Trust;
    use super::*;

    fn location(path: &std::path::Path) -> Location {
        Location::new(path.to_str().unwrap().to_owned())
    }

    fn trust(path: &std::path::Path) -> Trust {
        Trust { store: Some(location(path)), validate: true }
    }

    fn refusal(content: &[u8]) -> Error {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, content).unwrap();
        let error = trust(&path).config().unwrap_err();
        assert_eq!(error.status(), Status::KeyStore);
        assert_eq!(error.option(), Some("TrustStore"));
        assert!(error.message().contains(path.to_str().unwrap()), "{error}");
        error
    }

    fn certificate() -> String {
        rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap().cert.pem()
    }

    #[test]
    fn a_store_that_is_not_pem_is_named_for_what_it_is() {
        assert!(refusal(&[0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2]).message().contains("a JKS store"));
        assert!(refusal(&[0x30, 0x82, 1, 2]).message().contains("PKCS#12"));
        assert!(refusal(b"").message().contains("holds no certificate"));
        assert!(refusal(b"-----BEGIN CERTIFICATE-----\n!\n").message().contains("cannot be read"));
    }

    #[test]
    fn nothing_of_a_malformed_store_is_shown() {
        let good = certificate();
        for (text, what) in [
            ("-----BEGIN hunter2\n".to_owned(), "certificate 1 comes after a malformed BEGIN line"),
            (format!("{good}-----BEGIN CERTIFICATE-----\nhunter2\n"), "certificate 2 has no END line"),
            (
                good.replace("-----BEGIN CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nhunter2!\n"),
                "is not base64",
            ),
        ] {
            let error = refusal(text.as_bytes());
            assert!(error.message().contains(what), "{error}");
            // The line as text, and as the list of its bytes.
            assert!(!error.message().contains("hunter2") && !error.message().contains("104, 117"), "{error}");
        }
    }

    #[test]
    fn a_missing_store_and_a_folder_are_refused_with_the_path_as_typed() {
        let folder = tempfile::tempdir().unwrap();
        let missing = trust(&folder.path().join("no.pem")).config().unwrap_err();
        assert_eq!(missing.status(), Status::KeyStore);
        assert!(missing.message().contains("no.pem cannot be read"), "{missing}");
        let error = trust(folder.path()).config().unwrap_err();
        assert!(error.message().contains("not a file"), "{error}");
    }

    #[test]
    fn a_store_typed_in_another_directory_is_opened_where_it_was_and_named_as_typed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let store = Location::elsewhere("certs/ca.pem", path.clone());
        let trust = Trust { store: Some(store), validate: true };
        for error in [trust.config().unwrap_err(), trust.stamp().unwrap_err()] {
            assert!(error.message().contains("TrustStore certs/ca.pem cannot be read"), "{error}");
        }
        std::fs::write(&path, certificate()).unwrap();
        assert!(trust.config().is_ok() && trust.stamp().is_ok());
    }

    #[test]
    fn text_between_certificates_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, format!("# Root One\n{}\nsubject=/CN=two\n{}", certificate(), certificate()))
            .unwrap();
        assert_eq!(read_store(&location(&path)).unwrap().len(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_refused_without_waiting_for_a_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(trust(&path).config().unwrap_err().message().contains("not a file"));
    }

    #[test]
    fn a_changed_store_has_another_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "one").unwrap();
        let before = trust(&path).stamp().unwrap();
        assert_eq!(before, trust(&path).stamp().unwrap());
        std::fs::write(&path, "three").unwrap();
        assert_ne!(before, trust(&path).stamp().unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn a_store_written_over_in_place_with_the_length_and_time_of_before_has_another_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "one").unwrap();
        let before = trust(&path).stamp().unwrap();
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        // The clock of the file system ticks every few milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&path, "two").unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        assert_ne!(before, trust(&path).stamp().unwrap());
    }
}
