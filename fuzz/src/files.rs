//! Files that the library reads, in a directory of this process.

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Once, OnceLock};

use authgrant::base::file::ConfiguredPath;
use authgrant::base::secret::Secret;
use authgrant::ffi::policy::{
    AUTHGRANT_ALLOW_SECRET_REFERENCES, AUTHGRANT_ALLOW_TOKEN_CACHE, AUTHGRANT_FORBID_FILE_PATHS,
    authgrant_allow_directory, authgrant_set_policy,
};
use authgrant::key::{self, KeyOrigin, KeySource, SigningKey, StorePurpose, set_accept_corruption};

use crate::{check_call, check_error, check_text, has_canary};

/// A PKCS#8 key on P-256, and a self-signed certificate for it.
pub const KEY: &str = include_str!("key.pem");
/// The certificate for [`KEY`].
pub const CERTIFICATE: &str = include_str!("certificate.pem");

/// The password of all key files in the corpora that have one.
pub const PASSWORD: &str = "changeit";

/// The directory, in memory if the system has a file system for that.
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        // One for each process: several targets run at the same time.
        let directory = parent.join(format!("authgrant-fuzz-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        directory
    })
}

/// Lets connection strings name files in the directory alone, where there are some: others may be devices.
pub fn confine() {
    static CONFINED: Once = Once::new();
    CONFINED.call_once(|| {
        write("key.pem", KEY.as_bytes());
        write("certificate.pem", CERTIFICATE.as_bytes());
        write("model.rest", br##"{"#headers":{"X-Key":"k"},"#options":{"Scope":"s"},"#hostname":"h"}"##);
        write("source.dsn", b"[ODBC]\nAuthenticationMethod=55\nClaimsIssuer=me\nPassword=secret\n");
        let directory = CString::new(directory().to_str().unwrap()).unwrap();
        check_call(|error| authgrant_allow_directory(directory.as_ptr(), error));
        let allowed = AUTHGRANT_ALLOW_SECRET_REFERENCES | AUTHGRANT_ALLOW_TOKEN_CACHE;
        check_call(|error| authgrant_set_policy(allowed, AUTHGRANT_FORBID_FILE_PATHS, error));
    });
}

/// Whether `text` may name a key on a PKCS#11 token. It would load the modules of the machine.
pub fn names_token(text: &[u8]) -> bool {
    let scheme = b"pkcs11:";
    text.windows(scheme.len()).any(|window| window.eq_ignore_ascii_case(scheme))
}

/// Writes a file that nobody else may read, and returns its path.
pub fn write(name: &str, content: &[u8]) -> String {
    let path = directory().join(name);
    let mut file = File::create(&path).unwrap();
    file.set_permissions(Permissions::from_mode(0o600)).unwrap();
    file.write_all(content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The options of a key in the file at `path`.
pub fn key_source(path: &str, purpose: StorePurpose) -> KeySource {
    KeySource {
        purpose,
        origin: KeyOrigin::File(ConfiguredPath::new(path.to_owned())),
        password: Some(Secret::from(PASSWORD)),
        key_password: None,
        alias: None,
        key_id: None,
        algorithm: None,
        certificate: None,
        forbid_weak_encryption: false,
        require_private_file: false,
    }
}

/// Opens and lists the key file with `content`: as it is, then with a wrong MAC accepted, so that the content that
/// it protects is parsed, too.
pub fn check_key_file(content: &[u8]) {
    if has_canary(content) {
        return;
    }
    let path = write("key", content);
    for accept_corruption in [false, true] {
        set_accept_corruption(accept_corruption);
        for purpose in [StorePurpose::Assertion, StorePurpose::TrustStore] {
            check_source(&key_source(&path, purpose), content);
        }
    }
    set_accept_corruption(false);
}

fn check_source(source: &KeySource, content: &[u8]) {
    if source.purpose == StorePurpose::TrustStore {
        let found = key::read_trusted_certificates(source, content.to_vec().into());
        if let key::TrustedCertificates::Found(Err(error)) = found {
            check_error(&error);
        }
        return;
    }
    match key::open(source) {
        Ok(key) => check_key(&key),
        Err(error) => check_error(&error),
    }
    match key::list(source) {
        Ok(store) => {
            for key in store.into_iter().flat_map(|store| store.keys) {
                match &key.key {
                    Ok(key) => check_key(key),
                    Err(error) => check_error(error),
                }
            }
        }
        Err(error) => check_error(&error),
    }
}

/// Signs with the key, and checks what a report says about it.
pub fn check_key(key: &SigningKey) {
    check_text(&key.type_and_size());
    key.warnings(1_800_000_000).iter().for_each(check_error);
    let signed = key.select_algorithm(None).and_then(|algorithm| key.sign(algorithm, b"message"));
    if let Err(error) = signed {
        check_error(&error);
    }
}
