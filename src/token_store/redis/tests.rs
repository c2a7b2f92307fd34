//! Tests with a server whose replies are chosen by a closure. Those with real servers are in
//! `tests/isolated/redis.rs`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::testing::{Action, FakeServer, NIL, OK, bulk_string, location, name, read_command, send};
use super::*;
use crate::base::error::Status;
use crate::token_store::{StoreLocation, TokenStores, header};

const OWNER: Owner = Owner([0xab; 16]);

fn owner_hex() -> String {
    "ab".repeat(16)
}

fn value(generation: u64) -> Vec<u8> {
    [&header(generation)[..], b"encrypted"].concat()
}

fn call_with_timeout_ms(millis: u64) -> CallContext {
    CallContext::with_timeout(Duration::from_millis(millis), "TokenCacheTimeout")
}

/// A call with a timeout that is not reached in a successful test.
fn long_call() -> CallContext {
    call_with_timeout_ms(30_000)
}

/// Runs `work`, which must complete within `limit` milliseconds plus a tolerance of 250 ms.
fn assert_completes_within<T>(limit: u64, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    let elapsed = started.elapsed();
    assert!(elapsed <= Duration::from_millis(limit + 250), "took {elapsed:?}");
    result
}

#[test]
fn get_asks_for_lifetime_of_value_alone() {
    for (value, ttl, expected) in [
        (Some(value(3)), ":1500\r\n", Some(1500)),
        (Some(value(3)), ":0\r\n", None),
        (Some(value(3)), ":-1\r\n", None),
        (Some(value(3)), ":-2\r\n", None),
        (Some(vec![1; MAX_VALUE_LEN]), ":1\r\n", Some(1)),
        (Some(vec![1; MAX_VALUE_LEN + 1]), ":1\r\n", None),
        (None, ":1500\r\n", None),
    ] {
        let reply = value.as_deref().map_or(NIL.into(), bulk_string);
        let server = FakeServer::start(move |_, command| match command {
            "" => send(""),
            command if command.starts_with("GET ") => Action::Send(reply.clone()),
            _ => send(ttl),
        });
        let found = server.store().get(&name(), &long_call()).unwrap();
        let is_read = value.as_ref().is_some_and(|value| value.len() <= MAX_VALUE_LEN);
        let commands: &[&str] = if is_read { &["GET K", "PTTL K"] } else { &["GET K"] };
        assert_eq!(server.take_commands(), commands);
        let expected = expected.map(Duration::from_millis);
        assert_eq!(found, expected.map(|ttl| StoredValue { bytes: value.unwrap(), ttl }));
    }
}

#[test]
fn connection_authenticates_and_selects_database_once() {
    let server = FakeServer::start(|_, command| match command.split(' ').next() {
        Some("GET") => send(NIL),
        Some("") => send(""),
        _ => send(OK),
    });
    let url = format!("redis://jsmith@127.0.0.1:{}/3?prefix=app:", server.port);
    let store = RedisStore::new(RedisLocation { password: Some("secret".into()), ..location(&url) });
    for _ in 0..2 {
        assert_eq!(store.get(&name(), &long_call()).unwrap(), None);
    }
    let get = format!("GET app:{{{}}}", name().as_str());
    assert_eq!(server.take_commands(), ["AUTH jsmith secret", "SELECT 3", &get, &get]);
    let location = RedisLocation { password: Some("secret".into()), ..server.location() };
    assert_eq!(RedisStore::new(location).get(&name(), &long_call()).unwrap(), None);
    assert_eq!(server.take_commands(), ["AUTH secret", "GET K"]);
}

#[test]
fn lease_is_acquired_unless_another_holds_it() {
    for (reply, is_acquired) in [(OK, true), (NIL, false)] {
        let server = FakeServer::with_reply(reply);
        let ttl = Duration::from_micros(1_500_900);
        assert_eq!(server.store().lease(&name(), &OWNER, ttl, &long_call()).unwrap(), is_acquired);
        assert_eq!(server.take_commands(), [format!("SET K:lease {} NX PX 1500", owner_hex())]);
    }
    let server = FakeServer::with_reply(OK);
    for (ttl, millis) in [(Duration::ZERO, "1"), (Duration::MAX, "34560000000")] {
        server.store().lease(&name(), &OWNER, ttl, &long_call()).unwrap();
        assert!(server.take_commands()[0].ends_with(&format!(" PX {millis}")));
    }
}

