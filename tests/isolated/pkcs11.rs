//! Keys on PKCS#11 tokens, with SoftHSM.
//!
//! Not part of `cargo test`, because SoftHSM may be missing; `make test` installs it and runs this file as
//! its part `pkcs11`. Each test runs in its own process with its own tokens, because a PKCS#11 module is
//! initialized once per process.

#[path = "../support/mod.rs"]
mod support;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use authgrant::ffi::connection::authgrant_clear_caches;
use authgrant::ffi::policy::*;
use authgrant::ffi::status::*;
use authgrant::options::Environment;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::{SessionState, UserType};
use cryptoki::types::AuthPin;
use mock_server::{ClientAuth, ClientOptions, Config, GrantType, MockServer};
use support::ISSUER;
use support::c_api::{
    Connection, Failure, LogLines, collect_failures, get_token, open, open_with_environment,
};
use support::servers::start_nginx;

const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
const TOKEN_DIR_ENV: &str = "AUTHGRANT_TEST_TOKENS";
const PIN: &str = "271828";

/// Runs `body` in a subprocess that has its own tokens and no others: this test program, restricted to the
/// test `name`.
fn run_with_tokens(name: &str, body: impl FnOnce(&TokenDir)) {
    if let Some(directory) = std::env::var_os(TOKEN_DIR_ENV) {
        return body(&TokenDir(directory.into()));
    }
    let temp_dir = tempfile::tempdir().unwrap();
    let directory = temp_dir.path();
    fs::create_dir(directory.join("tokens")).unwrap();
    let settings =
        format!("directories.tokendir = {}\nlog.level = ERROR\n", directory.join("tokens").display());
    fs::write(directory.join("softhsm2.conf"), settings).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(TOKEN_DIR_ENV, directory)
        .env("SHIM_FOLDER", directory)
        .env("SOFTHSM2_CONF", directory.join("softhsm2.conf"))
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "{} {stdout}{stderr}", output.status);
}

/// The directory with the tokens and other files of one test.
struct TokenDir(PathBuf);

impl TokenDir {
    #[track_caller]
    fn run_shell(&self, command: &str) -> String {
        let output = Command::new("sh").args(["-ec", command]).current_dir(&self.0).output().unwrap();
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command}\n{stdout}{stderr}");
        stdout.into_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn init_token(&self, label: &str) {
        self.run_shell(&format!(
            "softhsm2-util --init-token --free --label '{label}' --pin {PIN} --so-pin 314159"
        ));
    }

    fn run_pkcs11_tool(&self, token: &str, args: &str) -> String {
        self.run_shell(&format!(
            "pkcs11-tool --module {SOFTHSM} --token-label '{token}' --login --pin {PIN} {args}"
        ))
    }

    /// Generates a key pair on the token. The private key is not extractable.
    fn generate_key(&self, token: &str, label: &str, id: &str, key_type: &str) {
        let args = format!("--keypairgen --key-type {key_type} --label {label} --id {id} --usage-sign");
        let output = self.run_pkcs11_tool(token, &args);
        assert!(output.contains("never extractable"), "{output}");
    }

    /// Writes the public key to `{id}.pub` and returns it, as PEM.
    fn export_public_key(&self, token: &str, id: &str) -> String {
        let token = token.replace(' ', "%20");
        self.run_shell(&format!(
            "GNUTLS_PIN={PIN} p11tool --provider {SOFTHSM} --login --export-pubkey --outfile {id}.pub \
             'pkcs11:token={token};id=%{id};type=public' 2>&1"
        ));
        fs::read_to_string(self.path(&format!("{id}.pub"))).unwrap()
    }

    /// Creates a token `The Token` with the RSA key `signer`, and starts a server that accepts this key.
    fn start_server_with_default_key(&self) -> MockServer {
        self.init_token("The Token");
        self.generate_key("The Token", "signer", "01", "rsa:2048");
        self.start_server(&[self.export_public_key("The Token", "01")])
    }

    fn start_server(&self, keys: &[String]) -> MockServer {
        let server = MockServer::start(Config::http());
        server.register(ISSUER, keys, ClientOptions::default());
        server
    }

    /// Builds the module that forwards to SoftHSM and logs its calls, and returns its path.
    fn build_shim(&self) -> String {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pkcs11/shim.c");
        let path = self.path("shim.so");
        self.run_shell(&format!(
            "cc -Wall -Wextra -Werror -shared -fPIC '-DMODULE=\"{SOFTHSM}\"' -o {} {} -ldl",
            path.display(),
            source.display()
        ));
        path.to_str().unwrap().to_owned()
    }

    /// The number of calls of this PKCS#11 function that the shim has logged.
    fn shim_call_count(&self, function: &str) -> usize {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().filter(|line| *line == function).count()
    }

    fn set_shim_flag(&self, flag: &str) {
        fs::write(self.path(flag), "").unwrap();
    }

    fn clear_shim_flag(&self, flag: &str) {
        fs::remove_file(self.path(flag)).unwrap();
    }
}

