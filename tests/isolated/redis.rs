//! The store on a Redis server: redis-server, or the program that AUTHGRANT_REDIS_SERVER names.
//!
//! Not part of `cargo test`, because Redis may be missing; `make test` installs it and runs this file as its
//! part `redis`, with Redis and with Valkey. Each test starts its own servers.

use std::cell::Cell;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use authgrant::base::call::CallContext;
use authgrant::base::error::{Error, Status};
use authgrant::base::file::ConfiguredPath;
use authgrant::base::log::{Log, LogLevel, LogSink};
use authgrant::net::tls::TransportConfig;
use authgrant::token_store::{
    EntryName, Owner, Put, RedisLocation, StoreHandle, StoreLocation, TokenStore, TokenStores, header,
};
use tempfile::TempDir;

/// The commands of docs/token-sharing.md, but those that are not always needed.
const COMMANDS: [&str; 12] = [
    "get", "set", "del", "pttl", "pexpire", "getrange", "watch", "unwatch", "multi", "exec", "xadd", "xread",
];

/// A server process with a private directory and a Unix domain socket in it.
struct Server {
    port: u16,
    directory: TempDir,
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts a server with these lines in its configuration.
    fn start(config: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), config)
    }

    fn start_in(directory: TempDir, config: &str) -> Self {
        let port = unused_port();
        let path = directory.path();
        let text = format!(
            "bind 127.0.0.1\nport {port}\nunixsocket {0}/redis.sock\ndir {0}\nsave \"\"\nappendonly no\n\
             repl-diskless-sync-delay 0\n{config}\n",
            path.display()
        );
        fs::write(path.join("redis.conf"), text).unwrap();
        let child = spawn(path);
        let server = Self { port, directory, child };
        server.wait_until_listening();
        server
    }

    fn wait_until_listening(&self) {
        // NOAUTH is an answer, too.
        wait_until("the server listens", || {
            let reply = self.cli(&["ping"]);
            ["PONG", "NOAUTH", "CLUSTERDOWN"].iter().any(|text| reply.contains(text))
        });
    }

    /// Sends a command and returns the reply as text.
    fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(arguments)
            .output()
            .expect("redis-cli runs");
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
    }

    fn expect_ok(&self, arguments: &[&str]) {
        let reply = self.cli(arguments);
        assert_eq!(reply.trim(), "OK", "{arguments:?}");
    }

    fn location(&self) -> RedisLocation {
        location(&format!("redis://127.0.0.1:{}", self.port))
    }

    fn store(&self) -> Store {
        Store::new(self.location())
    }

    fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: the process is a child of this one, which has not been waited for.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn restart(&mut self) {
        self.child = spawn(self.directory.path());
        self.wait_until_listening();
    }

    /// The number of connections that the server has accepted.
    fn connections(&self) -> u32 {
        let info = self.cli(&["info", "stats"]);
        let count = info.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
        count.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("{info}"))
    }

    /// The commands since the last call with the number of each, as `get=1 pttl=1`.
    fn take_command_counts(&self) -> String {
        let info = self.cli(&["info", "commandstats"]);
        self.expect_ok(&["config", "resetstat"]);
        let mut counts: Vec<_> = info
            .lines()
            .filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(":calls="))
            .filter(|(name, _)| !name.starts_with("config") && !name.starts_with("info"))
            .map(|(name, rest)| format!("{name}={}", rest.split(',').next().unwrap()))
            .collect();
        counts.sort();
        counts.join(" ")
    }
}