/// A server of an entry: `lease` and `entry` are the replies to GET and GETRANGE, `exec` and `role` those to
/// EXEC and ROLE.
fn start_entry_server(lease: Vec<u8>, entry: Vec<u8>, exec: &str, role: &'static str) -> FakeServer {
    let exec = exec.to_owned();
    FakeServer::start(move |_, command| match command.split(' ').next().unwrap() {
        "" => send(""),
        "GET" => Action::Send(lease.clone()),
        "GETRANGE" => Action::Send(entry.clone()),
        "EXEC" => send(&exec),
        "ROLE" => send(role),
        "WAIT" => send(":1\r\n"),
        "SET" | "DEL" | "XADD" | "PEXPIRE" => send("+QUEUED\r\n"),
        _ => send(OK),
    })
}

fn put(server: &FakeServer, value: &[u8], edit: impl FnOnce(&mut Put<'_>)) -> Result<bool> {
    put_with(&server.store(), value, edit)
}

fn put_with(store: &RedisStore, value: &[u8], edit: impl FnOnce(&mut Put<'_>)) -> Result<bool> {
    let (name, ttl) = (name(), Duration::from_secs(60));
    let mut put = Put {
        name: &name,
        owner: &OWNER,
        expected_generation: 0,
        value,
        ttl,
        releases_lease: false,
        is_durable: false,
    };
    edit(&mut put);
    store.put(&put, &long_call())
}

/// The reply to EXEC of a write.
const WRITTEN: &str = "*4\r\n+OK\r\n:1\r\n$3\r\n1-0\r\n:1\r\n";

/// The command that tells waiting processes of the first generation.
const ADDED: &str = "XADD K:changes 1-0 g ";

#[test]
fn put_writes_under_lease_and_generation_alone() {
    let own = || bulk_string(owner_hex().as_bytes());
    let empty = || bulk_string(b"");
    let header_of = |generation| bulk_string(&header(generation));
    for (lease, entry, expected_generation, is_written) in [
        (own(), empty(), 0, true),
        (own(), header_of(4), 4, true),
        (own(), header_of(4), 0, false),
        (own(), header_of(4), 5, false),
        (own(), empty(), 1, false),
        (own(), bulk_string(b"foreign"), 0, true),
        (own(), bulk_string(&[2, 0, 0, 0, 0, 0, 0, 0, 4]), 0, true),
        (own(), bulk_string(&[2, 0, 0, 0, 0, 0, 0, 0, 4]), 4, false),
        (bulk_string("cd".repeat(16).as_bytes()), empty(), 0, false),
        (NIL.into(), empty(), 0, false),
    ] {
        let server = start_entry_server(lease, entry, WRITTEN, "");
        let result = put(&server, b"v", |put| put.expected_generation = expected_generation).unwrap();
        assert_eq!(result, is_written);
        let mut expected = vec!["WATCH K:lease K", "GET K:lease", "GETRANGE K 0 8"];
        let written =
            ["MULTI", "SET K v PX 60000", "DEL K:changes", ADDED, "PEXPIRE K:changes 60000", "EXEC"];
        expected.extend(if is_written { written.to_vec() } else { vec!["UNWATCH"] });
        assert_eq!(server.take_commands(), expected);
    }
}

#[test]
fn put_releases_lease_in_same_transaction() {
    let own = bulk_string(owner_hex().as_bytes());
    for (exec, is_written) in [(WRITTEN, true), ("*-1\r\n", false)] {
        let server = start_entry_server(own.clone(), bulk_string(b""), exec, "");
        assert_eq!(put(&server, b"v", |put| put.releases_lease = true).unwrap(), is_written);
        let commands = server.take_commands();
        assert_eq!(commands[3..6], ["MULTI", "SET K v PX 60000", "DEL K:changes K:lease"]);
    }
    let failed = WRITTEN.replace(":1", "-ERR x");
    for exec in ["*1\r\n+OK\r\n", &failed, "-EXECABORT x\r\n", "+OK\r\n"] {
        let server = start_entry_server(own.clone(), bulk_string(b""), exec, "");
        assert!(put(&server, b"v", |put| put.releases_lease = true).is_err(), "{exec:?}");
    }
}

#[test]
fn durable_put_waits_for_replica_if_there_is_one() {
    let own = bulk_string(owner_hex().as_bytes());
    let exec = WRITTEN;
    let replica = "*3\r\n$6\r\nmaster\r\n:9\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n6380\r\n$1\r\n9\r\n";
    for (role, waits) in [
        (replica, true),
        ("*3\r\n$6\r\nmaster\r\n:9\r\n*0\r\n", false),
        ("-NOPERM no permissions\r\n", false),
    ] {
        let server = start_entry_server(own.clone(), bulk_string(b""), exec, role);
        let store = server.store();
        for is_first in [true, false] {
            assert!(put_with(&store, b"v", |put| put.is_durable = true).unwrap(), "{role:?}");
            let mut expected = if is_first { vec!["ROLE"] } else { Vec::new() };
            expected.extend(waits.then_some("WAIT 1 100"));
            assert_eq!(server.take_commands()[9..], expected, "{role:?}");
        }
    }
}

#[test]
fn failed_wait_for_replica_keeps_written_value() {
    let own = bulk_string(owner_hex().as_bytes());
    let server = FakeServer::start(move |_, command| match command.split(' ').next().unwrap() {
        "" => send(""),
        "GET" => Action::Send(own.clone()),
        "GETRANGE" => send("$0\r\n\r\n"),
        "EXEC" => send(WRITTEN),
        "ROLE" => Action::Close(b"*3\r\n".to_vec()),
        _ => send(OK),
    });
    let store = server.store();
    assert!(put_with(&store, b"v", |put| put.is_durable = true).unwrap());
    assert_eq!(store.pool.len(), 0, "the connection is not used again");
}

#[test]
fn wait_for_change_blocks_until_generation_differs() {
    let changed = "*1\r\n*2\r\n$1\r\nK\r\n*1\r\n*2\r\n$3\r\n8-0\r\n*2\r\n$1\r\ng\r\n$0\r\n\r\n";
    for (reply, call, limit) in [(changed, long_call(), "400"), ("*-1\r\n", CallContext::unbounded(), "400")]
    {
        let server = FakeServer::with_reply(reply);
        let store = server.store();
        store.wait_for_change(&name(), 7, Duration::ZERO, &call).unwrap();
        assert_eq!(server.take_commands(), [format!("XREAD COUNT 1 BLOCK {limit} STREAMS K:changes 7-0")]);
        assert_eq!(store.pool.len(), 1);
    }
    let server = FakeServer::with_reply("*-1\r\n");
    server.store().wait_for_change(&name(), 7, Duration::ZERO, &call_with_timeout_ms(400)).unwrap();
    let commands = server.take_commands();
    let limit: u32 = commands[0].split(' ').nth(4).unwrap().parse().unwrap();
    assert!((1..=320).contains(&limit), "the reply must arrive before the deadline: {commands:?}");
    assert!(
        FakeServer::with_reply(OK).store().wait_for_change(&name(), 7, Duration::ZERO, &long_call()).is_err()
    );
}

#[test]
fn release_deletes_own_lease_alone() {
    for (lease, commands) in [
        (bulk_string(owner_hex().as_bytes()), vec!["MULTI", "DEL K:lease", "EXEC"]),
        (bulk_string(b"another"), vec!["UNWATCH"]),
        (NIL.into(), vec!["UNWATCH"]),
    ] {
        let server = start_entry_server(lease, Vec::new(), "*1\r\n:1\r\n", "");
        server.store().release(&name(), &OWNER, &long_call()).unwrap();
        let expected = [vec!["WATCH K:lease", "GET K:lease"], commands].concat();
        assert_eq!(server.take_commands(), expected);
    }
}

#[test]
fn fragmented_replies_are_assembled() {
    let stored = bulk_string(&value(3));
    let server = FakeServer::start(move |_, command| match command.split(' ').next().unwrap() {
        "" => send(""),
        "GET" => Action::Drip(stored.clone(), Duration::from_micros(100)),
        _ => Action::Drip(b":1500\r\n".to_vec(), Duration::from_micros(100)),
    });
    let found = server.store().get(&name(), &long_call()).unwrap().unwrap();
    assert_eq!((found.bytes, found.ttl), (value(3), Duration::from_millis(1500)));
}

#[test]
fn error_replies_name_cause_and_option() {
    for (reply, option, text) in [
        ("NOAUTH Authentication required.", "TokenCachePassword", "set TokenCachePassword"),
        ("WRONGPASS invalid username-password pair", "TokenCachePassword", "check TokenCachePassword"),
        ("NOPERM this user has no permissions to run the 'get' command", "TokenCache", "'get' command"),
        ("WRONGTYPE Operation against a key", "TokenCache", "set another prefix"),
        ("READONLY You can't write against a read only replica.", "TokenCache", "must name the primary"),
        ("MASTERDOWN Link with MASTER is down", "TokenCache", "must name the primary"),
        ("LOADING Redis is loading the dataset in memory", "TokenCache", "wait until"),
        ("CLUSTERDOWN Hash slot not served", "TokenCache", "one primary"),
        ("MOVED 3999 127.0.0.1:6381", "TokenCache", "one primary"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "TokenCache", "raise its maxmemory"),
        ("MISCONF Redis is configured to save RDB snapshots", "TokenCache", "see the log"),
        ("BUSY Redis is busy running a script.", "TokenCache", "SCRIPT KILL"),
        ("NOREPLICAS Not enough good replicas to write.", "TokenCache", "check its replicas"),
        ("DENIED Redis is running in protected mode", "TokenCache", "configure a password"),
        ("ERR max number of clients reached", "TokenCache", "ERR max number of clients reached"),
        ("EXECABORT Transaction discarded because of: NOPERM no", "TokenCache", "denies a command"),
        ("", "TokenCache", "replied with an error"),
    ] {
        let server = FakeServer::with_reply(format!("-{reply}\r\n"));
        let (store, call) = (server.store(), long_call());
        let context = StoreContext::new(&call, &store.location).unwrap();
        for _ in 0..2 {
            store.pool.put(store.connect(&context).unwrap());
        }
        let error = store.get(&name(), &call).unwrap_err();
        assert!(error.message().contains(text), "{reply}: {error}");
        assert!(error.message().starts_with(&format!("[authgrant][token cache] 127.0.0.1:{} ", server.port)));
        assert_eq!(error.option(), Some(option), "{reply}: {error}");
        assert_eq!(store.pool.len(), 0, "{reply}: after an error, the host is resolved again");
    }
}

#[test]
fn error_does_not_repeat_password_or_value() {
    for reply in [
        "-ERR unknown command 'AUTH', with args beginning with: 'correct horse battery'\r\n",
        "-ERR I will not accept correct horse battery\r\n",
        "-NOPERM correct horse battery\r\n",
    ] {
        let server = FakeServer::with_reply(reply);
        let password = Some("correct horse battery".into());
        let store = RedisStore::new(RedisLocation { password, ..server.location() });
        let error = store.get(&name(), &long_call()).unwrap_err();
        assert!(!error.message().contains("horse"), "{error}");
    }
}

#[test]
fn error_before_first_command_is_reported() {
    let server = FakeServer::start(|_, _| Action::Close(b"-ERR max number of clients reached\r\n".to_vec()));
    let error = put(&server, &[0; 100_000], |_| {}).unwrap_err();
    assert!(error.message().contains("max number of clients"), "{error}");
}

#[test]
fn error_before_failed_send_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("redis.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let store = RedisStore::new(location(&format!("unix://{}", path.display())));
    let call = long_call();
    let context = StoreContext::new(&call, &store.location).unwrap();
    let mut connection = store.connect(&context).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    server.write_all(b"-ERR max number of clients reached\r\n").unwrap();
    drop(server);
    let error = connection.exchange([("EXEC", &[])], &context).unwrap_err().error;
    assert!(error.message().contains("max number of clients"), "{error}");
    assert!(connection.is_broken());
}

#[test]
fn bytes_that_are_no_reply_are_rejected() {
    let nested = "*1\r\n".repeat(1 << 18);
    for garbage in [
        "HTTP/1.1 400 Bad Request\r\n\r\n".as_bytes(),
        b"\x15\x03\x03\0\x02\x02\x28",
        nested.as_bytes(),
        b"$-1\r\n$-1\r\n",
        b":5\r\n",
        b"*0\r\n",
        b"\0",
    ] {
        let server = FakeServer::with_reply(garbage);
        let store = server.store();
        let error = store.get(&name(), &long_call()).unwrap_err();
        assert_eq!(error.status(), Status::BadResponse, "{garbage:?}: {error}");
        assert_eq!(store.pool.len(), 0);
    }
}

#[test]
fn endless_reply_is_rejected() {
    let (too_long, too_many) = ("more than 1 MiB", "not that of a Redis server");
    for (start, piece, expected) in [
        ("$2000000\r\n", "aaaaaaaa", too_long),
        ("+", "aaaaaaaa", too_long),
        ("-", "aaaaaaaa", too_long),
        ("*2000000\r\n", "$1\r\na\r\n", too_many),
    ] {
        let server = FakeServer::start(move |_, command| match command {
            "" => send(start),
            _ => Action::Endless(piece.repeat(1000).into()),
        });
        // The call has no deadline; only the limit of replies ends it.
        let error = server.store().get(&name(), &CallContext::unbounded()).unwrap_err();
        assert!(error.message().contains(expected), "{start}: {error}");
    }
}

#[test]
fn unresponsive_server_ends_call_at_deadline() {
    let stored = bulk_string(&value(3));
    for drip in [false, true] {
        let stored = stored.clone();
        let server = FakeServer::start(move |_, command| match command {
            "" => send(""),
            _ if drip => Action::Drip(stored.clone(), Duration::from_millis(50)),
            _ => Action::Hang,
        });
        let store = server.store();
        let error = assert_completes_within(200, || store.get(&name(), &call_with_timeout_ms(200)));
        let error = error.unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::Timeout, Some("TokenCache")), "{error}");
        assert!(error.message().contains("0.2 s (TokenCacheTimeout)"), "{error}");
        assert_eq!(store.pool.len(), 0, "a late reply must not be taken for that to another command");
    }
}