fn connection_string(server: &MockServer, store: &str, more: &str) -> String {
    format!(
        "JWTCertStore={{{store}}};{more};AuthenticationMethod=55;ClaimsIssuer={ISSUER};\
         ClaimsSubject=jsmith@example.com;TokenURI=POST {};CacheScope=Connection",
        server.url("/oauth/token"),
    )
}

fn with_pin(more: &str) -> String {
    format!("JWTCertPassword={PIN};{more}")
}

/// Asserts that the connection string yields no token but an error about `option`, without a PIN.
#[track_caller]
fn assert_fails(string: &str, status: i32, option: &str) -> Failure {
    let failure = *get_token(string).err().unwrap_or_else(|| panic!("{string} yields a token"));
    assert_error(&failure, status, option);
    failure
}

#[track_caller]
fn assert_error(failure: &Failure, status: i32, option: &str) {
    assert_eq!((failure.status, failure.option.as_deref()), (status, Some(option)), "{failure:?}");
    assert!(!failure.message.contains(PIN) && !failure.message.contains("hunter2"), "{failure:?}");
}

/// Asserts that the message contains all of these names.
#[track_caller]
fn assert_names(failure: &Failure, names: &[&str]) {
    for name in names {
        assert!(failure.message.contains(name), "{name}: {failure:?}");
    }
}

fn set_policy(allow: u32) {
    assert_eq!(collect_failures(|error| authgrant_set_policy(allow, 0, error)), []);
}

#[test]
fn token_keys_sign_accepted_assertions() {
    run_with_tokens("token_keys_sign_accepted_assertions", |dir| {
        // The module comes from the p11-kit configuration; the connection strings set no path.
        dir.init_token("The Token");
        dir.init_token("Another");
        let keys = [
            ("rsa", "01", "rsa:2048"),
            ("p256", "02", "EC:prime256v1"),
            ("p384", "03", "EC:secp384r1"),
            ("ed", "04", "EC:edwards25519"),
        ];
        for (label, id, key_type) in keys {
            dir.generate_key("The Token", label, id, key_type);
        }
        let store = "pkcs11:token=The%20Token;type=private";
        for (attributes, more, algorithm) in [
            (";object=rsa", "", "RS256"),
            (";object=rsa", "JWTAlgorithm=RS384", "RS384"),
            (";object=rsa", "JWTAlgorithm=RS512", "RS512"),
            (";object=rsa", "JWTAlgorithm=PS256", "PS256"),
            (";id=%01", "JWTAlgorithm=PS384", "PS384"),
            (";id=%01?module-name=softhsm2", "JWTAlgorithm=PS512", "PS512"),
            (";id=%02", "", "ES256"),
            ("", "JWTCertAlias=P384", "ES384"),
            (";object=ed", "", "EdDSA"),
        ] {
            let selects = |label: &str, id: &str| {
                format!("{attributes}{more}").to_lowercase().contains(label)
                    || attributes.contains(&format!("%{id}"))
            };
            let (_, id, _) = keys.iter().find(|(label, id, _)| selects(label, id)).unwrap();
            let server = dir.start_server(&[dir.export_public_key("The Token", id)]);
            let string = connection_string(&server, &format!("{store}{attributes}"), &with_pin(more));
            get_token(&string).unwrap_or_else(|failure| panic!("{attributes} {more}: {failure:?}"));
            let assertion = server.token_requests()[0].parameter("assertion").unwrap();
            let header = decode_base64url(assertion.split('.').next().unwrap());
            assert!(header.contains(&format!("\"{algorithm}\"")), "{attributes} {more} {header}");
        }
    });
}

/// An environment whose system-wide odbc.ini is in this directory.
struct SystemDataSources(PathBuf);

impl Environment for SystemDataSources {
    fn variable(&self, _: &str) -> Option<OsString> {
        None
    }

    fn home(&self) -> Option<PathBuf> {
        None
    }

    fn system_folders(&self) -> Vec<PathBuf> {
        vec![self.0.clone()]
    }
}

/// Requests a token that cannot be cached, because its subject is new.
fn fetch_uncached_token(connection: &Connection) -> Result<(), Box<Failure>> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    connection.set_option("ClaimsSubject", &format!("user-{number}"))?;
    connection.get_token().map(drop)
}

