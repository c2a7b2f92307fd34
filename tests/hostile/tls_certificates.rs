//! Server certificates that must not be accepted, and some that must.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use crate::case::Expected;
use crate::support::servers::start_openssl_server;
use crate::tls_server::{Chain, Peer, TestCa, TlsCase, ca_params, run_tls, test_ca, tls_failure};

const HEALTHY: Expected = Expected::Token("healthy");

fn no_match() -> Expected {
    tls_failure("does not match")
}

fn set_names(params: &mut CertificateParams, names: &[&str]) {
    params.subject_alt_names =
        names.iter().map(|name| SanType::DnsName((*name).to_owned().try_into().unwrap())).collect();
}

/// A certificate of the trusted CA that `customize` alters.
fn issued(name: &str, customize: impl FnOnce(&mut CertificateParams), expected: Expected) -> TlsCase {
    TlsCase::presents(name, &test_ca().issue(customize), expected)
}

/// A certificate with this subjectAltName, for a connection that expects `host`.
fn named(san: &str, host: &str, expected: Expected) -> TlsCase {
    let chain = test_ca().issue(|params| set_names(params, &[san]));
    TlsCase::presents(format!("{san:?} for {host}"), &chain, expected)
        .options(format!("HostNameInCertificate={host}"))
}

#[test]
fn dates_are_checked() {
    run_tls(&[
        issued("valid", |_| {}, HEALTHY),
        issued(
            "expired",
            |params| params.not_after = date_time_ymd(2020, 2, 29),
            tls_failure("expired on 2020-02-29"),
        ),
        issued(
            "not yet valid",
            |params| params.not_before = date_time_ymd(2090, 3, 1),
            tls_failure("not valid before 2090-03-01"),
        ),
        issued(
            "ends before it begins",
            |params| {
                params.not_before = date_time_ymd(2030, 1, 1);
                params.not_after = date_time_ymd(2020, 1, 1);
            },
            tls_failure("localhost"),
        ),
        issued("until 9999-12-31", |params| params.not_after = date_time_ymd(9999, 12, 31), HEALTHY),
        issued(
            "expired, without validation",
            |params| params.not_after = date_time_ymd(2020, 2, 29),
            HEALTHY,
        )
        .options("ValidateServerCertificate=0"),
    ]);
}

#[test]
fn names_are_checked() {
    let ip_name = |name: &str, customize: fn(&mut CertificateParams), expected| {
        issued(name, customize, expected).host("127.0.0.1")
    };
    run_tls(&[
        named("localhost", "localhost", HEALTHY),
        named("LOCALHOST", "localhost", HEALTHY),
        named("login.example", "localhost", no_match()),
        named("login.example", "login.example", HEALTHY),
        named("localhost.", "localhost", tls_failure("localhost")),
        named("localhost\0.attacker.example", "localhost", tls_failure("localhost")),
        named("localhost.attacker.example", "localhost", no_match()),
        named("", "localhost", tls_failure("localhost")),
        named(" localhost", "localhost", tls_failure("localhost")),
        named("*", "localhost", tls_failure("localhost")),
        named("*.example.com", "a.example.com", HEALTHY),
        named("*.EXAMPLE.com", "a.example.com", HEALTHY),
        named("*.example.com", "a.b.example.com", no_match()),
        named("*.example.com", "example.com", no_match()),
        named("*.example.com", "a.example.com.attacker.example", no_match()),
        named("a*.example.com", "ab.example.com", tls_failure("ab.example.com")),
        named("*a.example.com", "ba.example.com", tls_failure("ba.example.com")),
        named("a.*.example.com", "a.b.example.com", tls_failure("a.b.example.com")),
        named("*.*.example.com", "a.b.example.com", tls_failure("a.b.example.com")),
        named("**.example.com", "a.example.com", tls_failure("a.example.com")),
        named("xn--bcher-kva.example", "xn--bcher-kva.example", HEALTHY),
        named("127.0.0.1", "127.0.0.1", tls_failure("127.0.0.1")).host("127.0.0.1"),
        ip_name(
            "IP address",
            |params| params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())],
            HEALTHY,
        ),
        ip_name(
            "another IP address",
            |params| params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 2].into())],
            no_match(),
        ),
        ip_name("name for an IP address", |_| {}, no_match()),
        issued(
            "IP address for a name",
            |params| params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())],
            no_match(),
        ),
        issued(
            "common name alone",
            |params| {
                params.subject_alt_names.clear();
                params.distinguished_name.push(DnType::CommonName, "localhost");
            },
            tls_failure("localhost"),
        ),
        issued("no name", |params| params.subject_alt_names.clear(), tls_failure("localhost")),
        issued(
            "URI alone",
            |params| {
                params.subject_alt_names =
                    vec![SanType::URI("https://localhost".to_owned().try_into().unwrap())]
            },
            tls_failure("localhost"),
        ),
        issued(
            "mail address alone",
            |params| {
                params.subject_alt_names =
                    vec![SanType::Rfc822Name("a@localhost".to_owned().try_into().unwrap())]
            },
            tls_failure("localhost"),
        ),
        issued(
            "second of 1000 names",
            |params| {
                set_names(params, &[&["a.example", "localhost"], ["b.example"; 998].as_slice()].concat())
            },
            HEALTHY,
        ),
        issued("1000 other names", |params| set_names(params, &["b.example"; 1000]), no_match()),
        issued(
            "escape in the names",
            |params| set_names(params, &["\u{1b}[31m.example"]),
            tls_failure("localhost"),
        ),
        issued("wrong name, without validation", |params| set_names(params, &["a.example"]), HEALTHY)
            .options("ValidateServerCertificate=0"),
    ]);
}

