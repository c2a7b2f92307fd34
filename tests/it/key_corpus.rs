//! Key files written by other programs: each file in the corpus of tests/key_corpus/generate.sh opens and
//! signs, with a signature that OpenSSL verifies, or fails with the expected status. The results are in
//! docs/keys.md.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::support::c_api::{Failure, LogLines, get_token, open};
use authgrant::base::error::Status;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tempfile::TempDir;

const DOCUMENT: &str = "docs/keys.md";

/// Maximum duration of a call with any file, even on a slow machine.
const MAX_DURATION: Duration = Duration::from_secs(60);

/// "opens" or the status, and whether OpenSSL opens the file, if OpenSSL supports its format.
type OpenResult = (String, Option<bool>);

/// Line of corpus.tsv.
struct CorpusEntry {
    file: String,
    key: String,
    /// Tool, container, scheme, MAC or digest, and type of password.
    properties: Vec<String>,
    alias: Option<String>,
    password: Option<String>,
    key_password: Option<String>,
    expected: String,
}

fn project_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The corpus in build/keys, generated again if one of its scripts has changed.
fn corpus() -> &'static [CorpusEntry] {
    static ROWS: OnceLock<Vec<CorpusEntry>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let list = corpus_dir().join("corpus.tsv");
        let age = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let scripts = ["tests/key_corpus/generate.sh", "tests/key_corpus/generate.py"]
            .map(|path| project_root().join(path));
        if scripts.iter().any(|script| age(script) > age(&list)) {
            let _ = fs::remove_dir_all(corpus_dir());
            let status = Command::new(&scripts[0]).arg(corpus_dir()).status().expect("bash runs");
            assert!(status.success(), "tests/key_corpus/generate.sh fails; see build/keys/generate.log");
        }
        fs::read_to_string(list).unwrap().lines().map(parse_entry).collect()
    })
}

fn corpus_dir() -> PathBuf {
    project_root().join("build/keys")
}

fn parse_entry(line: &str) -> CorpusEntry {
    let fields: Vec<_> = line.split('\t').collect();
    assert_eq!(fields.len(), 11, "{line}");
    let non_empty = |field: &str| (field != "-").then(|| field.replace("\"\"", ""));
    CorpusEntry {
        file: fields[0].to_owned(),
        key: fields[1].to_owned(),
        properties: fields[2..7].iter().map(|&field| field.to_owned()).collect(),
        alias: non_empty(fields[7]),
        password: non_empty(fields[8]),
        key_password: non_empty(fields[9]),
        expected: fields[10].to_owned(),
    }
}

impl CorpusEntry {
    fn connection_string(&self) -> String {
        let mut string =
            format!("am=55;ClaimsIssuer=me;JWTCertStore={}", corpus_dir().join(&self.file).display());
        for (name, value) in [
            ("JWTCertAlias", &self.alias),
            ("JWTCertPassword", &self.password),
            ("JWTCertKeyPassword", &self.key_password),
        ] {
            if let Some(value) = value {
                write!(string, ";{name}={{{}}}", value.replace('}', "}}")).unwrap();
            }
        }
        string
    }

    /// Returns "opens" or the status, and the message. For a signature that does not verify, it is neither.
    fn open_and_verify(&self) -> (String, String) {
        let started = Instant::now();
        let result = match get_token(&self.connection_string()) {
            Ok(token) => {
                let public = corpus_dir().join(format!("{}.pub", self.key));
                (verify_with_openssl(&token.value(), &public), String::new())
            }
            Err(failure) => (status_name(&failure).to_owned(), failure.message),
        };
        assert!(started.elapsed() < MAX_DURATION, "{} takes {:?}", self.file, started.elapsed());
        result
    }

    /// Whether `message` reports an unsupported key type or a key-derivation limit.
    fn is_unsupported(&self, message: &str) -> bool {
        let is_key_type = self.expected == "KEY_UNSUITABLE" && message.contains("JWT signing requires");
        let limits = ["limit of 2000000", "limit of 67108864", "key-derivation limit"];
        is_key_type || limits.iter().any(|limit| message.contains(limit))
    }

    /// Whether `openssl pkcs12 -legacy`, or `openssl pkey` with the same ciphers, opens the file; `None` for
    /// Java's stores and JSON.
    fn opens_in_openssl(&self) -> Option<bool> {
        let arguments = match self.properties[1].as_str() {
            "PKCS12" => "pkcs12 -legacy -nodes",
            kind if kind.contains("PEM") || kind.contains("DER") => "pkey -provider default -provider legacy",
            _ => return None,
        };
        let password = format!("pass:{}", self.password.as_deref().unwrap_or_default());
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).args(["-out", "/dev/null", "-passin", &password, "-in"]);
        command.arg(corpus_dir().join(&self.file)).stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
        Some(command.output().unwrap().status.success())
    }
}

