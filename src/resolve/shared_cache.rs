//! The options that begin with TokenCache: the store that shares tokens with other processes.

use std::time::Duration;

use super::option_resolver::OptionResolver;
use crate::base::error::OptionError;
use crate::base::policy::{Permission, Restriction};
use crate::base::secret::Secret;
use crate::key::SharedSecret;
use crate::net::tls::{TlsVersions, TransportConfig};
use crate::options::OptionId;
use crate::token_store::{RedisAddress, StoreLocation};

/// The options that have no effect without TokenCache.
const DETAIL_OPTIONS: [OptionId; 7] = [
    OptionId::TokenCachePassword,
    OptionId::TokenCacheSecret,
    OptionId::TokenCacheTimeout,
    OptionId::TokenCacheWait,
    OptionId::TokenCachePrompted,
    OptionId::TokenCacheUser,
    OptionId::TokenCacheTrustStore,
];

const DEFAULT_TIMEOUT_MILLIS: i64 = 500;

const DEFAULT_WAIT_SECS: i64 = 5;

/// The store that shares tokens with other processes.
#[derive(Debug)]
pub struct SharedCacheConfig {
    /// TokenCache, with the credentials of the store.
    pub location: StoreLocation,
    /// The bytes of TokenCacheSecret.
    pub secret: Option<SharedSecret>,
    /// The time limit for one operation of the store.
    pub timeout: Duration,
    /// How long to wait for the request of another process.
    pub wait: Duration,
    /// TokenCacheUser, if tokens of users who logged in are shared.
    pub prompted_user: Option<String>,
}