fn decode_base64url(part: &str) -> String {
    use base64::Engine as _;
    String::from_utf8(base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn report_lists_token_keys() {
    run_with_tokens("report_lists_token_keys", |dir| {
        let server = dir.start_server_with_default_key();
        dir.generate_key("The Token", "small", "02", "rsa:1024");
        dir.run_shell(
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout d.key -subj /CN=d -out d.pem -days 3 2>&1",
        );
        dir.run_shell(
            "openssl req -new -key d.key -subj /CN=signer | openssl x509 -req -force_pubkey 01.pub -CA d.pem \
             -CAkey d.key -CAcreateserial -days 3 -outform DER -out signer.der 2>&1",
        );
        dir.run_pkcs11_tool("The Token", "--write-object signer.der --type cert --id 01 --label signer");
        let store = "pkcs11:token=The%20Token";
        let open_with = |more: &str| open(&connection_string(&server, store, &with_pin(more))).unwrap();
        let connection = open_with("JWTCertAlias=signer;JWTThumbprint=x5t#S256");
        let report = connection.validate().split_whitespace().collect::<Vec<_>>().join("");
        for fragment in [
            r#""valid":true"#,
            r#""kind":"PKCS#11""#,
            r#""alias":"signer","type":"RSA2048""#,
            "RSAkeyof1024bits",
            "CN=signer",
        ] {
            assert!(report.contains(fragment), "{fragment}: {report}");
        }
        let explained = connection.explain().unwrap();
        assert!(explained.contains("RSA 2048") && explained.contains(store), "{explained}");
        connection.get_token().unwrap();
        let thumbprint =
            dir.run_shell("openssl dgst -sha256 -binary signer.der | basenc --base64url | tr -d '=\\n'");
        let assertion = server.token_requests()[0].parameter("assertion").unwrap();
        assert!(decode_base64url(assertion.split('.').next().unwrap()).contains(&thumbprint));
        // The issuer fingerprint is the same as for a key file.
        let explained =
            open_with("JWTCertAlias=signer;Provider=Snowflake;ClaimsSubject=A.B").explain().unwrap();
        let fingerprint = dir
            .run_shell("openssl pkey -pubin -in 01.pub -outform DER | openssl dgst -sha256 -binary | base64");
        assert!(explained.contains(&format!("SHA256:{}", fingerprint.trim())), "{explained}");
        let string = connection_string(&server, store, &with_pin("JWTCertAlias=small"));
        let failure = assert_fails(&string, AUTHGRANT_KEY_UNSUITABLE, "JWTCertStore");
        assert_names(&failure, &["1024 bits"]);
    });
}

#[test]
fn ambiguous_key_error_lists_candidates() {
    run_with_tokens("ambiguous_key_error_lists_candidates", |dir| {
        let server = dir.start_server_with_default_key();
        dir.generate_key("The Token", "other", "02", "EC:prime256v1");
        dir.init_token("Second");
        let check = |store: &str, more: &str, status: i32, option: &str, names: &[&str]| {
            let string = connection_string(&server, store, &with_pin(more));
            assert_names(&assert_fails(&string, status, option), names);
        };
        let token = "pkcs11:token=The%20Token";
        let aliases = ["\"signer\"", "\"other\""];
        check(token, "", AUTHGRANT_KEY_NOT_FOUND, "JWTCertAlias", &aliases);
        let names = ["\"signr\"", aliases[0], aliases[1]];
        check(token, "JWTCertAlias=signr", AUTHGRANT_KEY_NOT_FOUND, "JWTCertAlias", &names);
        let keys = ["\"signer\" (id=%01)", "\"other\" (id=%02)"];
        for attribute in ["object=signr", "id=%07"] {
            let store = format!("{token};{attribute}");
            check(&store, "", AUTHGRANT_KEY_NOT_FOUND, "JWTCertStore", &keys);
        }
        let tokens = ["\"The Token\" (serial ", "\"Second\" (serial "];
        for store in ["pkcs11:token=the%20token", "pkcs11:manufacturer=SoftHSM%20project"] {
            check(store, "", AUTHGRANT_KEY_STORE_ERROR, "JWTCertStore", &tokens);
        }
        let module = ["\"softhsm2\""];
        check("pkcs11:?module-name=nosuch", "", AUTHGRANT_KEY_STORE_ERROR, "JWTCertStore", &module);
        check("pkcs11:tokn=x", "", AUTHGRANT_INVALID_OPTION, "JWTCertStore", &["\"tokn\""]);
        let more = "JWTAlgorithm=ES256;JWTCertAlias=signer";
        let names = ["ES256", "RSA key of 2048 bits"];
        check(token, more, AUTHGRANT_KEY_UNSUITABLE, "JWTCertStore", &names);
        assert!(server.requests().is_empty());
        // The only key that supports the algorithm is chosen.
        for (algorithm, public_key) in [("RS256", "01"), ("ES256", "02")] {
            let server = dir.start_server(&[dir.export_public_key("The Token", public_key)]);
            let more = with_pin(&format!("JWTAlgorithm={algorithm}"));
            fetch_uncached_token(&open(&connection_string(&server, token, &more)).unwrap()).unwrap();
        }
    });
}

#[test]
fn uri_attributes_select_token() {
    run_with_tokens("uri_attributes_select_token", |dir| {
        let server = dir.start_server_with_default_key();
        let module = load_module_as_application();
        let slot = module.get_slots_with_initialized_token().unwrap()[0];
        let token = module.get_token_info(slot).unwrap();
        let slot = module.get_slot_info(slot).unwrap();
        let library = module.get_library_info().unwrap();
        let version = library.library_version();
        let version = format!("{}.{}", version.major(), version.minor());
        for (attribute, value) in [
            ("token", token.label()),
            ("manufacturer", token.manufacturer_id()),
            ("serial", token.serial_number()),
            ("model", token.model()),
            ("library-manufacturer", library.manufacturer_id()),
            ("library-description", library.library_description()),
            ("library-version", &version),
            ("slot-manufacturer", slot.manufacturer_id()),
            ("slot-description", slot.slot_description()),
        ] {
            let value: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let string = |value: &str| {
                connection_string(&server, &format!("pkcs11:{attribute}={value}"), &with_pin(""))
            };
            get_token(&string(&value)).unwrap_or_else(|failure| panic!("{attribute}: {failure:?}"));
            let failure = assert_fails(&string("9.9"), AUTHGRANT_KEY_STORE_ERROR, "JWTCertStore");
            assert_names(&failure, &["\"The Token\" (serial "]);
        }
    });
}

#[test]
fn key_type_of_token_is_named() {
    run_with_tokens("key_type_of_token_is_named", |dir| {
        dir.init_token("The Token");
        let server = dir.start_server(&[]);
        for (id, key_type, short, description) in [
            ("01", "EC:prime256v1", "EC P-256", "an EC key on P-256 on a token"),
            ("02", "EC:secp384r1", "EC P-384", "an EC key on P-384 on a token"),
            ("03", "EC:edwards25519", "Ed25519", "an Ed25519 key on a token"),
        ] {
            dir.generate_key("The Token", "signer", id, key_type);
            let store = format!("pkcs11:token=The%20Token;id=%{id}");
            let string = |more: &str| connection_string(&server, &store, &with_pin(more));
            let report = open(&string("")).unwrap().validate();
            assert!(report.contains(&format!("\"type\": \"{short}\"")), "{report}");
            let failure =
                assert_fails(&string("JWTAlgorithm=RS256"), AUTHGRANT_KEY_UNSUITABLE, "JWTCertStore");
            assert_names(&failure, &[description]);
            dir.export_public_key("The Token", id);
            let explained = open(&string("Provider=Snowflake;ClaimsSubject=A.B")).unwrap().explain().unwrap();
            let fingerprint = dir.run_shell(&format!(
                "openssl pkey -pubin -in {id}.pub -outform DER | openssl dgst -sha256 -binary | base64"
            ));
            assert!(explained.contains(&format!("SHA256:{}", fingerprint.trim())), "{short}: {explained}");
        }
    });
}

/// Generates an EC key with CKA_SIGN false. pkcs11-tool leaves the default, which is true.
fn generate_key_without_sign(id: u8) {
    let module = load_module_as_application();
    let session = module.open_rw_session(module.get_slots_with_initialized_token().unwrap()[0]).unwrap();
    session.login(UserType::User, Some(&AuthPin::new(PIN.into()))).unwrap();
    let p256 = vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let common = [Attribute::Token(true), Attribute::Id(vec![id])];
    let public = [&common[..], &[Attribute::EcParams(p256)]].concat();
    let private = [&common[..], &[Attribute::Sign(false), Attribute::Derive(true)]].concat();
    session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap();
    session.logout().unwrap();
}

#[test]
fn key_that_cannot_sign_is_unsuitable() {
    run_with_tokens("key_that_cannot_sign_is_unsuitable", |dir| {
        dir.init_token("The Token");
        let server = dir.start_server(&[]);
        let generate = |arguments| {
            dir.run_pkcs11_tool("The Token", &format!("--keypairgen --label signer {arguments}"));
        };
        generate("--id 01 --key-type EC:prime256v1 --usage-sign --always-auth");
        generate("--id 02 --key-type EC:secp521r1 --usage-sign");
        generate_key_without_sign(3);
        for (id, reason) in [("01", "CKA_ALWAYS_AUTHENTICATE"), ("02", "P-521"), ("03", "CKA_SIGN is false")]
        {
            let store = format!("pkcs11:token=The%20Token;id=%{id}");
            let string = connection_string(&server, &store, &with_pin(""));
            let failure = assert_fails(&string, AUTHGRANT_KEY_UNSUITABLE, "JWTCertStore");
            assert_names(&failure, &[reason]);
        }
    });
}

#[test]
fn unloadable_module_error_names_module() {
    run_with_tokens("unloadable_module_error_names_module", |dir| {
        let server = dir.start_server_with_default_key();
        let get_token_with_module = |module: &Path| {
            let connection = open(&connection_string(&server, "/nowhere", &with_pin(""))).unwrap();
            let store = format!("pkcs11:object=signer?module-path={}", module.display());
            connection.set_option("JWTCertStore", &store).unwrap();
            connection.get_token().map(drop)
        };
        let failure = get_token_with_module(&dir.path("missing.so")).unwrap_err();
        assert_error(&failure, AUTHGRANT_KEY_STORE_ERROR, "JWTCertStore");
        assert_names(&failure, &["missing.so", "No such file"]);
        dir.run_shell("echo 'int nothing;' > plain.c; cc -shared -fPIC -o plain.so plain.c");
        let failure = get_token_with_module(&dir.path("plain.so")).unwrap_err();
        assert_error(&failure, AUTHGRANT_KEY_STORE_ERROR, "JWTCertStore");
        assert_names(&failure, &["plain.so", "C_GetFunctionList"]);
        get_token_with_module(Path::new(SOFTHSM)).unwrap();
    });
}

#[test]
fn wrong_pin_is_presented_once() {
    run_with_tokens("wrong_pin_is_presented_once", |dir| {
        set_policy(AUTHGRANT_ALLOW_PKCS11_MODULE_PATH);
        let server = dir.start_server_with_default_key();
        let store = format!("pkcs11:token=The%20Token?module-path={}", dir.build_shim());
        let string_with_pin =
            |pin: &str| connection_string(&server, &store, &format!("JWTCertPassword={pin}"));
        let string_without_pin = connection_string(&server, &store, "");
        let assert_pin_error =
            |string: &str| assert_fails(string, AUTHGRANT_KEY_PASSWORD, "JWTCertPassword").message;
        assert_pin_error(&string_without_pin);
        assert_eq!(dir.shim_call_count("C_Login"), 0);

        let message = assert_pin_error(&string_with_pin("hunter2"));
        assert!(message.contains("CKR_PIN_INCORRECT"), "{message}");
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| {
                    for _ in 0..125 {
                        let message = assert_pin_error(&string_with_pin("hunter2"));
                        assert!(!message.contains("CKR_"), "{message}");
                    }
                });
            }
        });
        assert_eq!(dir.shim_call_count("C_Login"), 1);

        get_token(&string_with_pin(PIN)).unwrap();
        assert_eq!(dir.shim_call_count("C_Login"), 2);
        // The login applies to the whole process; signing still requires the right PIN.
        assert_pin_error(&string_with_pin("hunter2-too"));
        assert_pin_error(&string_without_pin);
        get_token(&string_with_pin(PIN)).unwrap();
        assert_eq!(dir.shim_call_count("C_Login"), 2);

        // Clearing also forgets rejected PINs: the token or its PIN may have been replaced.
        authgrant_clear_caches();
        let message = assert_pin_error(&string_with_pin("hunter2"));
        assert!(message.contains("CKR_PIN_INCORRECT"), "{message}");
        let message = assert_pin_error(&string_with_pin("hunter2"));
        assert!(!message.contains("CKR_"), "{message}");
        assert_eq!(dir.shim_call_count("C_Login"), 3);
    });
}

