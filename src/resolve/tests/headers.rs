//! Headers of token requests and of requests to the API.

use super::*;

#[test]
fn incomplete_or_invalid_extra_header_is_rejected() {
    for (more, status, option) in [
        ("AuthHeader=X-Tenant", Status::MissingOption, "SecurityToken"),
        ("SecurityToken=1", Status::MissingOption, "AuthHeader"),
        ("AuthHeader=X Tenant;SecurityToken=1", Status::InvalidOption, "AuthHeader"),
        ("AuthHeader=Content-Length;SecurityToken=1", Status::InvalidOption, "AuthHeader"),
        ("AuthHeader=host;SecurityToken=evil", Status::InvalidOption, "AuthHeader"),
        ("AuthHeader=X;SecurityToken={1\r\nY: 2}", Status::InvalidOption, "SecurityToken"),
    ] {
        let error = resolve_error(&format!("{BASE}{more}"));
        assert_eq!((error.status(), error.option()), (status, Some(option)), "{more}");
        assert!(!error.message().contains("Y: 2"), "{error}");
    }
}

#[test]
fn authorization_header_conflicts_with_basic_auth() {
    let secret =
        "AuthHeader=authorization;SecurityToken=1;ClientID=c;ClientSecret=s;TokenEndpoint=https://a/t";
    for mode in ["0", "1", "Default", "basic"] {
        let error = resolve_error(&format!("{BASE}{secret};ClientCredentialsMode={mode}"));
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("AuthHeader")), "{mode}");
    }
    assert!(
        !token_endpoint_config(&format!("{secret};ClientCredentialsMode=3")).client.unwrap().uses_basic_auth
    );
}

/// Options with a model that sets these headers, a JSON object.
fn options_with_model_headers(headers: &str, more: &str) -> Options {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("m.rest");
    std::fs::write(&model, format!(r##"{{"#headers": {headers}}}"##)).unwrap();
    Options::open(&format!("RestConfigFile={};{more}", model.display()), &ProcessEnvironment).unwrap()
}

/// Options with a model that sets an Authorization header.
fn options_with_authorization_in_model(more: &str) -> Options {
    options_with_model_headers(r#"{"Authorization": "hunter2"}"#, more)
}

fn names_and_values(headers: &[HttpHeader]) -> Vec<(&str, &str)> {
    headers.iter().map(|header| (header.name.as_str(), header.value.reveal())).collect()
}

#[test]
fn authorization_header_of_model_conflicts_with_basic_auth() {
    let client = "am=53;ClientID=c;ClientSecret=s;TokenEndpoint=https://a/t";
    let error = resolve(&options_with_authorization_in_model(client)).config.unwrap_err();
    assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("RestConfigFile")));
    assert!(error.message().contains("Authorization") && !error.message().contains("hunter2"), "{error}");
    let in_body = options_with_authorization_in_model(&format!("{client};ClientCredentialsMode=3"));
    let config = resolve(&in_body).config.unwrap();
    let headers = &config.flow.token_endpoint().unwrap().headers;
    assert_eq!(names_and_values(headers), [("Authorization", "hunter2")]);
    assert!(config.headers.is_empty(), "API requests have the token");
}

#[test]
fn auth_header_replaces_that_of_model_in_token_request() {
    let options = options_with_model_headers(
        r#"{"x-tenant": "model", "Accept": "text/csv", "X-Other": "b"}"#,
        "am=53;ClientID=c;ClientSecret=s;TokenEndpoint=https://a/t;AuthHeader=X-Tenant;SecurityToken=a",
    );
    let config = resolve(&options).config.unwrap();
    let headers = &config.flow.token_endpoint().unwrap().headers;
    assert_eq!(
        names_and_values(headers),
        [("X-Tenant", "a"), ("X-Other", "b")],
        "the model's Accept is for the API"
    );
}

#[test]
fn api_headers_are_those_of_option_model_and_profile() {
    let options = options_with_model_headers(
        r#"{"Accept": "text/csv"}"#,
        "am=JWT;ClaimsIssuer=A.B;JWTCertStore=k.jks;Provider=snowflake;AuthHeader=X-Tenant;SecurityToken=a",
    );
    let headers = resolve(&options).config.unwrap().headers;
    let expected =
        [("X-Tenant", "a"), ("Accept", "text/csv"), ("X-Snowflake-Authorization-Token-Type", "KEYPAIR_JWT")];
    assert_eq!(names_and_values(&headers), expected);
}

#[test]
fn configured_token_with_line_break_is_invalid() {
    let renewable = "am=54;RefreshToken=r;TokenEndpoint=https://a/t";
    for (string, option) in [
        ("am=50", "AccessToken"),
        (renewable, "AccessToken"),
        ("am=34", "SecurityToken"),
        ("am=25", "SecurityToken"),
    ] {
        for (value, is_valid) in [("a~ b", true), ("a\r\nX: y", false), ("a\n", false), ("\u{e9}", false)] {
            let resolution = resolve(&Options::parse(&format!("{string};{option}={{{value}}}")).unwrap());
            let error = resolution.config.as_ref().err();
            assert_eq!(error.is_none(), is_valid, "{string} {value:?}: {error:?}");
            assert!(error.is_none_or(|error| error.concerns(option)), "{error:?}");
        }
    }
}

#[test]
fn unsent_authorization_header_warns() {
    let warned = |options: &Options| {
        let resolution = resolve(options);
        assert!(resolution.config.is_ok(), "{resolution:?}");
        let is_found = |warning: &&Error| warning.message().contains("Authorization");
        resolution.warnings().iter().find(is_found).and_then(|found| found.option().map(str::to_owned))
    };
    let header = "AuthHeader=authorization;SecurityToken=x";
    for (more, option) in [
        ("am=JWT;cliss=me;JWTCertStore=k.jks", Some("AuthHeader")),
        ("am=50;AccessToken=a", Some("AuthHeader")),
        ("am=55;cliss=me;JWTCertStore=k.jks;TokenEndpoint=https://a/t", None),
        ("am=25", None),
        (
            "Provider=hydra;am=55;cliss=me;clsub=u;JWTCertStore=k.jks;TokenEndpoint=https://a/t;ClientID=c;ClientSecret=s",
            Some("AuthHeader"),
        ),
    ] {
        let options = Options::parse(&format!("{header};{more}")).unwrap();
        assert_eq!(warned(&options).as_deref(), option, "{more}");
    }
    for (more, option) in [
        ("am=50;AccessToken=a", Some("RestConfigFile")),
        ("am=15", Some("RestConfigFile")),
        ("am=54;RefreshToken=r;TokenEndpoint=https://a/t", None),
    ] {
        assert_eq!(warned(&options_with_authorization_in_model(more)).as_deref(), option, "{more}");
    }
}

#[test]
fn reserved_http_headers_are_rejected() {
    for name in [
        "Connection",
        "Content-Encoding",
        "content-length",
        "Content-Type",
        "Expect",
        "HOST",
        "TE",
        "Transfer-Encoding",
        "Upgrade",
    ] {
        assert_eq!(
            resolve_error(&format!("{BASE}AuthHeader={name};SecurityToken=1")).option(),
            Some("AuthHeader"),
            "{name}"
        );
    }
}

#[test]
fn incomplete_header_error_names_missing_half() {
    let message = |more: &str| resolve_error(&format!("{BASE}{more}")).message().to_owned();
    assert!(message("AuthHeader=X").contains("SecurityToken is missing: AuthHeader"));
    assert!(message("SecurityToken=1").contains("AuthHeader is missing: SecurityToken"));
}
