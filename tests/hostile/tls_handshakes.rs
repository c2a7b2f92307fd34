//! TLS handshakes and records that are broken, slow, endless or incompatible.

use authgrant::ffi::status::*;
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;

use crate::case::Expected;
use crate::server::{HEALTHY_BODY, Step, healthy_response, response};
use crate::support::servers::start_openssl_server;
use crate::tls_server::{
    ClientCertificate, Peer, Reply, Tamper, TestCa, TlsCase, TlsServer, run_tls, test_ca, tls_failure,
};

const HEALTHY: Expected = Expected::Token("healthy");
const TIMEOUT: Expected = Expected::Failure(AUTHGRANT_TIMEOUT, "localhost");
const SHORT_TIMEOUT_MS: i32 = 500;

fn not_tls() -> Expected {
    tls_failure("localhost")
}

/// A record of this type and version 1.2.
fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[kind, 3, 3], &length[..], content].concat()
}

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// A handshake message (RFC 8446 section 4).
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

/// A ServerHello with these parts.
fn server_hello(version: [u8; 2], random: [u8; 32], cipher_suite: u16, extensions: &[u8]) -> Vec<u8> {
    let length = u16::try_from(extensions.len()).unwrap().to_be_bytes();
    let body = [&version[..], &random, &[0], &cipher_suite.to_be_bytes(), &[0], &length, extensions].concat();
    record(HANDSHAKE, &message(2, &body))
}

/// The random of a HelloRetryRequest (RFC 8446 section 4.1.3).
const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// The extension supported_versions with TLS 1.3.
const TLS_13: [u8; 6] = [0, 43, 0, 2, 3, 4];

#[test]
fn answers_that_are_no_handshake_are_tls_errors() {
    let mut cases = Vec::new();
    for (name, bytes) in [
        ("HTTP", b"HTTP/1.1 400 The plain HTTP request was sent to HTTPS port\r\n\r\n".to_vec()),
        ("token in plain HTTP", healthy_response()),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
        ("STARTTLS", b"220 mail.example ESMTP\r\n".to_vec()),
        ("nothing", Vec::new()),
        ("zeros", vec![0; 100]),
        ("0xff", vec![0xff; 100]),
        ("SSL 2 hello", b"\x80\x0b\x04\0\x01\0\x02\0\0\0\0\0\x10".to_vec()),
        ("DTLS record", b"\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\x02\x02\0".to_vec()),
        ("unknown record type", record(99, b"x")),
        ("heartbeat", record(24, &[1, 0x40, 0])),
        ("data before the handshake", record(23, b"HTTP/1.1 200 OK\r\n\r\n")),
        ("record of 65,535 bytes", [&[HANDSHAKE, 3, 3, 0xff, 0xff], &[2; 0xffff][..]].concat()),
        ("empty handshake record", record(HANDSHAKE, b"")),
        ("half a record head", vec![HANDSHAKE, 3]),
        ("half a record", record(HANDSHAKE, &[2, 0, 0, 40])),
        ("message of 16 MiB", record(HANDSHAKE, &[2, 0xff, 0xff, 0xff, 3, 3])),
        ("empty ServerHello", record(HANDSHAKE, &message(2, b""))),
        ("ClientHello", record(HANDSHAKE, &message(1, &[3; 60]))),
        ("Finished at once", record(HANDSHAKE, &message(20, &[0; 12]))),
        ("certificate at once", record(HANDSHAKE, &message(11, &[0, 0, 0]))),
        ("unknown message", record(HANDSHAKE, &message(99, b"x"))),
        ("ServerHello of SSL 3", server_hello([3, 0], [7; 32], 0x0035, &[])),
        ("ServerHello of TLS 1.0", server_hello([3, 1], [7; 32], 0xc013, &[])),
        ("ServerHello of TLS 1.1", server_hello([3, 2], [7; 32], 0xc013, &[])),
        ("ServerHello of TLS 1.4", server_hello([3, 3], [7; 32], 0x1301, &[0, 43, 0, 2, 3, 5])),
        ("cipher suite that was not offered", server_hello([3, 3], [7; 32], 0x002f, &[])),
        ("NULL cipher suite", server_hello([3, 3], [7; 32], 0x0000, &[])),
        ("TLS 1.3 without key share", server_hello([3, 3], [7; 32], 0x1301, &TLS_13)),
        ("downgrade mark", server_hello([3, 3], *b"xxxxxxxxxxxxxxxxxxxxxxxxDOWNGRD\x01", 0xc02f, &[])),
        ("same extension twice", server_hello([3, 3], [7; 32], 0x1301, &[TLS_13, TLS_13].concat())),
        ("extension that was not offered", server_hello([3, 3], [7; 32], 0xc02f, &[0x99, 0x99, 0, 0])),
        (
            "key share of zeros",
            server_hello(
                [3, 3],
                [7; 32],
                0x1301,
                &[&TLS_13[..], &[0, 51, 0, 36, 0, 29, 0, 32], &[0; 32]].concat(),
            ),
        ),
        ("retry without change", server_hello([3, 3], RETRY_RANDOM, 0x1301, &TLS_13)),
        (
            "retry with unknown group",
            server_hello([3, 3], RETRY_RANDOM, 0x1301, &[&TLS_13[..], &[0, 51, 0, 2, 0x99, 0x99]].concat()),
        ),
        ("retry with a cookie of 60 KiB, cut", record(HANDSHAKE, &message(2, &[0; 16_000]))),
    ] {
        cases.push(TlsCase::sends(name, bytes, not_tls()));
    }
    let retry = server_hello([3, 3], RETRY_RANDOM, 0x1301, &[&TLS_13[..], &[0, 51, 0, 2, 0, 24]].concat());
    let twice = vec![Step::ReadRecord, Step::Send([retry.clone(), retry].concat()), Step::Close];
    cases.push(TlsCase::new("two retries", Peer::Raw(twice), not_tls()));
    cases.push(TlsCase::new(
        "reset",
        Peer::Raw(vec![Step::ReadRecord, Step::Reset]),
        Expected::Failure(AUTHGRANT_NETWORK, "localhost"),
    ));
    cases.push(TlsCase::new(
        "reset at once",
        Peer::Raw(vec![Step::Reset]),
        Expected::Failure(AUTHGRANT_NETWORK, "localhost"),
    ));
    run_tls(&cases);
}

