//! Keys on tokens, with SoftHSM. `cargo test` leaves this file out, since it may be missing; `make test` installs it and
//! runs this as its part `pkcs11`.
//!
//! Each test runs in a process of its own, since a module is one for a whole process, and with tokens of its own.

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
use cryptoki::session::{SessionState, UserType};
use cryptoki::types::AuthPin;
use mock_server::{Authority, ClientAuth, ClientOptions, Config, GrantType};
use support::ISSUER;
use support::c_api::{Connection, Failure, Lines, ask, failures, open, open_in};
use support::servers::nginx;

const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
const TOKEN_DIR_ENV: &str = "AUTHGRANT_TEST_TOKENS";
const PIN: &str = "271828";

/// Runs `body` in a process that has tokens of its own, and none but those: this test program once more, for the test of
/// that name.
fn run_with_tokens(name: &str, body: impl FnOnce(&Place)) {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return body(&Place(folder.into()));
    }
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::create_dir(here.join("tokens")).unwrap();
    let settings = format!("directories.tokendir = {}\nlog.level = ERROR\n", here.join("tokens").display());
    fs::write(here.join("softhsm2.conf"), settings).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(FOLDER, here)
        .env("SHIM_FOLDER", here)
        .env("SOFTHSM2_CONF", here.join("softhsm2.conf"))
        .output()
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{} {out}{err}", output.status);
}

/// Where the tokens of a test are.
struct TokenDir(PathBuf);

impl Place {
    #[track_caller]
    fn run_shell(&self, command: &str) -> String {
        let output = Command::new("sh").args(["-ec", command]).current_dir(&self.0).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command}\n{out}{err}");
        out.into_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn init_token(&self, label: &str) {
        self.run(&format!("softhsm2-util --init-token --free --label '{label}' --pin {PIN} --so-pin 314159"));
    }

    fn run_pkcs11_tool(&self, token: &str, what: &str) -> String {
        self.run(&format!(
            "pkcs11-tool --module {SOFTHSM} --token-label '{token}' --login --pin {PIN} {what}"
        ))
    }

    /// Makes a key on the token, which it never leaves.
    fn generate_key(&self, token: &str, label: &str, id: &str, kind: &str) {
        let made = self
            .tool(token, &format!("--keypairgen --key-type {kind} --label {label} --id {id} --usage-sign"));
        assert!(made.contains("never extractable"), "{made}");
    }

    /// The public half of a key, as PEM.
    fn export_public_key(&self, token: &str, id: &str) -> String {
        let token = token.replace(' ', "%20");
        self.run(&format!(
            "GNUTLS_PIN={PIN} p11tool --provider {SOFTHSM} --login --export-pubkey --outfile {id}.pub \
             'pkcs11:token={token};id=%{id};type=public' 2>&1"
        ));
        fs::read_to_string(self.path(&format!("{id}.pub"))).unwrap()
    }

    /// A token `The Token` with the RSA key `signer`, which an authority knows.
    fn start_server_with_default_key(&self) -> Authority {
        self.token("The Token");
        self.key("The Token", "signer", "01", "rsa:2048");
        self.authority(&[self.public("The Token", "01")])
    }

    fn start_server(&self, keys: &[String]) -> Authority {
        let authority = Authority::start(Config::http());
        authority.register(ISSUER, keys, ClientOptions::default());
        authority
    }

    /// The module that hands on to SoftHSM and writes down what it was called for.
    fn build_shim(&self) -> String {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pkcs11/shim.c");
        let path = self.path("shim.so");
        self.run(&format!(
            "cc -Wall -Wextra -Werror -shared -fPIC '-DMODULE=\"{SOFTHSM}\"' -o {} {} -ldl",
            path.display(),
            source.display()
        ));
        path.to_str().unwrap().to_owned()
    }

    /// How often the shim was called for that.
    fn shim_call_count(&self, what: &str) -> usize {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().filter(|line| *line == what).count()
    }

