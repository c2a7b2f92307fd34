//! Tests of assertion options: the resulting settings, and errors by option.

use jsonwebtoken::Algorithm;

use super::super::{Flow, resolve, resolve_with};
use super::*;
use crate::base::error::{Error, Status};
use crate::base::file::ConfiguredPath;
use crate::base::policy::Policy;
use crate::base::secret::Secret;
use crate::key::KeyCache;
use crate::options::Options;

const BASE: &str = "am=55;ClaimsIssuer=me;ClaimsSubject=u;ClaimsAudience=a;JWTCertStore=k.jks;";

fn assertion_config(text: &str) -> AssertionConfig {
    match resolve(&Options::parse(text).unwrap()).config {
        Ok(super::super::Config { flow: Flow::SignedJwt(signing), .. }) => *signing,
        Ok(other) => panic!("{text}: {other:?}"),
        Err(error) => panic!("{text}: {error}"),
    }
}

fn assertion_config_with(more: &str) -> AssertionConfig {
    assertion_config(&format!("{BASE}{more}"))
}

fn resolve_error(text: &str) -> Error {
    resolve(&Options::parse(text).unwrap()).config.err().unwrap_or_else(|| panic!("{text} is accepted"))
}

fn warning_messages(text: &str) -> Vec<String> {
    let warnings = resolve(&Options::parse(text).unwrap()).warnings();
    assert!(warnings.iter().all(|warning| warning.sqlstate() == "01000"));
    warnings.iter().map(|warning| warning.message()).collect()
}

#[test]
fn algorithm_name_is_case_insensitive() {
    for (name, expected) in [
        ("eddsa", Algorithm::EdDSA),
        ("EDDSA", Algorithm::EdDSA),
        ("ps512", Algorithm::PS512),
        ("Es384", Algorithm::ES384),
    ] {
        assert_eq!(assertion_config_with(&format!("JWTAlgorithm={name}")).header.algorithm, Some(expected));
    }
    assert_eq!(assertion_config_with("").header.algorithm, None);
}

#[test]
fn conflicting_key_sources_are_rejected() {
    let origin = |more: &str| assertion_config(&format!("am=55;ClaimsIssuer=me;{more}")).key.origin;
    assert_eq!(origin("JWTCertStore=a.jks"), KeyOrigin::File(ConfiguredPath::new("a.jks".to_owned())));
    assert_eq!(origin("JWTPrivateKey=a"), KeyOrigin::Inline(Secret::from("a")));
    assert_eq!(origin("JWTSecret=a"), KeyOrigin::HmacSecret(Secret::from("a")));
    for (more, option) in [
        ("JWTSecret=a;JWTCertStore=b", "JWTSecret"),
        ("JWTPrivateKey=a;JWTCertStore=b", "JWTPrivateKey"),
        ("JWTPrivateKey=a;JWTSecret=b", "JWTSecret"),
        ("JWTPrivateKey=a;JWTSecret=b;JWTCertStore=c", "JWTSecret"),
    ] {
        let error = resolve_error(&format!("am=55;ClaimsIssuer=me;{more}"));
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some(option)), "{more}");
        assert!(error.message().contains("mutually exclusive"), "{error}");
    }
}

#[test]
fn hmac_algorithm_requires_key_option() {
    for algorithm in ["JWTAlgorithm=hs256", "JWTHeaders='{\"alg\":\"HS512\"}'"] {
        let error = resolve_error(&format!("am=55;ClaimsIssuer=me;{algorithm}"));
        assert_eq!((error.status(), error.option()), (Status::MissingOption, Some("JWTSecret")));
        assert!(error.message().contains("JWTSecret is missing"), "{error}");
        for more in ["JWTCertStore=k.jwk", "JWTPrivateKey=k", "JWTSecret=k"] {
            assertion_config(&format!("am=55;ClaimsIssuer=me;{algorithm};{more}"));
        }
    }
}

#[test]
fn hmac_secret_rejects_certificate_ignores_password() {
    let secret = "am=55;ClaimsIssuer=me;JWTSecret=a;";
    for (more, option) in [("JWTThumbprint=x5t", "JWTThumbprint"), ("JWTCertificate=a.crt", "JWTCertificate")]
    {
        let error = resolve_error(&format!("{secret}{more}"));
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some(option)));
    }
    assert_eq!(assertion_config(&format!("{secret}JWTCertPassword=b")).key, assertion_config(secret).key);
}

