//! Process policy (`authgrant_set_policy`, `authgrant_allow_directory`): what the caller forbids connection
//! strings.
//!
//! Through the C API. Each test runs in its own process, because the policy applies to the whole process.

#[path = "../support/mod.rs"]
mod support;

use std::ffi::{CString, c_char, c_void};
use std::ptr::null_mut;

use authgrant::ffi::authorize::authgrant_authorize;
use authgrant::ffi::policy::*;
use authgrant::ffi::status::*;
use mock_server::Config;
use support::c_api::{Connection, Failure, collect_failures, get_token, open};
use support::tempdir::TestDir;
use support::{minimal_string, run_in_fresh_process, start_mock_server, stores};

#[track_caller]
fn set_policy(allow: u32, forbid: u32) {
    assert_eq!(collect_failures(|error| authgrant_set_policy(allow, forbid, error)), []);
}

#[track_caller]
fn assert_policy_rejected(allow: u32, forbid: u32) -> Failure {
    let [failure] = &collect_failures(|error| authgrant_set_policy(allow, forbid, error))[..] else {
        panic!("the policy was set")
    };
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_INVALID_ARGUMENT, "HY009"));
    failure.clone()
}

/// Asserts that getting a token is forbidden by this constant of the policy. Returns the option.
#[track_caller]
fn assert_forbidden(string: &str, constant: &str) -> String {
    let failure = get_token(string).err().unwrap_or_else(|| panic!("{string} gets a token"));
    assert_eq!(
        (failure.status, failure.sqlstate.as_str()),
        (AUTHGRANT_INVALID_OPTION, "HY024"),
        "{failure:?}"
    );
    assert!(failure.message.contains(constant), "{failure:?}");
    failure.option.unwrap()
}

/// A connection string that needs no server.
fn local_string(options: &str) -> String {
    format!("am=55;ClaimsIssuer=me;JWTCertStore={};{options}", stores::ec_key_path())
}

#[test]
fn policy_only_tightens_after_first_open() {
    run_in_fresh_process("policy_only_tightens_after_first_open", || {
        assert!(assert_policy_rejected(8, 0).message.contains("0x8"));
        assert!(assert_policy_rejected(0, 256).message.contains("0x100"));
        set_policy(3, 255);
        set_policy(3, AUTHGRANT_FORBID_HTTP_GET);
        open("Scope={never closed").unwrap_err();
        set_policy(AUTHGRANT_ALLOW_PKCS11_MODULE_PATH, AUTHGRANT_FORBID_HTTP_GET | AUTHGRANT_FORBID_PROMPT);
        assert!(assert_policy_rejected(3, 9).message.contains("AUTHGRANT_ALLOW_SECRET_REFERENCES"));
        assert!(assert_policy_rejected(2, 8).message.contains("AUTHGRANT_FORBID_HTTP_GET"));
        set_policy(0, 255);
    });
}

#[test]
fn forbid_get_uses_post_or_fails() {
    run_in_fresh_process("forbid_get_uses_post_or_fails", || {
        set_policy(0, AUTHGRANT_FORBID_HTTP_GET);
        let server = start_mock_server(Config::http());
        let string = |method: &str| {
            let options = format!("TokenURI={method}{}", server.url("/oauth/token"));
            minimal_string(&server, &options)
        };
        assert_eq!(assert_forbidden(&string("GET "), "AUTHGRANT_FORBID_HTTP_GET"), "TokenURI");
        get_token(&string("")).unwrap();
        let methods: Vec<_> = server.token_requests().iter().map(|request| request.method.clone()).collect();
        assert_eq!(methods, ["POST"]);
    });
}

