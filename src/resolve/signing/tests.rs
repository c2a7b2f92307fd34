//! Options in, what is signed out, and each fault by its option.

use jsonwebtoken::Algorithm;

use super::super::{Flow, resolve};
use super::*;
use crate::base::error::Error;
use crate::base::file::ConfiguredPath;
use crate::base::secret::Secret;
use crate::options::Options;

const STORE: &str = "am=55;ClaimsIssuer=me;JWTCertStore=k.jks;";

fn read(text: &str) -> Signing {
    match resolve(&Options::parse(text).unwrap()).config {
        Ok(super::super::Config { flow: Flow::SignedJwt(signing), .. }) => *signing,
        Ok(other) => panic!("{text}: {other:?}"),
        Err(error) => panic!("{text}: {error}"),
    }
}

fn signing(more: &str) -> Signing {
    read(&format!("{STORE}{more}"))
}

fn fault(text: &str) -> Error {
    resolve(&Options::parse(text).unwrap()).config.err().unwrap_or_else(|| panic!("{text} is accepted"))
}

fn warned(text: &str) -> Vec<String> {
    let warnings = resolve(&Options::parse(text).unwrap()).warnings;
    assert!(warnings.iter().all(|warning| warning.sqlstate() == "01000"));
    warnings.iter().map(|warning| warning.message().to_owned()).collect()
}

#[test]
fn every_algorithm_is_read_in_any_case() {
    for (word, wanted) in [
        ("eddsa", Algorithm::EdDSA),
        ("EDDSA", Algorithm::EdDSA),
        ("ps512", Algorithm::PS512),
        ("Es384", Algorithm::ES384),
    ] {
        assert_eq!(signing(&format!("JWTAlgorithm={word}")).header.algorithm, Some(wanted));
    }
    assert_eq!(signing("").header.algorithm, None);
}

#[test]
fn the_key_is_in_one_place() {
    let of = |more: &str| read(&format!("am=55;ClaimsIssuer=me;{more}")).key.origin;
    assert_eq!(of("JWTCertStore=a.jks"), KeyOrigin::Store(ConfiguredPath::new("a.jks".to_owned())));
    assert_eq!(of("JWTPrivateKey=a"), KeyOrigin::Text(Secret::from("a")));
    assert_eq!(of("JWTSecret=a"), KeyOrigin::Shared(Secret::from("a")));
    for (more, option) in [
        ("JWTSecret=a;JWTCertStore=b", "JWTSecret"),
        ("JWTPrivateKey=a;JWTCertStore=b", "JWTPrivateKey"),
        ("JWTPrivateKey=a;JWTSecret=b", "JWTSecret"),
        ("JWTPrivateKey=a;JWTSecret=b;JWTCertStore=c", "JWTSecret"),
    ] {
        let error = fault(&format!("am=55;ClaimsIssuer=me;{more}"));
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some(option)), "{more}");
        assert!(error.message().contains("are both given"), "{error}");
    }
}

#[test]
fn an_algorithm_of_a_secret_wants_the_secret_whatever_else_there_is() {
    for more in ["", "JWTCertStore=k.jks", "JWTPrivateKey=k"] {
        for algorithm in ["JWTAlgorithm=hs256", "JWTHeaders='{\"alg\":\"HS512\"}'"] {
            let error = fault(&format!("am=55;ClaimsIssuer=me;{algorithm};{more}"));
            assert_eq!(
                (error.status(), error.option()),
                (Status::MissingOption, Some("JWTSecret")),
                "{more}"
            );
            assert!(error.message().contains("JWTSecret is missing"), "{error}");
        }
    }
}

#[test]
fn a_secret_has_neither_certificate_nor_password() {
    let secret = "am=55;ClaimsIssuer=me;JWTSecret=a;";
    for (more, option) in [("JWTThumbprint=x5t", "JWTThumbprint"), ("JWTCertificate=a.crt", "JWTCertificate")]
    {
        let error = fault(&format!("{secret}{more}"));
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some(option)));
    }
    assert_eq!(read(&format!("{secret}JWTCertPassword=b")).key, read(secret).key);
}

#[test]
fn the_files_of_the_key_are_those_of_the_directory_where_they_were_named() {
    let signing = signing("JWTCertificate=c.crt");
    let here = std::env::current_dir().unwrap();
    let files: Vec<_> = signing.key.files().map(|file| (file.as_configured(), file.path())).collect();
    assert_eq!(files, [("k.jks", here.join("k.jks").as_path()), ("c.crt", here.join("c.crt").as_path())]);
}

#[test]
fn thumbprints_are_listed_in_any_case_and_once() {
    assert_eq!(
        signing("JWTThumbprint= X5T#s256 , x5c,x5t#S256,").header.cert_headers,
        [Thumbprint::X5tS256, Thumbprint::X5c]
    );
    let error = fault(&format!("{STORE}JWTThumbprint=x5t,sha1"));
    assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("JWTThumbprint")));
    assert!(error.message().contains("\"sha1\""), "{error}");
}

#[test]
fn a_lifetime_is_in_seconds_or_in_minutes_and_not_in_both() {
    assert_eq!(signing("").lifetime, 300);
    assert_eq!(signing("JWTLifetime=120").lifetime, 120);
    assert_eq!(signing("JWTLifetimeMinutes=2").lifetime, 120);
    for more in ["JWTLifetime=60;JWTLifetimeMinutes=1", "JWTLifetimeMinutes=0", "JWTLifetimeMinutes=1441"] {
        let error = fault(&format!("{STORE}{more}"));
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("JWTLifetimeMinutes")));
    }
}