fn spawn(directory: &Path) -> Child {
    let program = std::env::var_os("AUTHGRANT_REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
    let output = fs::File::create(directory.join("output")).unwrap();
    Command::new(&program)
        .arg(directory.join("redis.conf"))
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap_or_else(|error| panic!("{program:?}: {error}"))
}

fn unused_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Polls until `condition` is true.
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn location(text: &str) -> RedisLocation {
    match StoreLocation::parse(text) {
        Ok(StoreLocation::Redis(location)) => *location,
        other => panic!("{other:?}"),
    }
}

/// A store with the calls of the tests.
struct Store(Arc<StoreHandle>);

impl Store {
    fn new(location: RedisLocation) -> Self {
        Self(TokenStores::default().get(&StoreLocation::Redis(Box::new(location))).unwrap())
    }

    fn inner(&self) -> &dyn TokenStore {
        self.0.store()
    }

    /// The generation of the value, if there is one.
    fn get(&self) -> Result<Option<u64>, Error> {
        let found = self.inner().get(&name(), &call())?;
        Ok(found.map(|found| authgrant::token_store::generation(&found.bytes).unwrap()))
    }

    fn lease(&self, owner: Owner) -> Result<bool, Error> {
        self.inner().lease(&name(), &owner, Duration::from_secs(60), &call())
    }

    fn release(&self, owner: Owner) -> Result<(), Error> {
        self.inner().release(&name(), &owner, &call())
    }

    fn wait_for_change(&self, generation: u64) -> Result<(), Error> {
        self.inner().wait_for_change(&name(), generation, Duration::ZERO, &call())
    }

    /// Writes the generation after `generation`.
    fn put(&self, owner: Owner, generation: u64, edit: impl FnOnce(&mut Put<'_>)) -> Result<bool, Error> {
        let (name, value) = (name(), value(generation + 1));
        let mut put = Put {
            name: &name,
            owner: &owner,
            expected_generation: generation,
            value: &value,
            ttl: Duration::from_secs(60),
            releases_lease: false,
            is_durable: false,
        };
        edit(&mut put);
        self.inner().put(&put, &call())
    }

    /// Every operation, with a result of each kind.
    fn use_all(&self) -> Result<(), Error> {
        let generation = self.get()?.unwrap_or(0);
        assert!(self.lease(FIRST)? && !self.lease(SECOND)?);
        assert!(!self.put(SECOND, generation, |_| {})?, "another owner");
        assert!(!self.put(FIRST, generation + 1, |_| {})?, "another generation");
        assert!(self.put(FIRST, generation, |_| {})?);
        assert_eq!(self.get()?, Some(generation + 1));
        assert!(self.put(FIRST, generation + 1, |put| {
            put.releases_lease = true;
            put.is_durable = true;
        })?);
        assert!(self.lease(SECOND)?, "the first write of two kept the lease, the second ended it");
        self.release(FIRST)?;
        assert!(!self.lease(FIRST)?, "only its owner ends a lease");
        self.release(SECOND)?;
        assert_eq!(self.get()?, Some(generation + 2));
        self.wait_for_change(generation)
    }
}

const FIRST: Owner = Owner([1; 16]);
const SECOND: Owner = Owner([2; 16]);

fn name() -> EntryName {
    EntryName::from_digest([7; 32])
}

fn value(generation: u64) -> Vec<u8> {
    // Contains every byte.
    [header(generation).to_vec(), (0..=255).cycle().take(2000).collect()].concat()
}

fn call() -> CallContext {
    call_with_timeout_ms(20_000)
}

fn call_with_timeout_ms(millis: u64) -> CallContext {
    CallContext::with_timeout(Duration::from_millis(millis), "TokenCacheTimeout")
}

#[track_caller]
fn assert_error<T: std::fmt::Debug>(result: Result<T, Error>, (status, option): (Status, &str), text: &str) {
    let error = result.unwrap_err();
    assert_eq!((error.status(), error.option()), (status, Some(option)), "{error}");
    assert!(error.message().contains(text), "{error}");
}

#[test]
fn values_and_leases_are_kept() {
    let server = Server::start("");
    let store = server.store();
    assert_eq!(store.get().unwrap(), None);
    store.use_all().unwrap();
    store.use_all().unwrap();
    let found = store.inner().get(&name(), &call()).unwrap().unwrap();
    assert_eq!(found.bytes, value(4));
    assert!(found.ttl > Duration::from_secs(30) && found.ttl <= Duration::from_secs(60), "{:?}", found.ttl);
    let large = [&header(5)[..], &vec![0; (256 << 10) - 9]].concat();
    assert!(store.lease(FIRST).unwrap());
    let name = name();
    let put = Put {
        name: &name,
        owner: &FIRST,
        expected_generation: 4,
        value: &large,
        ttl: Duration::from_secs(60),
        releases_lease: false,
        is_durable: false,
    };
    assert!(store.inner().put(&put, &call()).unwrap());
    assert_eq!(store.inner().get(&name, &call()).unwrap().unwrap().bytes, large);
}

#[test]
fn operations_send_few_commands() {
    const WRITE: &str = "del=1 exec=1 get=1 getrange=1 multi=1 pexpire=1 set=1 watch=1 xadd=1";
    let server = Server::start("");
    let store = server.store();
    server.take_command_counts();
    store.get().unwrap();
    assert_eq!(server.take_command_counts(), "get=1");
    store.lease(FIRST).unwrap();
    assert_eq!(server.take_command_counts(), "set=1");
    store.put(FIRST, 0, |_| {}).unwrap();
    assert_eq!(server.take_command_counts(), WRITE);
    store.get().unwrap();
    assert_eq!(server.take_command_counts(), "get=1 pttl=1");
    store.put(FIRST, 1, |put| put.releases_lease = true).unwrap();
    assert_eq!(server.take_command_counts(), WRITE);
    store.release(FIRST).unwrap();
    assert_eq!(server.take_command_counts(), "get=1 unwatch=1 watch=1");
}

#[test]
fn write_ends_wait_for_change() {
    let server = Server::start("");
    let (store, waiting) = (server.store(), server.store());
    assert!(store.lease(FIRST).unwrap());
    for generation in 0..5 {
        let ended = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                waiting.wait_for_change(generation).unwrap();
                Instant::now()
            });
            let is_blocked = || server.cli(&["info", "clients"]).contains("blocked_clients:1\r\n");
            while !waiter.is_finished() && !is_blocked() {}
            let written = Instant::now();
            assert!(store.put(FIRST, generation, |_| {}).unwrap());
            waiter.join().unwrap().saturating_duration_since(written)
        });
        assert!(ended < Duration::from_millis(250), "{ended:?}");
        // Who read the older generation does not wait. A generation that the store has lost is waited for.
        let started = Instant::now();
        waiting.wait_for_change(generation).unwrap();
        assert!(started.elapsed() < Duration::from_millis(250), "{:?}", started.elapsed());
    }
    waiting.wait_for_change(9).unwrap();
    let key = format!("authgrant:{{{}}}", name().as_str());
    assert_eq!(server.cli(&["del", &key]).trim(), "1");
    assert!(store.put(FIRST, 0, |_| {}).unwrap(), "generations begin again");
    let lifetime: i64 = server.cli(&["pttl", &format!("{key}:changes")]).trim().parse().unwrap();
    assert!((1..=60_000).contains(&lifetime), "{lifetime}");
}