#[test]
fn forbid_insecure_tls_and_http_rejects_options() {
    run_in_fresh_process("forbid_insecure_tls_and_http_rejects_options", || {
        for options in ["ValidateServerCertificate=0", "LogoffURI=http://localhost/out"] {
            get_token(&local_string(options)).unwrap();
        }
        set_policy(0, AUTHGRANT_FORBID_INSECURE_TLS | AUTHGRANT_FORBID_LOOPBACK_HTTP);
        let option =
            assert_forbidden(&local_string("ValidateServerCertificate=0"), "AUTHGRANT_FORBID_INSECURE_TLS");
        assert_eq!(option, "ValidateServerCertificate");
        for (options, name) in [
            ("TokenURI=http://127.0.0.1/t", "TokenURI"),
            ("TokenURI=POST http://[::1]/t", "TokenURI"),
            ("TokenEndpoint=http://localhost/t", "TokenEndpoint"),
            ("AuthURI=http://localhost/a", "AuthURI"),
            ("LogoffURI=http://localhost/out", "LogoffURI"),
            ("RestSamplePath=http://localhost/sample", "RestSamplePath"),
            ("HealthURI=http://127.9.9.9/health", "HealthURI"),
            ("HostName=http://127.0.0.1:8080;RestSamplePath=/sample", "HostName"),
        ] {
            assert_eq!(
                assert_forbidden(&local_string(options), "AUTHGRANT_FORBID_LOOPBACK_HTTP"),
                name,
                "{options}"
            );
        }
        let permitted = "RedirectURI=http://localhost:3000;RestSamplePath=/sample;\
                         HealthURI=https://a.example/h;HostName=api.example;\
                         ValidateServerCertificate=1;AuthURI=https://a.example/auth";
        get_token(&local_string(permitted)).unwrap();
    });
}

#[test]
fn forbid_tls12_requires_tls13() {
    run_in_fresh_process("forbid_tls12_requires_tls13", || {
        set_policy(AUTHGRANT_ALLOW_TOKEN_CACHE, 0);
        let old_server = start_mock_server(Config { tls12_only: true, ..Config::https() });
        let new_server = start_mock_server(Config::https());
        let old = open(&minimal_string(&old_server, "")).unwrap();
        old.get_token().unwrap();
        set_policy(AUTHGRANT_ALLOW_TOKEN_CACHE, AUTHGRANT_FORBID_TLS12);
        // Neither the cached token nor the idle connection is used.
        let failure = old.get_token().map(drop).unwrap_err();
        assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_TLS, "08001"), "{failure:?}");
        assert!(failure.message.contains("AUTHGRANT_FORBID_TLS12"), "{failure:?}");
        assert_eq!(old_server.token_requests().len(), 1);

        let versions =
            |versions: &str| minimal_string(&new_server, &format!("CryptoProtocolVersion={versions}"));
        let option = assert_forbidden(&versions("TLSv1.2"), "AUTHGRANT_FORBID_TLS12");
        assert_eq!(option, "CryptoProtocolVersion");
        for permitted in ["TLSv1.3", "TLSv1.3,TLSv1.2"] {
            get_token(&versions(permitted)).unwrap();
        }

        let api = format!("ValidateServerCertificate=0;RestSamplePath={}", old_server.url("/sample"));
        let outcome = open(&minimal_string(&new_server, &api)).unwrap().test();
        assert!(format!("{outcome:?}").contains("AUTHGRANT_FORBID_TLS12"), "{outcome:?}");

        let store = format!(
            "Scope=other;TokenCache=rediss://localhost:{};TokenCacheTrustStore={};TokenCacheSecret={}",
            old_server.port(),
            old_server.ca_pem_path().display(),
            "s".repeat(40)
        );
        let shared = open(&minimal_string(&new_server, &store)).unwrap();
        shared.get_token().unwrap();
        let warnings = shared.warnings();
        assert!(
            warnings.iter().any(|warning| warning.message.contains("AUTHGRANT_FORBID_TLS12")),
            "{warnings:?}"
        );
    });
}