#[test]
fn headers_that_would_let_the_assertion_choose_its_rules_or_key_are_refused() {
    for name in ["crit", "b64", "jwk", "jku"] {
        let error = fault(&format!("{STORE}JWTHeaders='{{\"a\":1,\"{name}\":\"hunter2\"}}'"));
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("JWTHeaders")));
        assert!(error.message().contains(name) && !error.message().contains("hunter2"), "{error}");
    }
}

#[test]
fn alg_among_the_headers_is_a_synonym_and_no_contradiction() {
    let header = |more: &str| signing(&format!("JWTHeaders='{{\"alg\":\"PS256\",\"a\":1}}';{more}")).header;
    for more in ["", "JWTAlgorithm=ps256"] {
        assert_eq!(header(more).algorithm, Some(Algorithm::PS256));
        assert_eq!(header(more).additional.names().collect::<Vec<_>>(), ["a"]);
    }
    for (alg, more) in [("\"PS256\"", "JWTAlgorithm=RS256"), ("\"none\"", ""), ("256", ""), ("null", "")] {
        let error = fault(&format!("{STORE}JWTHeaders='{{\"alg\":{alg}}}';{more}"));
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("JWTHeaders")), "{alg}");
    }
}

#[test]
fn two_key_ids_must_be_one() {
    let both = |kid: &str| format!("{STORE}JWTKeyID=1;JWTHeaders='{{\"kid\":{kid}}}'");
    assert_eq!(read(&both("\"1\"")).header.key_id.as_deref(), Some("1"));
    for kid in ["\"2\"", "[1]"] {
        let error = fault(&both(kid));
        assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("JWTHeaders")));
        assert!(error.message().contains("JWTKeyID"), "{error}");
    }
    signing("JWTHeaders='{\"kid\":\"2\"}'");
}

#[test]
fn a_claim_that_takes_the_place_of_ours_is_warned_of_by_name() {
    for name in RESERVED {
        let warnings = warned(&format!("{STORE}ClaimsAdditional='{{\"{name}\":1}}'"));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(&format!("ClaimsAdditional sets {name} itself")), "{warnings:?}");
    }
    assert!(warned(&format!("{STORE}ClaimsAdditional='{{\"role\":1}}'")).is_empty());
}

#[test]
fn what_a_refusal_will_show_is_what_the_assertion_says() {
    let signing = read(
        "am=55;JWTCertStore=k.jks;ClaimsSubject=b;ClaimsIssuer=c;ClaimsAudience=d;ClaimsAdditional='{\"iss\":\"i\",\"sub\":\"s\",\"aud\":[\"a\",\"b\"]}'",
    );
    assert_eq!((signing.issuer.as_str(), signing.subject.as_deref()), ("i", Some("s")));
    assert_eq!(signing.audience.as_deref(), Some(r#"["a","b"]"#));
}

#[test]
fn times_of_the_users_own_are_numbers() {
    for name in ["exp", "iat", "nbf"] {
        for value in ["\"1700000000\"", "null", "[1]"] {
            let error = fault(&format!("{STORE}ClaimsAdditional='{{\"{name}\":{value}}}'"));
            assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some("ClaimsAdditional")));
            assert!(error.message().contains(name), "{error}");
        }
    }
}

#[test]
fn an_object_that_cannot_be_read_says_where_and_shows_nothing() {
    for option in ["JWTHeaders", "ClaimsAdditional"] {
        for value in ["'[\"hunter2\"]'", "'{\"a\":hunter2}'", "hunter2", "{hunter2}", "{\"hunter2\"}"] {
            let error = fault(&format!("{STORE}{option}={value}"));
            assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some(option)), "{value}");
            assert!(!error.message().contains("hunter2"), "{error}");
            assert!(error.message().contains("{{\"name\":\"value\"}}}"), "{error}");
        }
    }
    let error = fault(&format!("{STORE}ClaimsAdditional='{{\"a\":1,}}'"));
    assert!(error.message().contains("line 1, column 8"), "{error}");
}

#[test]
fn an_object_reads_in_quotes_in_doubled_braces_and_as_json_itself_where_it_is_flat() {
    let json = |value: &str| signing(&format!("ClaimsAdditional={value}")).additional;
    let wanted = RawObject::parse(r#"{"a":"1","b":2}"#).unwrap();
    for value in [r#"'{"a":"1","b":2}'"#, r#"{{"a":"1","b":2}}}"#, r#"{"a":"1","b":2}"#] {
        assert_eq!(json(value), wanted, "{value}");
    }
    assert_eq!(json(r#"{{"a":{"b":"x;y"}}}}}"#), RawObject::parse(r#"{"a":{"b":"x;y"}}"#).unwrap());
    let mut options = Options::parse(STORE).unwrap();
    options.set(&[("ClaimsAdditional", r#""a":1"#)]).unwrap();
    assert!(resolve(&options).config.is_err(), "what is set is taken to the letter");
}

#[test]
fn every_option_of_an_assertion_makes_another_token() {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let hash = |text: &str| {
        let mut hasher = DefaultHasher::new();
        read(text).hash(&mut hasher);
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
fn no_secret_of_the_key_shows_in_debug() {
    let claims = "ClaimsAdditional='{\"a\":\"hunter2\"}';JWTHeaders='{\"a\":\"hunter2\"}'";
    for key in ["JWTPrivateKey=hunter2", "JWTSecret=hunter2"] {
        assert!(!format!("{:?}", read(&format!("am=55;ClaimsIssuer=me;{key};{claims}"))).contains("hunter2"));
    }
}