#[test]
fn relative_key_files_resolve_against_current_dir() {
    let signing = assertion_config_with("JWTCertificate=c.crt");
    let here = std::env::current_dir().unwrap();
    let files: Vec<_> = signing.key.files().map(|file| (file.as_configured(), file.path())).collect();
    assert_eq!(files, [("k.jks", here.join("k.jks").as_path()), ("c.crt", here.join("c.crt").as_path())]);
}

#[test]
fn thumbprint_list_is_case_insensitive_and_deduplicated() {
    assert_eq!(
        assertion_config_with("JWTThumbprint= X5T#s256 , x5c,x5t#S256,").header.cert_headers,
        [CertHeader::X5tS256, CertHeader::X5c]
    );
    let error = resolve_error(&format!("{BASE}JWTThumbprint=x5t,sha1"));
    assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("JWTThumbprint")));
    assert!(error.message().contains("\"sha1\""), "{error}");
}

#[test]
fn lifetime_in_seconds_and_minutes_conflicts() {
    assert_eq!(assertion_config_with("").lifetime, 300);
    assert_eq!(assertion_config_with("JWTLifetime=120").lifetime, 120);
    assert_eq!(assertion_config_with("JWTLifetimeMinutes=2").lifetime, 120);
    for more in ["JWTLifetime=60;JWTLifetimeMinutes=1", "JWTLifetimeMinutes=0", "JWTLifetimeMinutes=5256001"]
    {
        let error = resolve_error(&format!("{BASE}{more}"));
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("JWTLifetimeMinutes")));
    }
}

#[test]
fn forbidden_jose_headers_are_rejected() {
    for name in ["crit", "b64", "jwk", "jku"] {
        let error = resolve_error(&format!("{BASE}JWTHeaders='{{\"a\":1,\"{name}\":\"hunter2\"}}'"));
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("JWTHeaders")));
        assert!(error.message().contains(name) && !error.message().contains("hunter2"), "{error}");
    }
}

#[test]
fn alg_header_must_match_jwt_algorithm() {
    let header = |more: &str| {
        assertion_config_with(&format!("JWTHeaders='{{\"alg\":\"PS256\",\"a\":1}}';{more}")).header
    };
    for more in ["", "JWTAlgorithm=ps256"] {
        assert_eq!(header(more).algorithm, Some(Algorithm::PS256));
        assert_eq!(header(more).additional.names().collect::<Vec<_>>(), ["a"]);
    }
    for (alg, more) in [("\"PS256\"", "JWTAlgorithm=RS256"), ("\"none\"", ""), ("256", ""), ("null", "")] {
        let error = resolve_error(&format!("{BASE}JWTHeaders='{{\"alg\":{alg}}}';{more}"));
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("JWTHeaders")), "{alg}");
    }
}

#[test]
fn kid_header_must_match_key_id() {
    let options_with = |kid: &str| format!("{BASE}JWTKeyID=1;JWTHeaders='{{\"kid\":{kid}}}'");
    assert_eq!(assertion_config(&options_with("\"1\"")).header.key_id.as_deref(), Some("1"));
    let error = resolve_error(&options_with("\"2\""));
    assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("JWTHeaders")));
    assert!(error.message().contains("JWTKeyID"), "{error}");
    assertion_config_with("JWTHeaders='{\"kid\":\"2\"}'");
}

#[test]
fn overridden_option_or_fixed_claim_warns_by_name() {
    let base = "am=55;ClaimsIssuer=me;JWTCertStore=k.jks;";
    let warnings_with = |claim: &str, options: &str| {
        let mut warnings = warning_messages(&format!("{base}ClaimsAdditional='{{\"{claim}\":1}}';{options}"));
        warnings.retain(|warning| warning.contains("ClaimsAdditional"));
        warnings
    };
    for (name, option) in RESERVED_CLAIMS {
        let option = option.filter(|option| *option != OptionId::ClaimsIssuer);
        let options = option.map_or(String::new(), |option| format!("{}=x", option.as_str()));
        let warnings = warnings_with(name, &options);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(&format!("ClaimsAdditional sets {name}")), "{warnings:?}");
        if let Some(option) = option {
            assert!(warnings_with(name, "").is_empty(), "{} is not set", option.as_str());
        }
    }
    assert!(warnings_with("role", "").is_empty());
}