#[test]
fn leases_and_values_expire() {
    let server = Server::start("");
    let store = server.store();
    assert!(store.inner().lease(&name(), &FIRST, Duration::from_millis(100), &call()).unwrap());
    wait_until("the lease expires", || store.lease(SECOND).unwrap());
    assert!(!store.put(FIRST, 0, |_| {}).unwrap());
    assert!(store.put(SECOND, 0, |put| put.ttl = Duration::from_millis(200)).unwrap());
    wait_until("the value expires", || store.get().unwrap().is_none());
}

#[test]
fn foreign_values_are_absent_and_replaced() {
    let server = Server::start("");
    let store = server.store();
    let key = format!("authgrant:{{{}}}", name().as_str());
    server.expect_ok(&["set", &key, "of another application"]);
    assert!(store.inner().get(&name(), &call()).unwrap().is_none(), "without expiry");
    assert!(store.lease(FIRST).unwrap());
    assert!(store.put(FIRST, 0, |_| {}).unwrap());
    assert_eq!(store.get().unwrap(), Some(1));
    server.cli(&["del", &key]);
    server.cli(&["lpush", &key, "a"]);
    assert_error(store.get(), (Status::InvalidOption, "TokenCache"), "set another prefix");
}

#[test]
fn concurrent_owners_and_writers_have_one_winner() {
    let server = Server::start("");
    let stores = [server.store(), server.store()];
    let barrier = Barrier::new(2);
    // For each round, whether each thread got the lease, and whether it wrote under the lease of the first.
    let compete = |index: usize| -> Vec<(bool, bool)> {
        let (store, owner) = (&stores[index], [FIRST, SECOND][index]);
        let meet = || barrier.wait().is_leader();
        let mut results = Vec::new();
        for round in 0..1000 {
            meet();
            let has_lease = store.lease(owner).unwrap();
            meet();
            if has_lease {
                store.release(owner).unwrap();
                assert!(store.lease(FIRST).unwrap());
            }
            meet();
            let has_written = store.put(FIRST, round, |_| {}).unwrap();
            meet();
            if has_written {
                store.release(FIRST).unwrap();
            }
            results.push((has_lease, has_written));
        }
        results
    };
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(|| compete(1));
        (compete(0), other.join().unwrap())
    });
    for (first, second) in first.iter().zip(&second) {
        assert!(first.0 != second.0 && first.1 != second.1, "{first:?} {second:?}");
    }
    assert_eq!(stores[0].get().unwrap(), Some(1000));
}

