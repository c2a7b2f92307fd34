//! Set-user-ID programs do not read the environment of the user who starts them.
//!
//! This test program is started again as user 65534, from a copy that is owned by another user and has mode
//! 4755. It requires root, setpriv, and a file system without nosuid.
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

/// The parts of the environment that the library may use, each with whether it was read.
fn environment_reads() -> Vec<(&'static str, bool)> {
    let proxies = Options::open("", &ProcessEnvironment).unwrap();
    let server_url = std::env::var(SERVER_ENV).unwrap();
    let tls_failure =
        get_token(&format!("am=53;ClientID=c;ClientSecret=s;ProxyMode=0;TokenEndpoint={server_url}"))
            .map(drop)
            .unwrap_err();
    let connection = open("am=50").unwrap();
    connection.set_option("AccessToken", "env:AUTHGRANT_TEST_TOKEN").unwrap();
    let token = connection.get_token().map(|token| token.value());
    if let Err(failure) = &token {
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
        ("SSL_CERT_FILE", tls_failure.status != AUTHGRANT_TLS),
        ("env:", token.is_ok()),
        ("PATH", is_browser_started()),
    ]
}

fn is_browser_started() -> bool {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let string = format!(
        "am=55;ClaimsIssuer=me;JWTSecret=0123456789abcdef0123456789abcdef;JWTAlgorithm=HS256;\
         Scope=a;ConsentTimeout=1;AuthURI=https://a.example/auth;\
         RedirectURI=http://127.0.0.1:{port}/;TokenEndpoint=https://a.example/t"
    );
    let connection = open(&string).unwrap();
    let failures =
        collect_failures(|error| authgrant_authorize(connection.handle(), None, std::ptr::null_mut(), error));
    let started = Path::new(&std::env::var("AUTHGRANT_TEST_STARTED").unwrap()).exists();
    assert!(started || failures[0].message.contains("set-user-ID"), "{failures:?}");
    started
}

/// A world-readable directory with all files that the environment variables refer to.
fn create_environment_dir(server: &MockServer) -> tempfile::TempDir {
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
    fs::copy(server.ca_pem_path(), folder.path().join("ca.pem")).unwrap();
    fs::copy(std::env::current_exe().unwrap(), folder.path().join("program")).unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(0o755)).unwrap();
    }
    fs::create_dir(folder.path().join("out")).unwrap();
    fs::set_permissions(folder.path().join("out"), Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

/// The output of the program, started as user 65534 with environment variables that refer to `folder`.
fn run_program(folder: &Path, server_url: &str, started: &str, ini: &Path) -> String {
    let file = |name: &str| folder.join(name);
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let output = Command::new("setpriv")
        .args(["--reuid", UNPRIVILEGED_UID, "--regid", UNPRIVILEGED_UID, "--clear-groups"])
        .arg(file("program"))
        .args(["--exact", TEST_NAME, "--nocapture", "--test-threads=1"])
        .current_dir("/")
        .env(SERVER_ENV, server_url)
        .env("AUTHGRANT_TEST_STARTED", file("out").join(started))
        .env("AUTHGRANT_TEST_TOKEN", "from the environment")
        .env("HOME", folder)
        .env("ODBCINI", ini)
        .env("ODBCSYSINI", folder)
        .env("FILEDSNPATH", folder)
        .env("HTTPS_PROXY", "http://proxy.example:1")
        .env("SSL_CERT_FILE", file("ca.pem"))
        .env("PATH", path)
        .output()
        .unwrap();
    let output_text = [output.stdout, output.stderr].concat();
    let output_text = String::from_utf8_lossy(&output_text).into_owned();
    assert!(output.status.success(), "{output_text}");
    output_text
}

#[test]
fn set_user_id_program_reads_no_environment() {
    if std::env::var_os(SERVER_ENV).is_some() {
        let sources = environment_reads();
        let read: Vec<_> = sources.iter().filter(|(_, read)| *read).map(|(name, _)| *name).collect();
        println!(
            "secure={} read {} of {}: {read:?}.",
            authgrant::sys::is_secure_execution(),
            read.len(),
            sources.len()
        );
        return;
    }
    let skip = |reason: &str| println!("not run: {reason}");
    if authgrant::sys::effective_user_id() != 0 {
        return skip("only root can make a set-user-ID program of another user");
    }
    if Command::new("setpriv").arg("--version").output().is_err() {
        return skip("setpriv (util-linux) is not installed");
    }
    let server = MockServer::start(Config::https());
    let (folder, server_url) = (create_environment_dir(&server), server.url("/oauth/token"));
    let program = folder.path().join("program");
    // If the file of ODBCINI is missing, the one in the home directory is read.
    let inis = [folder.path().join("my.ini"), folder.path().join("missing.ini")];
    for (number, ini) in inis.iter().enumerate() {
        let unprivileged = run_program(folder.path(), &server_url, &format!("unprivileged{number}"), ini);
        assert!(unprivileged.contains("secure=false read 7 of 8"), "{unprivileged}");
    }
    chown(&program, Some(OWNER_UID), Some(OWNER_UID)).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o4755)).unwrap();
    for (number, ini) in inis.iter().enumerate() {
        let privileged = run_program(folder.path(), &server_url, &format!("privileged{number}"), ini);
        if privileged.contains("secure=false") {
            return skip("the file system is mounted nosuid, or no_new_privs is set");
        }
        assert!(privileged.contains("secure=true read 0 of 8"), "{privileged}");
    }
}
