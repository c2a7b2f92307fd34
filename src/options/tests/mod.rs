#[cfg(test)]
pub(super) mod data_sources;
#[cfg(test)]
pub(super) mod key_file;
#[cfg(test)]
pub(super) mod policy;
#[cfg(test)]
pub(super) mod rest_model;

use super::*;
use crate::base::error::Status;

const VENDOR_SAMPLE: &str = "DRIVER=DataDirect 8.0 Autonomous REST Connector; \n       RestConfigFile=C:/path/to/docusign.rest;AuthenticationMethod=55;\n       ClaimsIssuer='1a2b3c4d5e_6f7g8h9g';ClaimsSubject=jsmith@example.com;\n       JWTCertStore=jwtcert.jks;JWTCertPassword=secret;\n       TokenUri=https://account-d.docusign.com/oauth/token;\n       RedirectUri=http://localhost:3000;AuthHeader=response_type;SecurityToken=code;\n       Scope=signature impersonation;\n";

fn value_of(options: &Options, name: OptionId) -> Option<&str> {
    options.get(name).map(|value| value.text.reveal())
}

#[test]
fn vendor_sample_parses_without_warning() {
    let options = Options::parse(VENDOR_SAMPLE).unwrap();
    assert_eq!(options.warnings(), []);
    assert_eq!(value_of(&options, OptionId::AuthenticationMethod), Some("55"));
    assert_eq!(value_of(&options, OptionId::ClaimsIssuer), Some("1a2b3c4d5e_6f7g8h9g"));
    assert_eq!(value_of(&options, OptionId::TokenURI), Some("https://account-d.docusign.com/oauth/token"));
    assert_eq!(value_of(&options, OptionId::Scope), Some("signature impersonation"));
    assert_eq!(options.get(OptionId::TokenURI).unwrap().name_as_written, "TokenUri");
}

#[test]
fn quotes_are_stripped_outside_secrets_and_braces() {
    let options =
        Options::parse("cliss=\"a\";clsub='b;JWTCertPassword='c';Scope={'d'};ClaimsAudience='").unwrap();
    assert_eq!(value_of(&options, OptionId::ClaimsIssuer), Some("a"));
    assert_eq!(value_of(&options, OptionId::ClaimsSubject), Some("'b"));
    assert_eq!(value_of(&options, OptionId::JWTCertPassword), Some("'c'"));
    assert_eq!(value_of(&options, OptionId::Scope), Some("'d'"));
    assert_eq!(value_of(&options, OptionId::ClaimsAudience), Some("'"));
}

#[test]
fn first_of_duplicate_options_wins_with_warning() {
    let options = Options::parse("cliss=first;ClaimsIssuer=second;CLISS=third").unwrap();
    assert_eq!(value_of(&options, OptionId::ClaimsIssuer), Some("first"));
    assert_eq!(options.warnings().len(), 2);
    let warnings = options.warnings();
    let message = warnings[0].message();
    assert!(message.contains("ClaimsIssuer at offset 12") && message.contains("cliss"), "{message}");
}

#[test]
fn unknown_option_warning_suggests_similar_name() {
    let options = Options::parse("ClaimIssuer=a;Zebra=1").unwrap();
    let [similar, unrelated] = &options.warnings()[..] else { panic!("{options:?}") };
    assert_eq!(similar.sqlstate(), "01S00");
    assert_eq!((similar.option(), unrelated.option()), (Some("ClaimIssuer"), Some("Zebra")));
    assert!(similar.message().ends_with("did you mean ClaimsIssuer?"), "{similar}");
    assert!(
        unrelated.message().contains("\"Zebra\"") && !unrelated.message().contains("did you mean"),
        "{unrelated}"
    );
}

#[test]
fn invisible_character_in_option_name_is_named() {
    for (name, shown) in [
        ("Claims\u{200b}Issuer", "U+200B (zero width space); did you mean ClaimsIssuer?"),
        ("\u{a0}cliss", "U+00A0 (no-break space); did you mean ClaimsIssuer?"),
        ("Client ID", "U+0020 (space); did you mean ClientID?"),
        (&format!("Client{}ID", " ".repeat(56)), "U+0020 (space); did you mean ClientID?"),
        (&format!("Client{}ID", " ".repeat(57)), "is ignored"),
    ] {
        let warnings = Options::parse(&format!("{name}=a")).unwrap().warnings();
        assert!(warnings[0].message().ends_with(shown), "{}", warnings[0]);
    }
}

#[test]
fn value_that_ends_early_or_late_is_warning() {
    for (text, option) in [
        ("ClaimsAdditional={\"a\":{\"b\":1}};Scope=x;JWTHeaders={\"c\":1}", "ClaimsAdditional"),
        ("pwd={{hello}} ; Scope = x;User={u}", "Password"),
        ("ClaimsSubject='hello;world=x'", "ClaimsSubject"),
        ("Scope=\"hello", "Scope"),
        ("Scope='", "Scope"),
    ] {
        let warnings = Options::parse(text).unwrap().warnings();
        let named: Vec<_> = warnings.iter().filter(|warning| warning.option() == Some(option)).collect();
        let [warning] = named[..] else { panic!("{text}: {warnings:?}") };
        assert_eq!(warning.sqlstate(), "01000", "{warning}");
        let name = text.split('=').next().unwrap();
        assert!(warning.message().contains(&format!("write {name}={{…}}")), "{warning}");
        assert!(!warning.message().contains("hello"), "{warning}");
    }
    for text in ["Password='a", "Scope='a'", "pwd={a}};b=c}", "JWTPrivateKey={a};Scope=b"] {
        assert_eq!(Options::parse(text).unwrap().warnings(), [], "{text}");
    }
}