#[test]
fn concurrent_wrong_pin_is_presented_once() {
    run_with_tokens("concurrent_wrong_pin_is_presented_once", |dir| {
        set_policy(AUTHGRANT_ALLOW_PKCS11_MODULE_PATH);
        let server = dir.start_server_with_default_key();
        let store = format!("pkcs11:token=The%20Token?module-path={}", dir.build_shim());
        let wrong_pin = connection_string(&server, &store, "JWTCertPassword=hunter2");
        std::thread::scope(|threads| {
            for _ in 0..16 {
                threads.spawn(|| assert_fails(&wrong_pin, AUTHGRANT_KEY_PASSWORD, "JWTCertPassword"));
            }
        });
        assert_eq!(dir.shim_call_count("C_Login"), 1);
    });
}

#[test]
fn final_pin_try_is_not_used() {
    run_with_tokens("final_pin_try_is_not_used", |dir| {
        set_policy(AUTHGRANT_ALLOW_PKCS11_MODULE_PATH);
        let server = dir.start_server_with_default_key();
        let store = format!("pkcs11:token=The%20Token?module-path={}", dir.build_shim());
        let string = connection_string(&server, &store, &with_pin(""));
        dir.set_shim_flag("final");
        assert_fails(&string, AUTHGRANT_KEY_PASSWORD, "JWTCertPassword");
        assert_eq!(dir.shim_call_count("C_Login"), 0);
        dir.clear_shim_flag("final");
        dir.set_shim_flag("locked");
        assert_fails(&string, AUTHGRANT_KEY_PASSWORD, "JWTCertPassword");
        assert_eq!(dir.shim_call_count("C_Login"), 1);
        dir.clear_shim_flag("locked");
        get_token(&string).unwrap();
        assert_eq!(dir.shim_call_count("C_Login"), 2);
    });
}