    fn set_shim_flag(&self, what: &str) {
        fs::write(self.path(what), "").unwrap();
    }

    fn clear_shim_flag(&self, what: &str) {
        fs::remove_file(self.path(what)).unwrap();
    }
}

fn connection_string(authority: &Authority, store: &str, more: &str) -> String {
    format!(
        "JWTCertStore={{{store}}};{more};AuthenticationMethod=55;ClaimsIssuer={ISSUER};ClaimsSubject=jsmith@example.com;\
         TokenURI=POST {};CacheScope=Connection",
        authority.url("/oauth/token"),
    )
}

fn with_pin(more: &str) -> String {
    format!("JWTCertPassword={PIN};{more}")
}

/// That a token is not got, for want of the key.
#[track_caller]
fn assert_fails(string: &str, status: i32, words: &str) -> Failure {
    let failure = *ask(string).err().unwrap_or_else(|| panic!("{string} gets a token"));
    assert_eq!(failure.status, status, "{failure:?}");
    assert!(failure.message.contains(words), "{failure:?}");
    assert!(!failure.message.contains(PIN) && !failure.message.contains("hunter2"), "{failure:?}");
    failure
}

fn set_policy(allow: u32) {
    assert_eq!(failures(|error| authgrant_set_policy(allow, 0, error)), []);
}

#[test]
fn token_keys_sign_accepted_assertions() {
    with_tokens("token_keys_sign_accepted_assertions", |place| {
        // p11-kit's configuration names SoftHSM's module; no string here does.
        place.token("The Token");
        place.token("Another");
        let kinds = [
            ("rsa", "01", "rsa:2048"),
            ("p256", "02", "EC:prime256v1"),
            ("p384", "03", "EC:secp384r1"),
            ("ed", "04", "EC:edwards25519"),
        ];
        for (label, id, kind) in kinds {
            place.key("The Token", label, id, kind);
        }
        let store = "pkcs11:token=The%20Token;type=private";
        for (key, more, algorithm) in [
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
            let id = kinds.iter().find(|(label, number, _)| {
                format!("{key}{more}").to_lowercase().contains(label) || key.contains(&format!("%{number}"))
            });
            let authority = place.authority(&[place.public("The Token", id.unwrap().1)]);
            let token = ask(&string(&authority, &format!("{store}{key}"), &pin(more)));
            token.unwrap_or_else(|failure| panic!("{key} {more}: {failure:?}"));
            let assertion = authority.token_requests()[0].parameter("assertion").unwrap();
            let header = assertion.split('.').next().unwrap().to_owned();
            assert!(
                decoded(&header).contains(&format!("\"{algorithm}\"")),
                "{key} {more} {}",
                decoded(&header)
            );
        }
    });
}

/// A machine whose odbc.ini is in that folder.
struct SystemDataSources(PathBuf);

