//! What a host may forbid connection strings: through the C API, each test in a process of its own, since the policy is
//! one for a whole process.

mod support;

use std::ffi::{CString, c_char, c_void};
use std::ptr::null_mut;

use authgrant::ffi::authorize::authgrant_authorize;
use authgrant::ffi::policy::*;
use authgrant::ffi::status::*;
use authority::Config;
use support::c_api::{Connection, Failure, ask, failures, open};
use support::place::Place;
use support::{authority, short_string, stores};

/// Runs `body` in a process in which nothing has happened yet: this test program once more, for the test of that name.
fn alone(name: &str, body: impl FnOnce()) {
    const ALONE: &str = "AUTHGRANT_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return body();
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
}

#[track_caller]
fn set(allow: u32, forbid: u32) {
    assert_eq!(failures(|error| authgrant_set_policy(allow, forbid, error)), []);
}

#[track_caller]
fn refused(allow: u32, forbid: u32) -> Failure {
    let [failure] = &failures(|error| authgrant_set_policy(allow, forbid, error))[..] else {
        panic!("it was set")
    };
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_INVALID_ARGUMENT, "HY009"));
    failure.clone()
}

/// Asks for a token; the option that the policy forbids, by this constant.
#[track_caller]
fn forbidden(string: &str, constant: &str) -> String {
    let failure = ask(string).err().unwrap_or_else(|| panic!("{string} gets a token"));
    assert_eq!(
        (failure.status, failure.sqlstate.as_str()),
        (AUTHGRANT_INVALID_OPTION, "HY024"),
        "{failure:?}"
    );
    assert!(failure.message.contains("policy") && failure.message.contains(constant), "{failure:?}");
    failure.option.unwrap()
}

/// A string that needs no server.
fn local(more: &str) -> String {
    format!("am=55;ClaimsIssuer=me;JWTCertStore={};{more}", stores::quick_key())
}

#[test]
fn once_a_connection_has_been_opened_the_policy_can_only_be_tightened() {
    alone("once_a_connection_has_been_opened_the_policy_can_only_be_tightened", || {
        assert!(refused(4, 0).message.contains("allow has the bits 0x4"));
        assert!(refused(0, 128).message.contains("forbid has the bits 0x80"));
        set(3, 127);
        set(3, AUTHGRANT_FORBID_GET);
        open("Scope={never closed").unwrap_err();
        set(AUTHGRANT_ALLOW_MODULES, AUTHGRANT_FORBID_GET | AUTHGRANT_FORBID_PROMPT);
        assert!(refused(3, 9).message.contains("set AUTHGRANT_ALLOW_REFERENCES"));
        assert!(refused(2, 8).message.contains("take AUTHGRANT_FORBID_GET away"));
        set(0, 127);
    });
}

#[test]
fn without_get_a_token_uri_is_asked_by_post_or_refused() {
    alone("without_get_a_token_uri_is_asked_by_post_or_refused", || {
        set(0, AUTHGRANT_FORBID_GET);
        let authority = authority(Config::http());
        let by = |method: &str| {
            let more = format!("TokenURI={method}{}", authority.url("/oauth/token"));
            short_string(&authority, &more)
        };
        assert_eq!(forbidden(&by("GET "), "AUTHGRANT_FORBID_GET"), "TokenURI");
        ask(&by("")).unwrap();
        let methods: Vec<_> =
            authority.token_requests().iter().map(|request| request.method.clone()).collect();
        assert_eq!(methods, ["POST"]);
    });
}

