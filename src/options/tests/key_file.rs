//! Tests of option defaults from JSON key files, and of what untrusted text must not do with them.

use crate::base::error::Status;
use crate::base::policy::{Policy, Restriction};
use crate::key::fixtures::KeyDir;
use crate::key::{KeyCache, KeySource};
use crate::options::environment::testing::FakeEnvironment;
use crate::options::*;

const GOOGLE: &str = r#"{"type":"service_account","private_key":"k","client_email":"robot","private_key_id":"kid","token_uri":"https://good.example/t"}"#;
const BOX: &str = r#"{"boxAppSettings":{"clientID":"me","clientSecret":"s3cret","appAuth":{"publicKeyID":"kid","privateKey":"k"}},"enterpriseID":"987"}"#;

/// A directory with the key file `key.json` and an odbc.ini, whose section `a` may name the key file.
struct Fixture {
    dir: KeyDir,
    key: KeySource,
}

impl Fixture {
    fn new(key_file: &str) -> Self {
        let dir = KeyDir::new();
        let key = dir.source_with_content("key.json", key_file.as_bytes(), None);
        Self { dir, key }
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.dir.file_path(name), text).unwrap();
        self.path(name)
    }

    fn path(&self, name: &str) -> String {
        self.dir.file_path(name).to_str().unwrap().to_owned()
    }

    fn open(&self, string: &str, set_by_caller: &[(&str, &str)]) -> Options {
        let system_folders = vec![self.dir.path().to_owned()];
        let environment = FakeEnvironment { system_folders, ..FakeEnvironment::default() };
        let mut options = Options::open(string, &environment).unwrap();
        options.set(set_by_caller).unwrap();
        options
    }

    /// The options of `string` with those of the key file, which the caller names.
    fn apply(&self, string: &str) -> Options {
        let options = self.open(string, &[("JWTCertStore", &self.path("key.json"))]);
        apply(&options, &self.key, Policy::default())
    }
}

fn apply(options: &Options, key: &KeySource, policy: Policy) -> Options {
    apply_with(options, key, policy, true).0
}

fn apply_with(
    options: &Options,
    key: &KeySource,
    policy: Policy,
    uses_token_endpoint: bool,
) -> (Options, FileDependencies) {
    let mut dependencies = FileDependencies::empty();
    let mut options = options.resolve_secret_refs(policy, false, &mut dependencies);
    let key_cache = KeyCache::new([0; 32]);
    options.apply_key_file(key, &key_cache, uses_token_endpoint, policy, &mut dependencies);
    (options, dependencies)
}

fn text_of(options: &Options, id: OptionId) -> Option<&str> {
    options.get(id).map(|value| value.text.reveal())
}