#[test]
fn alerts_are_tls_errors() {
    let mut cases = Vec::new();
    for alert in [
        0, 10, 20, 22, 40, 42, 43, 44, 45, 46, 47, 48, 50, 51, 70, 71, 80, 86, 90, 100, 109, 112, 113, 115,
        116, 120, 200, 255,
    ] {
        for level in [1, 2] {
            let bytes = record(ALERT, &[level, alert]);
            cases.push(TlsCase::sends(format!("alert {alert}, level {level}"), bytes, not_tls()));
        }
    }
    cases.extend([
        TlsCase::sends("alert of one byte", record(ALERT, &[2]), not_tls()),
        TlsCase::sends("alert of 100 bytes", record(ALERT, &[2; 100]), not_tls()),
        TlsCase::sends("empty alert", record(ALERT, b""), not_tls()),
        TlsCase::sends("unknown level", record(ALERT, &[9, 40]), not_tls()),
    ]);
    run_tls(&cases);
}

#[test]
fn endless_and_slow_handshakes_end() {
    let mut cases = Vec::new();
    for (name, head, piece) in [
        ("warnings", Vec::new(), record(ALERT, &[1, 90])),
        ("change_cipher_spec", Vec::new(), record(20, &[1])),
        ("empty records", Vec::new(), record(HANDSHAKE, b"")),
        ("empty data", Vec::new(), record(23, b"")),
        ("message", record(HANDSHAKE, &[2, 0xff, 0xff, 0xff]), record(HANDSHAKE, &[0; 1000])),
        (
            "certificate",
            server_hello([3, 3], [7; 32], 0xc02f, &[]),
            record(HANDSHAKE, &[11, 0xff, 0xff, 0xff, 0]),
        ),
        ("HelloRequests", Vec::new(), record(HANDSHAKE, &message(0, b""))),
        (
            "HelloRequests after ServerHello",
            server_hello([3, 3], [7; 32], 0xc02f, &[]),
            record(HANDSHAKE, &message(0, b"")),
        ),
        ("zeros", Vec::new(), vec![0; 100]),
    ] {
        let steps = vec![Step::ReadRecord, Step::Send(head), Step::Endless(piece)];
        cases.push(TlsCase::new(format!("endless {name}"), Peer::Raw(steps), not_tls()));
    }
    for (name, steps) in [
        ("silence", vec![Step::ReadRecord, Step::Hang]),
        ("silence at once", vec![Step::Hang]),
        ("half a record", vec![Step::ReadRecord, Step::Send(vec![HANDSHAKE, 3, 3, 0, 90, 2]), Step::Hang]),
        ("half a message", vec![Step::ReadRecord, Step::Send(record(HANDSHAKE, &[2, 0, 0, 90])), Step::Hang]),
        (
            "ServerHello alone",
            vec![Step::ReadRecord, Step::Send(server_hello([3, 3], [7; 32], 0xc02f, &[])), Step::Hang],
        ),
        ("a byte each 100 ms", vec![Step::ReadRecord, Step::Drip(record(HANDSHAKE, &[0; 90]))]),
    ] {
        cases.push(TlsCase::new(name, Peer::Raw(steps), TIMEOUT).timeout_ms(SHORT_TIMEOUT_MS));
    }
    let chain = test_ca().issue(|_| {});
    let slow = TlsServer { tamper: Tamper::Slow, ..TlsServer::new(&chain) };
    cases.push(
        TlsCase::new("a correct handshake, slow", Peer::Tls(slow), TIMEOUT).timeout_ms(SHORT_TIMEOUT_MS),
    );
    run_tls(&cases);
}

