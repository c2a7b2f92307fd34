//! Key files written by OpenSSL and keytool, generated once per test run.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use jsonwebtoken::Algorithm;
use tempfile::TempDir;

use super::private_key::external::ExternalKey;
use super::{KeyOrigin, KeySource, StorePurpose};
use crate::base::error::Result;
use crate::base::file::ConfiguredPath;
use crate::base::secret::Secret;

pub const STORE_PASSWORD: &str = "changeit";
pub const KEY_PASSWORD: &str = "another1";

/// Runs `line` in a shell in `directory`; panics if it fails.
pub fn run_shell(directory: &Path, line: &str) {
    let output = Command::new("sh").args(["-c", line]).current_dir(directory).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}\n{errors}\n{}", String::from_utf8_lossy(&output.stdout));
}

const OPENSSL_SCRIPT: &str = "
openssl genrsa -out rsa.pem 2048
openssl rsa -in rsa.pem -traditional -out rsa-pkcs1.pem
openssl rsa -in rsa.pem -traditional -aes128 -passout pass:changeit -out rsa-old-encrypted.pem
openssl rsa -in rsa.pem -traditional -camellia128 -passout pass:changeit -out rsa-old-camellia.pem
openssl pkcs8 -topk8 -in rsa.pem -passout pass:changeit -out rsa-encrypted.pem
openssl pkcs8 -topk8 -in rsa.pem -passout pass:changeit -v2 des3 -v2prf hmacWithSHA1 -out rsa-3des.pem
openssl pkcs8 -topk8 -in rsa.pem -passout pass:changeit -scrypt -out rsa-scrypt.pem
openssl pkcs8 -topk8 -in rsa.pem -passout pass:changeit -v1 PBE-SHA1-3DES -out rsa-pbes1.pem
openssl genrsa -out rsa1024.pem 1024
openssl genrsa -out rsa512.pem 512
openssl genpkey -algorithm ED25519 -out ed25519.pem
openssl pkey -in ed25519.pem -outform DER -out ed25519.der
openssl pkcs8 -topk8 -in ed25519.pem -passout pass:changeit -out ed25519-encrypted.pem
openssl req -x509 -new -key ed25519.pem -subj /CN=ed -days 300 -out ed25519.crt
openssl pkcs12 -export -inkey ed25519.pem -in ed25519.crt -name Ed -passout pass:changeit -out ed25519.p12
openssl ecparam -name prime256v1 -genkey -out ec.pem
openssl ec -in ec.pem -no_public -out ec-short.pem
openssl pkcs8 -topk8 -nocrypt -in ec.pem -out ec-pkcs8.pem
openssl pkcs8 -topk8 -nocrypt -in ec-short.pem -out ec-pkcs8-short.pem
openssl ecparam -name secp384r1 -genkey -noout -out ec384.pem
openssl ecparam -name secp521r1 -genkey -noout -out ec521.pem
openssl dsaparam -out dsa-param.pem 1024
openssl gendsa -out dsa-pkcs8.pem dsa-param.pem
openssl dsa -in dsa-pkcs8.pem -out dsa.pem
openssl req -x509 -new -key rsa.pem -subj /CN=ca -days 300 -out ca.pem
openssl req -x509 -new -key ec.pem -subj /CN=ec -days 300 -out ec.crt
openssl genrsa -out leaf.key 2048
openssl req -new -key leaf.key -subj /CN=leaf -out leaf.csr
openssl x509 -req -in leaf.csr -CA ca.pem -CAkey rsa.pem -CAcreateserial -days 300 -out leaf.crt
cat ca.pem leaf.key leaf.crt > bundle.pem
cat rsa.pem ec.pem > two.pem
openssl x509 -in ca.pem -outform DER -out ca.der
openssl pkcs8 -topk8 -in rsa.pem -outform DER -passout pass:changeit -out rsa-encrypted.der
openssl pkcs12 -export -inkey rsa.pem -in ca.pem -name Signer -passout pass:changeit -out rsa.p12
openssl pkcs12 -export -inkey rsa.pem -in ca.pem -name Signer -passout pass:changeit -legacy -out rsa-legacy.p12
openssl pkcs12 -export -inkey ec.pem -in ec.crt -passout pass:changeit -out ec.p12
openssl pkcs12 -export -inkey leaf.key -in leaf.crt -certfile ca.pem -passout pass:changeit -out chain.p12
openssl pkcs12 -export -inkey rsa.pem -in ca.pem -passout pass: -out rsa-empty.p12
openssl pkcs12 -export -inkey rsa.pem -in ca.pem -passout pass: -keypbe NONE -certpbe NONE -nomac -out rsa-open.p12
openssl pkcs12 -export -inkey rsa.pem -in ca.pem -passout pass:changeit -nomac -out rsa-nomac.p12
openssl pkcs12 -export -inkey rsa.pem -in ca.pem -passout pass:changeit -iter 1 -nomac -out rsa-quick.p12
openssl pkcs12 -export -inkey rsa.pem -in ca.pem -passout pass:changeit -legacy -keypbe PBE-SHA1-RC2-128 -out rsa-rc2.p12
openssl pkcs12 -export -inkey rsa.pem -in ca.pem -passout pass:changeit -keypbe CAMELLIA-256-CBC -nomac -out rsa-camellia.p12
openssl pkcs12 -export -inkey rsa.pem -in ca.pem -passout 'pass:pässw€rd' -out umlaut.p12
openssl pkcs12 -export -inkey rsa.pem -in ca.pem -passout 'pass:pässw€rd' -legacy -out umlaut-legacy.p12
openssl pkcs8 -topk8 -in rsa.pem -passout 'pass:pässw€rd' -out umlaut.pem
openssl pkcs12 -export -nokeys -in ca.pem -passout pass:changeit -out certs.p12
";

