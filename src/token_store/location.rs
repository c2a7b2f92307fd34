//! TokenCache: where a store is.

use std::path::{Path, PathBuf};

use ureq::http::Uri;

use crate::base::secret::Secret;
use crate::base::url;
use crate::net::tls::TransportConfig;

/// The prefix of keys in Redis, unless the URL has another.
const DEFAULT_PREFIX: &str = "authgrant:";

/// The maximum length of a prefix.
const MAX_PREFIX_LEN: usize = 64;

/// The location of a store, with what is needed to open it. Equal locations are one store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StoreLocation {
    /// A folder; `None` is the default folder of the user.
    Folder(Option<PathBuf>),
    /// A Redis server.
    Redis(Box<RedisLocation>),
    /// The callbacks of authgrant_set_token_store().
    Application,
}

/// A Redis server with credentials and transport settings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RedisLocation {
    /// Its address.
    pub address: RedisAddress,
    /// The TLS settings; `None` without TLS. They have neither a proxy nor a client certificate.
    pub tls: Option<TransportConfig>,
    /// The user (ACL), if it is not the default user.
    pub user: Option<String>,
    /// TokenCachePassword.
    pub password: Option<Secret>,
    /// The number of the database.
    pub database: u32,
    /// The prefix of all keys.
    pub prefix: String,
}

/// The address of a Redis server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RedisAddress {
    /// Host and port.
    Tcp(String, u16),
    /// The path of a Unix domain socket.
    Unix(PathBuf),
}

impl StoreLocation {
    /// Parses TokenCache.
    ///
    /// # Errors
    /// The reason, to be appended to the name of the option.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
        match scheme.to_ascii_lowercase().as_str() {
            "file" if rest.is_empty() => Ok(Self::Folder(None)),
            "file" if Path::new(rest).is_absolute() => Ok(Self::Folder(Some(PathBuf::from(rest)))),
            "file" => Err("has a relative path; expected file: and an absolute path".to_owned()),
            "application" if rest.is_empty() => Ok(Self::Application),
            "redis" | "rediss" => RedisLocation::parse_url(text).map(Box::new).map(Self::Redis),
            "unix" => RedisLocation::parse_socket(rest).map(Box::new).map(Self::Redis),
            _ => Err(
                "is not a store; expected file:, file:PATH, redis://host, rediss://host, unix:///path or \
                      application:"
                    .to_owned(),
            ),
        }
    }

    /// The name for messages and reports, without secrets.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Folder(None) => "file:".to_owned(),
            Self::Folder(Some(path)) => format!("file:{}", path.display()),
            Self::Application => "application:".to_owned(),
            Self::Redis(redis) => redis.describe(),
        }
    }
}

impl RedisLocation {
    fn parse_url(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|_| "is not a valid URL".to_owned())?;
        let authority = uri.authority().ok_or("has no host name")?;
        let user = parse_user(authority.as_str().rsplit_once('@').map(|(user, _)| user))?;
        let host = authority.host();
        if host.is_empty() {
            return Err("has no host name".to_owned());
        }
        let uses_tls = uri.scheme_str().is_some_and(|scheme| scheme.eq_ignore_ascii_case("rediss"));
        let port = match authority.port_u16() {
            // The parser ignores a port that is out of range.
            None if !authority.as_str().ends_with(host) => return Err("has an invalid port".to_owned()),
            port => port.unwrap_or(6379),
        };
        let database = match uri.path().trim_start_matches('/') {
            "" => 0,
            number => number.parse().map_err(|_| "has a path that is not the number of a database")?,
        };
        Ok(Self {
            address: RedisAddress::Tcp(host.trim_matches(['[', ']']).to_owned(), port),
            tls: uses_tls.then(TransportConfig::default),
            user,
            password: None,
            database,
            prefix: parse_query(uri.query())?.1,
        })
    }

    fn parse_socket(rest: &str) -> Result<Self, String> {
        let rest = rest.strip_prefix("//").ok_or("has no path; expected unix:///path")?;
        let (before, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        let (user, path) = match before.split_once('@') {
            Some((user, path)) if !user.contains('/') => (Some(user), path),
            _ => (None, before),
        };
        if !Path::new(path).is_absolute() {
            return Err("has no absolute path; expected unix:///path".to_owned());
        }
        let (database, prefix) = parse_query(query)?;
        Ok(Self {
            address: RedisAddress::Unix(PathBuf::from(path)),
            tls: None,
            user: parse_user(user)?,
            password: None,
            database,
            prefix,
        })
    }

    fn describe(&self) -> String {
        let user = self.user.as_ref().map_or(String::new(), |user| format!("{user}@"));
        let scheme = if self.tls.is_some() { "rediss" } else { "redis" };
        match &self.address {
            RedisAddress::Tcp(host, port) if host.contains(':') => {
                format!("{scheme}://{user}[{host}]:{port}/{}", self.database)
            }
            RedisAddress::Tcp(host, port) => format!("{scheme}://{user}{host}:{port}/{}", self.database),
            RedisAddress::Unix(path) => format!("unix://{user}{}?db={}", path.display(), self.database),
        }
    }

    /// Whether others can read the connection: it is not encrypted and leaves this machine.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        match &self.address {
            RedisAddress::Tcp(host, _) => self.tls.is_none() && !url::is_loopback(host),
            RedisAddress::Unix(_) => false,
        }
    }
}

/// The user of a URL. A password is rejected, so that it is never part of an option that is shown.
fn parse_user(text: Option<&str>) -> Result<Option<String>, String> {
    let Some(text) = text else { return Ok(None) };
    if text.contains(':') {
        return Err("must not contain a password; use TokenCachePassword".to_owned());
    }
    let user = percent_encoding::percent_decode_str(text).decode_utf8().map_err(|_| "has an invalid user")?;
    Ok(Some(user.into_owned()).filter(|user| !user.is_empty()))
}