/// A CA certificate below `issuer`.
fn intermediate(
    name: &str,
    issuer: &Issuer<'_, KeyPair>,
    customize: impl FnOnce(&mut CertificateParams),
) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = ca_params(name);
    customize(&mut params);
    CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), issuer).unwrap()
}

/// A certificate for localhost that the last of `issuers` signs, with all of them, the last one first.
fn chain_below(issuers: &[CertifiedIssuer<'static, KeyPair>]) -> Chain {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = params.signed_by(&key, issuers.last().unwrap()).unwrap();
    let issuers = issuers.iter().rev().map(|issuer| issuer.der().clone());
    Chain { certificates: std::iter::once(leaf.der().clone()).chain(issuers).collect(), key: Arc::new(key) }
}

/// A chain with this number of CA certificates below the trusted one.
fn chain_of(length: usize) -> Chain {
    let mut issuers: Vec<CertifiedIssuer<'static, KeyPair>> = Vec::new();
    for number in 0..length {
        let issuer = issuers.last().map_or(&*test_ca().issuer, |issuer| &**issuer);
        let next = intermediate(&format!("intermediate {number}"), issuer, |_| {});
        issuers.push(next);
    }
    chain_below(&issuers)
}

/// A chain with one CA certificate that `customize` alters.
fn below(customize: impl FnOnce(&mut CertificateParams)) -> Chain {
    chain_below(&[intermediate("intermediate", &test_ca().issuer, customize)])
}

fn with_certificates(chain: &Chain, change: impl FnOnce(&mut Vec<CertificateDer<'static>>)) -> Chain {
    let mut chain = chain.clone();
    change(&mut chain.certificates);
    chain
}

#[test]
fn chains_are_checked() {
    let two = chain_of(2);
    let junk: Vec<_> =
        (0..20).map(|number| TestCa::new(&format!("unrelated {number}")).issuer.der().clone()).collect();
    let names =
        |names: &[&str]| names.iter().map(|name| GeneralSubtree::DnsName((*name).to_owned())).collect();
    let constrained = |permitted: &[&str], excluded: &[&str]| {
        let constraints =
            NameConstraints { permitted_subtrees: names(permitted), excluded_subtrees: names(excluded) };
        below(|params| params.name_constraints = Some(constraints))
    };
    // A server certificate that signs another one.
    let leaf_issuer = intermediate("localhost", &test_ca().issuer, |params| {
        params.is_ca = IsCa::NoCa;
        set_names(params, &["localhost"]);
    });
    let path_length_zero = intermediate("length 0", &test_ca().issuer, |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    let below_it = intermediate("too long", &path_length_zero, |_| {});
    let same_name: Vec<_> = (0..20)
        .map(|_| intermediate("intermediate 1", &TestCa::new("hostile test CA").issuer, |_| {}).der().clone())
        .collect();
    run_tls(&[
        TlsCase::presents("two intermediates", &two, HEALTHY),
        TlsCase::presents("wrong order", &with_certificates(&two, |chain| chain.swap(1, 2)), HEALTHY),
        TlsCase::presents(
            "root included",
            &with_certificates(&two, |chain| chain.push(test_ca().issuer.der().clone())),
            HEALTHY,
        ),
        TlsCase::presents(
            "first intermediate missing",
            &with_certificates(&two, |chain| drop(chain.remove(1))),
            tls_failure("unknown issuer"),
        ),
        TlsCase::presents(
            "second intermediate missing",
            &with_certificates(&two, |chain| drop(chain.pop())),
            tls_failure("unknown issuer"),
        ),
        TlsCase::presents(
            "server certificate last",
            &with_certificates(&two, |chain| chain.rotate_left(1)),
            tls_failure("localhost"),
        ),
        TlsCase::presents(
            "20 unrelated certificates",
            &with_certificates(&two, |chain| chain.extend(junk.clone())),
            HEALTHY,
        ),
        TlsCase::presents(
            "same certificate 50 times",
            &with_certificates(&two, |chain| chain.extend(vec![two.certificates[1].clone(); 50])),
            HEALTHY,
        ),
        TlsCase::presents(
            "20 issuers of the same name",
            &with_certificates(&two, |chain| drop(chain.splice(1..1, same_name))),
            HEALTHY,
        ),
        TlsCase::presents("six intermediates", &chain_of(6), HEALTHY),
        TlsCase::presents("20 intermediates", &chain_of(20), tls_failure("localhost")),
        TlsCase::presents(
            "100 KiB of certificates",
            &with_certificates(&two, |chain| chain.extend(vec![two.certificates[1].clone(); 250])),
            tls_failure("localhost"),
        ),
        TlsCase::presents("unknown CA", &TestCa::new("unknown").issue(|_| {}), tls_failure("unknown issuer")),
        TlsCase::presents(
            "CA of the same name",
            &TestCa::new("hostile test CA").issue(|_| {}),
            tls_failure("same name"),
        ),
        TlsCase::presents(
            "unknown CA included",
            &chain_below(&[TestCa::new("unknown").issuer]),
            tls_failure("unknown issuer"),
        ),
        TlsCase::presents("server certificate as CA", &chain_below(&[leaf_issuer]), tls_failure("localhost")),
        TlsCase::presents(
            "CA:FALSE",
            &below(|params| params.is_ca = IsCa::ExplicitNoCa),
            tls_failure("localhost"),
        ),
        TlsCase::presents(
            "no basicConstraints",
            &below(|params| params.is_ca = IsCa::NoCa),
            tls_failure("localhost"),
        ),
        TlsCase::presents(
            "path length exceeded",
            &chain_below(&[path_length_zero, below_it]),
            tls_failure("localhost"),
        ),
        TlsCase::presents(
            "expired intermediate",
            &below(|params| params.not_after = date_time_ymd(2020, 1, 1)),
            tls_failure("expired"),
        ),
        TlsCase::presents(
            "name not permitted",
            &constrained(&["example.com"], &[]),
            tls_failure("name constraint"),
        ),
        TlsCase::presents("name excluded", &constrained(&[], &["localhost"]), tls_failure("name constraint")),
        TlsCase::presents("name permitted", &constrained(&["localhost"], &[]), HEALTHY),
        TlsCase::presents(
            "intermediate for clients",
            &below(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
            tls_failure("localhost"),
        ),
        TlsCase::presents(
            "CA as server certificate",
            &test_ca().issue(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            tls_failure("CA certificate"),
        ),
    ]);
}

/// A certificate in TrustStore is an issuer whatever it says of itself (RFC 5280 section 6.1.1, trust anchor
/// information): only its name and key count.
#[test]
fn trusted_issuers_are_not_checked() {
    let case = |name: &str, customize: fn(&mut CertificateParams)| {
        let mut params = ca_params(name);
        customize(&mut params);
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let path = test_ca().write(&format!("{name}.pem"), &root.pem());
        let chain = chain_below(&[intermediate("below", &root, |_| {})]);
        TlsCase::presents(name, &chain, HEALTHY).options(format!("TrustStore={}", path.display()))
    };
    run_tls(&[
        case("a CA", |_| {}),
        case("an expired CA", |params| params.not_after = date_time_ymd(2020, 1, 1)),
        case("no CA", |params| params.is_ca = IsCa::ExplicitNoCa),
        case("path length exceeded", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))),
    ]);
}

#[test]
fn extensions_are_checked() {
    let extension = |critical: bool, length: usize| {
        // UTF8String in an arc without meaning.
        let mut extension =
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![0x0c; length]);
        extension.set_criticality(critical);
        vec![extension]
    };
    let usage = |usage: ExtendedKeyUsagePurpose| {
        move |params: &mut CertificateParams| params.extended_key_usages = vec![usage]
    };
    run_tls(&[
        issued("for servers", usage(ExtendedKeyUsagePurpose::ServerAuth), HEALTHY),
        issued("for clients", usage(ExtendedKeyUsagePurpose::ClientAuth), tls_failure("localhost")),
        issued("for code", usage(ExtendedKeyUsagePurpose::CodeSigning), tls_failure("localhost")),
        issued("for any purpose", usage(ExtendedKeyUsagePurpose::Any), tls_failure("localhost")),
        issued("unknown extension", |params| params.custom_extensions = extension(false, 2), HEALTHY),
        issued(
            "critical unknown extension",
            |params| params.custom_extensions = extension(true, 2),
            tls_failure("critical extension"),
        ),
        issued(
            "extension of 50 KiB",
            |params| params.custom_extensions = extension(false, 50 << 10),
            HEALTHY,
        ),
        issued(
            "extension of 100 KiB",
            |params| params.custom_extensions = extension(false, 100 << 10),
            tls_failure("localhost"),
        ),
        // webpki does not check keyUsage; OpenSSL would refuse the second one.
        issued(
            "key for encryption",
            |params| params.key_usages = vec![KeyUsagePurpose::DataEncipherment],
            HEALTHY,
        ),
        TlsCase::presents(
            "CA key for encryption",
            &below(|params| params.key_usages = vec![KeyUsagePurpose::DataEncipherment]),
            HEALTHY,
        ),
    ]);
}

#[test]
fn malformed_certificates_are_rejected() {
    let good = test_ca().issue(|_| {});
    let der = good.certificates[0].to_vec();
    let with_der = |bytes: Vec<u8>| with_certificates(&good, |chain| chain[0] = bytes.into());
    let other_key = Chain { key: Arc::new(KeyPair::generate().unwrap()), ..good.clone() };
    let mut cases = Vec::new();
    for (name, bytes) in [
        ("no bytes", Vec::new()),
        ("zeros", vec![0; 500]),
        ("0xff", vec![0xff; 500]),
        ("nested sequences", b"\x30\x80".repeat(5000)),
        ("length of 4 GiB", b"\x30\x84\xff\xff\xff\xff".to_vec()),
        ("half of it", der[..der.len() / 2].to_vec()),
        ("all but a byte", der[..der.len() - 1].to_vec()),
        ("one byte more", [&der[..], &[0]].concat()),
        ("twice", der.repeat(2)),
        ("PEM", test_ca().issuer.pem().into_bytes()),
        ("HTML", b"<html></html>".to_vec()),
    ] {
        cases.push(TlsCase::presents(name, &with_der(bytes.clone()), tls_failure("localhost")));
        cases.push(
            TlsCase::presents(
                format!("{name}, without validation"),
                &with_der(bytes),
                tls_failure("localhost"),
            )
            .options("ValidateServerCertificate=0"),
        );
    }
    for offset in (0..der.len()).step_by(40) {
        let mut bytes = der.clone();
        bytes[offset] ^= 0x80;
        cases.push(TlsCase::presents(
            format!("byte {offset} altered"),
            &with_der(bytes),
            tls_failure("localhost"),
        ));
    }
    cases.extend([
        TlsCase::presents("another key", &other_key, tls_failure("private key")),
        TlsCase::presents("another key, without validation", &other_key, tls_failure("private key"))
            .options("ValidateServerCertificate=0"),
        TlsCase::presents("no certificate", &with_certificates(&good, Vec::clear), tls_failure("localhost")),
        TlsCase::presents(
            "no certificate, without validation",
            &with_certificates(&good, Vec::clear),
            tls_failure("localhost"),
        )
        .options("ValidateServerCertificate=0"),
    ]);
    run_tls(&cases);
}

/// A self-signed certificate with its path.
fn self_signed(name: &str, customize: impl FnOnce(&mut CertificateParams)) -> (Chain, String) {
    let mut params = ca_params(name);
    set_names(&mut params, &["localhost"]);
    customize(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let path = test_ca().write(&format!("{name}.pem"), &certificate.pem());
    let chain = Chain { certificates: vec![certificate.der().clone()], key: Arc::new(key) };
    (chain, format!("TrustStore={}", path.display()))
}

#[test]
fn self_signed_certificates_need_trust_store() {
    let (pinned, store) = self_signed("pinned", |_| {});
    let (expired, expired_store) =
        self_signed("expired pin", |params| params.not_after = date_time_ymd(2020, 1, 1));
    let (other_name, other_store) = self_signed("pin of another", |params| set_names(params, &["a.example"]));
    let same_key = {
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&*pinned.key).unwrap();
        Chain { certificates: vec![certificate.der().clone()], key: Arc::clone(&pinned.key) }
    };
    run_tls(&[
        TlsCase::presents("self-signed", &pinned, tls_failure("TrustStore")),
        TlsCase::presents("self-signed, without validation", &pinned, HEALTHY)
            .options("ValidateServerCertificate=0"),
        TlsCase::presents("pinned", &pinned, HEALTHY).options(&store),
        TlsCase::presents(
            "pinned, key of another",
            &Chain { key: test_ca().issue(|_| {}).key, ..pinned.clone() },
            tls_failure("private key"),
        )
        .options(&store),
        TlsCase::presents("pinned, expired", &expired, tls_failure("expired")).options(expired_store),
        TlsCase::presents("pinned, wrong name", &other_name, no_match()).options(other_store),
        TlsCase::presents("pinned key in another certificate", &same_key, tls_failure("localhost"))
            .options(&store),
        TlsCase::presents(
            "pinned below",
            &with_certificates(&test_ca().issue(|_| {}), |chain| chain.push(pinned.certificates[0].clone())),
            tls_failure("unknown issuer"),
        )
        .options(&store),
    ]);
}

fn run_shell(directory: &Path, command: &str) {
    let output = Command::new("sh").args(["-ec", command]).current_dir(directory).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "openssl is needed: {command}\n{}", String::from_utf8_lossy(&text));
}

/// Algorithms that rustls cannot serve. OpenSSL signs and serves them at its lowest security level.
#[test]
fn weak_and_exotic_algorithms_are_rejected() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    fs::write(path.join("ca.pem"), test_ca().issuer.pem()).unwrap();
    fs::write(path.join("ca.key"), test_ca().issuer.key().serialize_pem()).unwrap();
    fs::write(path.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    run_shell(
        path,
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout rsa-ca.key -out rsa-ca.pem -days 30 -subj '/CN=RSA CA' 2>&1",
    );
    let mut cases = Vec::new();
    let rsa_ca = format!(
        "TrustStore={}",
        test_ca().write("rsa-ca.pem", &fs::read_to_string(path.join("rsa-ca.pem")).unwrap()).display()
    );
    for (name, key, ca, digest, extensions, expected) in [
        ("RSA 512", "RSA -pkeyopt rsa_keygen_bits:512", "ca", "sha256", true, tls_failure("localhost")),
        ("RSA 1024", "RSA -pkeyopt rsa_keygen_bits:1024", "ca", "sha256", true, tls_failure("localhost")),
        (
            "secp256k1",
            "EC -pkeyopt ec_paramgen_curve:secp256k1",
            "ca",
            "sha256",
            true,
            tls_failure("localhost"),
        ),
        (
            "brainpool",
            "EC -pkeyopt ec_paramgen_curve:brainpoolP256r1",
            "ca",
            "sha256",
            true,
            tls_failure("localhost"),
        ),
        ("P-224", "EC -pkeyopt ec_paramgen_curve:P-224", "ca", "sha256", true, tls_failure("localhost")),
        (
            "explicit curve",
            "EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit",
            "ca",
            "sha256",
            true,
            tls_failure("localhost"),
        ),
        ("Ed448", "ED448", "ca", "sha256", true, tls_failure("localhost")),
        (
            "ECDSA with SHA-1",
            "EC -pkeyopt ec_paramgen_curve:P-256",
            "ca",
            "sha1",
            true,
            tls_failure("localhost"),
        ),
        (
            "RSA with SHA-1",
            "RSA -pkeyopt rsa_keygen_bits:2048",
            "rsa-ca",
            "sha1",
            true,
            tls_failure("localhost"),
        ),
        (
            "RSA with MD5",
            "RSA -pkeyopt rsa_keygen_bits:2048",
            "rsa-ca",
            "md5",
            true,
            tls_failure("localhost"),
        ),
        (
            "version 1",
            "RSA -pkeyopt rsa_keygen_bits:2048",
            "rsa-ca",
            "sha256",
            false,
            tls_failure("localhost"),
        ),
    ] {
        let file = name.replace(' ', "-");
        let extensions = if extensions { "-extfile names" } else { "" };
        run_shell(
            path,
            &format!(
                "openssl genpkey -algorithm {key} -out {file}.key 2>&1
                 openssl req -new -key {file}.key -subj '/CN=localhost' -out {file}.csr
                 openssl x509 -req -in {file}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -days 30 -{digest} \
                 {extensions} -out {file}.pem 2>&1
                 cat {file}.key >> {file}.pem"
            ),
        );
        let server = start_openssl_server(&path.join(format!("{file}.pem")), "-cipher ALL:@SECLEVEL=0");
        let case = TlsCase::new(name, Peer::OpenSsl(server), expected);
        cases.push(if ca == "rsa-ca" { case.options(&rsa_ca) } else { case });
    }
    run_tls(&cases);
}