#[test]
fn box_settings_complete_options_of_same_client() {
    let fixture = Fixture::new(BOX);
    let (secret, id, sub_type) = (Some("s3cret"), Some("987"), Some(r#"{"box_sub_type":"enterprise"}"#));
    for (more, expected) in [
        ("", [secret, id, sub_type]),
        ("ClaimsIssuer=me", [secret, id, sub_type]),
        ("ClaimsIssuer=other", [None, id, sub_type]),
        ("ClientID=other", [None, id, sub_type]),
        ("ClientSecret=own", [Some("own"), id, sub_type]),
        ("ClaimsSubject=11", [secret, Some("11"), None]),
        ("ClaimsSubject=", [secret, None, None]),
        ("ClaimsAdditional={{}}}", [secret, None, Some("{}")]),
    ] {
        let options = fixture.apply(more);
        let names = [OptionId::ClientSecret, OptionId::ClaimsSubject, OptionId::ClaimsAdditional];
        assert_eq!(names.map(|id| text_of(&options, id)), expected, "{more}");
    }
    fixture.write("key.json", &BOX.replace("enterpriseID", "other"));
    assert_eq!(text_of(&fixture.apply(""), OptionId::ClaimsAdditional), None);
}

#[test]
fn box_settings_without_endpoint_warn_if_used() {
    let fixture = Fixture::new(BOX);
    let (uri, endpoint) =
        ("TokenURI=POST https://api.box.com/oauth2/token", "TokenEndpoint=https://api.box.com/oauth2/token");
    for (string, uses_token_endpoint, is_warned) in [
        ("", true, true),
        ("", false, false),
        ("TokenURI=", true, false),
        (uri, true, false),
        (endpoint, true, false),
        (endpoint, false, false),
    ] {
        let options = fixture.open(string, &[]);
        let (options, _) = apply_with(&options, &fixture.key, Policy::default(), uses_token_endpoint);
        let warnings = options.warnings();
        let is_about_key = |warning: &Error| warning.option() == Some("JWTCertStore");
        assert_eq!(warnings.iter().any(is_about_key), is_warned, "{string}: {warnings:?}");
    }
}

#[test]
fn value_of_key_file_has_its_location() {
    let fixture = Fixture::new(GOOGLE);
    let location = |options: &Options| {
        let value = options.get(OptionId::ClaimsIssuer).unwrap();
        assert_eq!((value.origin, value.name_as_written.as_str()), (OptionOrigin::KeyFile, "client_email"));
        value.location.clone()
    };
    assert_eq!(location(&fixture.apply("")), Some(fixture.path("key.json")));
    let inline = apply(&fixture.open("", &[]), &KeySource::inline(GOOGLE), Policy::default());
    assert_eq!(location(&inline).as_deref(), Some("JWTPrivateKey"));
}

#[test]
fn token_uri_of_key_file_must_be_https() {
    for (uri, expected) in [
        ("https://127.0.0.1/t", Some("https://127.0.0.1/t")),
        ("http://127.0.0.1/t", None),
        ("http://good.example/t", None),
    ] {
        let fixture = Fixture::new(&GOOGLE.replace("https://good.example/t", uri));
        let options = fixture.apply("");
        assert_eq!(text_of(&options, OptionId::TokenEndpoint), expected, "{uri}");
        let warnings = options.warnings();
        assert_eq!(warnings.len(), usize::from(expected.is_none()), "{warnings:?}");
    }
}

#[test]
fn untrusted_key_file_cannot_redirect_secrets_of_caller() {
    let fixture = Fixture::new(GOOGLE);
    let policy = Policy::new(0, Restriction::FilePaths as u32).unwrap();
    let path = fixture.path("key.json");
    let good = Some("https://good.example/t");
    let trusted = fixture.open("", &[("JWTCertStore", &path), ("ClientSecret", "s")]);
    let applied = apply(&trusted, &fixture.key, policy);
    assert_eq!((applied.errors(), text_of(&applied, OptionId::TokenEndpoint)), (vec![], good));

    let file_dsn = fixture.write("f.dsn", &format!("[ODBC]\nJWTPrivateKey={GOOGLE}\n"));
    let untrusted = fixture.open(&format!("FILEDSN={file_dsn}"), &[("ClientSecret", "s")]);
    let key = KeySource::inline(GOOGLE);
    let applied = apply(&untrusted, &key, Policy::default());
    assert_eq!((applied.errors(), text_of(&applied, OptionId::TokenEndpoint)), (vec![], good));
    let blocked = apply(&untrusted, &key, policy);
    let errors = blocked.errors();
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("JWTPrivateKey")));
    assert!(error.message().contains("token_uri of the key file"), "{error}");
    assert_eq!(text_of(&blocked, OptionId::TokenEndpoint), None);
}

#[test]
fn clearing_endpoint_of_guarded_key_is_error() {
    let fixture = Fixture::new(GOOGLE);
    let path = fixture.path("key.json");
    let uri = "TokenURI=POST https://own.example/t";
    for (section, string, blocked) in [
        (format!("JWTCertStore={path}"), "DSN=a;TokenURI=".to_owned(), Some("TokenURI")),
        (format!("JWTCertStore={path}"), "DSN=a;TokenEndpoint=".to_owned(), Some("TokenEndpoint")),
        (format!("JWTCertStore={path}\nAllowOverride=1"), "DSN=a;TokenURI=".to_owned(), None),
        (format!("JWTCertStore={path}\n{uri}"), "DSN=a;TokenEndpoint=".to_owned(), None),
        ("ClientSecret=s".to_owned(), format!("DSN=a;TokenURI=;JWTCertStore={path}"), None),
    ] {
        fixture.write("odbc.ini", &format!("[a]\n{section}\n"));
        let errors = apply(&fixture.open(&string, &[]), &fixture.key, Policy::default()).errors();
        let options: Vec<_> = errors.iter().map(|error| error.option().unwrap()).collect();
        assert_eq!(options, Vec::from_iter(blocked), "{section} {string}");
    }
}

/// The key cache detects other changes of a file without metadata.
#[test]
fn change_of_key_file_matters_if_it_has_metadata() {
    for (content, replacement, is_current) in [
        (GOOGLE, GOOGLE.replace("robot", "other robot"), false),
        ("-----BEGIN PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----".to_owned(), true),
    ] {
        let fixture = Fixture::new(content);
        let (_, mut dependencies) = apply_with(&fixture.open("", &[]), &fixture.key, Policy::default(), true);
        dependencies.discard_files_without_metadata();
        assert!(dependencies.is_unchanged());
        fixture.write("key.json", &replacement);
        assert_eq!(dependencies.is_unchanged(), is_current, "{content}");
    }
}