#[test]
fn jose_headers_have_types_of_rfc_7515() {
    for header in ["\"kid\":5", "\"typ\":null", "\"x5t\":[\"a\"]", "\"x5c\":\"a\"", "\"cty\":{}"] {
        let error = resolve_error(&format!("{BASE}JWTHeaders='{{{header}}}'"));
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("JWTHeaders")), "{header}");
        assert!(error.message().contains("RFC 7515"), "{error}");
    }
    assertion_config_with("JWTHeaders='{\"typ\":\"at+jwt\",\"x5c\":[\"a\"],\"own\":5}'");
}

#[test]
fn lifetime_above_one_day_warns() {
    for (lifetime, count) in [("86400", 0), ("86401", 1), ("315360000", 1)] {
        assert_eq!(warning_messages(&format!("{BASE}JWTLifetime={lifetime}")).len(), count, "{lifetime}");
        assert_eq!(assertion_config_with(&format!("JWTLifetime={lifetime}")).lifetime.to_string(), lifetime);
    }
    assert_eq!(resolve_error(&format!("{BASE}JWTLifetime=315360001")).status(), Status::InvalidOption);
}

#[test]
fn additional_claims_override_issuer_subject_audience() {
    let signing = assertion_config(
        "am=55;JWTCertStore=k.jks;ClaimsSubject=b;ClaimsIssuer=c;ClaimsAudience=d;ClaimsAdditional='{\"iss\":\"i\",\"sub\":\"s\",\"aud\":[\"a\",\"b\"]}'",
    );
    assert_eq!((signing.issuer.as_str(), signing.subject.as_deref()), ("i", Some("s")));
    assert_eq!(signing.audience.as_deref(), Some(r#"["a","b"]"#));
}

#[test]
fn additional_time_claims_must_be_numbers() {
    for name in ["exp", "iat", "nbf"] {
        for value in ["\"1700000000\"", "null", "[1]"] {
            let error = resolve_error(&format!("{BASE}ClaimsAdditional='{{\"{name}\":{value}}}'"));
            assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("ClaimsAdditional")));
            assert!(error.message().contains(name), "{error}");
        }
    }
}

#[test]
fn invalid_json_error_has_position_without_content() {
    for option in ["JWTHeaders", "ClaimsAdditional"] {
        for value in ["'[\"hunter2\"]'", "'{\"a\":hunter2}'", "hunter2", "{hunter2}", "{\"hunter2\"}"] {
            let error = resolve_error(&format!("{BASE}{option}={value}"));
            assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some(option)), "{value}");
            assert!(!error.message().contains("hunter2"), "{error}");
            assert!(error.message().contains("{{\"name\":\"value\"}}}"), "{error}");
        }
    }
    let error = resolve_error(&format!("{BASE}ClaimsAdditional='{{\"a\":1,}}'"));
    assert!(error.message().contains("line 1, column 8"), "{error}");
}

