//! Public handle of the server: started by `start`, stopped on drop.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;

use crate::client::{Client, ClientOptions};
use crate::config::Config;
use crate::connection;
use crate::request_log::{RecordedRequest, Verdict};
use crate::scenario::Behavior;
use crate::shared::SharedState;
use crate::state::{ResettableState, State};
use crate::tls;

/// A running authorization server. Internal errors panic and so fail the test.
pub struct MockServer {
    shared: Arc<SharedState>,
    address: SocketAddr,
    ca_pem: PathBuf,
    accept_thread: Option<JoinHandle<()>>,
    _dir: TempDir,
}

impl MockServer {
    /// Starts a server on 127.0.0.1. Panics if the port is in use.
    pub fn start(config: Config) -> Self {
        Self::try_start(config).expect("a loopback port")
    }

    /// Starts a server on 127.0.0.1.
    ///
    /// # Errors
    /// The port cannot be bound, for example because it is in use.
    pub fn try_start(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port))?;
        let address = listener.local_addr()?;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let ca_pem = dir.path().join("ca.pem");
        let tls = config.https.then(|| {
            let generated = tls::generate_tls(config.certificate, config.tls12_only);
            std::fs::write(&ca_pem, &generated.ca_pem).expect("ca.pem written");
            generated.server_config
        });
        let shared = Arc::new(SharedState::new(State::new(config), tls));
        let shared_clone = Arc::clone(&shared);
        let accept_thread = thread::spawn(move || connection::accept_connections(&listener, &shared_clone));
        Ok(MockServer { shared, address, ca_pem, accept_thread: Some(accept_thread), _dir: dir })
    }

    /// The URL of a path, such as `https://127.0.0.1:41234/oauth/token`.
    pub fn url(&self, path: &str) -> String {
        self.url_for("127.0.0.1", path)
    }

    /// Like [`Self::url`] with another host name for loopback.
    pub fn url_for(&self, host: &str, path: &str) -> String {
        format!("{}://{host}:{}{path}", self.shared.scheme(), self.port())
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The PEM file of the CA to trust. Exists only with https, until the server is dropped.
    pub fn ca_pem_path(&self) -> &Path {
        &self.ca_pem
    }

    /// Registers a client with PEM certificates or public keys. Replaces a client with the same issuer name.
    pub fn register<K: AsRef<str>>(&self, issuer: &str, keys: &[K], options: ClientOptions) {
        let client = Client::new(issuer, keys, options).expect("keys to register");
        self.shared.state.lock().register(client);
    }

    /// Changes the configuration for the following requests. Transport settings have no effect.
    pub fn reconfigure(&self, change: impl FnOnce(&mut Config)) {
        change(&mut self.shared.state.lock().config);
    }

    /// Rejects this subject with `consent_required` until consent is given at the authorization endpoint.
    pub fn require_consent(&self, subject: &str) {
        self.shared.state.lock().require_consent(subject);
    }

    /// Sets the behaviors of the next token requests, one per request of any method. Replaces the rest of an
    /// earlier script.
    pub fn set_script(&self, script: Vec<Behavior>) {
        self.shared.state.lock().set_script(script);
    }

    /// Sets the behavior of token requests after the end of the script.
    pub fn set_default_behavior(&self, behavior: Behavior) {
        self.shared.state.lock().set_default_behavior(Some(behavior));
    }

    /// Removes script and default behavior, and opens the gate.
    pub fn clear_behaviors(&self) {
        self.shared.state.lock().set_script(Vec::new());
        self.shared.state.lock().set_default_behavior(None);
        self.open_gate();
    }

    /// Opens the gate for waiting and later requests, until the next `set_script`, `set_default_behavior` or
    /// `reset`.
    pub fn open_gate(&self) {
        self.shared.state.lock().gate.open = true;
        self.shared.notify_waiters();
    }

    /// Waits until `count` requests wait at the gate; `false` after `timeout`.
    pub fn wait_for_gate(&self, count: usize, timeout: Duration) -> bool {
        self.shared.wait_until(timeout, |state| state.gate.waiting >= count)
    }

    /// Waits until `count` token requests were received; `false` after `timeout`.
    pub fn wait_for_token_requests(&self, count: usize, timeout: Duration) -> bool {
        self.shared.wait_until(timeout, |state| {
            state.resettable.requests.iter().filter(|one| one.verdict != Verdict::NotChecked).count() >= count
        })
    }

    /// All requests received, in order, except those to `/control/`.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.state.lock().resettable.requests.clone()
    }

    /// The token requests of [`Self::requests`].
    pub fn token_requests(&self) -> Vec<RecordedRequest> {
        let mut requests = self.requests();
        requests.retain(|one| one.verdict != Verdict::NotChecked);
        requests
    }

    /// The number of accepted connections, including those with a failed TLS handshake.
    pub fn connection_count(&self) -> u64 {
        self.shared.state.lock().connection_count
    }

    /// The access tokens issued, in order.
    pub fn issued_tokens(&self) -> Vec<String> {
        self.shared.state.lock().resettable.issued_tokens.iter().map(|one| one.token.clone()).collect()
    }

    /// The refresh tokens issued, in order.
    pub fn refresh_tokens(&self) -> Vec<String> {
        self.shared.state.lock().resettable.grant_store.refresh_tokens()
    }

    /// Issues a refresh token for this subject, as if by an earlier login. The client must be registered.
    pub fn issue_refresh_token(&self, issuer: &str, subject: &str, scope: Option<&str>) -> String {
        let issued = self.shared.state.lock().issue_refresh_token(issuer, subject, scope);
        issued.expect("a registered client")
    }

    /// The number of `POST /oauth/logoff` requests.
    pub fn logoff_count(&self) -> u64 {
        self.shared.state.lock().resettable.logoff_count
    }

    /// Revokes an access token, or a refresh token with all tokens of the same login; `false` if the token is
    /// unknown.
    pub fn revoke(&self, token: &str) -> bool {
        self.shared.state.lock().revoke(token)
    }

    /// Clears requests, tokens, used `jti`s, consents and behaviors; keeps clients and configuration.
    pub fn reset(&self) {
        self.shared.state.lock().reset();
        self.shared.notify_waiters();
    }
}

impl State {
    pub(crate) fn reset(&mut self) {
        self.resettable = ResettableState::default();
        self.gate.open = false;
    }
}

impl Drop for MockServer {
    fn drop(&mut self) {
        self.shared.stop();
        // The accept thread checks for the stop only after a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.accept_thread.take() {
            let _ = thread.join();
        }
    }
}