#[test]
fn user_needs_documented_commands_and_keys_alone() {
    let rights: String = COMMANDS.iter().map(|command| format!(" +{command}")).collect();
    let server =
        Server::start(&format!("user authgrant on >secret resetchannels ~authgrant:* -@all{rights}"));
    let url = format!("redis://authgrant@127.0.0.1:{}", server.port);
    let with_password = |url: &str| RedisLocation { password: Some("secret".into()), ..location(url) };
    let store = Store::new(with_password(&url));
    store.use_all().unwrap();
    for command in COMMANDS {
        server.expect_ok(&["acl", "setuser", "authgrant", &format!("-{command}")]);
        assert_error(store.use_all(), (Status::InvalidOption, "TokenCache"), &format!("'{command}' command"));
        server.expect_ok(&["acl", "setuser", "authgrant", &format!("+{command}")]);
        let key = format!("authgrant:{{{}}}", name().as_str());
        server.cli(&["del", &key, &format!("{key}:lease")]);
    }
    let other_prefix = Store::new(with_password(&format!("{url}?prefix=other:")));
    assert_error(other_prefix.get(), (Status::InvalidOption, "TokenCache"), "NOPERM");
    let other_database = Store::new(with_password(&format!("{url}/1")));
    assert_error(other_database.get(), (Status::InvalidOption, "TokenCache"), "'select' command");
    server.expect_ok(&["acl", "setuser", "authgrant", "+select"]);
    other_database.use_all().unwrap();
}

#[test]
fn wrong_credentials_name_password() {
    let server = Server::start("requirepass secret");
    let with_password =
        |password: &str| Store::new(RedisLocation { password: Some(password.into()), ..server.location() });
    with_password("secret").use_all().unwrap();
    let expected = (Status::InvalidOption, "TokenCachePassword");
    assert_error(with_password("hunter22").get(), expected, "check TokenCachePassword");
    assert_error(server.store().get(), expected, "set TokenCachePassword");
    let url = format!("redis://nobody@127.0.0.1:{}", server.port);
    let unknown = Store::new(RedisLocation { password: Some("secret".into()), ..location(&url) });
    assert_error(unknown.get(), expected, "the user in TokenCache");
}

