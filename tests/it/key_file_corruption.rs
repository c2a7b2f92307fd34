//! Key files that are truncated, with flipped bytes, or randomly mutated: each opens or is an error, without
//! a crash, a panic, a long delay or more than 64 MiB of memory.
//!
//! `make test` checks a sample of the positions; AUTHGRANT_SOAK=1, which `make soak` sets, checks all
//! positions.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::c_api::open;
use authgrant::ffi::status::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

const MAX_ALLOCATED_BYTES: isize = 64 * 1024 * 1024;

/// Maximum duration of a call, even on a slow machine and in a debug build.
const MAX_DURATION: Duration = Duration::from_secs(30);

struct CountingAllocator;

thread_local! {
    // Of this thread only, because other tests run at the same time.
    static ALLOCATED_BYTES: Cell<isize> = const { Cell::new(0) };
    static PEAK_BYTES: Cell<isize> = const { Cell::new(0) };
}
static OPENED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is forwarded to the system allocator with the caller's arguments.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Does nothing on a thread that ends.
fn count(bytes: isize) {
    let _ = ALLOCATED_BYTES.try_with(|allocated| {
        allocated.set(allocated.get() + bytes);
        let _ = PEAK_BYTES.try_with(|peak| peak.set(peak.get().max(allocated.get())));
    });
}

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn is_soak() -> bool {
    std::env::var_os("AUTHGRANT_SOAK").is_some()
}

