//! A browser of a few lines of shell.

use std::path::Path;
use std::time::{Duration, Instant};

use super::*;

const URL: &str = "https://as.example/auth?response_type=code&state=hidden";

fn browser(program: impl Into<OsString>, arguments: &[&str]) -> Browser {
    Browser {
        program: program.into(),
        arguments: arguments.iter().map(OsString::from).collect(),
        running: Mutex::default(),
    }
}

/// Runs `script`, with the URL as its `$1`.
fn script(script: &str) -> Browser {
    browser("/bin/sh", &["-c", script, "sh"])
}

fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "it never happened");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn written(path: &Path) -> String {
    eventually(|| std::fs::read_to_string(path).ok().filter(|text| text.ends_with('\n')))
}

#[test]
fn the_url_is_one_argument_and_nothing_in_it_is_a_shells() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let browser = script(&format!(
        "printf '%s|' $# \"$@\" > {0}.part; echo >> {0}.part; mv {0}.part {0}",
        seen.display()
    ));
    let url = "https://as.example/auth?a=$(touch${IFS}x)&b=`id`;'c'&d=%20e";
    browser.open(&Secret::from(url), "by hand").unwrap();
    assert_eq!(
        written(&seen),
        "1|https://as.example/auth?a=%24%28touch%24%7BIFS%7Dx%29&b=%60id%60%3B%27c%27&d=%20e|\n"
    );
}

#[test]
fn only_web_pages_are_opened() {
    let browser = script("exit 0");
    for bad in
        ["file:///etc/passwd", "http://as.example/", "javascript:alert(1)", "-version", "", "mailto:a@b.c"]
    {
        let error = browser.open(&Secret::from(bad), "by hand").unwrap_err();
        assert_eq!(error.status(), Status::InvalidOption, "{bad}");
    }
    for good in [URL, "http://127.0.0.1:8080/auth", "http://localhost/auth"] {
        browser.open(&Secret::from(good), "by hand").unwrap();
    }
}

#[test]
fn a_machine_without_a_browser_tells_the_url_to_open_without_its_state() {
    let error =
        browser("/nowhere/xdg-open", &[]).open(&Secret::from(URL), "https://as.example/auth").unwrap_err();
    assert_eq!(error.status(), Status::Unsupported);
    assert_eq!(error.consent_url(), Some("https://as.example/auth"));
    assert!(error.message().contains("/nowhere/xdg-open") && !error.message().contains("hidden"), "{error}");
}

#[cfg(all(unix, not(target_os = "macos")))]
#[test]
fn a_desktop_that_finds_no_browser_ends_the_wait_and_other_ends_do_not() {
    let none = script("exit 3");
    let mut opened = none.open(&Secret::from(URL), "https://as.example/auth").unwrap();
    let error = eventually(|| opened.check().err());
    assert_eq!((error.status(), error.consent_url()), (Status::Unsupported, Some("https://as.example/auth")));
    for ended in ["exit 0", "exit 4", "kill -9 $$"] {
        let browser = script(ended);
        let mut opened = browser.open(&Secret::from(URL), "by hand").unwrap();
        eventually(|| {
            opened.check().unwrap();
            opened.child.is_none().then_some(())
        });
    }
}

#[test]
fn a_browser_that_outlives_the_login_is_looked_after_at_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("gate");
    let browser = script(&format!("until [ -e {} ]; do sleep 0.01; done", gate.display()));
    drop(browser.open(&Secret::from(URL), "by hand").unwrap());
    browser.look_after(None);
    assert_eq!(browser.lock().len(), 1);
    std::fs::write(&gate, "").unwrap();
    eventually(|| {
        browser.look_after(None);
        browser.lock().is_empty().then_some(())
    });
}

#[test]
fn the_systems_own_program_gets_the_url_as_its_last_argument() {
    let system = Browser::system();
    #[cfg(all(unix, not(target_os = "macos")))]
    assert_eq!((system.program.to_str(), system.arguments.len()), (Some("xdg-open"), 0));
    assert!(!system.program.is_empty());
}
