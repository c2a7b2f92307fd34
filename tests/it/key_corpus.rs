//! Key files as other programs write them: each of the corpus of tests/key_corpus/generate.sh opens, and what it signs is
//! verified by OpenSSL, or is refused by the status that it should have. The results are kept in docs/keys.md.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::support::c_api::{Failure, get_token, open};
use authgrant::base::error::Status;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tempfile::TempDir;

const DOCUMENT: &str = "docs/keys.md";

/// However slow the machine: no file may hold a call up for longer.
const MAX_DURATION: Duration = Duration::from_secs(60);

/// "opens" or the status, and whether OpenSSL opens it, if it is of a kind that OpenSSL knows.
type OpenResult = (String, Option<bool>);

/// A line of the list.
struct CorpusEntry {
    file: String,
    key: String,
    /// Tool, container, scheme, MAC or digest, and kind of password.
    properties: Vec<String>,
    alias: Option<String>,
    password: Option<String>,
    key_password: Option<String>,
    expected: String,
}

fn project_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The corpus in build/keys, made anew if what makes it has changed since.
fn corpus() -> &'static [CorpusEntry] {
    static ROWS: OnceLock<Vec<CorpusEntry>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let list = corpus_dir().join("corpus.tsv");
        let age = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let scripts = ["tests/key_corpus/generate.sh", "tests/key_corpus/generate.py"]
            .map(|path| project_root().join(path));
        if scripts.iter().any(|script| age(script) > age(&list)) {
            let _ = fs::remove_dir_all(corpus_dir());
            let made = Command::new(&scripts[0]).arg(corpus_dir()).status().expect("bash runs");
            assert!(made.success(), "tests/key_corpus/generate.sh fails; see build/keys/generate.log");
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
    let given = |field: &str| (field != "-").then(|| field.replace("\"\"", ""));
    CorpusEntry {
        file: fields[0].to_owned(),
        key: fields[1].to_owned(),
        properties: fields[2..7].iter().map(|&field| field.to_owned()).collect(),
        alias: given(fields[7]),
        password: given(fields[8]),
        key_password: given(fields[9]),
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
                write!(string, ";{name}={{{value}}}").unwrap();
            }
        }
        string
    }

    /// "opens", or the status, and what was said; a signature that does not verify is neither.
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

    /// Whether `message` says what about the file is not read: of what kind its key is, or how much work it asks for.
    fn is_unsupported(&self, message: &str) -> bool {
        let kind = self.expected == "KEY_UNSUITABLE" && message.contains("JWTs are signed with");
        let bounds = [
            "more than the 2000000 that are done",
            "more than the 67108864 (64 MiB)",
            "more work in all than",
        ];
        kind || bounds.iter().any(|bound| message.contains(bound))
    }

    /// Whether `openssl pkcs12 -legacy`, or `openssl pkey` with the same ciphers, opens it; nothing for Java's stores and
    /// for JSON.
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

/// OpenSSL's word on the signature of a compact JWT.
fn verify_with_openssl(token: &str, public: &Path) -> String {
    let place = TempDir::new().unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let header = jwt_header(token);
    let algorithm = header["alg"].as_str().unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    if algorithm.starts_with("ES") {
        signature = ecdsa_signature_der(&signature);
    }
    fs::write(place.path().join("message"), message).unwrap();
    fs::write(place.path().join("signature"), signature).unwrap();
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
    let output = command.current_dir(&place).output().unwrap();
    if output.status.success() { "opens".to_owned() } else { format!("{algorithm} does not verify") }
}

fn jwt_header(token: &str) -> serde_json::Value {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice(&header).unwrap()
}

/// r and s side by side, as the SEQUENCE that OpenSSL wants.
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

/// What `of` makes of each row, in order, by two threads.
fn map_corpus_parallel<T: Send>(of: impl Fn(&CorpusEntry) -> T + Sync) -> Vec<T> {
    let (rows, of) = (corpus(), &of);
    let (first, second) = rows.split_at(rows.len() / 2);
    std::thread::scope(|scope| {
        let other = scope.spawn(move || second.iter().map(of).collect::<Vec<_>>());
        let mut all: Vec<_> = first.iter().map(of).collect();
        all.extend(other.join().unwrap());
        all
    })
}

#[test]
fn corpus_files_open_or_fail_as_expected() {
    let results = map_corpus_parallel(|row| {
        let ((result, message), openssl) = (row.open_and_verify(), row.opens_in_openssl());
        // What OpenSSL opens opens here, but for keys and work of which the message says why not.
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

/// The results as docs/keys.md has them.
fn results_table(results: &[OpenResult]) -> String {
    let opened = |of: &dyn Fn(&OpenResult) -> bool| results.iter().filter(|found| of(found)).count();
    let known = opened(&|(_, openssl)| openssl.is_some());
    let theirs = opened(&|(_, openssl)| *openssl == Some(true));
    let ours = opened(&|(result, openssl)| openssl.is_some() && result == "opens");
    let both = opened(&|(result, openssl)| *openssl == Some(true) && result == "opens");
    let all = opened(&|(result, _)| result == "opens");
    let mut text = format!(
        "Of {} files, {all} open and sign. Of the {known} that are PKCS#12, PEM or DER, OpenSSL with its legacy ciphers opens \
         {theirs}, authgrant {ours}. What OpenSSL opens and authgrant does not, {} files, has a key that cannot sign a JWT \
         or asks for too many iterations.\n\n\
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

/// Tools of other versions write other files: what the document and the corpus both have must have the same result.
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
    let (kept, found) = (results(&text), results(table));
    assert!(kept.len() > 200, "{DOCUMENT} has no table; run `make generated`");
    for (file, result) in kept {
        let same = found.get(&file).is_none_or(|found| *found == result);
        assert!(same, "{DOCUMENT} says that {file} {result}; run `make generated`");
    }
}

#[test]
fn expired_certificate_is_warning_with_date() {
    let folder = TempDir::new().unwrap();
    for (name, start, words) in [
        ("late.p12", "-10d", Some("expired on 20")),
        ("early.p12", "+10d", Some("is not valid before 20")),
        ("now.p12", "-1H", None),
    ] {
        let store = folder.path().join(name);
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
            .args(["-startdate", start, "-validity", "5", "-storepass", "changeit", "-keystore"])
            .arg(&store);
        assert!(keytool.output().unwrap().status.success());
        let string =
            format!("am=55;ClaimsIssuer=me;JWTCertPassword=changeit;JWTCertStore={}", store.display());
        let connection = open(&string).unwrap();
        connection.get_token().unwrap();
        let warnings: Vec<_> = connection.warnings().into_iter().map(|warning| warning.message).collect();
        let told = warnings.iter().find(|message| message.contains("certificate"));
        assert_eq!(told.is_some(), words.is_some(), "{name}: {warnings:?}");
        assert!(told.is_none_or(|message| message.contains(words.unwrap()) && message.contains(name)));
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