fn status_name(failure: &Failure) -> &'static str {
    let number = usize::try_from(failure.status).unwrap();
    let name = Status::ALL[number].name();
    name.strip_prefix("AUTHGRANT_").unwrap_or(name)
}

/// Verifies the signature of a compact JWT with OpenSSL.
fn verify_with_openssl(token: &str, public: &Path) -> String {
    let dir = TempDir::new().unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let header = jwt_header(token);
    let algorithm = header["alg"].as_str().unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    if algorithm.starts_with("ES") {
        signature = ecdsa_signature_der(&signature);
    }
    fs::write(dir.path().join("message"), message).unwrap();
    fs::write(dir.path().join("signature"), signature).unwrap();
    let mut command = Command::new("openssl");
    if algorithm == "EdDSA" {
        command.args([
            "pkeyutl",
            "-verify",
            "-pubin",
            "-rawin",
            "-in",
            "message",
            "-sigfile",
            "signature",
            "-inkey",
        ]);
        command.arg(public);
    } else {
        command
            .args(["dgst", &format!("-sha{}", &algorithm[2..]), "-signature", "signature", "-verify"])
            .arg(public);
        if algorithm.starts_with("PS") {
            command.args(["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]);
        }
        command.arg("message");
    }
    let output = command.current_dir(&dir).output().unwrap();
    if output.status.success() { "opens".to_owned() } else { format!("{algorithm} does not verify") }
}

fn jwt_header(token: &str) -> serde_json::Value {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice(&header).unwrap()
}

/// Converts `r || s` to the SEQUENCE that OpenSSL expects.
fn ecdsa_signature_der(raw: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let mut body: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
        if body[0] & 0x80 != 0 {
            body.insert(0, 0);
        }
        [vec![2, body.len() as u8], body].concat()
    };
    let (r, s) = raw.split_at(raw.len() / 2);
    let body = [integer(r), integer(s)].concat();
    [vec![0x30, body.len() as u8], body].concat()
}

/// Applies `function` to each row in two threads; the results are in order.
fn map_corpus_parallel<T: Send>(function: impl Fn(&CorpusEntry) -> T + Sync) -> Vec<T> {
    let (rows, function) = (corpus(), &function);
    let (first, second) = rows.split_at(rows.len() / 2);
    std::thread::scope(|scope| {
        let other = scope.spawn(move || second.iter().map(function).collect::<Vec<_>>());
        let mut all: Vec<_> = first.iter().map(function).collect();
        all.extend(other.join().unwrap());
        all
    })
}

#[test]
fn corpus_files_open_or_fail_as_expected() {
    let results = map_corpus_parallel(|row| {
        let ((result, message), openssl) = (row.open_and_verify(), row.opens_in_openssl());
        // Every file opens, unless its key type or key derivation is not supported.
        let excused = result == "opens" || row.is_unsupported(&message);
        let wrong = (result != row.expected || !excused).then(|| {
            format!("{} {:?}: {result}, expected {}: {message}", row.file, row.properties, row.expected)
        });
        ((result, openssl), wrong)
    });
    let (results, wrong): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    let wrong: Vec<_> = wrong.into_iter().flatten().collect();
    let table = results_table(&results);
    println!("{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(corpus().len() > 200, "only {} files: see build/keys/generate.log", corpus().len());
    check_results_document(&table);
}

/// Table of the results in docs/keys.md.
fn results_table(results: &[OpenResult]) -> String {
    let count =
        |predicate: &dyn Fn(&OpenResult) -> bool| results.iter().filter(|result| predicate(result)).count();
    let known = count(&|(_, openssl)| openssl.is_some());
    let theirs = count(&|(_, openssl)| *openssl == Some(true));
    let ours = count(&|(result, openssl)| openssl.is_some() && result == "opens");
    let both = count(&|(result, openssl)| *openssl == Some(true) && result == "opens");
    let all = count(&|(result, _)| result == "opens");
    let mut text = format!(
        "{all} of {} files open and sign. Of the {known} files that are PKCS#12, PEM or DER, OpenSSL with \
         its legacy ciphers opens {theirs}, and authgrant {ours}. {} files open in OpenSSL but not in \
         authgrant: their keys cannot sign a JWT, or they require too many iterations.\n\n\
         | written by | container | encrypted with | MAC or digest | password | OpenSSL | authgrant |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
        results.len(),
        theirs.abs_diff(both)
    );
    for (row, (result, openssl)) in corpus().iter().zip(results) {
        let openssl = match openssl {
            Some(true) => "opens",
            Some(false) => "no",
            None => "",
        };
        writeln!(text, "| {} | {} | {} |", entry_cells(row), openssl, result).unwrap();
    }
    text
}

fn entry_cells(row: &CorpusEntry) -> String {
    let key = if row.key == "rsa" { String::new() } else { format!(", {} key", row.key) };
    let [tool, container, rest @ ..] = row.properties.as_slice() else { unreachable!() };
    format!("{tool} | {container}{key} | {}", rest.join(" | "))
}

/// Different versions of tools write different files: rows in both the document and the corpus must have the
/// same result.
fn check_results_document(table: &str) {
    let path = project_root().join(DOCUMENT);
    let text = fs::read_to_string(&path).unwrap_or_default();
    let introduction = text.split_once("## Results").map_or("", |(before, _)| before);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        return fs::write(path, format!("{introduction}## Results\n\n{table}")).unwrap();
    }
    let results = |text: &str| -> HashMap<String, String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
        let cells = lines.map(|line| line.split(" | ").map(str::to_owned).collect::<Vec<_>>());
        cells
            .filter(|cells| cells.len() == 7)
            .map(|cells| (cells[..5].join(" | "), cells[6].clone()))
            .collect()
    };
    let (documented, found) = (results(&text), results(table));
    assert!(documented.len() > 200, "{DOCUMENT} has no table; run `make generated`");
    for (file, result) in documented {
        let is_same = found.get(&file).is_none_or(|found| *found == result);
        assert!(is_same, "{DOCUMENT} has {result:?} for {file}; run `make generated`");
    }
}