impl Environment for Data {
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

/// A token that no cache has: its subject is new.
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
    with_tokens("report_lists_token_keys", |place| {
        let authority = place.usual();
        place.key("The Token", "small", "02", "rsa:1024");
        place.run(
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout d.key -subj /CN=d -out d.pem -days 3 2>&1",
        );
        place.run(
            "openssl req -new -key d.key -subj /CN=signer | openssl x509 -req -force_pubkey 01.pub -CA d.pem -CAkey d.key \
             -CAcreateserial -days 3 -outform DER -out signer.der 2>&1",
        );
        place.tool("The Token", "--write-object signer.der --type cert --id 01 --label signer");
        let store = "pkcs11:token=The%20Token";
        let with = |more: &str| open(&string(&authority, store, &pin(more))).unwrap();
        let connection = with("JWTCertAlias=signer;JWTThumbprint=x5t#S256");
        let report = connection.validate().split_whitespace().collect::<Vec<_>>().join("");
        for words in [
            r#""valid":true"#,
            r#""kind":"PKCS#11""#,
            r#""alias":"signer","type":"RSA2048""#,
            "hasanRSAkeyof1024bits",
            "CN=signer",
        ] {
            assert!(report.contains(words), "{words}: {report}");
        }
        let explained = connection.explain().unwrap();
        assert!(explained.contains("RSA 2048") && explained.contains(store), "{explained}");
        connection.get_token().unwrap();
        let sha256 = place.run("openssl dgst -sha256 -binary signer.der | basenc --base64url | tr -d '=\\n'");
        let assertion = authority.token_requests()[0].parameter("assertion").unwrap();
        assert!(decoded(assertion.split('.').next().unwrap()).contains(&sha256));
        // By the same fingerprint as that of a file with the key.
        let snowflake = with("JWTCertAlias=signer;Provider=Snowflake;ClaimsSubject=A.B").explain().unwrap();
        let wanted =
            place.run("openssl pkey -pubin -in 01.pub -outform DER | openssl dgst -sha256 -binary | base64");
        assert!(snowflake.contains(&format!("SHA256:{}", wanted.trim())), "{snowflake}");
        fails(&string(&authority, store, &pin("JWTCertAlias=small")), AUTHGRANT_KEY_UNSUITABLE, "1024 bits");
    });
}

#[test]
fn ambiguous_key_error_lists_candidates() {
    with_tokens("ambiguous_key_error_lists_candidates", |place| {
        let authority = place.usual();
        place.key("The Token", "other", "02", "EC:prime256v1");
        place.token("Second");
        let fails = |store: &str, more: &str, status: i32, words: &str| {
            fails(&string(&authority, store, &pin(more)), status, words)
        };
        let whole = "pkcs11:token=The%20Token";
        let failure = fails(whole, "", AUTHGRANT_KEY_NOT_FOUND, "has several keys: ");
        assert!(
            failure.message.contains("\"signer\"") && failure.message.contains("\"other\""),
            "{failure:?}"
        );
        assert_eq!(failure.option.as_deref(), Some("JWTCertAlias"));
        fails(whole, "JWTCertAlias=signr", AUTHGRANT_KEY_NOT_FOUND, "has no alias \"signr\"; it has ");
        let failure = fails(
            "pkcs11:token=The%20Token;object=signr",
            "",
            AUTHGRANT_KEY_NOT_FOUND,
            "does not have; it has ",
        );
        assert!(failure.message.contains("\"signer\" (id=%01)"), "{failure:?}");
        assert_eq!(failure.option.as_deref(), Some("JWTCertStore"));
        fails("pkcs11:token=The%20Token;id=%07", "", AUTHGRANT_KEY_NOT_FOUND, "\"other\" (id=%02)");
        let failure = fails(
            "pkcs11:token=the%20token",
            "",
            AUTHGRANT_KEY_STORE_ERROR,
            "names a token that is not there",
        );
        assert!(failure.message.contains("\"The Token\" (serial "), "{failure:?}");
        assert_eq!(failure.option.as_deref(), Some("JWTCertStore"));
        fails(
            "pkcs11:manufacturer=SoftHSM%20project",
            "",
            AUTHGRANT_KEY_STORE_ERROR,
            "could mean several tokens",
        );
        fails("pkcs11:?module-name=nosuch", "", AUTHGRANT_KEY_STORE_ERROR, "there are ");
        fails("pkcs11:tokn=x", "", AUTHGRANT_INVALID_OPTION, "\"tokn\", which is not known");
        let failure =
            fails(whole, "JWTAlgorithm=ES256;JWTCertAlias=signer", AUTHGRANT_KEY_UNSUITABLE, "ES256 needs");
        assert!(failure.message.contains("an RSA key of 2048 bits on a token"), "{failure:?}");
        assert!(authority.requests().is_empty());
    });
}