const JKS_SCRIPT: &str = "
keytool -genkeypair -storetype JKS -keystore one.jks -alias Signer -keyalg RSA -keysize 2048 -dname CN=one -storepass changeit -keypass another1
cp one.jks two.jks
keytool -genkeypair -storetype JKS -keystore two.jks -alias Second -keyalg EC -groupname secp256r1 -dname CN=two -storepass changeit -keypass changeit
keytool -exportcert -storetype JKS -keystore one.jks -alias signer -storepass changeit -file one.crt
keytool -importcert -noprompt -storetype JKS -keystore two.jks -alias Root -file one.crt -storepass changeit
keytool -importcert -noprompt -storetype JKS -keystore trust.jks -alias Root -file one.crt -storepass changeit
";

const KEYTOOL_SCRIPT: &str = "
keytool -genkeypair -keystore really-p12.jks -alias First -keyalg RSA -keysize 2048 -dname CN=one -storepass changeit
cp really-p12.jks two-keys.p12
keytool -genkeypair -keystore two-keys.p12 -alias Second -keyalg EC -groupname secp384r1 -dname CN=two -storepass changeit
TZ=UTC keytool -genkeypair -keystore rotated.p12 -alias Old -keyalg EC -groupname secp256r1 -dname CN=old -startdate '2025/01/01 00:00:00' -validity 730 -storepass changeit
TZ=UTC keytool -genkeypair -keystore rotated.p12 -alias New -keyalg EC -groupname secp256r1 -dname CN=new -startdate '2026/06/01 00:00:00' -validity 730 -storepass changeit
LC_ALL=C.UTF-8 keytool -genkeypair -storetype JKS -keystore umlaut.jks -alias a -keyalg EC -groupname secp256r1 -dname CN=u -storepass 'pässw€rd' -keypass 'pässw€rd'
keytool -genseckey -storetype JCEKS -keystore store.jceks -alias k -keyalg AES -keysize 128 -storepass changeit -keypass changeit
cp store.jceks both.jceks
keytool -genkeypair -storetype JCEKS -keystore both.jceks -alias p -keyalg EC -groupname secp256r1 -dname CN=p -storepass changeit -keypass changeit
";

type FixtureFiles = HashMap<String, Vec<u8>>;

fn generate_files(script: &str) -> FixtureFiles {
    match crate::sys::env_var("AUTHGRANT_KEY_FIXTURES") {
        Some(kept) => read_files(&keep_files(Path::new(&kept), script)),
        None => read_files(run_script(TempDir::new().unwrap(), script).path()),
    }
}

/// The directory below `kept` with the files of the script, from this process or an earlier one. Mutation tests run thousands.
fn keep_files(kept: &Path, script: &str) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    script.hash(&mut hasher);
    let target = kept.join(format!("{:016x}", hasher.finish()));
    if !target.exists() {
        // Another process may have been faster; its files are as good.
        let _ = std::fs::rename(run_script(TempDir::new_in(kept).unwrap(), script).keep(), &target);
    }
    target
}

fn run_script(directory: TempDir, script: &str) -> TempDir {
    run_shell(directory.path(), &format!("set -e\n{script}"));
    directory
}

