//! System browser launch: the URL is a single argument of one process; no shell is involved.
//!
//! The process is not waited for, except that a login polls it to detect a missing browser. Processes that
//! outlive the login are reaped when the next one starts.

use std::ffi::OsString;
use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::base::error::{Error, ErrorKind, OptionError, Result, io_error_text};
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::sys;

/// Characters that are percent-encoded before the launch, whatever the origin of the URL: `xdg-open` is a
/// shell script that passes the URL to other programs, and some versions quoted it incorrectly.
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

/// The exit code of xdg-open if there is no browser (its manual: "a required tool could not be found").
#[cfg(not(any(windows, target_os = "macos")))]
const NO_BROWSER_EXIT_CODE: Option<i32> = Some(3);
#[cfg(any(windows, target_os = "macos"))]
const NO_BROWSER_EXIT_CODE: Option<i32> = None;

/// The system browser launcher with its child processes that are still running.
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
    /// The system's URL opener: `xdg-open`, found by PATH; `open` on macOS; on Windows the shell's URL
    /// handler.
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

    /// Opens `url`. `manual_url` is the same URL without state and challenge, which the user can open if this
    /// fails.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] with `manual_url` as its consent URL if no browser can be started.
    pub fn open(&self, url: &Secret, manual_url: &str) -> Result<BrowserProcess<'_>> {
        EndpointUrl::parse(url.reveal()).map_err(|reason| {
            Error::new(OptionError::Invalid, "consent", format!("the authorization URL {reason}"))
                .with_option("AuthURI")
        })?;
        if sys::is_secure_execution() {
            let reason = "the process runs with elevated privileges (set-user-ID, set-group-ID), and the \
                          caller's environment selects the browser";
            return Err(self.unavailable_error(manual_url, reason));
        }
        self.reap(None);
        let url = Secret::new(utf8_percent_encode(url.reveal(), SHELL_METACHARACTERS).to_string());
        match self.spawn(&url) {
            Ok(child) => {
                Ok(BrowserProcess { browser: self, manual_url: manual_url.to_owned(), child: Some(child) })
            }
            Err(error) => Err(self.unavailable_error(manual_url, &io_error_text(&error))),
        }
    }

    fn spawn(&self, url: &Secret) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(url.reveal());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // A Ctrl-C in the caller's terminal must not end the user's browser.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn()
    }

    /// Removes the processes that have exited, after adding `child`.
    fn reap(&self, child: Option<Child>) {
        let mut running = self.lock();
        running.extend(child);
        // An error means that the caller has already reaped the process or ignores SIGCHLD.
        running.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Child>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unavailable_error(&self, manual_url: &str, reason: &str) -> Error {
        let text = format!(
            "cannot open a browser with {}: {reason}; open this URL on a machine where RedirectURI reaches \
             this process, or pass a callback to authgrant_authorize that shows it: {manual_url}",
            sanitize::path(&self.program)
        );
        Error::new(ErrorKind::Unsupported, "consent", text).with_consent_url(Some(manual_url.to_owned()))
    }
}

fn rundll32_path() -> OsString {
    let system = sys::env_var("SystemRoot").unwrap_or_else(|| "C:\\Windows".into());
    let mut path = std::path::PathBuf::from(system);
    path.push("System32");
    path.push("rundll32.exe");
    path.into_os_string()
}

/// A browser process that was started with a URL.
#[derive(Debug)]
pub struct BrowserProcess<'a> {
    browser: &'a Browser,
    manual_url: String,
    child: Option<Child>,
}

impl BrowserProcess<'_> {
    /// Checks that the process has not reported a missing browser; for
    /// [`LoopbackListener::wait_and_complete`](super::LoopbackListener::wait_and_complete).
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] once the process has exited with the code for a missing browser.
    pub fn check(&mut self) -> Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        match child.try_wait() {
            Ok(None) => return Ok(()),
            Ok(Some(status)) if is_no_browser(status) => {
                self.child = None;
                return Err(self.browser.unavailable_error(&self.manual_url, "no browser found"));
            }
            // Other exit codes are ignored: browsers exit with various codes after they have shown the page.
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