/// The first messages of the server have at least 500 bytes in either version, because its certificate has.
const POSITIONS: [usize; 12] = [0, 1, 4, 5, 8, 11, 43, 80, 120, 200, 350, 500];

#[test]
fn cut_or_altered_handshakes_are_tls_errors() {
    let chain = test_ca().issue(|params| params.not_after = rcgen::date_time_ymd(2099, 1, 1));
    let mut cases = Vec::new();
    for version in [&TLS12, &TLS13] {
        let server = TlsServer::with(&chain, &[version], ClientCertificate::NotRequested, |_| {});
        let name = |what: &str, position: usize| format!("{:?}: {what} {position}", version.version);
        for position in POSITIONS {
            let tampered = |tamper| Peer::Tls(TlsServer { tamper, ..server.clone() });
            cases.push(TlsCase::new(
                name("closed at", position),
                tampered(Tamper::CloseAt(position)),
                not_tls(),
            ));
            // With another length of the record the client may wait for more.
            if position != 4 {
                let altered = tampered(Tamper::FlipAt(position));
                cases.push(TlsCase::new(name("altered at", position), altered, not_tls()));
            }
            let silent =
                TlsCase::new(name("silent at", position), tampered(Tamper::SilentAt(position)), TIMEOUT);
            cases.push(silent.timeout_ms(SHORT_TIMEOUT_MS));
        }
    }
    run_tls(&cases);
}

#[test]
fn broken_records_after_handshake_end_call() {
    let chain = test_ca().issue(|_| {});
    let replies = |name: &str, reply: Reply, expected: Expected| {
        TlsCase::new(name, Peer::Tls(TlsServer { reply, ..TlsServer::new(&chain) }), expected)
    };
    let head = |length: usize| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{HEALTHY_BODY}").into_bytes()
    };
    let until_close = || format!("HTTP/1.1 200 OK\r\n\r\n{HEALTHY_BODY}").into_bytes();
    let bad_response = |text| Expected::Failure(AUTHGRANT_BAD_RESPONSE, text);
    let length = HEALTHY_BODY.len();
    run_tls(&[
        replies("body with length, no close_notify", Reply::Truncated(head(length)), HEALTHY),
        replies("body until close, close_notify", Reply::Complete(until_close()), HEALTHY),
        replies(
            "body until close, no close_notify",
            Reply::Truncated(until_close()),
            bad_response("truncated"),
        ),
        replies("short body, close_notify", Reply::Complete(head(length + 1)), bad_response("truncated")),
        replies("short body, no close_notify", Reply::Truncated(head(length + 1)), bad_response("truncated")),
        replies(
            "close_notify in place of an answer",
            Reply::Complete(Vec::new()),
            Expected::Failure(AUTHGRANT_NETWORK, "localhost"),
        ),
        replies(
            "end in place of an answer",
            Reply::Truncated(Vec::new()),
            Expected::Failure(AUTHGRANT_NETWORK, "localhost"),
        ),
        replies("plain HTTP", Reply::Plain(healthy_response()), not_tls()),
        replies("plain alert", Reply::Plain(record(ALERT, &[2, 40])), not_tls()),
        replies("plain data", Reply::Plain(record(23, &[0; 100])), not_tls()),
        replies("plain empty data", Reply::Plain(record(23, b"")), not_tls()),
        replies(
            "record above the limit",
            Reply::Plain([&[23, 3, 3, 0x48, 0x01], &[0; 0x4801][..]].concat()),
            not_tls(),
        ),
        replies("plain HelloRequest", Reply::Plain(record(HANDSHAKE, &message(0, b""))), not_tls()),
        replies("endless change_cipher_spec", Reply::EndlessPlain(record(20, &[1])), not_tls()),
        replies("endless key updates", Reply::EndlessKeyUpdates, not_tls()),
        replies("endless body", Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), bad_response("1 MiB")),
        replies(
            "body of 2 MiB",
            Reply::Complete(response("HTTP/1.1 200 OK", vec![b' '; 2 << 20])),
            bad_response("1 MiB"),
        ),
    ]);
}