#[test]
fn allowed_references_resolve_and_stay_redacted() {
    run_in_fresh_process("allowed_references_resolve_and_stay_redacted", || {
        set_policy(AUTHGRANT_ALLOW_SECRET_REFERENCES, 0);
        let dir = TestDir::with_file("token", "here\n");
        let string = format!("am=50;AccessToken=file:{}", dir.path("token"));
        assert_eq!(get_token(&string).unwrap().value(), "here");
        let file_dsn = dir.write("a.dsn", format!("[ODBC]\n{}", string.replace(';', "\n")));
        assert_eq!(get_token(&format!("FILEDSN={file_dsn}")).unwrap().value(), "here");
        let failure = get_token("am=50;AccessToken=file:hunter2").map(|_| ()).unwrap_err();
        assert_eq!(
            (failure.status, failure.option.as_deref()),
            (AUTHGRANT_INVALID_OPTION, Some("AccessToken"))
        );
        assert!(failure.message.contains("not exist"), "{failure:?}");
        assert!(!failure.message.contains("hunter2"), "{failure:?}");
        let connection = open(&string).unwrap();
        set_policy(0, 0);
        let failure = connection.get_token().map(|_| ()).unwrap_err();
        assert!(failure.message.contains("AUTHGRANT_ALLOW_SECRET_REFERENCES"), "{failure:?}");
    });
}

extern "C" fn mark_shown(_: *const c_char, shown: *mut c_void) -> i32 {
    // SAFETY: the context is a pointer to a bool of the test.
    unsafe { *shown.cast::<bool>() = true };
    7
}

#[test]
fn forbid_prompt_requires_url_callback() {
    run_in_fresh_process("forbid_prompt_requires_url_callback", || {
        set_policy(0, AUTHGRANT_FORBID_PROMPT);
        assert_eq!(
            assert_forbidden(&local_string("EnableLoginPrompt=1"), "AUTHGRANT_FORBID_PROMPT"),
            "EnableLoginPrompt"
        );
        get_token(&local_string("EnableLoginPrompt=0")).unwrap();
        let options = "Scope=a;AuthURI=https://a.example/auth;RedirectURI=http://127.0.0.1:53683/;TokenURI=POST https://a.example/t";
        let connection = open(&local_string(options)).unwrap();
        let failures =
            collect_failures(|error| authgrant_authorize(connection.handle(), None, null_mut(), error));
        assert_eq!((failures[0].status, failures[0].sqlstate.as_str()), (AUTHGRANT_UNSUPPORTED, "HYC00"));
        assert!(failures[0].message.contains("AUTHGRANT_FORBID_PROMPT"), "{failures:?}");
        let mut shown = false;
        let context = (&raw mut shown).cast();
        let failures = collect_failures(|error| {
            authgrant_authorize(connection.handle(), Some(mark_shown), context, error)
        });
        assert!(shown && failures[0].message.contains("(7)"), "{failures:?}");
    });
}

#[test]
fn tightened_policy_applies_to_cached_tokens() {
    run_in_fresh_process("tightened_policy_applies_to_cached_tokens", || {
        let store = format!("JWTCertStore={};JWTCertPassword=secret", stores::path("keytool.jks"));
        let weak = open(&format!("am=55;ClaimsIssuer=me;{store}")).unwrap();
        let server = start_mock_server(Config::http());
        let plain = open(&minimal_string(&server, "")).unwrap();
        let token_value = |connection: &Connection| connection.get_token().map(|token| token.value());
        assert_eq!(token_value(&weak), token_value(&weak), "the token is cached");
        token_value(&plain).unwrap();
        set_policy(0, AUTHGRANT_FORBID_WEAK_KEY_ENCRYPTION);
        let failure = token_value(&weak).unwrap_err();
        assert_eq!(
            (failure.status, failure.option.as_deref()),
            (AUTHGRANT_KEY_STORE_ERROR, Some("JWTCertStore"))
        );
        let fragments = ["keytool.jks", "JKS", "AUTHGRANT_FORBID_WEAK_KEY_ENCRYPTION"];
        assert!(fragments.iter().all(|fragment| failure.message.contains(fragment)), "{failure:?}");
        set_policy(0, AUTHGRANT_FORBID_WEAK_KEY_ENCRYPTION | AUTHGRANT_FORBID_LOOPBACK_HTTP);
        assert_eq!(token_value(&plain).unwrap_err().status, AUTHGRANT_INVALID_OPTION);
    });
}

