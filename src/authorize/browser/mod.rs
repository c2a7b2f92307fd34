//! Opens a URL in the system's browser: one argument of one process, never a shell.
//!
//! The process is left to itself: nobody waits for it but whoever waits for the person, and what is still running then
//! is looked after when the next one is started.

use std::ffi::OsString;
use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::base::error::{Error, Result, Status};
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::sys;

/// `xdg-open` is a shell script that hands the URL on to others, and some of its versions were careless: no character
/// that a shell knows leaves here, wherever the URL came from.
const SHELL_METACHARACTERS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'!')
    .add(b'"')
    .add(b'$')
    .add(b'\'')
    .add(b'(')
    .add(b')')
    .add(b'*')
    .add(b';')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// xdg-open's own way to say that there is no browser (its manual: "a required tool could not be found").
#[cfg(not(any(windows, target_os = "macos")))]
const NO_BROWSER_EXIT_CODE: Option<i32> = Some(3);
#[cfg(any(windows, target_os = "macos"))]
const NO_BROWSER_EXIT_CODE: Option<i32> = None;

/// The system's browser, and what this process has started of it.
#[derive(Debug)]
pub struct Browser {
    program: OsString,
    arguments: Vec<OsString>,
    running: Mutex<Vec<Child>>,
}

impl Default for Browser {
    fn default() -> Self {
        Self::system()
    }
}

impl Browser {
    /// What the system opens URLs with: `xdg-open`, found by PATH; `open` on macOS; on Windows the shell's own handler.
    #[must_use]
    pub fn system() -> Self {
        let (program, arguments): (OsString, &[&str]) = if cfg!(windows) {
            (rundll32_path(), &["url.dll,FileProtocolHandler"])
        } else if cfg!(target_os = "macos") {
            ("/usr/bin/open".into(), &[])
        } else {
            ("xdg-open".into(), &[])
        };
        let arguments = arguments.iter().map(OsString::from).collect();
        Self { program, arguments, running: Mutex::default() }
    }

    /// Opens `url`. `by_hand` is the same without state and challenge, for the person to open where this fails.
    ///
    /// # Errors
    /// [`Status::Unsupported`] with `by_hand` as its consent URL where there is nothing to open it with.
    pub fn open(&self, url: &Secret, by_hand: &str) -> Result<BrowserProcess<'_>> {
        EndpointUrl::parse(url.reveal()).map_err(|why| {
            Error::new(Status::InvalidOption, "consent", format!("the URL to open {why}"))
                .with_option("AuthURI")
        })?;
        if sys::is_secure_execution() {
            let why = "the process runs with privileges that its caller does not have (set-user-ID, set-group-ID), and \
                       the browser is found by the caller's environment";
            return Err(self.unavailable_error(by_hand, why));
        }
        self.reap(None);
        let url = Secret::new(utf8_percent_encode(url.reveal(), SHELL_METACHARACTERS).to_string());
        match self.spawn(&url) {
            Ok(child) => {
                Ok(BrowserProcess { browser: self, manual_url: by_hand.to_owned(), child: Some(child) })
            }
            Err(error) => Err(self.unavailable_error(by_hand, &error.to_string())),
        }
    }

    fn spawn(&self, url: &Secret) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(url.reveal());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // A Ctrl-C at the host's terminal is not meant for the person's browser.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn()
    }

    /// Lets go of those that have ended, and takes `another` in.
    fn reap(&self, another: Option<Child>) {
        let mut running = self.lock();
        running.extend(another);
        // An error means that the host has seen to its end already, or wants to hear of none.
        running.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Child>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unavailable_error(&self, by_hand: &str, why: &str) -> Error {
        let text = format!(
            "no browser could be opened with {}: {why}; open the consent URL on any machine where its RedirectURI leads \
             back here, or hand authgrant_authorize a function that shows it: {by_hand}",
            self.program.display()
        );
        Error::new(Status::Unsupported, "consent", text).with_consent_url(Some(by_hand.to_owned()))
    }
}

fn rundll32_path() -> OsString {
    let system = sys::env_var("SystemRoot").unwrap_or_else(|| "C:\\Windows".into());
    let mut path = std::path::PathBuf::from(system);
    path.push("System32");
    path.push("rundll32.exe");
    path.into_os_string()
}

/// A URL that was handed to the browser.
#[derive(Debug)]
pub struct BrowserProcess<'a> {
    browser: &'a Browser,
    manual_url: String,
    child: Option<Child>,
}

impl BrowserProcess<'_> {
    /// Whether the program still may have shown it: for [`Listener::wait_beside`](super::Listener::wait_beside).
    ///
    /// # Errors
    /// [`Status::Unsupported`] once it has ended with the word that there is no browser.
    pub fn check(&mut self) -> Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        match child.try_wait() {
            Ok(None) => return Ok(()),
            Ok(Some(status)) if is_no_browser(status) => {
                self.child = None;
                return Err(self.browser.unavailable_error(&self.manual_url, "it found none"));
            }
            // A failure of another kind says little: browsers that have shown the page end with all kinds of numbers.
            Ok(Some(_)) | Err(_) => {}
        }
        self.child = None;
        Ok(())
    }
}

fn is_no_browser(status: ExitStatus) -> bool {
    status.code().is_some() && status.code() == NO_BROWSER_EXIT_CODE
}

impl Drop for BrowserProcess<'_> {
    fn drop(&mut self) {
        self.browser.reap(self.child.take());
    }
}

#[cfg(test)]
mod tests;