#[test]
fn unloadable_module_error_names_module() {
    with_tokens("unloadable_module_error_names_module", |place| {
        let authority = place.usual();
        let with = |module: &str| {
            let connection = open(&string(&authority, "/nowhere", &pin(""))).unwrap();
            connection
                .set_option("JWTCertStore", &format!("pkcs11:object=signer?module-path={module}"))
                .unwrap();
            connection.get_token().map(drop)
        };
        let missing = place.path("missing.so");
        let failure = with(missing.to_str().unwrap()).unwrap_err();
        assert_eq!(
            (failure.status, failure.option.as_deref()),
            (AUTHGRANT_KEY_STORE_ERROR, Some("JWTCertStore"))
        );
        assert!(failure.message.contains("missing.so could not be loaded: "), "{failure:?}");
        assert!(failure.message.contains("No such file"), "{failure:?}");
        place.run("echo 'int nothing;' > plain.c; cc -shared -fPIC -o plain.so plain.c");
        let failure = with(place.path("plain.so").to_str().unwrap()).unwrap_err();
        assert!(failure.message.contains("C_GetFunctionList, and so not a PKCS#11 module"), "{failure:?}");
        with(SOFTHSM).unwrap();
    });
}

#[test]
fn wrong_pin_is_presented_once() {
    with_tokens("wrong_pin_is_presented_once", |place| {
        set_policy(AUTHGRANT_ALLOW_PKCS11_MODULE_PATH);
        let authority = place.usual();
        let store = format!("pkcs11:token=The%20Token?module-path={}", place.shim());
        let with = |pin: &str| string(&authority, &store, &format!("JWTCertPassword={pin}"));
        let none =
            fails(&string(&authority, &store, ""), AUTHGRANT_KEY_PASSWORD, "set JWTCertPassword to the PIN");
        assert_eq!(none.option.as_deref(), Some("JWTCertPassword"));
        assert_eq!(place.called("C_Login"), 0);

        let first = fails(&with("hunter2"), AUTHGRANT_KEY_PASSWORD, "does not take this PIN");
        assert!(first.message.contains("CKR_PIN_INCORRECT"), "{first:?}");
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| {
                    for _ in 0..125 {
                        fails(&with("hunter2"), AUTHGRANT_KEY_PASSWORD, "has refused this PIN");
                    }
                });
            }
        });
        assert_eq!(place.called("C_Login"), 1);

        ask(&with(PIN)).unwrap();
        assert_eq!(place.called("C_Login"), 2);
        // Logged in for the whole process: nobody signs without the PIN all the same.
        fails(&with("hunter2-too"), AUTHGRANT_KEY_PASSWORD, "in use in this process with another PIN");
        fails(&string(&authority, &store, ""), AUTHGRANT_KEY_PASSWORD, "set JWTCertPassword to the PIN");
        ask(&with(PIN)).unwrap();
        assert_eq!(place.called("C_Login"), 2);

        // Whoever clears may have another token, or the same with another PIN.
        authgrant_clear_caches();
        fails(&with("hunter2"), AUTHGRANT_KEY_PASSWORD, "does not take this PIN");
        fails(&with("hunter2"), AUTHGRANT_KEY_PASSWORD, "has refused this PIN");
        assert_eq!(place.called("C_Login"), 3);
    });
}

#[test]
fn concurrent_wrong_pin_is_presented_once() {
    with_tokens("concurrent_wrong_pin_is_presented_once", |place| {
        set_policy(AUTHGRANT_ALLOW_PKCS11_MODULE_PATH);
        let authority = place.usual();
        let store = format!("pkcs11:token=The%20Token?module-path={}", place.shim());
        let wrong = string(&authority, &store, "JWTCertPassword=hunter2");
        std::thread::scope(|threads| {
            for _ in 0..16 {
                threads.spawn(|| fails(&wrong, AUTHGRANT_KEY_PASSWORD, "this PIN"));
            }
        });
        assert_eq!(place.called("C_Login"), 1);
    });
}

