//! Tests of model files: both syntaxes, comments, relative URIs, ignored members.

use crate::base::error::Status;
use crate::options::environment::testing::FakeEnvironment;
use crate::options::*;

fn open(model: &str, more: &str) -> Options {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.rest");
    std::fs::write(&path, model).unwrap();
    Options::open(&format!("RestConfigFile={};{more}", path.display()), &FakeEnvironment::default()).unwrap()
}

fn value_of(options: &Options, name: OptionId) -> Option<&str> {
    options.get(name).map(|value| value.text.reveal())
}

fn warnings(options: &Options) -> String {
    options.warnings().iter().map(|warning| format!("{warning}\n")).collect()
}

const OLDER_SYNTAX: &str = r##"{
    // "#tokenUri": "https://commented.example/t",
    "#hostname": "https://api.example.com",
    "#authenticationMethod": "OAuth2", // the method
    "#authUri": "https://login.example.com/auth",
    "#tokenUri": "POST https://login.example.com/token?a=//b",
    "#redirectUri": "http://localhost:3000",
    "#scope": "a // b \" // c",
    "people": {"#path": "/people", "id": "Integer,#key", "deep": [1, {"#scope": "no"}]}
}"##;

#[test]
fn older_syntax_is_parsed_with_comments() {
    let options = open(OLDER_SYNTAX, "");
    assert_eq!(warnings(&options), "");
    assert_eq!(options.errors(), []);
    assert_eq!(value_of(&options, OptionId::AuthenticationMethod), Some("OAuth2"));
    assert_eq!(value_of(&options, OptionId::AuthURI), Some("https://login.example.com/auth"));
    assert_eq!(value_of(&options, OptionId::TokenURI), Some("POST https://login.example.com/token?a=//b"));
    assert_eq!(value_of(&options, OptionId::RedirectURI), Some("http://localhost:3000"));
    assert_eq!(value_of(&options, OptionId::Scope), Some("a // b \" // c"));
    let value = options.get(OptionId::TokenURI).unwrap();
    assert_eq!((value.origin, value.name_as_written.as_str()), (OptionOrigin::Model, "#tokenUri"));
    assert!(value.location.as_ref().unwrap().ends_with("x.rest"));
}

#[test]
fn comment_begins_at_two_slashes_outside_strings() {
    for model in [
        "// \"#scope\": 1\n{\"#scope\": \"a//b\"}",
        "{\"#scope\": \"a//b\"// \"\n}",
        "{\"#scope\": \"a//b\",//\n\"#hostname\": \"a.example\"/////\n}",
    ] {
        let options = open(model, "");
        assert_eq!(options.errors(), [], "{model}");
        assert_eq!(value_of(&options, OptionId::Scope), Some("a//b"), "{model}");
    }
}

#[test]
fn newer_syntax_overrides_older() {
    let model = r##"{"#scope": "old", "#options": {
        "authenticationmethod": {"choices": "OAuth2,BearerToken", "default": "OAuth2"},
        "tokenURI": {"choices": "https://a.example/t"}, "authURI": {"choices": "https://a/,https://b/"},
        "scope": "new"}}"##;
    let options = open(model, "");
    assert_eq!(warnings(&options), "");
    assert_eq!(value_of(&options, OptionId::AuthenticationMethod), Some("OAuth2"));
    assert_eq!(value_of(&options, OptionId::TokenURI), Some("https://a.example/t"));
    assert_eq!(value_of(&options, OptionId::AuthURI), None);
    assert_eq!(value_of(&options, OptionId::Scope), Some("new"));
    assert_eq!(options.get(OptionId::Scope).unwrap().name_as_written, "#options.scope");
}

#[test]
fn connection_string_overrides_and_unsets_model() {
    assert_eq!(value_of(&open(OLDER_SYNTAX, "Scope=mine"), OptionId::Scope), Some("mine"));
    assert_eq!(value_of(&open(OLDER_SYNTAX, "Scope="), OptionId::Scope), None);
}

#[test]
fn relative_uris_resolve_against_hostname() {
    for (host, uri, full) in [
        ("https://a.example", "/oauth/token", "https://a.example/oauth/token"),
        ("https://a.example/v1/", "/oauth/token", "https://a.example/oauth/token"),
        ("https://a.example/v1/", "oauth/token", "https://a.example/v1/oauth/token"),
        ("a.example:8443", "POST oauth/token", "POST https://a.example:8443/oauth/token"),
        ("http://127.0.0.1:80", "get  /t?u=https://x", "get http://127.0.0.1:80/t?u=https://x"),
        ("https://a.example", "//b.example/t", "https://b.example/t"),
        ("https://a.example", "https://b.example/t", "https://b.example/t"),
    ] {
        let model = format!(r##"{{"#hostname": "{host}", "#options": {{"tokenURI": "{uri}"}}}}"##);
        assert_eq!(value_of(&open(&model, ""), OptionId::TokenURI), Some(full), "{host} {uri}");
    }
    let options = open(r##"{"#tokenUri": "/token"}"##, "");
    assert_eq!(value_of(&options, OptionId::TokenURI), Some("/token"));
    assert!(warnings(&options).contains("TokenURI"), "{}", warnings(&options));
}

#[test]
fn model_credentials_are_ignored_with_warning() {
    let model = r##"{"#clientId": "hunter2", "#clientSecret": "hunter2", "#options": {"JWTCertStore": "hunter2",
        "jwtcertpassword": "hunter2", "TrustStore": "hunter2", "AllowOverride": "1", "unknown": "hunter2"},
        "#scope": 5, "#port": "80"}"##;
    let options = open(model, "");
    for (name, id) in [
        ("ClientID", OptionId::ClientID),
        ("ClientSecret", OptionId::ClientSecret),
        ("JWTCertStore", OptionId::JWTCertStore),
        ("JWTCertPassword", OptionId::JWTCertPassword),
        ("TrustStore", OptionId::TrustStore),
        ("AllowOverride", OptionId::AllowOverride),
    ] {
        assert_eq!(options.get(id), None);
        assert!(warnings(&options).contains(&format!("sets {name},")), "{name}");
    }
    assert!(warnings(&options).contains("sets Scope to "));
    assert_eq!(options.warnings().len(), 7);
    assert!(!format!("{}{options:?}", warnings(&options)).contains("hunter2"));
}

