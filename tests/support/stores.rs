//! Key stores and certificates, generated once per test program by keytool and OpenSSL.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// The directory of all generated files. Passwords are `secret` unless the file name indicates otherwise.
fn store_dir() -> &'static Path {
    static DIRECTORY: OnceLock<TempDir> = OnceLock::new();
    DIRECTORY.get_or_init(generate_stores).path()
}

/// The path of a generated file.
pub fn path(name: &str) -> String {
    let path = store_dir().join(name);
    assert!(path.exists(), "{name} is not a generated file");
    path.to_str().unwrap().to_owned()
}

/// The path of `quick.pem`, an unencrypted EC key. Fast to generate, for tests that need no other file.
pub fn ec_key_path() -> String {
    static DIRECTORY: OnceLock<TempDir> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let directory = TempDir::new().unwrap();
        run_shell(
            directory.path(),
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out quick.pem 2>/dev/null",
        );
        directory
    });
    directory.path().join("quick.pem").to_str().unwrap().to_owned()
}

/// The certificate of the key in keytool.jks, keytool-pkcs12.jks, openssl.p12 and openssl.pem.
pub fn certificate() -> String {
    fs::read_to_string(path("certificate.pem")).unwrap()
}

/// The certificate of the key `name`.
pub fn certificate_for(name: &str) -> String {
    fs::read_to_string(path(&format!("{name}.cert.pem"))).unwrap()
}

/// Runs a shell command. Files are readable by the owner only, because the library warns otherwise.
fn run_shell(directory: &Path, command: &str) {
    let command = &format!("umask 077; {command}");
    let output = Command::new("sh").args(["-ec", command]).current_dir(directory).output().expect("sh runs");
    assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn generate_stores() -> TempDir {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    run_shell(path, "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem 2>/dev/null");
    run_shell(path, "openssl req -x509 -key key.pem -days 300 -subj /CN=signer -out certificate.pem");
    run_shell(
        path,
        "openssl pkcs12 -export -inkey key.pem -in certificate.pem -name signer -passout pass:secret -out openssl.p12",
    );
    run_shell(path, "cat key.pem certificate.pem > openssl.pem");
    run_shell(path, "openssl pkey -in key.pem -aes256 -passout pass:secret -out encrypted.pem");
    run_shell(path, "openssl rsa -in key.pem -traditional -out pkcs1.pem");
    run_shell(path, &import_command("openssl.p12", "keytool.jks", "JKS"));
    // keytool writes PKCS#12 by default since Java 9, regardless of the file name.
    run_shell(path, &import_command("openssl.p12", "keytool-pkcs12.jks", "PKCS12"));
    run_shell(
        path,
        "cp keytool.jks keypass.jks && keytool -keypasswd -storetype JKS -keystore keypass.jks -storepass secret -alias signer -keypass secret -new another 2>&1",
    );
    generate_ec_keys(path);
    generate_edge_case_stores(path);
    directory
}

fn import_command(from: &str, to: &str, kind: &str) -> String {
    format!(
        "keytool -importkeystore -srckeystore {from} -srcstoretype PKCS12 -srcstorepass secret \
         -destkeystore {to} -deststoretype {kind} -deststorepass secret -noprompt 2>&1"
    )
}

fn generate_ec_keys(path: &Path) {
    for (name, curve) in [("p256", "P-256"), ("p384", "P-384")] {
        run_shell(
            path,
            &format!(
                "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:{curve} -out {name}.key.pem 2>/dev/null"
            ),
        );
        run_shell(
            path,
            &format!("openssl req -x509 -key {name}.key.pem -days 300 -subj /CN={name} -out {name}.cert.pem"),
        );
        run_shell(
            path,
            &format!(
                "openssl pkcs12 -export -inkey {name}.key.pem -in {name}.cert.pem -name {name} -passout pass:secret -out {name}.p12"
            ),
        );
        run_shell(path, &format!("openssl ec -in {name}.key.pem -out {name}.sec1.pem 2>&1"));
    }
}

fn generate_edge_case_stores(path: &Path) {
    run_shell(path, "cp keytool.jks two-keys.jks");
    run_shell(path, &import_command("p256.p12", "two-keys.jks", "JKS"));
    // Otherwise both certificates may begin in the same second, and neither key would be the newer one.
    run_shell(
        path,
        "keytool -selfcert -storetype JKS -keystore two-keys.jks -storepass secret -alias signer -startdate -1d \
         -validity 300 2>&1",
    );
    run_shell(
        path,
        "cp keytool.jks with-certificate.jks && keytool -importcert -noprompt -storetype JKS -keystore with-certificate.jks -storepass secret -alias trusted -file p256.cert.pem 2>&1",
    );
    // Equally old certificates, so that neither key is the newer one.
    run_shell(
        path,
        "start=$(date '+%Y/%m/%d %H:%M:%S'); for alias in signer p256; do keytool -genkeypair -storetype JKS \
         -keystore tied-keys.jks -alias $alias -keyalg EC -groupname secp256r1 -dname CN=$alias -startdate \"$start\" \
         -validity 300 -storepass secret -keypass secret 2>&1; done",
    );
    run_shell(path, "openssl genrsa -out rsa512.pem 512 2>&1");
    run_shell(
        path,
        "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out other.pem 2>/dev/null",
    );
    run_shell(path, "head -c 600 keytool.jks > truncated.jks && head -c 600 openssl.p12 > truncated.p12");
    run_shell(
        path,
        ": > empty && head -c 4096 /dev/urandom | tr -d '\\376\\060\\055' > random && mkdir directory && mkfifo fifo",
    );
    run_shell(path, "truncate -s 17M large");
}