#[test]
fn cancel_ends_wait_for_reply() {
    let server = FakeServer::start(|_, command| if command.is_empty() { send("") } else { Action::Hang });
    let (store, call) = (server.store(), long_call());
    std::thread::scope(|scope| {
        let found = scope.spawn(|| store.get(&name(), &call));
        server.received.recv_timeout(Duration::from_secs(20)).unwrap();
        call.cancel.cancel();
        let error = assert_completes_within(0, || found.join().unwrap()).unwrap_err();
        assert_eq!(error.status(), Status::Cancelled);
    });
    assert_eq!(store.get(&name(), &call).unwrap_err().status(), Status::Cancelled);
    assert_eq!(server.connections(), 1, "a cancelled call opens no connection");
}

#[test]
fn unreachable_server_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let store = RedisStore::new(location(&format!("redis://127.0.0.1:{port}")));
    let error = store.get(&name(), &long_call()).unwrap_err();
    assert_eq!((error.status(), error.option()), (Status::Network, Some("TokenCache")));
    assert!(error.message().contains(&format!("127.0.0.1:{port}: cannot connect")), "{error}");
    let store = RedisStore::new(location("unix:///nowhere/redis.sock"));
    let error = store.get(&name(), &long_call()).unwrap_err();
    assert_eq!((error.status(), error.option()), (Status::Network, Some("TokenCache")));
    assert!(error.message().contains("/nowhere/redis.sock: cannot connect"), "{error}");
}