#[test]
fn reinserted_token_signs_again() {
    run_with_tokens("reinserted_token_signs_again", |dir| {
        set_policy(AUTHGRANT_ALLOW_PKCS11_MODULE_PATH);
        let server = dir.start_server_with_default_key();
        let store = format!("pkcs11:token=The%20Token?module-path={}", dir.build_shim());
        let connection = open(&connection_string(&server, &store, &with_pin(""))).unwrap();
        let sign = || fetch_uncached_token(&connection);
        sign().unwrap();
        sign().unwrap();
        assert_eq!((dir.shim_call_count("C_OpenSession"), dir.shim_call_count("C_Login")), (1, 1));
        dir.set_shim_flag("removed");
        for _ in 0..2 {
            assert_error(&sign().unwrap_err(), AUTHGRANT_KEY_STORE_ERROR, "JWTCertStore");
        }
        dir.clear_shim_flag("removed");
        sign().unwrap();
        sign().unwrap();
        assert_eq!((dir.shim_call_count("C_OpenSession"), dir.shim_call_count("C_CloseSession")), (2, 1));
        authgrant_clear_caches();
        assert_eq!(dir.shim_call_count("C_CloseSession"), 2, "clearing closes the session");
        sign().unwrap();
        dir.set_shim_flag("failing");
        let failure = sign().unwrap_err();
        assert_error(&failure, AUTHGRANT_KEY_STORE_ERROR, "JWTCertStore");
        assert_names(&failure, &["CKR_DEVICE_REMOVED"]);
        dir.clear_shim_flag("failing");
        sign().unwrap();
        assert_eq!(
            dir.shim_call_count("C_OpenSession") - dir.shim_call_count("C_CloseSession"),
            1,
            "only one session stays open"
        );
    });
}