#[test]
fn without_insecure_tls_and_loopback_http_their_options_are_refused() {
    alone("without_insecure_tls_and_loopback_http_their_options_are_refused", || {
        for more in ["ValidateServerCertificate=0", "LogoffURI=http://localhost/out"] {
            ask(&local(more)).unwrap();
        }
        set(0, AUTHGRANT_FORBID_INSECURE_TLS | AUTHGRANT_FORBID_LOOPBACK_HTTP);
        let option = forbidden(&local("ValidateServerCertificate=0"), "AUTHGRANT_FORBID_INSECURE_TLS");
        assert_eq!(option, "ValidateServerCertificate");
        for (more, name) in [
            ("TokenURI=http://127.0.0.1/t", "TokenURI"),
            ("TokenURI=POST http://[::1]/t", "TokenURI"),
            ("TokenEndpoint=http://localhost/t", "TokenEndpoint"),
            ("AuthURI=http://localhost/a", "AuthURI"),
            ("LogoffURI=http://localhost/out", "LogoffURI"),
            ("RestSamplePath=http://localhost/sample", "RestSamplePath"),
            ("HealthURI=http://127.9.9.9/health", "HealthURI"),
            ("HostName=http://127.0.0.1:8080;RestSamplePath=/sample", "HostName"),
        ] {
            assert_eq!(forbidden(&local(more), "AUTHGRANT_FORBID_LOOPBACK_HTTP"), name, "{more}");
        }
        let fine = "RedirectURI=http://localhost:3000;RestSamplePath=/sample;HealthURI=https://a.example/h;\
                    HostName=api.example;ValidateServerCertificate=1;AuthURI=https://a.example/auth";
        ask(&local(fine)).unwrap();
    });
}

#[test]
fn with_references_a_connection_string_has_them_and_what_follows_them_is_not_repeated() {
    alone("with_references_a_connection_string_has_them_and_what_follows_them_is_not_repeated", || {
        set(AUTHGRANT_ALLOW_REFERENCES, 0);
        let place = Place::with("token", "here\n");
        let string = format!("am=50;AccessToken=file:{}", place.path("token"));
        assert_eq!(ask(&string).unwrap().value(), "here");
        let source = place.write("a.dsn", format!("[ODBC]\n{}", string.replace(';', "\n")));
        assert_eq!(ask(&format!("FILEDSN={source}")).unwrap().value(), "here");
        let failure = ask("am=50;AccessToken=file:hunter2").map(|_| ()).unwrap_err();
        assert!(failure.message.contains("is not there"), "{failure:?}");
        assert!(!failure.message.contains("hunter2"), "{failure:?}");
        let open = open(&string).unwrap();
        set(0, 0);
        let failure = open.get_token().map(|_| ()).unwrap_err();
        assert!(failure.message.contains("AUTHGRANT_ALLOW_REFERENCES"), "{failure:?}");
    });
}

extern "C" fn show(_: *const c_char, shown: *mut c_void) -> i32 {
    // SAFETY: the test hands in a bool.
    unsafe { *shown.cast::<bool>() = true };
    7
}

#[test]
fn without_prompts_only_a_function_of_the_host_shows_the_url() {
    alone("without_prompts_only_a_function_of_the_host_shows_the_url", || {
        set(0, AUTHGRANT_FORBID_PROMPT);
        assert_eq!(forbidden(&local("EnableLoginPrompt=1"), "AUTHGRANT_FORBID_PROMPT"), "EnableLoginPrompt");
        ask(&local("EnableLoginPrompt=0")).unwrap();
        let more = "Scope=a;AuthURI=https://a.example/auth;RedirectURI=http://127.0.0.1:53683/";
        let connection = open(&local(more)).unwrap();
        let said = failures(|error| authgrant_authorize(connection.handle(), None, null_mut(), error));
        assert_eq!((said[0].status, said[0].sqlstate.as_str()), (AUTHGRANT_UNSUPPORTED, "HYC00"));
        assert!(said[0].message.contains("AUTHGRANT_FORBID_PROMPT"), "{said:?}");
        let mut shown = false;
        let context = (&raw mut shown).cast();
        let said = failures(|error| authgrant_authorize(connection.handle(), Some(show), context, error));
        assert!(shown && said[0].message.contains("it said 7"), "{said:?}");
    });
}

#[test]
fn a_policy_that_is_tightened_reaches_what_is_open_and_cached() {
    alone("a_policy_that_is_tightened_reaches_what_is_open_and_cached", || {
        let store = format!("JWTCertStore={};JWTCertPassword=secret", stores::path("keytool.jks"));
        let weak = open(&format!("am=55;ClaimsIssuer=me;{store}")).unwrap();
        let authority = authority(Config::http());
        let plain = open(&short_string(&authority, "")).unwrap();
        let gets = |connection: &Connection| connection.get_token().map(|token| token.value());
        assert_eq!(gets(&weak), gets(&weak), "it is cached");
        gets(&plain).unwrap();
        set(0, AUTHGRANT_FORBID_WEAK_STORES);
        let failure = gets(&weak).unwrap_err();
        assert_eq!((failure.status, failure.option.as_deref()), (AUTHGRANT_KEY_STORE, Some("JWTCertStore")));
        let words = ["keytool.jks", "JKS", "AUTHGRANT_FORBID_WEAK_STORES"];
        assert!(words.iter().all(|word| failure.message.contains(word)), "{failure:?}");
        set(0, AUTHGRANT_FORBID_WEAK_STORES | AUTHGRANT_FORBID_LOOPBACK_HTTP);
        assert_eq!(gets(&plain).unwrap_err().status, AUTHGRANT_INVALID_OPTION);
    });
}