#[test]
fn full_queue_of_unix_socket_ends_at_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("redis.sock");
    let listener = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    listener.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    let store = RedisStore::new(location(&format!("unix://{}", path.display())));
    let errors: Vec<_> = (0..3).map(|_| store.get(&name(), &call_with_timeout_ms(50)).unwrap_err()).collect();
    assert!(errors.iter().all(|error| error.status() == Status::Timeout), "{errors:?}");
}

/// A server that closes its first connection at the second command, having sent `last`, and replies by `script`
/// on the next ones.
fn start_closing_server(
    last: &'static str,
    script: impl Fn(&str) -> Action + Send + Sync + 'static,
) -> (FakeServer, RedisStore) {
    let gets = AtomicUsize::new(0);
    let server = FakeServer::start(move |connection, command| match (connection, command) {
        (_, "") => send(""),
        (0, _) if gets.fetch_add(1, Ordering::SeqCst) > 0 => Action::Close(last.into()),
        (0, _) => send(NIL),
        _ => script(command),
    });
    let store = server.store();
    assert_eq!(store.get(&name(), &long_call()).unwrap(), None);
    server.take_commands();
    (server, store)
}

#[test]
fn operation_is_repeated_if_idle_connection_was_closed() {
    let (server, store) = start_closing_server("", |_| send(NIL));
    assert_eq!(store.get(&name(), &long_call()).unwrap(), None);
    assert_eq!((server.connections(), server.take_commands().len()), (2, 2));

    // The first SET had acquired the lease, or another owner holds it.
    for (holder, is_acquired) in [(owner_hex(), true), ("cd".repeat(16), false)] {
        let (server, store) = start_closing_server("", move |command| match command {
            command if command.starts_with("GET ") => Action::Send(bulk_string(holder.as_bytes())),
            _ => send(NIL),
        });
        let acquired = store.lease(&name(), &OWNER, Duration::from_secs(1), &long_call()).unwrap();
        assert_eq!(acquired, is_acquired);
        let set = format!("SET K:lease {} NX PX 1000", owner_hex());
        assert_eq!(server.take_commands(), [set.as_str(), &set, "GET K:lease"]);
    }

    let (server, store) = start_closing_server("", |_| send(NIL));
    assert!(!store.put(&put_of(&name(), b"v"), &long_call()).is_ok_and(|is_written| is_written));
    assert!(server.take_commands().iter().all(|command| command != "EXEC"));
}