/// Name, content and password of an undamaged file.
type SampleFile = (String, Vec<u8>, &'static str);

/// One file of each format, with the fewest iterations that its tool allows.
fn generate_samples() -> Vec<SampleFile> {
    let dir = TempDir::new().unwrap();
    let jwk = r#"{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}"#;
    let script = format!(
        "openssl ecparam -name prime256v1 -genkey -noout -out ec.sec1.pem
         openssl pkcs8 -topk8 -nocrypt -in ec.sec1.pem -out ec.pem
         openssl pkcs8 -topk8 -nocrypt -in ec.sec1.pem -outform DER -out ec.der
         openssl pkcs8 -topk8 -in ec.pem -passout pass:changeit -iter 1 -outform DER -out aes.p8
         openssl pkcs8 -topk8 -provider default -provider legacy -in ec.pem -passout pass:changeit \
            -iter 1 -v1 PBE-SHA1-RC2-40 -out rc2.pem
         openssl pkcs8 -topk8 -in ec.pem -passout pass:changeit -scrypt -scrypt_N 2 -scrypt_r 1 -scrypt_p 1 \
            -out scrypt.pem
         for cipher in camellia-128-cbc aria-192-ctr seed-cfb sm4-ofb aes-256-ecb \
            id-aes128-wrap-pad cast5-cbc; do
            openssl pkcs8 -topk8 -provider default -provider legacy -in ec.pem -passout pass:changeit \
               -iter 1 -v2 $cipher -outform DER -out $cipher.p8
         done
         openssl ec -in ec.sec1.pem -aes256 -passout pass:changeit -out old.pem
         openssl req -x509 -new -key ec.pem -subj /CN=a -days 300 -out ec.crt
         export=\"openssl pkcs12 -export -legacy -inkey ec.pem -in ec.crt -name a -passout pass:changeit \
            -iter 1\"
         $export -out aes.p12 -keypbe AES-256-CBC -certpbe AES-256-CBC -macalg sha3-256
         $export -out rare.p12 -keypbe BF-CBC -certpbe SEED-CBC -macalg whirlpool
         $export -out rc4.p12 -keypbe PBE-SHA1-RC4-128 -certpbe PBE-SHA1-RC2-40 -macalg md5
         $export -out nomac.p12 -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-DES -nomac
         $export -out clear.p12 -keypbe NONE -certpbe NONE -nomac
         $export -out j.p12 -keypbe AES-256-CBC -certpbe AES-256-CBC
         keytool -importkeystore -noprompt -srckeystore j.p12 -srcstorepass changeit -destkeystore a.jks \
            -deststoretype JKS -deststorepass changeit
         keytool -J-Djdk.jceks.iterationCount=10000 -importkeystore -noprompt -srckeystore a.jks \
            -srcstorepass changeit -destkeystore a.jceks -deststoretype JCEKS -deststorepass changeit
         keytool -genseckey -storetype JCEKS -keystore a.jceks -storepass changeit -alias k -keyalg AES \
            -keysize 128 -keypass changeit
         printf '%s' '{jwk}' > set.jwks
         box='{{\"boxAppSettings\":{{\"appAuth\":{{\"privateKey\":\"%s\",\"passphrase\":\"changeit\"}}}}}}'
         printf \"$box\" \"$(sed 's/$/\\\\n/' rc2.pem | tr -d '\\n')\" > box.json"
    );
    let output = Command::new("sh").args(["-ec", &script]).current_dir(&dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut files: Vec<_> = ["ec.sec1.pem", "ec.pem", "ec.der", "set.jwks", "box.json", "clear.p12"]
        .map(|name| (name.to_owned(), read_file(&dir.path().join(name)), ""))
        .into();
    let encrypted = "aes.p8 rc2.pem scrypt.pem old.pem aes.p12 rare.p12 rc4.p12 nomac.p12 a.jks a.jceks \
         camellia-128-cbc.p8 aria-192-ctr.p8 seed-cfb.p8 sm4-ofb.p8 aes-256-ecb.p8 \
         id-aes128-wrap-pad.p8 cast5-cbc.p8";
    files.extend(
        encrypted.split(' ').map(|name| (name.to_owned(), read_file(&dir.path().join(name)), "changeit")),
    );
    files
}

fn read_file(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

/// Opens `content`, and checks memory, duration and status. Returns the status, or `None` if it signs.
fn try_open(name: &str, content: &[u8], password: &str) -> Option<i32> {
    OPENED.fetch_add(1, Ordering::Relaxed);
    let connection = open(&format!("am=55;ClaimsIssuer=me;JWTCertPassword={password}")).unwrap();
    connection.set_option("JWTPrivateKey", &STANDARD.encode(content)).unwrap();
    let before = ALLOCATED_BYTES.get();
    PEAK_BYTES.set(before);
    let started = Instant::now();
    let failure = connection.get_token().err();
    let (duration, peak) = (started.elapsed(), PEAK_BYTES.get() - before);
    assert!(peak <= MAX_ALLOCATED_BYTES + 1024 * 1024, "{name} allocates {peak} bytes");
    assert!(duration < MAX_DURATION, "{name} takes {duration:?}");
    let failure = failure?;
    let expected = [
        AUTHGRANT_KEY_STORE_ERROR,
        AUTHGRANT_KEY_PASSWORD,
        AUTHGRANT_KEY_NOT_FOUND,
        AUTHGRANT_KEY_UNSUITABLE,
    ];
    assert!(expected.contains(&failure.status), "{name}: {failure:?}");
    Some(failure.status)
}

/// Many small elements: a parser might allocate more memory for them than they occupy in the file.
fn oversized_inputs() -> [(&'static str, Vec<u8>); 4] {
    const MANY: usize = 1_000_000;
    let sequence = |body: &[u8]| {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[0x30, 0x84], length.as_slice(), body].concat()
    };
    let keys = format!("{{\"keys\":[{}{{}}]}}", "{\"kty\":\"\"},".repeat(MANY));
    [
        ("a million elements", sequence(&[5, 0].repeat(MANY))),
        (
            "a PKCS#12 store with a million elements",
            sequence(&[&[2, 1, 3], [5, 0].repeat(MANY).as_slice()].concat()),
        ),
        ("a million levels", [&[0x30, 0x80, 2, 1, 3], [0x30, 0x80].repeat(MANY).as_slice()].concat()),
        ("a million keys", keys.into_bytes()),
    ]
}

#[test]
fn corrupted_key_file_never_crashes() {
    for (name, content) in oversized_inputs() {
        assert_eq!(try_open(name, &content, "changeit"), Some(AUTHGRANT_KEY_STORE_ERROR), "{name}");
    }
    let step = if is_soak() { 1 } else { 5 };
    let flips: &[u8] = if is_soak() { &[0x01, 0x20, 0x80, 0xFF] } else { &[0xFF] };
    for (name, original, password) in generate_samples() {
        assert_eq!(try_open(&name, &original, password), None, "{name}: the undamaged file must open");
        for length in (1..original.len()).step_by(step) {
            try_open(&format!("{name} cut at {length}"), &original[..length], password);
        }
        for offset in (0..original.len()).step_by(step) {
            for flip in flips {
                let mut content = original.clone();
                content[offset] ^= flip;
                try_open(&format!("{name} with byte {offset} ^ {flip}"), &content, password);
            }
        }
    }
    if is_soak() {
        mutate_corpus();
    }
    println!("{} damaged key files", OPENED.load(Ordering::Relaxed));
}

/// 64 seeded mutations of each file that key_corpus.rs opens.
fn mutate_corpus() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("build/keys");
    let list = fs::read_to_string(dir.join("corpus.tsv")).expect("key_corpus.rs generates build/keys");
    let mut state = 1_u64;
    let mut random_below = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end
    };
    for name in list.lines().map(|line| line.split('\t').next().unwrap()) {
        // Files whose MAC takes seconds would make the test run for hours, without more coverage.
        if name.contains("million") || name.contains("bomb") || name.starts_with("n-") {
            continue;
        }
        let original = read_file(&dir.join(name));
        for number in 0..64 {
            let mut content = original.clone();
            for _ in 0..=random_below(4) {
                let offset = random_below(content.len());
                content[offset] = random_below(256) as u8;
            }
            try_open(&format!("{name}, mutation {number}"), &content, "changeit");
        }
    }
}