#[test]
fn final_pin_try_is_not_used() {
    with_tokens("final_pin_try_is_not_used", |place| {
        set_policy(AUTHGRANT_ALLOW_PKCS11_MODULE_PATH);
        let authority = place.usual();
        let store = format!("pkcs11:token=The%20Token?module-path={}", place.shim());
        let right = string(&authority, &store, &pin(""));
        place.tell("final");
        fails(&right, AUTHGRANT_KEY_PASSWORD, "would be locked by one more wrong PIN");
        assert_eq!(place.called("C_Login"), 0);
        place.untell("final");
        place.tell("locked");
        fails(&right, AUTHGRANT_KEY_PASSWORD, "is locked after too many wrong PINs");
        place.untell("locked");
        ask(&right).unwrap();
    });
}

#[test]
fn reinserted_token_signs_again() {
    with_tokens("reinserted_token_signs_again", |place| {
        set_policy(AUTHGRANT_ALLOW_PKCS11_MODULE_PATH);
        let authority = place.usual();
        let store = format!("pkcs11:token=The%20Token?module-path={}", place.shim());
        let connection = open(&string(&authority, &store, &pin(""))).unwrap();
        let anew = || fetch(&connection);
        anew().unwrap();
        anew().unwrap();
        assert_eq!((place.called("C_OpenSession"), place.called("C_Login")), (1, 1));
        place.tell("removed");
        for _ in 0..2 {
            let failure = anew().unwrap_err();
            assert_eq!(
                (failure.status, failure.option.as_deref()),
                (AUTHGRANT_KEY_STORE_ERROR, Some("JWTCertStore"))
            );
            assert!(
                failure.message.contains("names a token that is not there; there is no token"),
                "{failure:?}"
            );
        }
        place.untell("removed");
        anew().unwrap();
        anew().unwrap();
        assert_eq!((place.called("C_OpenSession"), place.called("C_CloseSession")), (2, 1));
        authgrant_clear_caches();
        assert_eq!(place.called("C_CloseSession"), 2, "clearing closes");
        anew().unwrap();
        place.tell("failing");
        let failure = anew().unwrap_err();
        assert!(failure.message.contains("taken out or failed (CKR_DEVICE_REMOVED)"), "{failure:?}");
        place.untell("failing");
        anew().unwrap();
        assert_eq!(
            place.called("C_OpenSession") - place.called("C_CloseSession"),
            1,
            "what was opened is closed"
        );
    });
}

#[test]
fn deleted_key_is_looked_up_again() {
    with_tokens("deleted_key_is_looked_up_again", |place| {
        let authority = place.usual();
        let connection =
            open(&string(&authority, "pkcs11:token=The%20Token;object=signer", &pin(""))).unwrap();
        fetch(&connection).unwrap();
        for kind in ["privkey", "pubkey"] {
            place.tool("The Token", &format!("--delete-object --type {kind} --id 01"));
        }
        let failure = fetch(&connection).unwrap_err();
        assert_eq!(failure.status, AUTHGRANT_KEY_NOT_FOUND, "{failure:?}");
        place.key("The Token", "signer", "05", "EC:prime256v1");
        let other = place.authority(&[place.public("The Token", "05")]);
        connection.set_option("TokenURI", &format!("POST {}", other.url("/oauth/token"))).unwrap();
        connection.get_token().unwrap();
    });
}