fn put_of<'a>(name: &'a EntryName, value: &'a [u8]) -> Put<'a> {
    Put {
        name,
        owner: &OWNER,
        expected_generation: 0,
        value,
        ttl: Duration::from_secs(60),
        releases_lease: false,
        is_durable: false,
    }
}

#[test]
fn operation_is_not_repeated_after_first_byte() {
    let (server, store) = start_closing_server("$", |_| send(NIL));
    let error = store.get(&name(), &long_call()).unwrap_err();
    assert_eq!((error.status(), server.connections()), (Status::Network, 1), "{error}");
    // A new connection is not repeated either.
    let server = FakeServer::start(|_, command| match command {
        "" => send(""),
        _ => Action::Close(Vec::new()),
    });
    let error = server.store().get(&name(), &long_call()).unwrap_err();
    assert_eq!((error.status(), server.connections()), (Status::Network, 1), "{error}");
    assert!(error.message().contains("closed the connection"), "{error}");
}

#[test]
fn lost_reply_to_exec_is_an_error() {
    let own = bulk_string(owner_hex().as_bytes());
    let server = FakeServer::start(move |_, command| match command.split(' ').next().unwrap() {
        "" => send(""),
        "GET" => Action::Send(own.clone()),
        "GETRANGE" => send("$0\r\n\r\n"),
        "EXEC" => Action::Close(Vec::new()),
        "PTTL" => send(":1\r\n"),
        "SET" => send("+QUEUED\r\n"),
        _ => send(OK),
    });
    let store = server.store();
    store.get(&name(), &long_call()).unwrap().unwrap();
    let error = put_with(&store, b"v", |_| {}).unwrap_err();
    assert_eq!(error.status(), Status::Network, "{error}");
    let commands = server.take_commands();
    assert_eq!(commands.iter().filter(|command| *command == "EXEC").count(), 1, "{commands:?}");
}

