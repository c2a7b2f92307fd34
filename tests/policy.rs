//! What a host may forbid connection strings: through the C API, each test in a process of its own, since the policy is
//! one for a whole process.

mod support;

use std::ffi::{c_char, c_void};
use std::ptr::null_mut;

use authgrant::ffi::consent::authgrant_authorize;
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
        assert!(refused(0, 64).message.contains("forbid has the bits 0x40"));
        set(3, 63);
        set(3, AUTHGRANT_FORBID_GET);
        open("Scope={never closed").unwrap_err();
        set(AUTHGRANT_ALLOW_MODULES, AUTHGRANT_FORBID_GET | AUTHGRANT_FORBID_PROMPT);
        assert!(refused(3, 9).message.contains("set AUTHGRANT_ALLOW_REFERENCES"));
        assert!(refused(2, 8).message.contains("take AUTHGRANT_FORBID_GET away"));
        set(0, 63);
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