#[test]
fn forked_child_uses_token_and_pin_cache() {
    with_tokens("forked_child_uses_token_and_pin_cache", |place| {
        set_policy(AUTHGRANT_ALLOW_PKCS11_MODULE_PATH);
        let authority = place.usual();
        let store = format!("pkcs11:token=The%20Token?module-path={}", place.shim());
        let with = |pin: &str| string(&authority, &store, &format!("JWTCertPassword={pin}"));
        let inherited = open(&with(PIN)).unwrap();
        fetch(&inherited).unwrap();
        fails(&with("hunter2"), AUTHGRANT_KEY_PASSWORD, "in use in this process");
        let initialized = place.called("C_Initialize");
        for _ in 0..3 {
            // SAFETY: the child does what a child may do after a fork of a process with threads: it uses this library,
            // which is made for that, and ends without running anything else.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: sets a timer that ends a child that hangs.
                unsafe { libc::alarm(60) };
                let good = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    fetch(&inherited).unwrap();
                    ask(&with(PIN)).unwrap();
                    fails(&with("hunter2-too"), AUTHGRANT_KEY_PASSWORD, "in use in this process");
                    authgrant_clear_caches();
                }));
                // SAFETY: ends the process at once.
                unsafe { libc::_exit(i32::from(good.is_err())) };
            }
            let mut status = -1;
            // SAFETY: waits for the child of above.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "{status:#x}");
            fetch(&inherited).unwrap();
        }
        assert!(
            place.called("C_Initialize") >= initialized + 3,
            "each child initialises the module for itself"
        );
    });
}

#[test]
fn threads_sign_concurrently_with_one_token() {
    with_tokens("threads_sign_concurrently_with_one_token", |place| {
        let authority = place.usual();
        place.key("The Token", "p256", "02", "EC:prime256v1");
        let other = place.authority(&[place.public("The Token", "02")]);
        let made = AtomicUsize::new(0);
        std::thread::scope(|threads| {
            for number in 0..16 {
                let (authority, key) =
                    if number % 2 == 0 { (&authority, "signer") } else { (&other, "p256") };
                let made = &made;
                threads.spawn(move || {
                    for _ in 0..20 {
                        let store = format!("pkcs11:token=The%20Token;object={key}");
                        ask(&string(authority, &store, &pin(""))).unwrap();
                        made.fetch_add(1, Ordering::Relaxed);
                        if number == 0 {
                            authgrant_clear_caches();
                        }
                    }
                });
            }
        });
        assert_eq!(made.into_inner(), 320);
        assert_eq!(authority.token_requests().len() + other.token_requests().len(), 320);
    });
}

#[test]
fn untrusted_string_cannot_load_module() {
    with_tokens("untrusted_string_cannot_load_module", |place| {
        let authority = place.usual();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pkcs11/untrusted_module.c");
        let (module, witness) = (place.path("stranger.so"), place.path("loaded"));
        place.run(&format!(
            "cc -Wall -Werror -shared -fPIC '-DWITNESS=\"{}\"' -o {} {}",
            witness.display(),
            module.display(),
            source.display()
        ));
        let store = format!("pkcs11:token=a?module-path={}", module.display());
        let usual = string(&authority, "/nowhere", &pin(""));
        let bare = usual.replace("JWTCertStore={/nowhere};", "");
        fs::write(place.path("f.dsn"), format!("[ODBC]\nAllowOverride=1\nJWTCertStore={store}\n")).unwrap();
        let mutual = format!("KeyStore={{{store}}};{usual}");
        for text in [
            string(&authority, &store, &pin("")),
            format!("FILEDSN={};{bare}", place.path("f.dsn").display()),
            mutual,
            string(&authority, &store.replace("pkcs11", "PKCS11"), &pin("")),
        ] {
            fails(&text, AUTHGRANT_INVALID_OPTION, "AUTHGRANT_ALLOW_PKCS11_MODULE_PATH");
            let connection = open(&text).unwrap();
            assert!(connection.validate().contains("AUTHGRANT_ALLOW_PKCS11_MODULE_PATH"));
            assert!(connection.explain().is_err());
        }
        for text in ["pkcs11:token=a?module-path=stranger.so", "pkcs11:?module-path=./stranger.so"] {
            fails(&string(&authority, text, &pin("")), AUTHGRANT_INVALID_OPTION, "not absolute");
        }
        fails(
            &string(&authority, "pkcs11:?module-name=../stranger", &pin("")),
            AUTHGRANT_KEY_STORE_ERROR,
            "there are",
        );
        assert!(!witness.exists(), "a stranger's string has loaded a module");
        let connection = open(&usual).unwrap();
        connection.set_option("JWTCertStore", &store).unwrap();
        assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_KEY_STORE_ERROR);
        assert!(witness.exists());

        fs::write(place.path("odbc.ini"), format!("[host]\nAllowOverride=1\nJWTCertStore={store}\n"))
            .unwrap();
        let connection = open_in(&format!("DSN=host;{bare}"), &Data(place.0.clone())).unwrap();
        let failure = connection.get_token().unwrap_err();
        assert_eq!(failure.status, AUTHGRANT_KEY_STORE_ERROR, "{failure:?}");
    });
}