impl OptionResolver<'_> {
    /// The store of TokenCache, if it is set.
    pub(super) fn shared_cache_config(&mut self) -> Option<SharedCacheConfig> {
        let is_permitted = self.check_token_cache_permission();
        let Some(text) = self.text(OptionId::TokenCache) else {
            for name in DETAIL_OPTIONS {
                if self.value(name).is_some() {
                    self.add_warning(name, "is ignored unless TokenCache is set");
                }
            }
            return None;
        };
        if !is_permitted {
            return None;
        }
        let location = match StoreLocation::parse(&text) {
            Ok(location) => self.complete_location(location),
            Err(reason) => {
                self.add_error(OptionError::Invalid, OptionId::TokenCache, &reason);
                return None;
            }
        };
        let millis = |value: i64| Duration::from_millis(value.unsigned_abs());
        Some(SharedCacheConfig {
            location,
            secret: self.token_cache_secret(),
            timeout: millis(self.number(OptionId::TokenCacheTimeout).unwrap_or(DEFAULT_TIMEOUT_MILLIS)),
            wait: millis(
                self.number(OptionId::TokenCacheWait).unwrap_or(DEFAULT_WAIT_SECS).saturating_mul(1000),
            ),
            prompted_user: self.prompted_user(),
        })
    }

    /// Whether the policy accepts the options that begin with TokenCache; records an error for each that it
    /// does not accept. They name folders and servers, and TokenCacheUser selects whose tokens are used.
    fn check_token_cache_permission(&mut self) -> bool {
        let mut is_permitted = true;
        for name in [OptionId::TokenCache].into_iter().chain(DETAIL_OPTIONS) {
            let is_untrusted = self.value(name).is_some_and(|value| self.options.is_untrusted_value(value));
            if !is_untrusted {
                continue;
            }
            let text = if name == OptionId::TokenCacheUser {
                "is not accepted in a connection string; set it with authgrant_set_option or in the data source"
                    .to_owned()
            } else if !self.policy.allows(Permission::TokenCache) {
                format!(
                    "is not accepted in a connection string unless the process policy allows it ({}); set it with \
                     authgrant_set_option or in the data source",
                    Permission::TokenCache.name()
                )
            } else {
                continue;
            };
            self.add_error(OptionError::Invalid, name, &text);
            is_permitted = false;
        }
        is_permitted
    }

    fn complete_location(&mut self, location: StoreLocation) -> StoreLocation {
        self.check_store_path(&location);
        let StoreLocation::Redis(mut redis) = location else {
            for name in [OptionId::TokenCachePassword, OptionId::TokenCacheTrustStore] {
                if self.value(name).is_some() {
                    self.add_warning(name, "is ignored: TokenCache is not a Redis server");
                }
            }
            return location;
        };
        redis.password = self.secret(OptionId::TokenCachePassword);
        if redis.user.is_some() && redis.password.is_none() {
            self.problems.missing.push(OptionId::TokenCachePassword);
        }
        let trust_store = self.configured_path(OptionId::TokenCacheTrustStore);
        let tls_versions = self.permitted_tls_versions(TlsVersions::default());
        match &mut redis.tls {
            Some(tls) => {
                *tls = TransportConfig {
                    option_prefix: "TokenCache",
                    trust_store,
                    tls_versions,
                    ..TransportConfig::default()
                };
            }
            None if trust_store.is_some() => {
                self.add_warning(OptionId::TokenCacheTrustStore, "is ignored: TokenCache is not rediss://");
            }
            None => {}
        }
        if redis.is_exposed() {
            self.add_warning(
                OptionId::TokenCache,
                "is redis:// on another machine: tokens are encrypted, but TokenCachePassword and the times at \
                 which tokens are used are not; use rediss://",
            );
        }
        StoreLocation::Redis(redis)
    }

    /// Records an error for a path in untrusted text if the policy forbids file paths there.
    fn check_store_path(&mut self, location: &StoreLocation) {
        let names_path = match location {
            StoreLocation::Folder(path) => path.is_some(),
            StoreLocation::Redis(redis) => matches!(redis.address, RedisAddress::Unix(_)),
            StoreLocation::Application => false,
        };
        let is_untrusted =
            self.value(OptionId::TokenCache).is_some_and(|value| self.options.is_untrusted_value(value));
        if names_path && is_untrusted {
            self.check_restriction(OptionId::TokenCache, "has a path", Restriction::FilePaths);
        }
    }

    fn token_cache_secret(&mut self) -> Option<SharedSecret> {
        let text: Secret = self.secret(OptionId::TokenCacheSecret)?;
        match SharedSecret::parse(text.reveal()) {
            Some(secret) => Some(secret),
            None => {
                let text = format!(
                    "is shorter than {} bytes, or begins with \"base64:\" and is not base64; generate it, for \
                     example with: openssl rand -base64 32",
                    SharedSecret::MIN_LEN
                );
                self.add_error(OptionError::Invalid, OptionId::TokenCacheSecret, &text);
                None
            }
        }
    }

    fn prompted_user(&mut self) -> Option<String> {
        let is_enabled = self.has_value(OptionId::TokenCachePrompted, "1");
        if is_enabled {
            return self.require(OptionId::TokenCacheUser);
        }
        if self.value(OptionId::TokenCacheUser).is_some() {
            self.add_warning(OptionId::TokenCacheUser, "is ignored unless TokenCachePrompted is 1");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Resolution, resolve, resolve_with};
    use super::*;
    use crate::base::error::{Error, Status};
    use crate::base::policy::Policy;
    use crate::key::KeyCache;
    use crate::net::proxy::ProxyConfig;
    use crate::options::Options;
    use crate::options::environment::testing::FakeEnvironment;

    const BASE: &str = "AuthenticationMethod=53;ClientID=c;ClientSecret=s;TokenURI=https://example.com/t";

    /// Options that the application sets.
    fn resolution(pairs: &[(&str, &str)]) -> Resolution {
        let mut options = Options::open(BASE, &FakeEnvironment::default()).unwrap();
        options.set(pairs).unwrap();
        resolve(&options)
    }

    fn shared(pairs: &[(&str, &str)]) -> SharedCacheConfig {
        resolution(pairs).config.unwrap().shared_cache.unwrap()
    }

    fn error(pairs: &[(&str, &str)]) -> Error {
        resolution(pairs).config.unwrap_err()
    }

    /// Options of a connection string under a policy.
    fn untrusted(text: &str, allow: u32, forbid: u32) -> Result<Config, Error> {
        let options = Options::open(&format!("{BASE};{text}"), &FakeEnvironment::default()).unwrap();
        resolve_with(&options, None, Policy::new(allow, forbid).unwrap(), &KeyCache::new([0; 32])).config
    }

    #[test]
    fn tokens_are_not_shared_by_default() {
        assert!(resolution(&[]).config.unwrap().shared_cache.is_none());
    }

    #[test]
    fn shared_cache_has_defaults() {
        let shared = shared(&[("TokenCache", "file:/tmp/x")]);
        assert_eq!(shared.location, StoreLocation::parse("file:/tmp/x").unwrap());
        assert_eq!((shared.timeout, shared.wait), (Duration::from_millis(500), Duration::from_secs(5)));
        assert!(shared.secret.is_none() && shared.prompted_user.is_none());
    }

    #[test]
    fn redis_store_has_credentials_and_trust_of_its_own() {
        let shared = shared(&[
            ("TokenCache", "rediss://app@cache.example"),
            ("TokenCachePassword", "p"),
            ("TokenCacheTrustStore", "/redis.pem"),
            ("TokenCacheTimeout", "100"),
            ("TokenCacheWait", "2"),
            ("ValidateServerCertificate", "0"),
            ("HostNameInCertificate", "other"),
            ("TrustStore", "/oauth.pem"),
            ("ProxyHost", "proxy"),
        ]);
        let StoreLocation::Redis(redis) = shared.location else { panic!("{:?}", shared.location) };
        let tls = redis.tls.unwrap();
        assert_eq!(redis.password, Some(Secret::from("p")));
        assert_eq!(tls.trust_store.unwrap().as_configured(), "/redis.pem");
        assert_eq!(tls.option_prefix, "TokenCache", "messages name TokenCacheTrustStore");
        assert!(tls.validate_certificate && tls.host_name_in_certificate.is_none());
        assert_eq!(tls.proxy, ProxyConfig::Direct);
        assert!(tls.client_key_source.is_none());
        assert_eq!((shared.timeout, shared.wait), (Duration::from_millis(100), Duration::from_secs(2)));
    }

    #[test]
    fn invalid_token_cache_option_is_named() {
        for (pairs, option) in [
            (&[("TokenCache", "x")][..], "TokenCache"),
            (&[("TokenCache", "redis://u@h")], "TokenCachePassword"),
            (&[("TokenCache", "file:"), ("TokenCacheSecret", "hunter2")], "TokenCacheSecret"),
            (&[("TokenCache", "file:"), ("TokenCachePrompted", "1")], "TokenCacheUser"),
        ] {
            let error = error(pairs);
            assert_eq!(error.option(), Some(option));
            assert!(!error.message().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn ineffective_token_cache_option_is_warned_about() {
        for (pairs, option) in [
            (&[("TokenCacheWait", "1")][..], "TokenCacheWait"),
            (&[("TokenCache", "file:"), ("TokenCachePassword", "p")], "TokenCachePassword"),
            (&[("TokenCache", "redis://localhost"), ("TokenCacheTrustStore", "/x")], "TokenCacheTrustStore"),
            (&[("TokenCache", "file:"), ("TokenCacheUser", "u")], "TokenCacheUser"),
            (&[("TokenCache", "redis://cache.example")], "TokenCache"),
        ] {
            let warnings = resolution(pairs).warnings();
            let named: Vec<_> = warnings.iter().filter_map(Error::option).collect();
            assert_eq!(named, [option], "{warnings:?}");
        }
        assert!(resolution(&[("TokenCache", "redis://localhost")]).warnings().is_empty());
    }

    #[test]
    fn untrusted_text_needs_permission_for_token_cache() {
        let allow = Permission::TokenCache as u32;
        for option in ["TokenCache=file:/x", "TokenCacheTimeout=100", "TokenCacheSecret=s"] {
            let error = untrusted(option, 0, 0).unwrap_err();
            assert_eq!(error.status(), Status::InvalidOption);
            assert!(error.message().contains("AUTHGRANT_ALLOW_TOKEN_CACHE"), "{error}");
        }
        let config = untrusted("TokenCache=file:/x;TokenCacheTimeout=100", allow, 0).unwrap();
        assert_eq!(config.shared_cache.unwrap().timeout, Duration::from_millis(100));
        let user = "TokenCache=file:;TokenCachePrompted=1;TokenCacheUser=u";
        assert_eq!(untrusted(user, allow, 0).unwrap_err().option(), Some("TokenCacheUser"));
    }

    #[test]
    fn redis_store_follows_tls_policy() {
        for (forbid, versions) in
            [(0, TlsVersions::Tls12And13), (Restriction::Tls12 as u32, TlsVersions::Tls13ByPolicy)]
        {
            let config = untrusted("TokenCache=rediss://h", Permission::TokenCache as u32, forbid).unwrap();
            let StoreLocation::Redis(redis) = config.shared_cache.unwrap().location else {
                panic!("no Redis")
            };
            assert_eq!(redis.tls.unwrap().tls_versions, versions);
        }
    }

    #[test]
    fn untrusted_path_needs_file_paths() {
        let (allow, forbid) = (Permission::TokenCache as u32, Restriction::FilePaths as u32);
        for text in ["TokenCache=file:/x", "TokenCache=unix:///x"] {
            assert!(untrusted(text, allow, 0).is_ok());
            let error = untrusted(text, allow, forbid).unwrap_err();
            assert!(error.message().contains(Restriction::FilePaths.name()), "{error}");
        }
        assert!(untrusted("TokenCache=file:", allow, forbid).is_ok());
    }
}