#[test]
fn forbid_sharing_gives_each_connection_own_token() {
    run_in_fresh_process("forbid_sharing_gives_each_connection_own_token", || {
        let server = start_mock_server(Config::http());
        let string = minimal_string(&server, "CacheScope=Process");
        let (first_connection, second_connection) = (open(&string).unwrap(), open(&string).unwrap());
        let both_tokens = || {
            (first_connection.get_token().unwrap().value(), second_connection.get_token().unwrap().value())
        };
        let (first, second) = both_tokens();
        assert_eq!(first, second);
        set_policy(0, AUTHGRANT_FORBID_SHARED_TOKENS);
        let (first, second) = both_tokens();
        assert_ne!(first, second);
        assert_eq!(both_tokens(), (first, second), "each connection caches its own token");
        assert_eq!(server.token_requests().len(), 3);
    });
}

#[cfg(unix)]
#[test]
fn forked_child_cannot_loosen_policy() {
    run_in_fresh_process("forked_child_cannot_loosen_policy", || {
        let before = open(&local_string("ValidateServerCertificate=0")).unwrap();
        set_policy(0, AUTHGRANT_FORBID_INSECURE_TLS);
        // SAFETY: the child only calls the library, which supports forking, and exits.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let loosened = authgrant_set_policy(0, 0, null_mut()) == AUTHGRANT_OK;
            let has_token =
                before.get_token().is_ok() || get_token(&local_string("ValidateServerCertificate=0")).is_ok();
            // SAFETY: ends the child at once, without the exit handlers of the test program.
            unsafe { libc::_exit(i32::from(loosened) + 2 * i32::from(has_token) + 40) };
        }
        let mut status = 0;
        // SAFETY: `child` is a child of this process, and `status` is writable.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)), Some(40));
    });
}

#[track_caller]
fn allow_directory(path: &str) {
    let path = CString::new(path).unwrap();
    assert_eq!(collect_failures(|error| authgrant_allow_directory(path.as_ptr(), error)), []);
}

/// The connection string as the content of a FILEDSN.
fn to_file_dsn(string: &str) -> String {
    format!("[ODBC]\n{}", string.replace(';', "\n"))
}