#[test]
fn pin_in_uri_is_rejected_and_redacted() {
    with_tokens("pin_in_uri_is_rejected_and_redacted", |place| {
        static LOG: Lines = Lines(std::sync::Mutex::new(Vec::new()));
        let authority = place.usual();
        for store in ["pkcs11:token=The%20Token?pin-value=hunter2", "pkcs11:token=a;pin-source=file:hunter2"]
        {
            for name in ["JWTCertStore", "KeyStore"] {
                let usual = string(&authority, "/nowhere", "").replace("JWTCertStore={/nowhere};", "");
                let connection = open(&format!("{name}={{{store}}};{usual}")).unwrap();
                connection.log_to(&LOG);
                let failure = connection.get_token().unwrap_err();
                assert_eq!(failure.status, AUTHGRANT_INVALID_OPTION, "{failure:?}");
                assert_eq!(failure.option.as_deref(), Some(name));
                assert!(failure.message.contains("holds a PIN"), "{failure:?}");
                let shown = [
                    failure.message,
                    format!("{:?}", connection.warnings()),
                    connection.validate(),
                    format!("{:?}", connection.explain()),
                    format!("{:?}", connection.test()),
                    connection.completed_string(0),
                    LOG.0.lock().unwrap().join("\n"),
                ];
                for text in shown {
                    assert!(!text.contains("hunter2"), "{text}");
                }
            }
        }
        // Not in braces, the URI ends at its first semicolon, and what follows is not repeated.
        let open_uri = "pkcs11:token=The%20Token;object=signer?pin-value=12;hunter2=3";
        for open_uri in [open_uri.to_owned(), format!("'{open_uri}'")] {
            let text = string(&authority, "/nowhere", "").replace("{/nowhere}", &open_uri);
            let warnings = open(&text).unwrap().warnings();
            assert!(warnings[0].message.contains("put it in braces"), "{warnings:?}");
            assert!(!format!("{warnings:?}").contains("hunter2"), "{warnings:?}");
        }
    });
}

