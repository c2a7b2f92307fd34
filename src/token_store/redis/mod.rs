//! A Redis server, or one with its protocol, such as Valkey. Commands of Redis 6.2 suffice.
//!
//! An entry has three keys: its value, its lease, and a stream with the generation of the last write, on which
//! waiting processes block (XREAD). Their names have the entry's name in braces, so that all are in one slot of a
//! cluster. A write is a transaction (WATCH), not a script, because that needs no further right.
//!
//! docs/token-sharing.md lists the commands of each operation and the rights that they need.

mod connection;
mod context;
#[cfg(fuzzing)]
pub(super) mod fuzzing;
mod pool;
mod resp;
mod server_error;
#[cfg(all(test, unix))]
mod testing;
#[cfg(all(test, unix))]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::ClientConfig;

use self::connection::{Connection, Failure};
use self::context::StoreContext;
use self::pool::Pool;
use self::resp::{Command, Reply};
use super::{
    EntryName, MAX_CHANGE_WAIT, MAX_VALUE_LEN, Owner, Put, RedisAddress, RedisLocation, StoredValue,
    TokenStore, VALUE_HEADER_LEN, generation,
};
use crate::base::call::CallContext;
use crate::base::error::{NetworkError, Result};
use crate::base::log::LogLevel;
use crate::key::KeyCache;
use crate::net::socket::{self, DnsResolver, SocketContext};
use crate::net::tls::FileVersion;

/// The maximum time for which a write waits for a replica.
const MAX_REPLICA_WAIT: Duration = Duration::from_millis(100);

/// The lifetime of the stream of an entry in milliseconds. A process that waits has read the entry shortly before.
const CHANGES_TTL_MILLIS: &[u8] = b"60000";

/// The longest lifetime that is sent; the server rejects those that exceed its clock.
const MAX_TTL: Duration = Duration::from_secs(400 * 24 * 3600);

type Outcome<T> = std::result::Result<T, Failure>;

/// A Redis server with its idle connections. A forked child creates its own.
pub struct RedisStore {
    location: RedisLocation,
    resolver: DnsResolver,
    pool: Pool,
    tls_config: Mutex<Option<TlsConfig>>,
}

/// A TLS configuration, and the versions of the files from which it was made.
type TlsConfig = (Vec<FileVersion>, Arc<ClientConfig>);

impl RedisStore {
    /// A store on the server at `location`. Nothing is opened.
    #[must_use]
    pub fn new(location: RedisLocation) -> Self {
        Self {
            location,
            resolver: DnsResolver::system(),
            pool: Pool::default(),
            tls_config: Mutex::default(),
        }
    }

