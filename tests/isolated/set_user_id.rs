//! A set-user-ID program does not read the environment of its caller: this test program once more, owned by another user and
//! with the mode 4755, started as nobody. It needs root, setpriv, and a file system that heeds the mode.
#![cfg(target_os = "linux")]

#[path = "../support/mod.rs"]
mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use authgrant::ffi::authorize::authgrant_authorize;
use authgrant::ffi::status::*;
use authgrant::options::{Options, ProcessEnvironment};
use mock_server::{Config, MockServer};
use support::c_api::{collect_failures, get_token, open};

const TEST_NAME: &str = "set_user_id_program_reads_no_environment";
const SERVER_ENV: &str = "AUTHGRANT_TEST_SERVER";
const UNPRIVILEGED_UID: &str = "65534";
const OWNER_UID: u32 = 1;

/// What the library reads of its environment, each with whether it did.
fn environment_reads() -> Vec<(&'static str, bool)> {
    let proxies = Options::open("", &ProcessEnvironment).unwrap();
    let server = std::env::var(SERVER_ENV).unwrap();
    let trusted = get_token(&format!("am=53;ClientID=c;ClientSecret=s;ProxyMode=0;TokenEndpoint={server}"))
        .map(drop)
        .unwrap_err();
    let referring = open("am=50").unwrap();
    referring.set_option("AccessToken", "env:AUTHGRANT_TEST_TOKEN").unwrap();
    let referred = referring.get_token().map(|token| token.value());
    if let Err(failure) = &referred {
        assert_eq!(
            (failure.status, failure.option.as_deref()),
            (AUTHGRANT_INVALID_OPTION, Some("AccessToken"))
        );
        assert!(failure.message.contains("set-user-ID"), "{failure:?}");
    }
    vec![
        ("ODBCINI", open("DSN=by-variable").is_ok()),
        ("HOME", open("DSN=at-home").is_ok()),
        ("ODBCSYSINI", open("DSN=of-system").is_ok()),
        ("FILEDSNPATH", open("FILEDSN=named").is_ok()),
        ("HTTPS_PROXY", proxies.proxy_env().proxy.is_some()),
        ("SSL_CERT_FILE", trusted.status != AUTHGRANT_TLS),
        ("env:", referred.is_ok()),
        ("PATH", is_browser_started()),
    ]
}

fn is_browser_started() -> bool {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let consent = format!(
        "am=55;ClaimsIssuer=me;JWTSecret=0123456789abcdef0123456789abcdef;JWTAlgorithm=HS256;Scope=a;ConsentTimeout=1;\
         AuthURI=https://a.example/auth;RedirectURI=http://127.0.0.1:{port}/;TokenEndpoint=https://a.example/t"
    );
    let connection = open(&consent).unwrap();
    let told =
        collect_failures(|error| authgrant_authorize(connection.handle(), None, std::ptr::null_mut(), error));
    let started = Path::new(&std::env::var("AUTHGRANT_TEST_STARTED").unwrap()).exists();
    assert!(started || told[0].message.contains("set-user-ID"), "{told:?}");
    started
}

/// A folder that everybody may enter, with all that the variables name.
fn create_environment_dir(authority: &MockServer) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let section = |name: &str| format!("[{name}]\nam=50\nAccessToken=a\n");
    for (name, text) in [
        ("my.ini", section("by-variable")),
        (".odbc.ini", section("at-home")),
        ("odbc.ini", section("of-system")),
        ("named.dsn", section("ODBC")),
        ("xdg-open", "#!/bin/sh\n: >\"$AUTHGRANT_TEST_STARTED\"\n".to_owned()),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    fs::copy(authority.ca_pem_path(), folder.path().join("ca.pem")).unwrap();
    fs::copy(std::env::current_exe().unwrap(), folder.path().join("program")).unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(0o755)).unwrap();
    }
    fs::create_dir(folder.path().join("out")).unwrap();
    fs::set_permissions(folder.path().join("out"), Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

/// What the program says when nobody starts it with variables that lead into `folder`.
fn run_program(folder: &Path, server: &str, started: &str, ini: &Path) -> String {
    let at = |name: &str| folder.join(name);
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let output = Command::new("setpriv")
        .args(["--reuid", UNPRIVILEGED_UID, "--regid", UNPRIVILEGED_UID, "--clear-groups"])
        .arg(at("program"))
        .args(["--exact", TEST_NAME, "--nocapture", "--test-threads=1"])
        .current_dir("/")
        .env(SERVER_ENV, server)
        .env("AUTHGRANT_TEST_STARTED", at("out").join(started))
        .env("AUTHGRANT_TEST_TOKEN", "from the environment")
        .env("HOME", folder)
        .env("ODBCINI", ini)
        .env("ODBCSYSINI", folder)
        .env("FILEDSNPATH", folder)
        .env("HTTPS_PROXY", "http://proxy.example:1")
        .env("SSL_CERT_FILE", at("ca.pem"))
        .env("PATH", path)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn set_user_id_program_reads_no_environment() {
    if std::env::var_os(SERVER_ENV).is_some() {
        let readings = environment_reads();
        let read: Vec<_> = readings.iter().filter(|(_, read)| *read).map(|(name, _)| *name).collect();
        println!(
            "secure={} read {} of {}: {read:?}.",
            authgrant::sys::is_secure_execution(),
            read.len(),
            readings.len()
        );
        return;
    }
    let skip = |why: &str| println!("not run: {why}");
    if authgrant::sys::effective_user_id() != 0 {
        return skip("only root can make a set-user-ID program of another user");
    }
    if Command::new("setpriv").arg("--version").output().is_err() {
        return skip("setpriv (util-linux) is not installed");
    }
    let authority = MockServer::start(Config::https());
    let (folder, server) = (create_environment_dir(&authority), authority.url("/oauth/token"));
    let program = folder.path().join("program");
    // Without ODBCINI's file the one at home is read.
    let inis = [folder.path().join("my.ini"), folder.path().join("missing.ini")];
    for (number, ini) in inis.iter().enumerate() {
        let ordinary = run_program(folder.path(), &server, &format!("ordinary{number}"), ini);
        assert!(ordinary.contains("secure=false read 7 of 8"), "{ordinary}");
    }
    chown(&program, Some(OWNER_UID), Some(OWNER_UID)).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o4755)).unwrap();
    for (number, ini) in inis.iter().enumerate() {
        let raised = run_program(folder.path(), &server, &format!("raised{number}"), ini);
        if raised.contains("secure=false") {
            return skip("the file system is mounted nosuid, or no_new_privs is set");
        }
        assert!(raised.contains("secure=true read 0 of 8"), "{raised}");
    }
}
