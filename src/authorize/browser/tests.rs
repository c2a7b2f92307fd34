//! Browser launch with shell scripts as browsers.

use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::base::error::Status;

const URL: &str = "https://as.example/auth?response_type=code&state=hidden";

fn browser_with(program: impl Into<OsString>, arguments: &[&str]) -> Browser {
    Browser {
        program: program.into(),
        arguments: arguments.iter().map(OsString::from).collect(),
        running: Mutex::default(),
    }
}

/// A browser that runs `script` with the URL as `$1`.
fn shell_browser(script: &str) -> Browser {
    browser_with("/bin/sh", &["-c", script, "sh"])
}

fn wait_for<T>(mut poll: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "timed out");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn wait_for_file(path: &Path) -> String {
    wait_for(|| std::fs::read_to_string(path).ok().filter(|text| text.ends_with('\n')))
}

#[test]
fn url_is_single_shell_safe_argument() {
    let folder = tempfile::tempdir().unwrap();
    let arguments_file = folder.path().join("arguments");
    let browser = shell_browser(&format!(
        "printf '%s|' $# \"$@\" > {0}.part; echo >> {0}.part; mv {0}.part {0}",
        arguments_file.display()
    ));
    let url = "https://as.example/auth?a=$(touch${IFS}x)&b=`id`;'c'&d=%20e";
    browser.open(&Secret::from(url), "manual").unwrap();
    assert_eq!(
        wait_for_file(&arguments_file),
        "1|https://as.example/auth?a=%24%28touch%24%7BIFS%7Dx%29&b=%60id%60%3B%27c%27&d=%20e|\n"
    );
}

#[test]
fn only_web_urls_are_opened() {
    let browser = shell_browser("exit 0");
    for bad in
        ["file:///etc/passwd", "http://as.example/", "javascript:alert(1)", "-version", "", "mailto:a@b.c"]
    {
        let error = browser.open(&Secret::from(bad), "manual").unwrap_err();
        assert_eq!(error.status(), Status::InvalidOption, "{bad}");
    }
    for good in [URL, "http://127.0.0.1:8080/auth", "http://localhost/auth"] {
        browser.open(&Secret::from(good), "manual").unwrap();
    }
}

#[test]
fn missing_browser_error_has_stateless_url() {
    let error = browser_with("/nowhere/xdg-open", &[])
        .open(&Secret::from(URL), "https://as.example/auth")
        .unwrap_err();
    assert_eq!(error.status(), Status::Unsupported);
    assert_eq!(error.consent_url(), Some("https://as.example/auth"));
    assert!(error.message().contains("/nowhere/xdg-open") && !error.message().contains("hidden"), "{error}");
}

#[cfg(all(unix, not(target_os = "macos")))]
#[test]
fn only_no_browser_exit_code_fails() {
    let missing = shell_browser("exit 3");
    let mut process = missing.open(&Secret::from(URL), "https://as.example/auth").unwrap();
    let error = wait_for(|| process.check().err());
    assert_eq!((error.status(), error.consent_url()), (Status::Unsupported, Some("https://as.example/auth")));
    for script in ["exit 0", "exit 4", "kill -9 $$"] {
        let browser = shell_browser(script);
        let mut process = browser.open(&Secret::from(URL), "manual").unwrap();
        wait_for(|| {
            process.check().unwrap();
            process.child.is_none().then_some(())
        });
    }
}

#[test]
fn browser_outliving_login_is_reaped_later() {
    let folder = tempfile::tempdir().unwrap();
    let exit_file = folder.path().join("exit");
    let browser = shell_browser(&format!("until [ -e {} ]; do sleep 0.01; done", exit_file.display()));
    drop(browser.open(&Secret::from(URL), "manual").unwrap());
    browser.reap(None);
    assert_eq!(browser.lock().len(), 1);
    std::fs::write(&exit_file, "").unwrap();
    wait_for(|| {
        browser.reap(None);
        browser.lock().is_empty().then_some(())
    });
}

#[test]
fn system_browser_uses_platform_opener() {
    let system = Browser::system();
    #[cfg(all(unix, not(target_os = "macos")))]
    assert_eq!((system.program.to_str(), system.arguments.len()), (Some("xdg-open"), 0));
    assert!(!system.program.is_empty());
}
