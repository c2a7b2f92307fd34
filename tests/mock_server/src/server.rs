//! The server as a test holds it: started by `start`, stopped by its drop.

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

/// A running authorization server. Failures of its own abort the test by a panic.
pub struct MockServer {
    shared: Arc<SharedState>,
    address: SocketAddr,
    ca_pem: PathBuf,
    accept_thread: Option<JoinHandle<()>>,
    _dir: TempDir,
}

impl MockServer {
    /// Listens on 127.0.0.1 from now on.
    pub fn start(config: Config) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port)).expect("a loopback port");
        let address = listener.local_addr().expect("the address of a listening socket");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let ca_pem = dir.path().join("ca.pem");
        let tls = config.https.then(|| {
            let made = tls::generate_tls(config.certificate);
            std::fs::write(&ca_pem, &made.ca_pem).expect("ca.pem written");
            made.server_config
        });
        let shared = Arc::new(SharedState::new(State::new(config), tls));
        let theirs = Arc::clone(&shared);
        let accepting = thread::spawn(move || connection::accept_connections(&listener, &theirs));
        MockServer { shared, address, ca_pem, accept_thread: Some(accepting), _dir: dir }
    }

    /// The URL of a path, such as `https://127.0.0.1:41234/oauth/token`.
    pub fn url(&self, path: &str) -> String {
        self.url_for("127.0.0.1", path)
    }

    /// The same under another name of the loopback.
    pub fn url_for(&self, host: &str, path: &str) -> String {
        format!("{}://{host}:{}{path}", self.shared.scheme(), self.port())
    }

    /// The port listened on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The PEM file of the CA to trust; exists with https only, and until the drop.
    pub fn ca_pem_path(&self) -> &Path {
        &self.ca_pem
    }

    /// Registers a client by issuer name and PEM texts of certificates or public keys, in place of one with that name.
    pub fn register<K: AsRef<str>>(&self, issuer: &str, keys: &[K], options: ClientOptions) {
        let client = Client::new(issuer, keys, options).expect("keys to register");
        self.shared.state.lock().register(client);
    }

    /// Changes what the config says, from the next request on. Transport stays.
    pub fn reconfigure(&self, change: impl FnOnce(&mut Config)) {
        change(&mut self.shared.state.lock().config);
    }

    /// Refuses this subject with `consent_required` until the authorization page was visited.
    pub fn require_consent(&self, subject: &str) {
        self.shared.state.lock().require_consent(subject);
    }

    /// Plays these, one a token request whatever its method, in place of what was left of an earlier script.
    pub fn set_script(&self, script: Vec<Behavior>) {
        self.shared.state.lock().set_script(script);
    }

    /// Plays this on each token request that no script covers.
    pub fn set_default_behavior(&self, play: Behavior) {
        self.shared.state.lock().set_default_behavior(Some(play));
    }

    /// Ends all playing and opens the gate.
    pub fn clear_behaviors(&self) {
        self.shared.state.lock().set_script(Vec::new());
        self.shared.state.lock().set_default_behavior(None);
        self.open_gate();
    }

    /// Opens the gate, for those who wait and those who come, until the next `play`, `play_always` or `reset`.
    pub fn open_gate(&self) {
        self.shared.state.lock().gate.open = true;
        self.shared.notify_waiters();
    }

    /// Waits until so many requests stand at the gate; `false` after `time`.
    pub fn wait_for_gate(&self, count: usize, time: Duration) -> bool {
        self.shared.wait_until(time, |state| state.gate.waiting >= count)
    }

    /// Waits until so many token requests were read; `false` after `time`.
    pub fn wait_for_token_requests(&self, count: usize, time: Duration) -> bool {
        self.shared.wait_until(time, |state| {
            state.resettable.requests.iter().filter(|one| one.verdict != Verdict::NotChecked).count() >= count
        })
    }

    /// Every request read, in order, except those to `/control/`.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.state.lock().resettable.requests.clone()
    }

    /// The token requests among them.
    pub fn token_requests(&self) -> Vec<RecordedRequest> {
        let mut requests = self.requests();
        requests.retain(|one| one.verdict != Verdict::NotChecked);
        requests
    }

    /// How many connections were accepted, TLS handshake done or not.
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

    /// A refresh token as if this client had got it for this subject earlier. The client must be registered.
    pub fn issue_refresh_token(&self, issuer: &str, subject: &str, scope: Option<&str>) -> String {
        let issued = self.shared.state.lock().issue_refresh_token(issuer, subject, scope);
        issued.expect("a client to give a refresh token to")
    }

    /// How often `POST /oauth/logoff` was called.
    pub fn logoff_count(&self) -> u64 {
        self.shared.state.lock().resettable.logoff_count
    }

    /// Makes an issued access token worthless, or a refresh token and all that stems from the same sign-in; `false` if
    /// it never was issued.
    pub fn revoke(&self, token: &str) -> bool {
        self.shared.state.lock().revoke(token)
    }

    /// Forgets requests, tokens, used `jti`s, consents and plays; keeps clients and config.
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
        // The accepting thread looks up only when somebody connects.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.accept_thread.take() {
            let _ = thread.join();
        }
    }
}