#[test]
fn deleted_key_is_looked_up_again() {
    run_with_tokens("deleted_key_is_looked_up_again", |dir| {
        let server = dir.start_server_with_default_key();
        let store = "pkcs11:token=The%20Token;object=signer";
        let connection = open(&connection_string(&server, store, &with_pin(""))).unwrap();
        fetch_uncached_token(&connection).unwrap();
        for object_type in ["privkey", "pubkey"] {
            dir.run_pkcs11_tool("The Token", &format!("--delete-object --type {object_type} --id 01"));
        }
        let failure = fetch_uncached_token(&connection).unwrap_err();
        assert_eq!(failure.status, AUTHGRANT_KEY_NOT_FOUND, "{failure:?}");
        dir.generate_key("The Token", "signer", "05", "EC:prime256v1");
        let new_server = dir.start_server(&[dir.export_public_key("The Token", "05")]);
        connection.set_option("TokenURI", &format!("POST {}", new_server.url("/oauth/token"))).unwrap();
        connection.get_token().unwrap();
    });
}

#[test]
fn forked_child_uses_token_and_pin_cache() {
    run_with_tokens("forked_child_uses_token_and_pin_cache", |dir| {
        set_policy(AUTHGRANT_ALLOW_PKCS11_MODULE_PATH);
        let server = dir.start_server_with_default_key();
        let store = format!("pkcs11:token=The%20Token?module-path={}", dir.build_shim());
        let string_with_pin =
            |pin: &str| connection_string(&server, &store, &format!("JWTCertPassword={pin}"));
        let inherited = open(&string_with_pin(PIN)).unwrap();
        fetch_uncached_token(&inherited).unwrap();
        let assert_rejected_without_login = |pin: &str| {
            let logins = dir.shim_call_count("C_Login");
            assert_fails(&string_with_pin(pin), AUTHGRANT_KEY_PASSWORD, "JWTCertPassword");
            assert_eq!(dir.shim_call_count("C_Login"), logins);
        };
        assert_rejected_without_login("hunter2");
        let initialized = dir.shim_call_count("C_Initialize");
        for _ in 0..3 {
            // SAFETY: after the fork of a multi-threaded process, the child uses only this library, which
            // supports that, and exits without running other code.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: sets a timer that terminates a child that hangs.
                unsafe { libc::alarm(60) };
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    fetch_uncached_token(&inherited).unwrap();
                    get_token(&string_with_pin(PIN)).unwrap();
                    assert_rejected_without_login("hunter2-too");
                    authgrant_clear_caches();
                }));
                // SAFETY: exits the process immediately.
                unsafe { libc::_exit(i32::from(outcome.is_err())) };
            }
            let mut status = -1;
            // SAFETY: waits for the child that was forked above.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "{status:#x}");
            fetch_uncached_token(&inherited).unwrap();
        }
        assert!(
            dir.shim_call_count("C_Initialize") >= initialized + 3,
            "each child initializes the module itself"
        );
    });
}

#[test]
fn threads_sign_concurrently_with_one_token() {
    run_with_tokens("threads_sign_concurrently_with_one_token", |dir| {
        let server = dir.start_server_with_default_key();
        dir.generate_key("The Token", "p256", "02", "EC:prime256v1");
        let ec_server = dir.start_server(&[dir.export_public_key("The Token", "02")]);
        let token_count = AtomicUsize::new(0);
        std::thread::scope(|threads| {
            for index in 0..16 {
                let (server, label) = if index % 2 == 0 { (&server, "signer") } else { (&ec_server, "p256") };
                let token_count = &token_count;
                threads.spawn(move || {
                    for _ in 0..20 {
                        let store = format!("pkcs11:token=The%20Token;object={label}");
                        get_token(&connection_string(server, &store, &with_pin(""))).unwrap();
                        token_count.fetch_add(1, Ordering::Relaxed);
                        if index == 0 {
                            authgrant_clear_caches();
                        }
                    }
                });
            }
        });
        assert_eq!(token_count.into_inner(), 320);
        assert_eq!(server.token_requests().len() + ec_server.token_requests().len(), 320);
    });
}