/// Each option that names a file or a PKCS#11 key, with a connection string that sets it.
fn file_option_strings(path: &str) -> Vec<(&'static str, String)> {
    let options = [
        ("JWTCertStore", "am=JWT;ClaimsIssuer=me", path),
        ("JWTCertStore", "am=JWT;ClaimsIssuer=me", "pkcs11:object=a?module-path=/lib/m.so"),
        ("JWTCertificate", "am=JWT;ClaimsIssuer=me;JWTThumbprint=x5c;JWTPrivateKey=k", path),
        ("TrustStore", "am=50;AccessToken=a", path),
        ("KeyStore", "am=50;AccessToken=a", path),
        ("KeyStore", "am=50;AccessToken=a", "pkcs11:object=a"),
        ("RestConfigFile", "am=50;AccessToken=a", path),
        ("ClientAssertionFile", "am=OAuth2-JWTClientAssertion;TokenEndpoint=https://a.example/t", path),
    ];
    let string =
        |(option, rest, value): (&'static str, &str, &str)| (option, format!("{option}={value};{rest}"));
    options.map(string).into()
}

#[test]
fn file_paths_outside_allowed_directories_are_refused() {
    run_in_fresh_process("file_paths_outside_allowed_directories_are_refused", || {
        set_policy(3, AUTHGRANT_FORBID_FILE_PATHS);
        let dir = TestDir::with_file("inside/key.pem", std::fs::read(stores::ec_key_path()).unwrap());
        allow_directory(&dir.path("inside"));
        for path in ["/etc/passwd", "/nowhere/file", "relative", &dir.path("inside/../inside/key.pem")] {
            for (number, (option, string)) in file_option_strings(path).into_iter().enumerate() {
                assert_eq!(assert_forbidden(&string, "AUTHGRANT_FORBID_FILE_PATHS"), option, "{string}");
                let report = open(&string).unwrap().validate();
                assert!(report.contains("AUTHGRANT_FORBID_FILE_PATHS"), "{report}");
                let name = format!("inside/{number}.dsn");
                let file_dsn = format!("FILEDSN={}", dir.write(&name, to_file_dsn(&string)));
                assert_eq!(assert_forbidden(&file_dsn, "AUTHGRANT_FORBID_FILE_PATHS"), option, "{string}");
            }
            let reference = format!("am=50;AccessToken=file:{path}");
            assert_eq!(assert_forbidden(&reference, "AUTHGRANT_FORBID_FILE_PATHS"), "AccessToken");
            if path.contains('/') {
                let failure = open(&format!("FILEDSN={path}")).unwrap_err();
                assert_eq!(
                    (failure.status, failure.option.as_deref()),
                    (AUTHGRANT_INVALID_OPTION, Some("FILEDSN"))
                );
                assert!(failure.message.contains("AUTHGRANT_FORBID_FILE_PATHS"), "{failure:?}");
            }
        }
    });
}

#[test]
fn file_paths_below_allowed_directory_work() {
    run_in_fresh_process("file_paths_below_allowed_directory_work", || {
        set_policy(AUTHGRANT_ALLOW_SECRET_REFERENCES, AUTHGRANT_FORBID_FILE_PATHS);
        let dir = TestDir::with_file("inside/a/key.pem", std::fs::read(stores::path("openssl.pem")).unwrap());
        let certificate = dir.write("inside/certificate.pem", stores::certificate());
        let token = dir.write("inside/token", "from the file\n");
        dir.write("inside/model.rest", r##"{"#headers": {"X-A": "b"}}"##);
        allow_directory(&dir.path("inside"));
        let key = dir.path("inside/a/key.pem");
        let string = format!(
            "am=55;ClaimsIssuer=me;JWTCertStore={key};JWTCertificate={certificate};TrustStore={certificate}"
        );
        get_token(&string).unwrap();
        let file_dsn = dir.write("inside/a.dsn", to_file_dsn(&string));
        get_token(&format!("FILEDSN={file_dsn}")).unwrap();
        get_token(&format!("FILEDSN={}", dir.path("inside/a"))).unwrap();
        assert_eq!(get_token(&format!("am=50;AccessToken=file:{token}")).unwrap().value(), "from the file");
        let model = open(&format!("am=50;AccessToken=a;RestConfigFile={}", dir.path("inside/model.rest")));
        assert_eq!(model.unwrap().get_headers().unwrap().len(), 2);
        let missing = get_token(&string.replace("key.pem", "missing.pem")).unwrap_err();
        assert_eq!(missing.status, AUTHGRANT_KEY_STORE_ERROR, "{missing:?}");
        let directory = get_token(&string.replace("/a/key.pem", "")).unwrap_err();
        assert_eq!(
            (directory.status, directory.option.as_deref()),
            (AUTHGRANT_KEY_STORE_ERROR, Some("JWTCertStore"))
        );
        assert!(directory.message.contains("directory"), "{directory:?}");
        std::env::set_current_dir(dir.path("inside/a")).unwrap();
        get_token("am=55;ClaimsIssuer=me;JWTCertStore=key.pem").unwrap();
    });
}

#[cfg(unix)]
#[test]
fn symlink_out_of_allowed_directory_is_refused() {
    use std::os::unix::fs::symlink;
    run_in_fresh_process("symlink_out_of_allowed_directory_is_refused", || {
        set_policy(AUTHGRANT_ALLOW_SECRET_REFERENCES, AUTHGRANT_FORBID_FILE_PATHS);
        let dir = TestDir::with_file("inside/file", "x");
        dir.write("outside/key.pem", std::fs::read(stores::path("openssl.pem")).unwrap());
        dir.write("outside/a.dsn", to_file_dsn("am=50;AccessToken=a"));
        allow_directory(&dir.path("inside"));
        symlink("../outside", dir.path("inside/folder")).unwrap();
        symlink("../outside/key.pem", dir.path("inside/link.pem")).unwrap();
        for path in [dir.path("inside/folder/key.pem"), dir.path("inside/link.pem")] {
            let quick = std::fs::read_to_string(stores::ec_key_path()).unwrap();
            let rest = "am=53;ClientID=c;ClientSecret=s;TokenEndpoint=https://127.0.0.1:1/t";
            for (option, string) in [
                ("JWTCertStore", format!("am=JWT;ClaimsIssuer=me;JWTCertStore={path}")),
                (
                    "JWTCertificate",
                    format!("am=JWT;ClaimsIssuer=me;JWTPrivateKey={quick};JWTCertificate={path}"),
                ),
                ("TrustStore", format!("{rest};TrustStore={path}")),
                ("KeyStore", format!("{rest};KeyStore={path}")),
                ("RestConfigFile", format!("am=50;AccessToken=a;RestConfigFile={path}")),
                (
                    "ClientAssertionFile",
                    format!(
                        "am=OAuth2-JWTClientAssertion;TokenEndpoint=https://a.example/t;ClientAssertionFile={path}"
                    ),
                ),
            ] {
                assert_eq!(assert_forbidden(&string, "AUTHGRANT_FORBID_FILE_PATHS"), option, "{string}");
            }
            let reference = format!("am=50;AccessToken=file:{path}");
            assert_eq!(assert_forbidden(&reference, "AUTHGRANT_FORBID_FILE_PATHS"), "AccessToken");
        }
        let failure = open(&format!("FILEDSN={}", dir.path("inside/folder/a.dsn"))).unwrap_err();
        assert_eq!((failure.status, failure.option.as_deref()), (AUTHGRANT_INVALID_OPTION, Some("FILEDSN")));

        let key = dir.write("inside/key.pem", std::fs::read(stores::path("openssl.pem")).unwrap());
        let secret = dir.write("inside/token", "secret");
        let signing = open(&format!("am=55;ClaimsIssuer=me;JWTCertStore={key}")).unwrap();
        let referencing = open(&format!("am=50;AccessToken=file:{secret}")).unwrap();
        signing.get_token().unwrap();
        referencing.get_token().unwrap();
        for path in [&key, &secret] {
            std::fs::remove_file(path).unwrap();
            symlink("../outside/key.pem", path).unwrap();
        }
        let outcomes = [signing.make_assertion().map(drop), referencing.get_token_with(0, 1, 0).map(drop)];
        for failure in outcomes.map(Result::unwrap_err) {
            assert_eq!(failure.status, AUTHGRANT_INVALID_OPTION, "{failure:?}");
            assert!(failure.message.contains("AUTHGRANT_FORBID_FILE_PATHS"), "{failure:?}");
        }
    });
}

#[test]
fn application_and_machine_paths_are_not_restricted() {
    run_in_fresh_process("application_and_machine_paths_are_not_restricted", || {
        set_policy(0, AUTHGRANT_FORBID_FILE_PATHS);
        let key = stores::ec_key_path();
        let string = format!("am=55;ClaimsIssuer=me;JWTCertStore={key}");
        let dir = TestDir::with_user_ini(&to_file_dsn(&string).replace("ODBC", "a"));
        dir.write("etc/ODBCDataSources/b.dsn", to_file_dsn(&string));
        dir.open("DSN=a").get_token().unwrap();
        dir.open("FILEDSN=b").get_token().unwrap();
        let connection = open("am=55;ClaimsIssuer=me").unwrap();
        connection.set_option("JWTCertStore", &key).unwrap();
        connection.get_token().unwrap();
        connection.set_option("TrustStore", &stores::path("certificate.pem")).unwrap();
        connection.get_token().unwrap();
    });
}

#[test]
fn policy_set_later_refuses_paths_of_open_connections() {
    run_in_fresh_process("policy_set_later_refuses_paths_of_open_connections", || {
        let dir = TestDir::with_file("a.dsn", to_file_dsn(&local_string("")));
        dir.write("model.rest", "{}");
        let strings = [
            (local_string(""), "JWTCertStore"),
            (format!("FILEDSN={}", dir.path("a.dsn")), "JWTCertStore"),
            (format!("am=50;AccessToken=a;RestConfigFile={}", dir.path("model.rest")), "RestConfigFile"),
        ];
        let connections = strings.map(|(string, option)| (open(&string).unwrap(), option));
        for (connection, _) in &connections {
            connection.get_token().unwrap();
        }
        set_policy(0, AUTHGRANT_FORBID_FILE_PATHS);
        for (connection, option) in &connections {
            let failure = connection.get_token().map(|_| ()).unwrap_err();
            let actual = (failure.status, failure.option.as_deref());
            assert_eq!(actual, (AUTHGRANT_INVALID_OPTION, Some(*option)), "{failure:?}");
            assert!(failure.message.contains("AUTHGRANT_FORBID_FILE_PATHS"), "{failure:?}");
        }
    });
}

#[test]
fn new_directory_after_first_open_is_refused() {
    run_in_fresh_process("new_directory_after_first_open_is_refused", || {
        let (first, second) = (TestDir::new(), TestDir::new());
        let to_c_string = |dir: &TestDir| CString::new(dir.path("")).unwrap();
        let (first, second) = (to_c_string(&first), to_c_string(&second));
        allow_directory(first.to_str().unwrap());
        for missing in [c"", c"/nowhere/at/all", c"/etc/passwd"] {
            let failure =
                collect_failures(|error| authgrant_allow_directory(missing.as_ptr(), error)).remove(0);
            assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_INVALID_ARGUMENT, "HY009"));
        }
        open("am=50;AccessToken=a").unwrap();
        allow_directory(first.to_str().unwrap());
        let failure = collect_failures(|error| authgrant_allow_directory(second.as_ptr(), error)).remove(0);
        assert_eq!(failure.status, AUTHGRANT_INVALID_ARGUMENT);
        assert!(failure.message.contains("before the first authgrant_open"), "{failure:?}");
    });
}