#[test]
fn json_object_accepts_quotes_and_braces() {
    let json = |value: &str| assertion_config_with(&format!("ClaimsAdditional={value}")).additional_claims;
    let expected = RawObject::parse(r#"{"a":"1","b":2}"#).unwrap();
    for value in [r#"'{"a":"1","b":2}'"#, r#"{{"a":"1","b":2}}}"#, r#"{"a":"1","b":2}"#] {
        assert_eq!(json(value), expected, "{value}");
    }
    assert_eq!(json(r#"{{"a":{"b":"x;y"}}}}}"#), RawObject::parse(r#"{"a":{"b":"x;y"}}"#).unwrap());
    let mut options = Options::parse(BASE).unwrap();
    options.set(&[("ClaimsAdditional", r#""a":1"#)]).unwrap();
    assert!(resolve(&options).config.is_err(), "options that are set are verbatim");
}

#[test]
fn assertion_options_change_config_hash() {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let hash = |text: &str| {
        let mut hasher = DefaultHasher::new();
        assertion_config(text).hash(&mut hasher);
        hasher.finish()
    };
    let key = "am=55;ClaimsIssuer=me;";
    let strings = [
        "JWTCertStore=k",
        "JWTPrivateKey=k",
        "JWTSecret=k",
        "JWTSecret=l",
        "JWTCertStore=k;JWTAlgorithm=RS512",
        "JWTCertStore=k;JWTKeyID=a",
        "JWTCertStore=k;JWTKeyID=b",
        "JWTCertStore=k;JWTThumbprint=x5t",
        "JWTCertStore=k;JWTThumbprint=x5t,x5c",
        "JWTCertStore=k;JWTCertificate=c",
        "JWTCertStore=k;JWTHeaders='{\"a\":1}'",
        "JWTCertStore=k;JWTHeaders='{\"a\":2}'",
        "JWTCertStore=k;ClaimsAdditional='{\"a\":1}'",
        "JWTCertStore=k;ClaimsAdditional='{\"a\":\"1\"}'",
        "JWTCertStore=k;JWTLifetimeMinutes=6",
    ];
    let hashes: std::collections::HashSet<_> =
        strings.iter().map(|more| hash(&format!("{key}{more}"))).collect();
    assert_eq!(hashes.len(), strings.len());
    assert_eq!(
        hash(&format!("{key}JWTCertStore=k")),
        hash(&format!("{key}JWTCertStore=k;JWTLifetimeMinutes=5"))
    );
}

#[test]
fn debug_hides_key_and_claims() {
    let claims = "ClaimsAdditional='{\"a\":\"hunter2\"}';JWTHeaders='{\"a\":\"hunter2\"}'";
    for key in ["JWTPrivateKey=hunter2", "JWTSecret=hunter2"] {
        assert!(
            !format!("{:?}", assertion_config(&format!("am=55;ClaimsIssuer=me;{key};{claims}")))
                .contains("hunter2")
        );
    }
}

#[test]
fn key_file_metadata_applies_if_method_signs_with_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.json");
    let json = r#"{"type":"service_account","private_key":"k","client_email":"robot@a.example","token_uri":"https://a.example/t"}"#;
    std::fs::write(&file, json).unwrap();
    let (issuer, endpoint) = (Some("robot@a.example"), Some("https://a.example/t"));
    for (text, expected) in [
        ("am=55", (issuer, endpoint)),
        ("am=JWT", (issuer, None)),
        ("am=OAuth2-JWTClientAssertion", (issuer, endpoint)),
        ("am=OAuth2-JWTClientAssertion;ClientAssertion=e30.e30.AA", (None, None)),
        ("am=53", (None, None)),
    ] {
        let options = Options::parse(&format!("{text};JWTCertStore={}", file.display())).unwrap();
        let options = resolve(&options).options;
        let value = |name| options.get(name).map(|value| value.text.reveal());
        assert_eq!((value(OptionId::ClaimsIssuer), value(OptionId::TokenEndpoint)), expected, "{text}");
    }
}

#[test]
fn untrusted_pkcs11_module_path_needs_permission() {
    let (module, object) = ("pkcs11:object=k?module-path=/m.so", "pkcs11:object=k");
    let (modules, file_paths) = (Permission::Modules as u32, Restriction::FilePaths as u32);
    for (uri, is_trusted, (allow, forbid), is_accepted) in [
        (module, false, (0, 0), false),
        (module, false, (modules, 0), true),
        (module, true, (0, 0), true),
        (object, false, (0, 0), true),
        (object, false, (modules, file_paths), false),
        (object, true, (0, file_paths), true),
    ] {
        let mut options = Options::parse("am=55;ClaimsIssuer=me").unwrap();
        if is_trusted {
            options.set(&[("JWTCertStore", uri)]).unwrap();
        } else {
            options = Options::parse(&format!("am=55;ClaimsIssuer=me;JWTCertStore={uri}")).unwrap();
        }
        let policy = Policy::new(allow, forbid).unwrap();
        let resolution = resolve_with(&options, None, policy, &KeyCache::new([0; 32]));
        let is_key = |key: &KeyRequirements| matches!(key.source.origin, KeyOrigin::Pkcs11(_));
        assert_eq!(resolution.stages.key.as_ref().is_some_and(is_key), is_accepted, "{uri} {is_trusted}");
        let error = resolution.config.err();
        assert_eq!(error.is_none(), is_accepted, "{error:?}");
        assert!(error.is_none_or(|error| error.option() == Some("JWTCertStore")));
    }
}