    /// Runs `operation` on an idle connection or on a new one. If an idle one turns out to be closed before its
    /// first reply, `operation` runs once more on a new one: none of its commands had an effect that a
    /// repetition would change. The parameter is whether this is the repetition.
    fn run<T>(
        &self,
        call: &CallContext,
        operation: impl Fn(&mut Connection, &StoreContext<'_>, bool) -> Outcome<T>,
    ) -> Result<T> {
        let context = StoreContext::new(call, &self.location)?;
        let idle = self.pool.take();
        let is_retry = match idle {
            Some(connection) => {
                match self.run_on(connection, &context, |used| operation(used, &context, false)) {
                    Err(failure) if failure.is_stale => {
                        call.log.log(LogLevel::Debug, || failure.error.message());
                        true
                    }
                    outcome => return outcome.map_err(|failure| failure.error),
                }
            }
            None => false,
        };
        let connection = self.connect(&context)?;
        self.run_on(connection, &context, |used| operation(used, &context, is_retry))
            .map_err(|failure| failure.error)
    }

    /// Runs `operation` on `connection`, which becomes idle. After a failure all connections are closed: the
    /// others most likely fail in the same way, and after a failover the host has another address.
    fn run_on<T>(
        &self,
        mut connection: Connection,
        context: &StoreContext<'_>,
        operation: impl FnOnce(&mut Connection) -> Outcome<T>,
    ) -> Outcome<T> {
        let outcome = operation(&mut connection);
        // In a forked child a thread that does not exist may hold the lock.
        match outcome {
            _ if !context.is_current_process() => {}
            Ok(_) => self.pool.put(connection),
            Err(_) => self.pool.clear(),
        }
        outcome
    }

    fn connect(&self, context: &StoreContext<'_>) -> Result<Connection> {
        let tls = self.tls_config()?;
        let socket = match &self.location.address {
            RedisAddress::Tcp(..) => socket::connect_tcp(&self.resolver, context)?,
            #[cfg(unix)]
            RedisAddress::Unix(path) => socket::connect_unix(path, context)?,
            #[cfg(not(unix))]
            RedisAddress::Unix(_) => {
                return Err(context.connect_error("this system has no Unix domain sockets"));
            }
        };
        Connection::open(socket, tls, context)
    }

    /// The TLS configuration; `None` without TLS. It is made again if the trust store has changed.
    fn tls_config(&self) -> Result<Option<Arc<ClientConfig>>> {
        let Some(config) = &self.location.tls else { return Ok(None) };
        let versions = config.file_versions()?;
        if let Some((known_versions, known)) = &*self.tls_config.lock()
            && *known_versions == versions
        {
            return Ok(Some(Arc::clone(known)));
        }
        // There is no client certificate, and so no key.
        let built = config.build_client_config(&KeyCache::new([0; 32]))?;
        *self.tls_config.lock() = Some((versions, Arc::clone(&built)));
        Ok(Some(built))
    }

    fn keys(&self, name: &EntryName) -> EntryKeys {
        let entry = format!("{}{{{}}}", self.location.prefix, name.as_str());
        EntryKeys {
            lease: format!("{entry}:lease").into_bytes(),
            changes: format!("{entry}:changes").into_bytes(),
            entry: entry.into_bytes(),
        }
    }
}

/// The keys of an entry.
struct EntryKeys {
    entry: Vec<u8>,
    lease: Vec<u8>,
    changes: Vec<u8>,
}

/// The value of a lease's key.
fn owner_text(owner: &Owner) -> Vec<u8> {
    format!("{:032x}", u128::from_be_bytes(owner.0)).into_bytes()
}

/// A lifetime as the argument of PX.
fn milliseconds(ttl: Duration) -> Vec<u8> {
    ttl.min(MAX_TTL).as_millis().max(1).to_string().into_bytes()
}

/// The identifier of a generation in the stream of an entry.
fn change_id(generation: u64) -> Vec<u8> {
    format!("{generation}-0").into_bytes()
}

/// The time for which the server may block: at most `limit`, and so that its reply arrives in time.
fn part_of_remaining(context: &StoreContext<'_>, limit: Duration) -> Duration {
    let remaining = context.remaining(Duration::MAX);
    remaining.checked_div(5).unwrap_or_default().saturating_mul(4).min(limit)
}

fn unexpected_reply(command: &str, context: &StoreContext<'_>) -> Failure {
    let text = format!("sent an unexpected reply to {command}; check that it is a Redis server");
    context.error(NetworkError::BadResponse, &text).into()
}

/// The value of a reply to GET or GETRANGE; `None` if there is no such key.
fn bulk(reply: Reply, command: &str, context: &StoreContext<'_>) -> Outcome<Option<Vec<u8>>> {
    match reply {
        Reply::BulkString(bytes) => Ok(Some(bytes)),
        Reply::Null => Ok(None),
        _ => Err(unexpected_reply(command, context)),
    }
}

/// Whether EXEC executed the transaction, which has `N` commands.
fn is_executed<const N: usize>(reply: &Reply, context: &StoreContext<'_>) -> Outcome<bool> {
    match reply {
        Reply::Array(items) if items.len() == N => Ok(true),
        Reply::Null => Ok(false),
        _ => Err(unexpected_reply("EXEC", context)),
    }
}

/// Waits for a short time until a replica, if there is one, has received the writes of the connection. They are
/// valid without that, so a failure is only logged.
fn wait_for_replica(connection: &mut Connection, context: &StoreContext<'_>) {
    let text = match replica_count(connection, context) {
        Ok(Some(0)) => "no replica has confirmed the write".to_owned(),
        Ok(_) => return,
        Err(failure) => failure.error.message(),
    };
    context.call.log.log(LogLevel::Debug, || text);
}

/// The number of replicas that have received the writes; `None` if the server has no replica, or if the user
/// has no right to ask.
fn replica_count(connection: &mut Connection, context: &StoreContext<'_>) -> Outcome<Option<i64>> {
    let has_replicas = match connection.has_replicas {
        Some(known) => known,
        None => {
            let role = connection.exchange_raw(&[("ROLE", &[])], context)?;
            *connection.has_replicas.insert(names_replica(&role))
        }
    };
    if !has_replicas {
        return Ok(None);
    }
    let limit = milliseconds(part_of_remaining(context, MAX_REPLICA_WAIT));
    let [count] = connection.exchange([("WAIT", &[b"1", &limit])], context)?;
    match count {
        Reply::Integer(count) => Ok(Some(count)),
        _ => Err(unexpected_reply("WAIT", context)),
    }
}

/// Whether the reply to ROLE is that of a primary with replicas.
fn names_replica(replies: &[Reply]) -> bool {
    let [Reply::Array(role)] = replies else { return false };
    matches!(role.get(2), Some(Reply::Array(replicas)) if !replicas.is_empty())
}

impl TokenStore for RedisStore {
    fn get(&self, name: &EntryName, call: &CallContext) -> Result<Option<StoredValue>> {
        let EntryKeys { entry, .. } = self.keys(name);
        self.run(call, |connection, context, _| {
            let [value] = connection.exchange([("GET", &[&entry])], context)?;
            let Some(bytes) = bulk(value, "GET", context)? else { return Ok(None) };
            if bytes.len() > MAX_VALUE_LEN {
                return Ok(None);
            }
            let [ttl] = connection.exchange([("PTTL", &[&entry])], context)?;
            let Reply::Integer(millis) = ttl else { return Err(unexpected_reply("PTTL", context)) };
            // Negative without an expiry, and if the key has expired meanwhile.
            let ttl = u64::try_from(millis).ok().filter(|millis| *millis > 0).map(Duration::from_millis);
            Ok(ttl.map(|ttl| StoredValue { bytes, ttl }))
        })
    }