#[test]
fn untrusted_string_cannot_load_module() {
    run_with_tokens("untrusted_string_cannot_load_module", |dir| {
        let server = dir.start_server_with_default_key();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pkcs11/untrusted_module.c");
        let (module, witness) = (dir.path("untrusted.so"), dir.path("loaded"));
        dir.run_shell(&format!(
            "cc -Wall -Werror -shared -fPIC '-DWITNESS=\"{}\"' -o {} {}",
            witness.display(),
            module.display(),
            source.display()
        ));
        let store = format!("pkcs11:token=a?module-path={}", module.display());
        let string_with_store = |store: &str| connection_string(&server, store, &with_pin(""));
        let with_key_file = string_with_store("/nowhere");
        let without_store = with_key_file.replace("JWTCertStore={/nowhere};", "");
        fs::write(dir.path("f.dsn"), format!("[ODBC]\nAllowOverride=1\nJWTCertStore={store}\n")).unwrap();
        for (string, option) in [
            (string_with_store(&store), "JWTCertStore"),
            (format!("FILEDSN={};{without_store}", dir.path("f.dsn").display()), "JWTCertStore"),
            (format!("KeyStore={{{store}}};{with_key_file}"), "KeyStore"),
            (string_with_store(&store.replace("pkcs11", "PKCS11")), "JWTCertStore"),
        ] {
            let failure = assert_fails(&string, AUTHGRANT_INVALID_OPTION, option);
            assert_names(&failure, &["AUTHGRANT_ALLOW_PKCS11_MODULE_PATH"]);
            let connection = open(&string).unwrap();
            assert!(connection.validate().contains("AUTHGRANT_ALLOW_PKCS11_MODULE_PATH"));
            assert!(connection.explain().is_err());
        }
        for store in ["pkcs11:token=a?module-path=untrusted.so", "pkcs11:?module-path=./untrusted.so"] {
            let string = string_with_store(store);
            let failure = assert_fails(&string, AUTHGRANT_INVALID_OPTION, "JWTCertStore");
            assert_names(&failure, &["module-path", "absolute"]);
        }
        let string = string_with_store("pkcs11:?module-name=../untrusted");
        let failure = assert_fails(&string, AUTHGRANT_KEY_STORE_ERROR, "JWTCertStore");
        assert_names(&failure, &["\"softhsm2\""]);
        assert!(!witness.exists(), "an untrusted string cannot load a module");
        let connection = open(&with_key_file).unwrap();
        connection.set_option("JWTCertStore", &store).unwrap();
        assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_KEY_STORE_ERROR);
        assert!(witness.exists());

        fs::write(dir.path("odbc.ini"), format!("[system]\nAllowOverride=1\nJWTCertStore={store}\n"))
            .unwrap();
        let environment = SystemDataSources(dir.0.clone());
        let connection = open_with_environment(&format!("DSN=system;{without_store}"), &environment).unwrap();
        let failure = connection.get_token().unwrap_err();
        assert_eq!(failure.status, AUTHGRANT_KEY_STORE_ERROR, "{failure:?}");
    });
}

#[test]
fn pin_in_uri_is_rejected_and_redacted() {
    run_with_tokens("pin_in_uri_is_rejected_and_redacted", |dir| {
        static LOG: LogLines = LogLines(std::sync::Mutex::new(Vec::new()));
        let server = dir.start_server_with_default_key();
        for store in ["pkcs11:token=The%20Token?pin-value=hunter2", "pkcs11:token=a;pin-source=file:hunter2"]
        {
            for option in ["JWTCertStore", "KeyStore"] {
                let without_store =
                    connection_string(&server, "/nowhere", "").replace("JWTCertStore={/nowhere};", "");
                let connection = open(&format!("{option}={{{store}}};{without_store}")).unwrap();
                connection.collect_log(&LOG);
                let failure = connection.get_token().unwrap_err();
                assert_error(&failure, AUTHGRANT_INVALID_OPTION, option);
                assert_names(&failure, &[" PIN"]);
                let outputs = [
                    failure.message,
                    format!("{:?}", connection.warnings()),
                    connection.validate(),
                    format!("{:?}", connection.explain()),
                    format!("{:?}", connection.test()),
                    connection.completed_string(0),
                    LOG.0.lock().unwrap().join("\n"),
                ];
                for text in outputs {
                    assert!(!text.contains("hunter2"), "{text}");
                }
            }
        }
        // Without braces, the URI ends at its first semicolon; warnings must not show the rest.
        let uri = "pkcs11:token=The%20Token;object=signer?pin-value=12;hunter2=3";
        for value in [uri.to_owned(), format!("'{uri}'")] {
            let string = connection_string(&server, "/nowhere", "").replace("{/nowhere}", &value);
            let warnings = open(&string).unwrap().warnings();
            let is_about_store = |sqlstate: &str| {
                let about = |warning: &Failure| (warning.sqlstate.clone(), warning.option.clone());
                warnings
                    .iter()
                    .map(about)
                    .any(|(state, option)| state == sqlstate && option.as_deref() == Some("JWTCertStore"))
            };
            assert!(is_about_store("01S00"), "{warnings:?}");
            assert_eq!(is_about_store("01000"), value.starts_with('\''), "the quotation mark: {warnings:?}");
            assert!(!format!("{warnings:?}").contains("hunter2"), "{warnings:?}");
        }
    });
}