#[test]
fn versions_and_algorithms_are_negotiated() {
    let chain = test_ca().issue(|_| {});
    let with = |versions, customize: fn(&mut rustls::ServerConfig)| {
        Peer::Tls(TlsServer::with(&chain, versions, ClientCertificate::NotRequested, customize))
    };
    run_tls(&[
        TlsCase::new("TLS 1.2", with(&[&TLS12], |_| {}), HEALTHY),
        TlsCase::new("TLS 1.3", with(&[&TLS13], |_| {}), HEALTHY),
        TlsCase::new("TLS 1.2 for 1.2", with(&[&TLS12], |_| {}), HEALTHY)
            .options("CryptoProtocolVersion=TLSv1.2"),
        TlsCase::new("TLS 1.3 for 1.2", with(&[&TLS13], |_| {}), tls_failure("localhost"))
            .options("CryptoProtocolVersion=TLSv1.2"),
        TlsCase::new("TLS 1.2 for 1.3", with(&[&TLS12], |_| {}), tls_failure("localhost"))
            .options("CryptoProtocolVersion=TLSv1.3"),
        TlsCase::new(
            "ALPN of another protocol",
            with(&[&TLS13, &TLS12], |config| config.alpn_protocols = vec![b"h2".to_vec()]),
            HEALTHY,
        ),
    ]);
}

/// Versions and cipher suites that rustls does not have.
#[test]
fn old_openssl_servers_are_tls_errors() {
    let directory = TempDir::new().unwrap();
    let rsa = directory.path().join("rsa.pem");
    let output = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=CA:FALSE"])
        .arg("-keyout")
        .arg(&rsa)
        .arg("-out")
        .arg(directory.path().join("certificate"))
        .output()
        .expect("openssl is needed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let certificate = std::fs::read_to_string(directory.path().join("certificate")).unwrap();
    std::fs::write(&rsa, std::fs::read_to_string(&rsa).unwrap() + &certificate).unwrap();
    let store = format!("TrustStore={}", test_ca().write("rsa-server.pem", &certificate).display());
    let mut cases = Vec::new();
    for (name, args) in [
        ("TLS 1.0", "-tls1 -cipher ALL:@SECLEVEL=0"),
        ("TLS 1.1", "-tls1_1 -cipher ALL:@SECLEVEL=0"),
        ("CBC", "-tls1_2 -cipher ECDHE-RSA-AES256-SHA384"),
        ("RSA key exchange", "-tls1_2 -cipher AES256-GCM-SHA384"),
        ("DHE", "-tls1_2 -cipher DHE-RSA-AES256-GCM-SHA384"),
        ("CCM", "-tls1_3 -ciphersuites TLS_AES_128_CCM_SHA256"),
        ("no authentication", "-tls1_2 -cipher aNULL:@SECLEVEL=0"),
        ("no encryption", "-tls1_2 -cipher eNULL:@SECLEVEL=0"),
        ("secp521r1 and X448", "-tls1_3 -groups P-521:X448"),
    ] {
        let server = start_openssl_server(&rsa, args);
        cases.push(TlsCase::new(name, Peer::OpenSsl(server), tls_failure("localhost")).options(&store));
    }
    run_tls(&cases);
}

#[test]
fn client_certificates_are_requested() {
    let chain = test_ca().issue(|_| {});
    let store = |name: &str, ca: &TestCa| {
        let client = ca.issue(|_| {});
        let pem = client.key.serialize_pem() + &pem_certificate(&client.certificates[0]);
        format!("KeyStore={}", test_ca().write(name, &pem).display())
    };
    let (known, unknown) =
        (store("known.pem", test_ca()), store("unknown.pem", &TestCa::new("unknown clients")));
    let mut cases = Vec::new();
    for version in [&TLS12, &TLS13] {
        let with = |client| Peer::Tls(TlsServer::with(&chain, &[version], client, |_| {}));
        let name = |what: &str| format!("{:?}: {what}", version.version);
        cases.extend([
            TlsCase::new(name("optional"), with(ClientCertificate::Optional), HEALTHY),
            TlsCase::new(name("required, none"), with(ClientCertificate::Required), tls_failure("KeyStore")),
            TlsCase::new(name("required, known"), with(ClientCertificate::Required), HEALTHY).options(&known),
            TlsCase::new(
                name("required, unknown"),
                with(ClientCertificate::Required),
                tls_failure("KeyStore"),
            )
            .options(&unknown),
        ]);
    }
    run_tls(&cases);
}

fn pem_certificate(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}