/// Each option by which a connection string determines where secrets are sent or how they are protected.
const DESTINATIONS: [(&str, &str); 8] = [
    ("TokenEndpoint", "https://evil.example/t"),
    ("TokenURI", "POST https://evil.example/t"),
    ("AuthURI", "https://evil.example/a"),
    ("LogoffURI", "https://evil.example/l"),
    ("ProxyHost", "evil.example"),
    ("ValidateServerCertificate", "0"),
    ("ClaimsAudience", "https://real.example"),
    ("ClaimsAdditional", "{\"aud\":\"https://real.example\"}"),
];

#[test]
fn untrusted_string_cannot_redirect_secrets_of_application() {
    run_in_fresh_process("untrusted_string_cannot_redirect_secrets_of_application", || {
        let dir = TestDir::new();
        allow_directory(&dir.path(""));
        set_policy(0, AUTHGRANT_FORBID_FILE_PATHS);
        let key = stores::ec_key_path();
        let headers = dir.write("headers.rest", r##"{"#headers": {"X-Key": "k"}}"##);
        for (option, value) in DESTINATIONS {
            let value = if value.starts_with('{') {
                format!("{{{}}}", value.replace('}', "}}"))
            } else {
                value.to_owned()
            };
            let string = format!("am=55;ClaimsIssuer=me;{option}={value}");
            let file_dsn = dir.write("a.dsn", to_file_dsn(&string.replace("{{", "{").replace("}}}", "}")));
            for untrusted in [string, format!("FILEDSN={file_dsn}")] {
                for (secret, value) in [
                    ("JWTCertStore", key.as_str()),
                    ("ClientSecret", "s"),
                    ("KeyStore", key.as_str()),
                    ("RestConfigFile", headers.as_str()),
                ] {
                    let connection = open(&untrusted).unwrap();
                    connection.set_option(secret, value).unwrap();
                    let failure = connection.get_token().map(|_| ()).unwrap_err();
                    let actual = (failure.status, failure.option.as_deref());
                    assert_eq!(actual, (AUTHGRANT_INVALID_OPTION, Some(option)), "{untrusted} {failure:?}");
                    let fragments = [secret, "AUTHGRANT_FORBID_FILE_PATHS", "AllowOverride"];
                    assert!(
                        fragments.iter().all(|fragment| failure.message.contains(fragment)),
                        "{failure:?}"
                    );
                    assert!(!connection.completed_string(0).contains("evil"), "the value is not used");
                }
            }
        }
        let model = dir.write("m.rest", r##"{"#options": {"tokenURI": "https://evil.example/t"}}"##);
        let connection = open(&format!("am=55;ClaimsIssuer=me;RestConfigFile={model}")).unwrap();
        connection.set_option("JWTCertStore", &key).unwrap();
        let failure = connection.get_token().map(|_| ()).unwrap_err();
        assert_eq!(failure.option.as_deref(), Some("RestConfigFile"), "{failure:?}");
    });
}

#[test]
fn untrusted_string_cannot_redirect_signer_of_application() {
    run_in_fresh_process("untrusted_string_cannot_redirect_signer_of_application", || {
        set_policy(0, AUTHGRANT_FORBID_FILE_PATHS);
        let connection = open("am=55;ClaimsIssuer=me;TokenEndpoint=https://evil.example/t").unwrap();
        connection.set_signer("ES256", Some(panicking_signer), null_mut()).unwrap();
        let failure = connection.get_token().map(|_| ()).unwrap_err();
        let actual = (failure.status, failure.option.as_deref());
        assert_eq!(actual, (AUTHGRANT_INVALID_OPTION, Some("TokenEndpoint")), "{failure:?}");
        assert!(failure.message.contains("authgrant_set_signer"), "{failure:?}");
    });
}

extern "C" fn panicking_signer(
    _: *const u8,
    _: usize,
    _: *mut u8,
    _: usize,
    _: *mut usize,
    _: *mut c_void,
) -> i32 {
    panic!("the signer must not be called")
}

#[test]
fn application_sets_destination_or_waives_guard() {
    run_in_fresh_process("application_sets_destination_or_waives_guard", || {
        let server = start_mock_server(Config::http());
        let endpoint = server.url("/oauth/token");
        let rest = format!("am=55;ClaimsIssuer={};ClaimsSubject=jsmith@example.com", support::ISSUER);
        let open_with = |string: &str, options: &[(&str, &str)]| {
            let connection = open(string).unwrap();
            for (name, value) in options {
                connection.set_option(name, value).unwrap();
            }
            connection.get_token().map(|_| ())
        };
        let (store, untrusted) = (stores::path("openssl.pem"), format!("{rest};TokenEndpoint={endpoint}"));
        let key = ("JWTCertStore", store.as_str());
        open_with(&untrusted, &[key]).expect("without the restriction strings are trusted");
        set_policy(0, AUTHGRANT_FORBID_FILE_PATHS);
        open_with(&untrusted, &[key]).unwrap_err();
        open_with(&rest, &[key, ("TokenEndpoint", &endpoint)]).unwrap();
        open_with(&untrusted, &[key, ("TokenEndpoint", &endpoint)])
            .expect("the caller's value overrides the string's");
        open_with(&untrusted, &[key, ("AllowOverride", "1")]).expect("the caller allows the override");
        open_with(&format!("{untrusted};AllowOverride=1"), &[key])
            .expect_err("the string cannot allow the override");
        open_with(&untrusted, &[("Scope", "a"), ("JWTPrivateKey", "")]).expect_err("no key is set");
        let connection =
            open("am=50;AccessToken=a;TokenEndpoint=https://a.example/t;LogoffURI=https://a.example/l")
                .unwrap();
        connection.get_token().expect("the string may determine where its own secrets are sent");
    });
}

#[test]
fn reports_respect_policy() {
    run_in_fresh_process("reports_respect_policy", || {
        set_policy(0, AUTHGRANT_FORBID_WEAK_KEY_ENCRYPTION | AUTHGRANT_FORBID_LOOPBACK_HTTP);
        let store = stores::path("keytool.jks");
        let report = open(&format!("am=55;cliss=me;JWTCertStore={store};JWTCertPassword=secret"));
        let report = report.unwrap().validate();
        assert!(
            report.contains("AUTHGRANT_FORBID_WEAK_KEY_ENCRYPTION") && !report.contains("signer"),
            "{report}"
        );
        for options in ["HealthURI=http://127.0.0.1:1/", "HostName=http://127.0.0.1:1;RestSamplePath=/me"] {
            let failure = open(&format!("am=50;AccessToken=a;{options}")).unwrap().test().unwrap_err();
            assert_eq!(failure.status, AUTHGRANT_INVALID_OPTION, "{failure:?}");
            assert!(failure.message.contains("AUTHGRANT_FORBID_LOOPBACK_HTTP"), "{failure:?}");
        }
    });
}