#[test]
fn only_valid_model_headers_are_kept() {
    let model = r##"{"#headers": {"X-Tenant": "t1", "x-tenant": "t2", "Accept": "application/json",
        "content-type": "text/xml", "authorization": "Bearer x", "A B": "1", "X-Line": "a\r\nb: c", "X-Number": 5},
        "table": {"#headers": {"X-Table": "1"}}}"##;
    let options = open(model, "");
    let headers: Vec<_> =
        options.model_headers().iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
    assert_eq!(headers, [("Accept", "application/json"), ("X-Tenant", "t1"), ("authorization", "Bearer x")]);
    assert_eq!(options.warnings().len(), 5, "{}", warnings(&options));
    for fragment in ["reserved header", "header name", "line break", "not a string", "duplicate"] {
        assert!(warnings(&options).contains(fragment), "{fragment}: {}", warnings(&options));
    }
    assert!(!warnings(&options).contains("b: c"));
    assert!(warnings(&open(r##"{"#headers": []}"##, "")).contains("not an object"));
}

#[test]
fn model_must_not_set_headers_of_http_client() {
    for name in ["Host", "content-length", "Transfer-Encoding", "Connection", "TE"] {
        let options = open(&format!(r##"{{"#headers": {{"{name}": "hunter2"}}}}"##), "");
        let errors = options.errors();
        let [error] = &errors[..] else { panic!("{name}: {errors:?}") };
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("RestConfigFile")));
        assert!(error.message().contains(&format!("sets the header {name},")), "{error}");
        assert!(!error.message().contains("hunter2") && options.model_headers().is_empty(), "{error}");
    }
}

#[test]
fn invalid_model_error_has_position_without_content() {
    for (model, fragment) in [
        ("{\n  \"hunter2\": // why\n   hunter2}", "line 3, column 4"),
        ("{\"hunter2\": {", "unexpected end of file at line 1, column 13"),
        ("", "line 1, column 0"),
        ("[\"hunter2\"]", "is not a JSON object at line 1"),
        ("{} hunter2", "line 1, column 4"),
    ] {
        let options = open(model, "");
        let errors = options.errors();
        let [error] = &errors[..] else { panic!("{model}: {errors:?}") };
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("RestConfigFile")));
        assert!(error.message().contains(fragment), "{error}");
        assert!(error.message().contains("x.rest") && !error.message().contains("hunter2"), "{error}");
    }
}

#[test]
fn unreadable_model_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("RestConfigFile={}", folder.path().display());
    let options = Options::open(&text, &FakeEnvironment::default()).unwrap();
    assert!(warnings(&options).contains("is a directory"));
    assert!(options.has_unreadable_model() && options.errors().is_empty());
}

#[test]
fn io_failure_of_model_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!("RestConfigFile={}/x.rest", file.path().display());
    let options = Options::open(&text, &FakeEnvironment::default()).unwrap();
    let errors = options.errors();
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("RestConfigFile")));
}

#[test]
fn model_set_later_replaces_first() {
    let mut options = open("nonsense", "");
    assert_eq!(options.errors().len(), 1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("y.rest");
    std::fs::write(&path, OLDER_SYNTAX).unwrap();
    options.set(&[("RestConfigFile", path.to_str().unwrap())]).unwrap();
    assert_eq!(options.errors(), []);
    assert!(value_of(&options, OptionId::TokenURI).is_some());
    options.set(&[("RestConfigFile", "")]).unwrap();
    assert_eq!(value_of(&options, OptionId::TokenURI), None);
}

#[test]
fn malformed_model_never_panics() {
    let deep = "[".repeat(100_000);
    for model in ["\u{feff}{}", "{\"#a\":\"\\", "//", "{}//", "\"\\\"//", "{\"#headers\":{\"\":\"\"}}", &deep]
    {
        let _ = open(model, "").errors();
    }
    assert_eq!(open("\u{feff}{}", "").errors(), []);
    assert_eq!(open("{} // end", "").errors(), []);
}

#[test]
fn http_rules_select_reauthenticate_statuses() {
    let model = r##"{"#http": [
        {"#code": 401, "#action": "REAUTHENTICATE"}, {"#code": "419", "#action": "reauthenticate"},
        {"#code": 403, "#operation": "SELECT", "#action": "REAUTHENTICATE", "#message": "{/error}"},
        {"#code": 429, "#action": "RETRY_AFTER"}, {"#code": 400, "#action": "REAUTHENTICATE", "#match": "expired"},
        {"#code": 440, "#operation": "LOGIN", "#action": "REAUTHENTICATE"}, {"#action": "REAUTHENTICATE"},
        {"#code": 70000, "#action": "REAUTHENTICATE"}, {"#code": 200, "#action": "REAUTHENTICATE"}, 7, null]}"##;
    let options = open(model, "");
    assert_eq!(options.reauthenticate_statuses(), [401, 419, 403]);
    assert_eq!(warnings(&options), "");
    for invalid in ["7", "{}", "\"401\"", "[[]]"] {
        assert!(
            open(&format!("{{\"#http\": {invalid}}}"), "").reauthenticate_statuses().is_empty(),
            "{invalid}"
        );
    }
}