#[test]
fn mtls_key_stays_on_token() {
    with_tokens("mtls_key_stays_on_token", |place| {
        place.token("The Token");
        for name in ["server-ca", "client-ca"] {
            place.run(&format!(
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.pem \
                 -days 30 -subj '/CN={name}' 2>&1"
            ));
        }
        place.run(
            "printf 'subjectAltName=DNS:localhost\\nbasicConstraints=critical,CA:FALSE\\n' > names
             openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out server.key 2>&1
             openssl req -new -key server.key -subj /CN=localhost -out server.csr
             openssl x509 -req -in server.csr -CA server-ca.pem -CAkey server-ca.key -CAcreateserial -days 30 \
             -extfile names -out server.pem 2>&1",
        );
        for (label, id, kind) in [("rsa", "01", "rsa:2048"), ("p256", "02", "EC:prime256v1")] {
            place.key("The Token", label, id, kind);
            place.public("The Token", id);
            place.run(&format!(
                "openssl req -new -key server.key -subj /CN={label} | openssl x509 -req -force_pubkey {id}.pub \
                 -CA client-ca.pem -CAkey client-ca.key -CAcreateserial -days 30 -outform DER -out {label}.der 2>&1"
            ));
            let authority = Authority::start(Config::http());
            let options = ClientOptions {
                grant_types: vec![GrantType::ClientCredentials],
                client_auth: Some(ClientAuth::Certificate),
                certificate_subject: Some(format!("CN={label}")),
                ..ClientOptions::default()
            };
            authority.register::<&str>("client", &[], options);
            let server = nginx(&place.0, authority.port());
            let with = |pin: &str, version: &str| {
                format!(
                    "AuthenticationMethod=53;ClientID=client;TokenURI=https://localhost:{}/oauth/token;TrustStore={};\
                     KeyStore={{pkcs11:token=The%20Token}};KeyStoreAlias={label};KeyStorePassword={pin};\
                     CryptoProtocolVersion={version};CacheScope=Connection",
                    server.port,
                    place.path("server-ca.pem").display(),
                )
            };
            let none =
                fails(&with(PIN, "TLSv1.3"), AUTHGRANT_KEY_UNSUITABLE, "holds no certificate of its key");
            assert_eq!(none.option.as_deref(), Some("KeyStore"));
            place.tool(
                "The Token",
                &format!("--write-object {label}.der --type cert --id {id} --label {label}"),
            );
            authgrant_clear_caches();
            let wrong = fails(&with("hunter2", "TLSv1.3"), AUTHGRANT_KEY_PASSWORD, "does not take this PIN");
            assert_eq!(wrong.option.as_deref(), Some("KeyStorePassword"));
            let explained = open(&with(PIN, "TLSv1.3")).unwrap().explain().unwrap();
            assert!(explained.contains("\"pkcs11:token=The%20Token\""), "{explained}");
            for version in ["TLSv1.3", "TLSv1.2"] {
                ask(&with(PIN, version)).unwrap_or_else(|failure| panic!("{label} {version}: {failure:?}"));
            }
            authgrant_clear_caches();
        }
    });
}

/// The module as a host uses it by itself.
fn load_module_as_application() -> Pkcs11 {
    let module = Pkcs11::new(SOFTHSM).unwrap();
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    module
}

#[test]
fn application_may_finalize_shared_module() {
    with_tokens("application_may_finalize_shared_module", |place| {
        let authority = place.usual();
        let module = host();
        let connection = open(&string(&authority, "pkcs11:token=The%20Token", &pin(""))).unwrap();
        fetch(&connection).unwrap();
        module.finalize().expect("what the host began, nobody else has ended");
        fetch(&connection).unwrap();
        fails(
            &string(&authority, "pkcs11:token=The%20Token", "JWTCertPassword=hunter2"),
            AUTHGRANT_KEY_PASSWORD,
            "in use in this process with another PIN",
        );
    });
}

#[test]
fn application_login_is_shared_and_preserved() {
    with_tokens("application_login_is_shared_and_preserved", |place| {
        let authority = place.usual();
        let module = host();
        let slot = module.get_slots_with_initialized_token().unwrap()[0];
        let session = module.open_ro_session(slot).unwrap();
        session.login(UserType::User, Some(&AuthPin::new(PIN.into()))).unwrap();
        let is_logged_in = || session.get_session_info().unwrap().session_state() == SessionState::RoUser;
        let store = "pkcs11:token=The%20Token";
        ask(&string(&authority, store, &pin(""))).unwrap();
        // Nobody can say whether a PIN is right while the token is logged in.
        ask(&string(&authority, store, "JWTCertPassword=another")).unwrap();
        fails(&string(&authority, store, ""), AUTHGRANT_KEY_PASSWORD, "set JWTCertPassword to the PIN");
        authgrant_clear_caches();
        assert!(is_logged_in());
        session.logout().unwrap();
        fails(&string(&authority, store, "JWTCertPassword=hunter2"), AUTHGRANT_KEY_PASSWORD, "does not take");
        ask(&string(&authority, store, &pin(""))).unwrap();
    });
}