#[test]
fn certificate_that_is_or_soon_becomes_invalid_is_logged_warning() {
    let dir = TempDir::new().unwrap();
    for (name, start, days, fragment) in [
        ("late.p12", "-10d", "5", Some("expired on 20")),
        ("soon.p12", "-1H", "29", Some("expires on 20")),
        ("early.p12", "+10d", "50", Some("is not valid before 20")),
        ("now.p12", "-1H", "50", None),
    ] {
        let store = dir.path().join(name);
        let mut keytool = Command::new("keytool");
        keytool.args([
            "-genkeypair",
            "-alias",
            "a",
            "-keyalg",
            "EC",
            "-groupname",
            "secp256r1",
            "-dname",
            "CN=a",
        ]);
        keytool
            .args(["-startdate", start, "-validity", days, "-storepass", "changeit", "-keystore"])
            .arg(&store);
        assert!(keytool.output().unwrap().status.success());
        let string =
            format!("am=55;ClaimsIssuer=me;JWTCertPassword=changeit;JWTCertStore={}", store.display());
        let connection = open(&string).unwrap();
        let log: &LogLines = Box::leak(Box::default());
        connection.collect_log(log);
        connection.get_token().unwrap();
        let warnings: Vec<_> = connection.warnings().into_iter().map(|warning| warning.message).collect();
        let warning = warnings.iter().find(|message| message.contains("certificate"));
        assert_eq!(warning.is_some(), fragment.is_some(), "{name}: {warnings:?}");
        let is_logged = log.0.lock().unwrap().iter().any(|line| line.contains("has a certificate that"));
        assert_eq!(is_logged, fragment.is_some(), "{name}");
        assert!(warning.is_none_or(|message| message.contains(fragment.unwrap()) && message.contains(name)));
    }
}

#[test]
fn differing_mac_and_key_passwords_are_reported() {
    let rows = corpus().iter().filter(|row| row.properties[0] == "openssl -twopass");
    for row in rows {
        let string = row.connection_string();
        let (both, _) = string.rsplit_once(";JWTCertKeyPassword=").unwrap();
        let failure = get_token(both).unwrap_err();
        assert_eq!(
            (status_name(&failure), failure.option.as_deref()),
            ("KEY_PASSWORD", Some("JWTCertKeyPassword"))
        );
        let failure = get_token(&format!("{both};JWTCertKeyPassword=wrong")).unwrap_err();
        assert_eq!(status_name(&failure), "KEY_PASSWORD");
    }
}

#[test]
fn json_key_id_is_default_kid() {
    for (file, key_id) in [("j-p256.jwk", "p256"), ("j-google.json", "1a2b"), ("j-box.json", "k")] {
        let row = corpus().iter().find(|row| row.file == file).unwrap();
        assert_eq!(
            jwt_header(&get_token(&row.connection_string()).unwrap().value())["kid"],
            key_id,
            "{file}"
        );
        let other = get_token(&format!("{};JWTKeyID=mine", row.connection_string())).unwrap();
        assert_eq!(jwt_header(&other.value())["kid"], "mine", "{file}");
    }
    let row = corpus().iter().find(|row| row.file == "k.p12").unwrap();
    assert!(jwt_header(&get_token(&row.connection_string()).unwrap().value())["kid"].is_null());
}