/// The database and the prefix of a query.
fn parse_query(query: Option<&str>) -> Result<(u32, String), String> {
    let (mut database, mut prefix) = (0, DEFAULT_PREFIX.to_owned());
    for parameter in query.unwrap_or_default().split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=') {
            Some(("prefix", value)) => prefix = parse_prefix(value)?,
            Some(("db", value)) => database = value.parse().map_err(|_| "has an invalid db")?,
            _ => return Err("has an unknown parameter; expected prefix or, with unix:, db".to_owned()),
        }
    }
    Ok((database, prefix))
}

/// A prefix must not contain braces, which select the slot of a key in a cluster.
fn parse_prefix(value: &str) -> Result<String, String> {
    let value =
        percent_encoding::percent_decode_str(value).decode_utf8().map_err(|_| "has an invalid prefix")?;
    if value.len() > MAX_PREFIX_LEN
        || value.contains(|c: char| !c.is_ascii_graphic() || matches!(c, '{' | '}'))
    {
        return Err(format!(
            "has an invalid prefix; expected at most {MAX_PREFIX_LEN} ASCII characters, without blanks and braces"
        ));
    }
    Ok(value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis(text: &str) -> RedisLocation {
        match StoreLocation::parse(text) {
            Ok(StoreLocation::Redis(redis)) => *redis,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn folder_is_absolute_or_default() {
        assert_eq!(StoreLocation::parse("file:"), Ok(StoreLocation::Folder(None)));
        let path = StoreLocation::Folder(Some(PathBuf::from("/var/cache/app")));
        assert_eq!(StoreLocation::parse("FILE:/var/cache/app"), Ok(path));
        assert!(StoreLocation::parse("file:cache").unwrap_err().contains("relative"));
        assert_eq!(StoreLocation::parse("application:"), Ok(StoreLocation::Application));
    }

    #[test]
    fn redis_url_has_user_host_port_database_prefix() {
        let full = redis("rediss://app%40x@cache.example:6380/3?prefix=team:");
        assert_eq!(full.address, RedisAddress::Tcp("cache.example".to_owned(), 6380));
        assert_eq!((full.user.as_deref(), full.database, full.prefix.as_str()), (Some("app@x"), 3, "team:"));
        assert!(full.tls.is_some());
        let short = redis("redis://cache.example");
        assert_eq!(short.address, RedisAddress::Tcp("cache.example".to_owned(), 6379));
        assert_eq!((short.user, short.database, short.prefix.as_str()), (None, 0, "authgrant:"));
        assert!(short.tls.is_none());
        assert_eq!(redis("redis://[::1]:1/").address, RedisAddress::Tcp("::1".to_owned(), 1));
    }

    #[test]
    fn unix_socket_has_path_user_database_prefix() {
        let socket = redis("unix:///run/redis.sock");
        assert_eq!(socket.address, RedisAddress::Unix(PathBuf::from("/run/redis.sock")));
        let at_sign = redis("unix:///run/redis@1.sock");
        assert_eq!(at_sign.address, RedisAddress::Unix(PathBuf::from("/run/redis@1.sock")));
        assert_eq!(at_sign.user, None);
        let full = redis("unix://app@/run/redis@1.sock?db=2&prefix=p");
        assert_eq!(full.address, RedisAddress::Unix(PathBuf::from("/run/redis@1.sock")));
        assert_eq!((full.user.as_deref(), full.database, full.prefix.as_str()), (Some("app"), 2, "p"));
    }

    #[test]
    fn invalid_location_is_rejected_without_password() {
        for (text, reason) in [
            ("", "is not a store"),
            ("memcached://h", "is not a store"),
            ("application:x", "is not a store"),
            ("redis://", "valid URL"),
            ("redis:/1", "valid URL"),
            ("redis://u:hunter2@h", "TokenCachePassword"),
            ("redis://:hunter2@h", "TokenCachePassword"),
            ("unix://u:hunter2@/run/s", "TokenCachePassword"),
            ("redis://h:99999", "invalid port"),
            ("redis://h:", "invalid port"),
            ("redis://h/x", "database"),
            ("redis://h/0?ssl=1", "unknown parameter"),
            ("redis://h?prefix=%7Bx", "prefix"),
            ("redis://h?prefix=a%20b", "prefix"),
            ("unix:/run/s", "unix:///path"),
            ("unix://run/s", "absolute path"),
            ("unix:///run/s?db=x", "db"),
        ] {
            let error = StoreLocation::parse(text).unwrap_err();
            assert!(error.contains(reason) && !error.contains("hunter2"), "{text}: {error}");
        }
        let with_prefix = |length| StoreLocation::parse(&format!("redis://h?prefix={}", "x".repeat(length)));
        assert!(with_prefix(64).is_ok() && with_prefix(65).is_err());
    }

    #[test]
    fn description_is_location_without_prefix() {
        for text in
            ["file:", "file:/a", "application:", "redis://u@h:1/0", "rediss://[::1]:6379/2", "unix:///s?db=0"]
        {
            assert_eq!(StoreLocation::parse(text).unwrap().describe(), text);
        }
    }

    #[test]
    fn only_plain_connection_to_other_machine_is_exposed() {
        assert!(redis("redis://cache.example").is_exposed());
        for text in
            ["rediss://cache.example", "redis://127.0.0.1", "redis://[::1]", "redis://localhost", "unix:///s"]
        {
            assert!(!redis(text).is_exposed(), "{text}");
        }
    }
}