#[test]
fn without_sharing_equal_connections_have_tokens_of_their_own() {
    alone("without_sharing_equal_connections_have_tokens_of_their_own", || {
        let authority = authority(Config::http());
        let string = short_string(&authority, "CacheScope=Process");
        let (one, other) = (open(&string).unwrap(), open(&string).unwrap());
        let both = || (one.get_token().unwrap().value(), other.get_token().unwrap().value());
        let (first, second) = both();
        assert_eq!(first, second);
        set(0, AUTHGRANT_FORBID_SHARING);
        let (first, second) = both();
        assert_ne!(first, second);
        assert_eq!(both(), (first, second), "each keeps its own");
        assert_eq!(authority.token_requests().len(), 3);
    });
}

#[cfg(unix)]
#[test]
fn a_forked_child_inherits_the_policy_and_cannot_loosen_it() {
    alone("a_forked_child_inherits_the_policy_and_cannot_loosen_it", || {
        let before = open(&local("ValidateServerCertificate=0")).unwrap();
        set(0, AUTHGRANT_FORBID_INSECURE_TLS);
        // SAFETY: the child makes calls of the library, which are made for that, and leaves.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let loosened = authgrant_set_policy(0, 0, null_mut()) == AUTHGRANT_OK;
            let got = before.get_token().is_ok() || ask(&local("ValidateServerCertificate=0")).is_ok();
            // SAFETY: ends the child at once, without what the test program would do at its end.
            unsafe { libc::_exit(i32::from(loosened) + 2 * i32::from(got) + 40) };
        }
        let mut status = 0;
        // SAFETY: `child` is ours, and `status` is written to.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)), Some(40));
    });
}

#[track_caller]
fn allow(path: &str) {
    let path = CString::new(path).unwrap();
    assert_eq!(failures(|error| authgrant_allow_directory(path.as_ptr(), error)), []);
}

/// The same text as the section of a FILEDSN.
fn data_source(string: &str) -> String {
    format!("[ODBC]\n{}", string.replace(';', "\n"))
}