#[test]
fn idle_connections_are_reused_bounded_and_closed() {
    let server = FakeServer::with_reply(NIL);
    let store = server.store();
    let get = || assert_eq!(store.get(&name(), &long_call()).unwrap(), None);
    get();
    get();
    assert_eq!((server.connections(), store.pool.len()), (1, 1));
    store.close_idle();
    assert_eq!(store.pool.len(), 0);
    get();
    store.pool.age(Duration::from_secs(59));
    get();
    assert_eq!(server.connections(), 2);
    store.pool.age(Duration::from_secs(60));
    get();
    assert_eq!((server.connections(), store.pool.len()), (3, 1));
    let context_call = long_call();
    let context = StoreContext::new(&context_call, &store.location).unwrap();
    let open: Vec<_> = (0..6).map(|_| store.connect(&context).unwrap()).collect();
    open.into_iter().for_each(|connection| store.pool.put(connection));
    assert_eq!(store.pool.len(), 4);
}

#[test]
fn idle_connections_of_registered_store_are_closed() {
    let server = FakeServer::with_reply(NIL);
    let stores = TokenStores::default();
    let handle = stores.get(&StoreLocation::Redis(Box::new(server.location()))).unwrap();
    let get = || assert_eq!(handle.store().get(&name(), &long_call()).unwrap(), None);
    get();
    get();
    assert_eq!(server.connections(), 1);
    stores.close_idle();
    get();
    assert_eq!(server.connections(), 2);
}