/// Creates a CA, and a certificate for localhost that it has signed.
fn generate_certificates(directory: &Path, ca: &str) {
    let script = format!(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {ca}.key -out {ca}.pem \
         -days 30 -subj '/CN={ca}'
         printf 'subjectAltName=DNS:localhost\\nbasicConstraints=critical,CA:FALSE\\n' > names
         openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {ca}-server.key -out request \
         -subj '/CN=localhost'
         openssl x509 -req -in request -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -days 30 -extfile names \
         -out {ca}-server.pem"
    );
    let output = Command::new("sh").args(["-ec", &script]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn tls_verifies_certificate_and_host_name() {
    let directory = tempfile::tempdir().unwrap();
    for ca in ["ca", "other"] {
        generate_certificates(directory.path(), ca);
    }
    let (tls_port, path) = (unused_port(), directory.path().to_owned());
    let file = |name: &str| path.join(name).display().to_string();
    let config = format!(
        "tls-port {tls_port}\ntls-auth-clients no\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}",
        file("ca-server.pem"),
        file("ca-server.key"),
        file("ca.pem")
    );
    let server = Server::start_in(directory, &config);
    let store = |host: &str, port: u16, ca: &str| {
        let location = location(&format!("rediss://{host}:{port}"));
        let tls = TransportConfig {
            option_prefix: "TokenCache",
            trust_store: Some(ConfiguredPath::new(file(ca))),
            ..TransportConfig::default()
        };
        Store::new(RedisLocation { tls: Some(tls), ..location })
    };
    let connections = server.connections();
    store("localhost", tls_port, "ca.pem").use_all().unwrap();
    assert_eq!(
        server.connections(),
        connections + 2,
        "one connection for all operations, and that of redis-cli"
    );
    let expected = (Status::Tls, "TokenCacheTrustStore");
    assert_error(store("localhost", tls_port, "other.pem").get(), expected, "to TokenCacheTrustStore ");
    assert_error(store("127.0.0.1", tls_port, "ca.pem").get(), expected, "does not match 127.0.0.1");
    assert_error(
        store("localhost", tls_port, "missing.pem").get(),
        (Status::KeyStore, "TokenCacheTrustStore"),
        "missing.pem",
    );
    let plain = Store::new(location(&format!("redis://localhost:{tls_port}")));
    assert!(plain.get().is_err(), "without TLS");
    let store = store("localhost", server.port, "ca.pem");
    let error = store.inner().get(&name(), &call_with_timeout_ms(1000)).unwrap_err();
    assert!(error.message().contains("TLS"), "{error}");
}

#[test]
fn unix_socket_database_and_prefix_separate_entries() {
    let server = Server::start("");
    let socket = server.directory.path().join("redis.sock");
    let socket = socket.display();
    for (url, database, prefix) in [
        (format!("unix://{socket}"), "0", "authgrant:"),
        (format!("unix://{socket}?db=2&prefix=app:"), "2", "app:"),
        (format!("redis://127.0.0.1:{}/3", server.port), "3", "authgrant:"),
        (format!("redis://localhost:{}?prefix=other:", server.port), "0", "other:"),
    ] {
        let store = Store::new(location(&url));
        assert_eq!(store.get().unwrap(), None, "{url}");
        store.use_all().unwrap();
        let key = format!("{prefix}{{{}}}", name().as_str());
        assert_eq!(server.cli(&["-n", database, "exists", &key]).trim(), "1", "{url}");
    }
    assert_eq!(server.cli(&["dbsize"]).trim(), "4", "for each prefix a value and its stream");
}

#[test]
fn stopped_server_costs_timeout_and_is_used_again() {
    let server = Server::start("");
    let (used, new) = (server.store(), server.store());
    used.use_all().unwrap();
    server.signal(libc::SIGSTOP);
    for store in [&used, &new] {
        let started = Instant::now();
        let error = store.inner().get(&name(), &call_with_timeout_ms(300)).unwrap_err();
        assert_eq!(error.status(), Status::Timeout, "{error}");
        assert!(started.elapsed() < Duration::from_millis(550), "{:?}", started.elapsed());
    }
    server.signal(libc::SIGCONT);
    used.use_all().unwrap();
    new.use_all().unwrap();
}

#[test]
fn killed_server_is_used_again_after_restart() {
    let mut server = Server::start("");
    let store = server.store();
    store.use_all().unwrap();
    server.kill();
    assert_error(store.get(), (Status::Network, "TokenCache"), "cannot connect");
    server.restart();
    store.use_all().unwrap();
    server.kill();
    server.restart();
    store.use_all().unwrap();
}

#[test]
fn replica_is_used_after_its_promotion() {
    let mut primary = Server::start("");
    let replica = Server::start(&format!("replicaof 127.0.0.1 {}", primary.port));
    wait_until("the replica is in sync", || replica.cli(&["role"]).contains("connected"));
    // Until then the primary does not list it.
    wait_until("the replica has acknowledged", || primary.cli(&["wait", "1", "50"]).starts_with('1'));
    let port = replica.port.to_string();
    let (on_primary, on_replica) = (primary.store(), replica.store());
    primary.take_command_counts();
    on_primary.use_all().unwrap();
    let counts = primary.take_command_counts();
    assert!(counts.contains("role=1") && counts.contains("wait=1"), "{counts}");
    // WAIT ends after 100 ms, which a busy machine may exceed.
    wait_until("the replica has the value", || on_replica.get().unwrap() == Some(2));
    let read_only = (Status::Network, "TokenCache");
    assert_error(on_replica.lease(FIRST), read_only, "must name the primary");
    replica.expect_ok(&["replicaof", "no", "one"]);
    on_replica.use_all().unwrap();
    primary.expect_ok(&["replicaof", "127.0.0.1", &port]);
    assert_error(on_primary.lease(FIRST), read_only, "must name the primary");
    primary.kill();
    primary.restart();
    primary.expect_ok(&["config", "set", "replica-serve-stale-data", "no"]);
    primary.expect_ok(&["replicaof", "127.0.0.1", &unused_port().to_string()]);
    assert_error(on_primary.get(), read_only, "without a connection to its primary");
}

#[test]
fn server_that_writes_nothing_is_an_error() {
    let server = Server::start("maxmemory-policy noeviction");
    let store = server.store();
    let expected = (Status::Network, "TokenCache");
    assert!(store.lease(FIRST).unwrap());
    server.expect_ok(&["config", "set", "maxmemory", "1"]);
    assert_error(store.lease(SECOND), expected, "is out of memory");
    assert_error(store.put(FIRST, 0, |_| {}), expected, "is out of memory");
    server.expect_ok(&["config", "set", "maxmemory", "0"]);
    assert!(store.put(FIRST, 0, |_| {}).unwrap());
    server.expect_ok(&["config", "set", "min-replicas-to-write", "1"]);
    assert_error(store.put(FIRST, 1, |_| {}), expected, "min-replicas-to-write");
    server.expect_ok(&["config", "set", "min-replicas-to-write", "0"]);
    store.release(FIRST).unwrap();
    store.use_all().unwrap();
}

#[test]
fn cluster_node_is_an_error() {
    let server = Server::start("cluster-enabled yes");
    assert_error(server.store().get(), (Status::Network, "TokenCache"), "Redis Cluster");
    let key = format!("authgrant:{{{}}}", name().as_str());
    let slot = |key: &str| server.cli(&["cluster", "keyslot", key]);
    for other in ["lease", "changes"] {
        assert_eq!(slot(&key), slot(&format!("{key}:{other}")), "a cluster keeps them together");
    }
}

/// Forks at the first message about a connection.
#[derive(Default)]
struct ForkingSink;

thread_local! {
    static CHILD: Cell<Option<i32>> = const { Cell::new(None) };
}

impl LogSink for ForkingSink {
    fn log(&self, _: LogLevel, message: &str) {
        if message.starts_with("connecting to") && CHILD.get().is_none() {
            // SAFETY: the child continues this thread alone, and ends with _exit.
            CHILD.set(Some(unsafe { libc::fork() }));
        }
    }
}

#[test]
fn fork_during_call_fails_in_child_alone() {
    let server = Server::start("");
    let store = server.store();
    let mut forking_call = call();
    forking_call.log = Log::new(Arc::new(ForkingSink), LogLevel::Trace);
    let outcome = store.inner().get(&name(), &forking_call);
    let child = CHILD.get().expect("the call opened a connection");
    if child == 0 {
        let is_right = outcome.is_err_and(|error| error.status() == Status::Network)
            && server.store().get().is_ok_and(|found| found.is_none());
        // SAFETY: ends the child without the exit handlers of the parent.
        unsafe { libc::_exit(i32::from(!is_right)) };
    }
    assert_eq!(outcome.unwrap(), None);
    let mut status = 1;
    // SAFETY: `child` is a child of this process, and `status` is valid for writes.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    store.use_all().unwrap();
}