#[test]
fn mtls_key_stays_on_token() {
    run_with_tokens("mtls_key_stays_on_token", |dir| {
        dir.init_token("The Token");
        for name in ["server-ca", "client-ca"] {
            dir.run_shell(&format!(
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key \
                 -out {name}.pem -days 30 -subj '/CN={name}' 2>&1"
            ));
        }
        dir.run_shell(
            "printf 'subjectAltName=DNS:localhost\\nbasicConstraints=critical,CA:FALSE\\n' > names
             openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out server.key 2>&1
             openssl req -new -key server.key -subj /CN=localhost -out server.csr
             openssl x509 -req -in server.csr -CA server-ca.pem -CAkey server-ca.key -CAcreateserial \
             -days 30 -extfile names -out server.pem 2>&1",
        );
        for (label, id, key_type) in [("rsa", "01", "rsa:2048"), ("p256", "02", "EC:prime256v1")] {
            dir.generate_key("The Token", label, id, key_type);
            dir.export_public_key("The Token", id);
            dir.run_shell(&format!(
                "openssl req -new -key server.key -subj /CN={label} | openssl x509 -req \
                 -force_pubkey {id}.pub -CA client-ca.pem -CAkey client-ca.key -CAcreateserial -days 30 \
                 -outform DER -out {label}.der 2>&1"
            ));
            let server = MockServer::start(Config::http());
            let options = ClientOptions {
                grant_types: vec![GrantType::ClientCredentials],
                client_auth: Some(ClientAuth::Certificate),
                certificate_subject: Some(format!("CN={label}")),
                ..ClientOptions::default()
            };
            server.register::<&str>("client", &[], options);
            let nginx = start_nginx(&dir.0, server.port());
            let string = |pin: &str, version: &str| {
                format!(
                    "AuthenticationMethod=53;ClientID=client;TokenURI=https://localhost:{}/oauth/token;\
                     TrustStore={};KeyStore={{pkcs11:token=The%20Token}};KeyStoreAlias={label};\
                     KeyStorePassword={pin};CryptoProtocolVersion={version};CacheScope=Connection",
                    nginx.port,
                    dir.path("server-ca.pem").display(),
                )
            };
            // The token has no certificate for the key yet.
            assert_fails(&string(PIN, "TLSv1.3"), AUTHGRANT_KEY_UNSUITABLE, "KeyStore");
            dir.run_pkcs11_tool(
                "The Token",
                &format!("--write-object {label}.der --type cert --id {id} --label {label}"),
            );
            authgrant_clear_caches();
            assert_fails(&string("hunter2", "TLSv1.3"), AUTHGRANT_KEY_PASSWORD, "KeyStorePassword");
            let explained = open(&string(PIN, "TLSv1.3")).unwrap().explain().unwrap();
            assert!(explained.contains("\"pkcs11:token=The%20Token\""), "{explained}");
            for version in ["TLSv1.3", "TLSv1.2"] {
                get_token(&string(PIN, version))
                    .unwrap_or_else(|failure| panic!("{label} {version}: {failure:?}"));
            }
            authgrant_clear_caches();
        }
    });
}

/// Loads and initializes the module as the application does for its own use.
fn load_module_as_application() -> Pkcs11 {
    let module = Pkcs11::new(SOFTHSM).unwrap();
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    module
}

#[test]
fn application_may_finalize_shared_module() {
    run_with_tokens("application_may_finalize_shared_module", |dir| {
        let server = dir.start_server_with_default_key();
        let module = load_module_as_application();
        let store = "pkcs11:token=The%20Token";
        let connection = open(&connection_string(&server, store, &with_pin(""))).unwrap();
        fetch_uncached_token(&connection).unwrap();
        module.finalize().expect("the library has not finalized the application's module");
        fetch_uncached_token(&connection).unwrap();
        let wrong_pin = connection_string(&server, store, "JWTCertPassword=hunter2");
        let failure = assert_fails(&wrong_pin, AUTHGRANT_KEY_PASSWORD, "JWTCertPassword");
        assert!(!failure.message.contains("CKR_"), "the PIN is not presented: {failure:?}");
    });
}

#[test]
fn application_login_is_shared_and_preserved() {
    run_with_tokens("application_login_is_shared_and_preserved", |dir| {
        let server = dir.start_server_with_default_key();
        let module = load_module_as_application();
        let slot = module.get_slots_with_initialized_token().unwrap()[0];
        let session = module.open_ro_session(slot).unwrap();
        session.login(UserType::User, Some(&AuthPin::new(PIN.into()))).unwrap();
        let is_logged_in = || session.get_session_info().unwrap().session_state() == SessionState::RoUser;
        let string = |more: &str| connection_string(&server, "pkcs11:token=The%20Token", more);
        get_token(&string(&with_pin(""))).unwrap();
        // A PIN cannot be verified while the token is logged in.
        get_token(&string("JWTCertPassword=another")).unwrap();
        assert_fails(&string(""), AUTHGRANT_KEY_PASSWORD, "JWTCertPassword");
        authgrant_clear_caches();
        assert!(is_logged_in());
        session.logout().unwrap();
        let failure =
            assert_fails(&string("JWTCertPassword=hunter2"), AUTHGRANT_KEY_PASSWORD, "JWTCertPassword");
        assert_names(&failure, &["CKR_PIN_INCORRECT"]);
        get_token(&string(&with_pin(""))).unwrap();
    });
}