#[test]
fn idle_connection_with_unsolicited_bytes_is_not_reused() {
    let server = FakeServer::start(|connection, command| match (connection, command) {
        (_, "") => send(""),
        // The second reply arrives when the first has been read.
        (0, _) => Action::Drip([NIL, ":1\r\n"].concat().into(), Duration::from_millis(5)),
        _ => send(NIL),
    });
    let store = server.store();
    assert_eq!(store.get(&name(), &long_call()).unwrap(), None);
    let mut idle = store.pool.take().unwrap();
    let started = Instant::now();
    while idle.is_idle() && started.elapsed() < Duration::from_secs(20) {
        std::thread::yield_now();
    }
    store.pool.put(idle);
    assert_eq!(store.get(&name(), &long_call()).unwrap(), None);
    assert_eq!(server.connections(), 2);
}

#[test]
fn forked_child_does_not_keep_connection_open() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let store = RedisStore::new(location(&format!("redis://{}", listener.local_addr().unwrap())));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert!(read_command(&mut stream, &mut Vec::new()).is_some());
        stream.write_all(NIL.as_bytes()).unwrap();
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    });
    assert_eq!(store.get(&name(), &long_call()).unwrap(), None);
    crate::sys::with_live_child(|| {
        store.close_idle();
        server.join().unwrap();
    });
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(100))]
    #[test]
    fn any_reply_ends_call_without_panic(bytes in proptest::collection::vec(
        proptest::prop_oneof![
            proptest::sample::select(b"+-:$*\r\n0123456789".to_vec()),
            proptest::prelude::any::<u8>(),
        ], 0..64)) {
        let server = FakeServer::start(move |_, command| match command {
            "" => send(""),
            _ => Action::Close(bytes.clone()),
        });
        let _ = server.store().get(&name(), &long_call());
        let _ = put(&server, b"v", |_| {});
    }
}