#[test]
fn unbraced_password_remainder_is_not_shown() {
    let warnings = |text: &str| Options::parse(text).unwrap().warnings();
    let [end] = &warnings("JWTCertPassword=hun;ter2=x;Scope=a")[..] else { panic!("one warning") };
    assert!(!end.message().contains("ter2"), "{end}");
    assert!(end.message().contains("if JWTCertPassword contains \";\""), "{end}");
    assert_eq!(end.option(), Some("JWTCertPassword"));
    let [unknown, end, zebra] = &warnings("ProxyPasswort=hun;ter2=x;Zebra=1")[..] else {
        panic!("three warnings")
    };
    assert!(unknown.message().contains("ProxyPasswort"), "{unknown}");
    assert!(!end.message().contains("ter2"), "{end}");
    assert!(zebra.message().contains("Zebra"), "{zebra}");
}

#[test]
fn unbraced_pkcs11_uri_remainder_is_not_shown() {
    let warnings = |text: &str| Options::parse(text).unwrap().warnings();
    for uri in ["pkcs11:token=a;hunter2=x", "'pkcs11:token=a;hunter2=x'"] {
        let warnings = warnings(&format!("JWTCertStore={uri}"));
        assert_eq!(warnings.last().unwrap().option(), Some("JWTCertStore"), "{warnings:?}");
        assert!(!format!("{warnings:?}").contains("hunter2"), "{warnings:?}");
    }
    let [zebra] = &warnings("JWTCertStore={pkcs11:token=a};Zebra=x")[..] else { panic!("one warning") };
    assert_eq!(zebra.option(), Some("Zebra"));
}

#[test]
fn overlong_option_name_is_truncated_in_warning() {
    let options = Options::parse(&format!("{}=1", "x".repeat(500_000))).unwrap();
    assert!(options.warnings()[0].message().len() < 200);
    let long = format!("A={}", "x".repeat(2 << 20));
    assert_eq!(Options::parse(&long).unwrap_err().status(), Status::InvalidConnectionString);
}

#[test]
fn set_is_atomic_and_reports_all_errors() {
    let mut options = Options::parse("ClaimsIssuer=a").unwrap();
    let error = options.set(&[("ClaimsIssuer", "b"), ("JWTLifetime", "abc"), ("Nonsense", "1")]).unwrap_err();
    assert_eq!(error.status(), Status::InvalidOption);
    assert_eq!(error.option(), Some("JWTLifetime"));
    assert_eq!(error.additional()[0].option(), Some("Nonsense"));
    assert_eq!(value_of(&options, OptionId::ClaimsIssuer), Some("a"));
    options.set(&[("cliss", "'b'"), ("Scope", "s")]).unwrap();
    assert_eq!(value_of(&options, OptionId::ClaimsIssuer), Some("'b'"));
    options.set(&[("Scope", "")]).unwrap();
    assert_eq!(value_of(&options, OptionId::Scope), None);
}

#[test]
fn unknown_name_after_braced_secret_is_shown() {
    let warnings = Options::parse("JWTCertPassword={hun;ter2};Zebra=x").unwrap().warnings();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert_eq!((warning.option(), warning.sqlstate()), (Some("Zebra"), "01S00"));
}

#[test]
fn environment_references_are_not_self_contained() {
    for (text, self_contained) in [
        ("JWTCertStore=/k.jks", true),
        ("JWTCertStore=k.jks", false),
        ("JWTCertStore=", true),
        ("JWTCertStore={pkcs11:token=a}", true),
        ("JWTCertPassword=plain", true),
        ("JWTCertPassword=env:HOME", false),
        ("JWTCertPassword=file:/p", true),
        ("JWTCertPassword=file:p", false),
        ("JWTCertPassword=literal:env:HOME", true),
        ("RestConfigFile=m.rest", true),
        ("Scope=env:HOME", true),
        ("Scope=a;TrustStore=t.pem", false),
    ] {
        assert_eq!(Options::parse(text).unwrap().is_self_contained(), self_contained, "{text}");
    }
}

#[test]
fn secret_resembling_reference_is_escaped() {
    let spec = |name| table::find(name).unwrap();
    for (name, text, expected) in [
        ("AccessToken", "env:A", "literal:env:A"),
        ("AccessToken", "file:a", "literal:file:a"),
        ("AccessToken", "literal:a", "literal:literal:a"),
        ("AccessToken", "a", "a"),
        ("Scope", "env:A", "env:A"),
    ] {
        let escaped = secret_refs::escape_literal(spec(name), &Secret::from(text));
        assert_eq!(escaped.reveal(), expected, "{name}");
    }
}

#[test]
fn similar_option_is_suggested_after_unbraced_secret() {
    let options = Options::parse("JWTCertPassword=pa;TokenUrl=https://a.example/t").unwrap();
    let warnings: Vec<_> = options.warnings().iter().map(Error::message).collect();
    assert!(warnings[0].contains("did you mean TokenURI?") && warnings[0].contains("{…}"), "{warnings:?}");
}