/// Each option that names a file or a key on a token, with the rest of a string.
fn options_with_files(path: &str) -> Vec<(&'static str, String)> {
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
    alone("file_paths_outside_allowed_directories_are_refused", || {
        set(3, AUTHGRANT_FORBID_FILE_PATHS);
        let place = Place::with("inside/key.pem", std::fs::read(stores::quick_key()).unwrap());
        allow(&place.path("inside"));
        for path in ["/etc/passwd", "/nowhere/file", "relative", &place.path("inside/../inside/key.pem")] {
            for (number, (option, string)) in options_with_files(path).into_iter().enumerate() {
                assert_eq!(forbidden(&string, "AUTHGRANT_FORBID_FILE_PATHS"), option, "{string}");
                let report = open(&string).unwrap().validate();
                assert!(report.contains("AUTHGRANT_FORBID_FILE_PATHS"), "{report}");
                let name = format!("inside/{number}.dsn");
                let source = format!("FILEDSN={}", place.write(&name, data_source(&string)));
                assert_eq!(forbidden(&source, "AUTHGRANT_FORBID_FILE_PATHS"), option, "{string}");
            }
            let reference = format!("am=50;AccessToken=file:{path}");
            assert_eq!(forbidden(&reference, "AUTHGRANT_FORBID_FILE_PATHS"), "AccessToken");
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
    alone("file_paths_below_allowed_directory_work", || {
        set(AUTHGRANT_ALLOW_REFERENCES, AUTHGRANT_FORBID_FILE_PATHS);
        let place = Place::with("inside/a/key.pem", std::fs::read(stores::path("openssl.pem")).unwrap());
        let certificate = place.write("inside/certificate.pem", stores::certificate());
        let token = place.write("inside/token", "from the file\n");
        place.write("inside/model.rest", r##"{"#headers": {"X-A": "b"}}"##);
        allow(&place.path("inside"));
        let key = place.path("inside/a/key.pem");
        let string = format!(
            "am=55;ClaimsIssuer=me;JWTCertStore={key};JWTCertificate={certificate};TrustStore={certificate}"
        );
        ask(&string).unwrap();
        let source = place.write("inside/a.dsn", data_source(&string));
        ask(&format!("FILEDSN={source}")).unwrap();
        ask(&format!("FILEDSN={}", place.path("inside/a"))).unwrap();
        assert_eq!(ask(&format!("am=50;AccessToken=file:{token}")).unwrap().value(), "from the file");
        let model = open(&format!("am=50;AccessToken=a;RestConfigFile={}", place.path("inside/model.rest")));
        assert_eq!(model.unwrap().get_headers().unwrap().len(), 2);
        let missing = ask(&string.replace("key.pem", "missing.pem")).unwrap_err();
        assert_eq!(missing.status, AUTHGRANT_KEY_STORE, "{missing:?}");
        let whole = ask(&string.replace("/a/key.pem", "")).unwrap_err();
        assert!(whole.message.contains("is a directory"), "{whole:?}");
        std::env::set_current_dir(place.path("inside/a")).unwrap();
        ask("am=55;ClaimsIssuer=me;JWTCertStore=key.pem").unwrap();
    });
}

#[cfg(unix)]
#[test]
fn link_out_of_allowed_directory_is_refused_when_opened_and_when_read_again() {
    use std::os::unix::fs::symlink;
    alone("link_out_of_allowed_directory_is_refused_when_opened_and_when_read_again", || {
        set(AUTHGRANT_ALLOW_REFERENCES, AUTHGRANT_FORBID_FILE_PATHS);
        let place = Place::with("inside/file", "x");
        place.write("outside/key.pem", std::fs::read(stores::path("openssl.pem")).unwrap());
        place.write("outside/a.dsn", data_source("am=50;AccessToken=a"));
        allow(&place.path("inside"));
        symlink("../outside", place.path("inside/folder")).unwrap();
        symlink("../outside/key.pem", place.path("inside/link.pem")).unwrap();
        for path in [place.path("inside/folder/key.pem"), place.path("inside/link.pem")] {
            let quick = std::fs::read_to_string(stores::quick_key()).unwrap();
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
                assert_eq!(forbidden(&string, "AUTHGRANT_FORBID_FILE_PATHS"), option, "{string}");
            }
            let reference = format!("am=50;AccessToken=file:{path}");
            assert_eq!(forbidden(&reference, "AUTHGRANT_FORBID_FILE_PATHS"), "AccessToken");
        }
        let failure = open(&format!("FILEDSN={}", place.path("inside/folder/a.dsn"))).unwrap_err();
        assert_eq!((failure.status, failure.option.as_deref()), (AUTHGRANT_INVALID_OPTION, Some("FILEDSN")));

        let key = place.write("inside/key.pem", std::fs::read(stores::path("openssl.pem")).unwrap());
        let secret = place.write("inside/token", "secret");
        let signs = open(&format!("am=55;ClaimsIssuer=me;JWTCertStore={key}")).unwrap();
        let refers = open(&format!("am=50;AccessToken=file:{secret}")).unwrap();
        signs.get_token().unwrap();
        refers.get_token().unwrap();
        for path in [&key, &secret] {
            std::fs::remove_file(path).unwrap();
            symlink("../outside/key.pem", path).unwrap();
        }
        let again = [signs.make_assertion().map(drop), refers.get_token_with(0, 1, 0).map(drop)];
        for failure in again.map(Result::unwrap_err) {
            assert_eq!(failure.status, AUTHGRANT_INVALID_OPTION, "{failure:?}");
            assert!(failure.message.contains("AUTHGRANT_FORBID_FILE_PATHS"), "{failure:?}");
        }
    });
}

#[test]
fn file_paths_of_application_and_machine_are_not_restricted() {
    alone("file_paths_of_application_and_machine_are_not_restricted", || {
        set(0, AUTHGRANT_FORBID_FILE_PATHS);
        let key = stores::quick_key();
        let source = format!("am=55;ClaimsIssuer=me;JWTCertStore={key}");
        let place = Place::user(&data_source(&source).replace("ODBC", "a"));
        place.write("etc/ODBCDataSources/b.dsn", data_source(&source));
        place.open("DSN=a").get_token().unwrap();
        place.open("FILEDSN=b").get_token().unwrap();
        let connection = open("am=55;ClaimsIssuer=me").unwrap();
        connection.set_option("JWTCertStore", &key).unwrap();
        connection.get_token().unwrap();
        connection.set_option("TrustStore", &stores::path("certificate.pem")).unwrap();
        connection.get_token().unwrap();
    });
}

#[test]
fn policy_set_later_refuses_paths_of_open_connections() {
    alone("policy_set_later_refuses_paths_of_open_connections", || {
        let place = Place::with("a.dsn", data_source(&local("")));
        place.write("model.rest", "{}");
        let strings = [
            (local(""), "JWTCertStore"),
            (format!("FILEDSN={}", place.path("a.dsn")), "JWTCertStore"),
            (format!("am=50;AccessToken=a;RestConfigFile={}", place.path("model.rest")), "RestConfigFile"),
        ];
        let connections = strings.map(|(string, option)| (open(&string).unwrap(), option));
        for (connection, _) in &connections {
            connection.get_token().unwrap();
        }
        set(0, AUTHGRANT_FORBID_FILE_PATHS);
        for (connection, option) in &connections {
            let failure = connection.get_token().map(|_| ()).unwrap_err();
            let seen = (failure.status, failure.option.as_deref());
            assert_eq!(seen, (AUTHGRANT_INVALID_OPTION, Some(*option)), "{failure:?}");
            assert!(failure.message.contains("AUTHGRANT_FORBID_FILE_PATHS"), "{failure:?}");
        }
    });
}

#[test]
fn new_directory_after_first_open_is_refused() {
    alone("new_directory_after_first_open_is_refused", || {
        let (first, second) = (Place::new(), Place::new());
        let path = |place: &Place| CString::new(place.path("")).unwrap();
        let (first, second) = (path(&first), path(&second));
        allow(first.to_str().unwrap());
        for missing in [c"", c"/nowhere/at/all", c"/etc/passwd"] {
            let failure = failures(|error| authgrant_allow_directory(missing.as_ptr(), error)).remove(0);
            assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_INVALID_ARGUMENT, "HY009"));
        }
        open("am=50;AccessToken=a").unwrap();
        allow(first.to_str().unwrap());
        let failure = failures(|error| authgrant_allow_directory(second.as_ptr(), error)).remove(0);
        assert_eq!(failure.status, AUTHGRANT_INVALID_ARGUMENT);
        assert!(failure.message.contains("before the first authgrant_open"), "{failure:?}");
    });
}

/// Each way in which a string says where secrets go.
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
    alone("untrusted_string_cannot_redirect_secrets_of_application", || {
        let place = Place::new();
        allow(&place.path(""));
        set(0, AUTHGRANT_FORBID_FILE_PATHS);
        let key = stores::quick_key();
        for (option, value) in DESTINATIONS {
            let value = if value.starts_with('{') {
                format!("{{{}}}", value.replace('}', "}}"))
            } else {
                value.to_owned()
            };
            let string = format!("am=55;ClaimsIssuer=me;{option}={value}");
            let source = place.write("a.dsn", data_source(&string.replace("{{", "{").replace("}}}", "}")));
            for text in [string, format!("FILEDSN={source}")] {
                for (secret, value) in
                    [("JWTCertStore", key.as_str()), ("ClientSecret", "s"), ("KeyStore", key.as_str())]
                {
                    let connection = open(&text).unwrap();
                    connection.set_option(secret, value).unwrap();
                    let failure = connection.get_token().map(|_| ()).unwrap_err();
                    let seen = (failure.status, failure.option.as_deref());
                    assert_eq!(seen, (AUTHGRANT_INVALID_OPTION, Some(option)), "{text} {failure:?}");
                    let words = [secret, "AUTHGRANT_FORBID_FILE_PATHS", "AllowOverride"];
                    assert!(words.iter().all(|word| failure.message.contains(word)), "{failure:?}");
                    assert!(!connection.completed_string(0).contains("evil"), "it is not in force");
                }
            }
        }
        let model = place.write("m.rest", r##"{"#options": {"tokenURI": "https://evil.example/t"}}"##);
        let connection = open(&format!("am=55;ClaimsIssuer=me;RestConfigFile={model}")).unwrap();
        connection.set_option("JWTCertStore", &key).unwrap();
        let failure = connection.get_token().map(|_| ()).unwrap_err();
        assert_eq!(failure.option.as_deref(), Some("RestConfigFile"), "{failure:?}");
    });
}

#[test]
fn untrusted_string_cannot_redirect_signer_of_application() {
    alone("untrusted_string_cannot_redirect_signer_of_application", || {
        set(0, AUTHGRANT_FORBID_FILE_PATHS);
        let connection = open("am=55;ClaimsIssuer=me;TokenEndpoint=https://evil.example/t").unwrap();
        connection.set_signer("ES256", Some(never_signs), null_mut()).unwrap();
        let failure = connection.get_token().map(|_| ()).unwrap_err();
        let seen = (failure.status, failure.option.as_deref());
        assert_eq!(seen, (AUTHGRANT_INVALID_OPTION, Some("TokenEndpoint")), "{failure:?}");
        assert!(failure.message.contains("authgrant_set_signer"), "{failure:?}");
    });
}

extern "C" fn never_signs(
    _: *mut c_void,
    _: *const u8,
    _: usize,
    _: *mut u8,
    _: usize,
    _: *mut usize,
) -> i32 {
    panic!("nothing is to be signed")
}

#[test]
fn application_sets_destination_or_waives_guard() {
    alone("application_sets_destination_or_waives_guard", || {
        let authority = authority(Config::http());
        let endpoint = authority.url("/oauth/token");
        let rest = format!("am=55;ClaimsIssuer={};ClaimsSubject=jsmith@example.com", support::ISSUER);
        let open_with = |string: &str, options: &[(&str, &str)]| {
            let connection = open(string).unwrap();
            for (name, value) in options {
                connection.set_option(name, value).unwrap();
            }
            connection.get_token().map(|_| ())
        };
        let (store, named) = (stores::path("openssl.pem"), format!("{rest};TokenEndpoint={endpoint}"));
        let key = ("JWTCertStore", store.as_str());
        open_with(&named, &[key]).expect("strings are trusted");
        set(0, AUTHGRANT_FORBID_FILE_PATHS);
        open_with(&named, &[key]).unwrap_err();
        open_with(&rest, &[key, ("TokenEndpoint", &endpoint)]).unwrap();
        open_with(&named, &[key, ("TokenEndpoint", &endpoint)])
            .expect("the application's own outranks the string's");
        open_with(&named, &[key, ("AllowOverride", "1")])
            .expect("they are the secrets of the string's author");
        open_with(&format!("{named};AllowOverride=1"), &[key]).expect_err("the string waives nothing");
        open_with(&named, &[("Scope", "a"), ("JWTPrivateKey", "")]).expect_err("there is no key");
        let own = open("am=50;AccessToken=a;TokenEndpoint=https://a.example/t;LogoffURI=https://a.example/l")
            .unwrap();
        own.get_token().expect("the string's own secrets go where it says");
    });
}

#[test]
fn reports_keep_to_the_policy() {
    alone("reports_keep_to_the_policy", || {
        set(0, AUTHGRANT_FORBID_WEAK_STORES | AUTHGRANT_FORBID_LOOPBACK_HTTP);
        let store = stores::path("keytool.jks");
        let report = open(&format!("am=55;cliss=me;JWTCertStore={store};JWTCertPassword=secret"));
        let report = report.unwrap().validate();
        assert!(report.contains("AUTHGRANT_FORBID_WEAK_STORES") && !report.contains("signer"), "{report}");
        for more in ["HealthURI=http://127.0.0.1:1/", "HostName=http://127.0.0.1:1;RestSamplePath=/me"] {
            let failure = open(&format!("am=50;AccessToken=a;{more}")).unwrap().test().unwrap_err();
            assert_eq!(failure.status, AUTHGRANT_INVALID_OPTION, "{failure:?}");
            assert!(failure.message.contains("AUTHGRANT_FORBID_LOOPBACK_HTTP"), "{failure:?}");
        }
    });
}