fn read_files(directory: &Path) -> FixtureFiles {
    let entries = std::fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

fn fixture_files() -> &'static FixtureFiles {
    static FILES: OnceLock<FixtureFiles> = OnceLock::new();
    FILES.get_or_init(|| {
        let java = std::thread::spawn(|| {
            let mut files = generate_files(JKS_SCRIPT);
            files.extend(generate_files(KEYTOOL_SCRIPT));
            files
        });
        let mut files = generate_files(OPENSSL_SCRIPT);
        files.extend(java.join().unwrap());
        files
    })
}

/// Content of the fixture `name`.
pub fn fixture_bytes(name: &str) -> &'static [u8] {
    &fixture_files()[name]
}

/// Temporary directory for key files, removed when dropped.
pub struct KeyDir(TempDir);

impl KeyDir {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn file_path(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes the fixture `name` to a file of that name, to be opened with `password`.
    pub fn fixture(&self, name: &str, password: Option<&str>) -> KeySource {
        self.source_with_content(name, fixture_bytes(name), password)
    }

    pub fn source_with_content(&self, name: &str, content: &[u8], password: Option<&str>) -> KeySource {
        std::fs::write(self.file_path(name), content).unwrap();
        // Any other mode would cause a warning.
        #[cfg(unix)]
        std::fs::set_permissions(self.file_path(name), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        self.source(name, password)
    }

    pub fn source(&self, name: &str, password: Option<&str>) -> KeySource {
        let path = self.file_path(name).to_str().unwrap().to_owned();
        KeySource {
            password: password.map(Secret::from),
            ..KeySource::from_origin(KeyOrigin::File(ConfiguredPath::new(path)))
        }
    }
}

/// A key that cannot sign.
pub struct StubKey {
    pub is_detached: bool,
}

impl ExternalKey for StubKey {
    fn algorithms(&self) -> &[Algorithm] {
        &[]
    }

    fn sign(&self, _: Algorithm, _: &[u8]) -> Result<Vec<u8>> {
        unreachable!("it has no algorithm")
    }

    fn description(&self) -> String {
        "an external key".to_owned()
    }

    fn type_and_size(&self) -> String {
        "external".to_owned()
    }

    fn public_key(&self) -> &[u8] {
        &[]
    }

    fn subject_public_key_info(&self) -> Option<Vec<u8>> {
        None
    }

    fn is_detached(&self) -> bool {
        self.is_detached
    }
}

impl KeySource {
    /// JWTPrivateKey.
    pub fn inline(text: &str) -> Self {
        Self::from_origin(KeyOrigin::Inline(Secret::from(text)))
    }

    /// JWTSecret.
    pub fn hmac_secret(secret: &str) -> Self {
        Self::from_origin(KeyOrigin::HmacSecret(Secret::from(secret)))
    }

    fn from_origin(origin: KeyOrigin) -> Self {
        let (password, key_password, alias, key_id, certificate) = (None, None, None, None, None);
        let algorithm = None;
        let (forbid_weak_encryption, require_private_file) = (false, false);
        Self {
            purpose: StorePurpose::default(),
            origin,
            password,
            key_password,
            alias,
            key_id,
            algorithm,
            certificate,
            forbid_weak_encryption,
            require_private_file,
        }
    }

    /// With JWTCertificate set.
    pub fn with_certificate(mut self, path: &Path) -> Self {
        self.certificate = Some(ConfiguredPath::new(path.to_str().unwrap().to_owned()));
        self
    }

    /// With JWTCertPassword set.
    pub fn with_password(mut self, password: &str) -> Self {
        self.password = Some(Secret::from(password));
        self
    }

    /// Under a policy that forbids weak encryption.
    pub fn forbidding_weak_encryption(mut self) -> Self {
        self.forbid_weak_encryption = true;
        self
    }

    /// With KeyFileCheck=1.
    pub fn requiring_private_file(mut self) -> Self {
        self.require_private_file = true;
        self
    }

    /// With JWTKeyID set.
    pub fn with_key_id(mut self, key_id: &str) -> Self {
        self.key_id = Some(key_id.to_owned());
        self
    }

    /// With JWTAlgorithm set.
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = Some(algorithm);
        self
    }

    /// With JWTCertAlias set.
    pub fn with_alias(mut self, alias: &str) -> Self {
        self.alias = Some(alias.to_owned());
        self
    }

    /// With JWTCertKeyPassword set.
    pub fn with_key_password(mut self, password: &str) -> Self {
        self.key_password = Some(Secret::from(password));
        self
    }
}