    fn lease(&self, name: &EntryName, owner: &Owner, ttl: Duration, call: &CallContext) -> Result<bool> {
        let (EntryKeys { lease, .. }, owner, ttl) = (self.keys(name), owner_text(owner), milliseconds(ttl));
        self.run(call, |connection, context, is_retry| {
            let set: Command<'_> = ("SET", &[&lease, &owner, b"NX", b"PX", &ttl]);
            match connection.exchange([set], context)? {
                [Reply::SimpleString(text)] if text == b"OK" => Ok(true),
                // The first attempt may have acquired it and lost its reply.
                [Reply::Null] if is_retry => {
                    let [holder] = connection.exchange([("GET", &[&lease])], context)?;
                    Ok(bulk(holder, "GET", context)?.as_ref() == Some(&owner))
                }
                [Reply::Null] => Ok(false),
                _ => Err(unexpected_reply("SET", context)),
            }
        })
    }

    fn put(&self, put: &Put<'_>, call: &CallContext) -> Result<bool> {
        let EntryKeys { entry, lease, changes } = self.keys(put.name);
        let id = change_id(generation(put.value).unwrap_or(1).max(1));
        let (owner, ttl) = (owner_text(put.owner), milliseconds(put.ttl));
        let last = VALUE_HEADER_LEN.saturating_sub(1).to_string();
        self.run(call, |connection, context, _| {
            let [_, holder, header] = connection.exchange(
                [
                    ("WATCH", &[&lease, &entry]),
                    ("GET", &[&lease]),
                    ("GETRANGE", &[&entry, b"0", last.as_bytes()]),
                ],
                context,
            )?;
            let is_owner = bulk(holder, "GET", context)?.as_ref() == Some(&owner);
            // A value of another version has no generation and may be overwritten.
            let header = bulk(header, "GETRANGE", context)?.unwrap_or_default();
            if !is_owner || generation(&header).unwrap_or(0) != put.expected_generation {
                connection.exchange([("UNWATCH", &[])], context)?;
                return Ok(false);
            }
            let set: Command<'_> = ("SET", &[&entry, put.value, b"PX", &ttl]);
            // The stream begins again, because its numbers must grow and generations may begin again.
            let deleted: &[&[u8]] = if put.releases_lease { &[&changes, &lease] } else { &[&changes] };
            let [_, _, _, _, _, result] = connection.exchange(
                [
                    ("MULTI", &[]),
                    set,
                    ("DEL", deleted),
                    ("XADD", &[&changes, &id, b"g", b""]),
                    ("PEXPIRE", &[&changes, CHANGES_TTL_MILLIS]),
                    ("EXEC", &[]),
                ],
                context,
            )?;
            let is_written = is_executed::<4>(&result, context)?;
            if is_written && put.is_durable {
                wait_for_replica(connection, context);
            }
            Ok(is_written)
        })
    }

    fn release(&self, name: &EntryName, owner: &Owner, call: &CallContext) -> Result<()> {
        let (EntryKeys { lease, .. }, owner) = (self.keys(name), owner_text(owner));
        self.run(call, |connection, context, _| {
            let [_, holder] = connection.exchange([("WATCH", &[&lease]), ("GET", &[&lease])], context)?;
            if bulk(holder, "GET", context)?.as_ref() == Some(&owner) {
                let delete: Command<'_> = ("DEL", &[&lease]);
                let [_, _, result] = connection.exchange([("MULTI", &[]), delete, ("EXEC", &[])], context)?;
                is_executed::<1>(&result, context)?;
            } else {
                connection.exchange([("UNWATCH", &[])], context)?;
            }
            Ok(())
        })
    }

    fn wait_for_change(
        &self,
        name: &EntryName,
        generation: u64,
        _: Duration,
        call: &CallContext,
    ) -> Result<()> {
        let (EntryKeys { changes, .. }, id) = (self.keys(name), change_id(generation));
        self.run(call, |connection, context, _| {
            let limit = milliseconds(part_of_remaining(context, MAX_CHANGE_WAIT));
            let read: Command<'_> = ("XREAD", &[b"COUNT", b"1", b"BLOCK", &limit, b"STREAMS", &changes, &id]);
            match connection.exchange([read], context)? {
                [Reply::Array(_) | Reply::Null] => Ok(()),
                _ => Err(unexpected_reply("XREAD", context)),
            }
        })
    }

    fn close_idle(&self) {
        self.pool.clear();
    }
}
