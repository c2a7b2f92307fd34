//! Slow path of `get_token`: the token from the cache, or a request for a new one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{CallOptions, Connection};
use crate::base::cache_key::CacheKey;
use crate::base::call::CallContext;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::file::FileVersion;
use crate::base::log::LogLevel;
use crate::base::stats::Counter;
use crate::grants::{self, GrantContext};
use crate::process::Snapshot;
use crate::resolve::Config;
use crate::token::AccessToken;
use crate::token::cache::{FetchKind, Requirements, SourceVersions};

/// Limit of an early renewal, which delays a caller that already has a valid token.
const EARLY_RENEWAL_TIMEOUT: Duration = Duration::from_secs(2);

/// Limit of an early renewal if the server may rotate the refresh token: if the response is abandoned, the
/// new refresh token is lost, and the user must log in again.
const ROTATING_RENEWAL_TIMEOUT: Duration = Duration::from_secs(10);

impl Connection {
    pub(super) fn get_or_fetch_token(
        &self,
        snapshot: &Snapshot,
        config: &Config,
        call_options: CallOptions<'_>,
    ) -> Result<Arc<AccessToken>> {
        let process = self.process();
        let cache_key = self.cache_key(snapshot, config);
        self.seed_configured_token(config, cache_key);
        let clock = process.clock.as_ref();
        let requirements = self.requirements(config, cache_key, call_options);
        if call_options.no_network && grants::needs_network(config) {
            return process.cache.peek(cache_key, requirements, clock).ok_or_else(not_cached_error);
        }
        let lease = process.cache.lease(cache_key);
        // Before the request: if it fails, the error is removed from the cache at close.
        self.track_for_removal(cache_key, config);
        let call = self.begin_call(config, call_options);
        let outcome = self.with_grant_context(cache_key, &call, !call_options.no_prompt, |context| {
            process.cache.get(&lease, requirements, clock, &call, &|| read_source_versions(config), |kind| {
                let call = limit_call_for_fetch(kind, &call, requirements.refresh_timeout);
                let may_prompt = context.may_prompt && kind != FetchKind::EarlyRefresh;
                let context = GrantContext { call: &call, may_prompt, ..*context };
                self.share_or_fetch(config, kind, requirements, &context)
            })
        });
        let previous = self.state().cache_lease.lock().replace(lease);
        // Without the lock above: the end of a lease may take that of the cache.
        drop(previous);
        let outcome = outcome.map_err(|error| grants::add_consent_guidance(error, config));
        if let Err(error) = &outcome {
            call.log.log(LogLevel::Error, || error.message());
        }
        outcome
    }

    pub(super) fn fetch_token(
        &self,
        config: &Config,
        kind: FetchKind,
        context: &GrantContext<'_>,
    ) -> Result<AccessToken> {
        let log = &context.call.log;
        log.log(LogLevel::Debug, || format!("requesting a token ({})", fetch_reason(kind)));
        let stats = &context.process.stats;
        let started = Instant::now();
        let outcome = grants::fetch_token(config, context);
        stats.record_fetch_time(started.elapsed());
        match outcome {
            Ok(token) => {
                stats.count(Counter::TokensFetched);
                if kind == FetchKind::EarlyRefresh {
                    stats.count(Counter::EarlyRenewals);
                }
                log.log(LogLevel::Info, || {
                    fetched_message(&token, kind, context.process.clock.unix_seconds())
                });
                Ok(self.attach_id_token(token, config))
            }
            Err(error) => {
                stats.count_failure(&error);
                // All other failures are returned to the caller and logged as errors.
                if kind == FetchKind::EarlyRefresh {
                    log.log(LogLevel::Info, || format!("early renewal failed: {}", error.message()));
                }
                Err(error)
            }
        }
    }

    pub(super) fn with_grant_context<T>(
        &self,
        cache_key: CacheKey,
        call: &CallContext,
        may_prompt: bool,
        work: impl FnOnce(&GrantContext<'_>) -> T,
    ) -> T {
        let warn = |warning: Error| {
            call.log.log(LogLevel::Warning, || warning.message());
            self.warn(warning);
        };
        work(&GrantContext {
            process: self.process(),
            login_state: &self.state().login_state,
            call,
            data_source: self.data_source.as_deref(),
            cache_key,
            may_prompt,
            bypass_circuit_breaker: false,
            before_refresh: &|| Ok(()),
            warn: &warn,
        })
    }

    /// Requirements of a call for the token of `cache_key`.
    pub(super) fn requirements(
        &self,
        config: &Config,
        cache_key: CacheKey,
        call_options: CallOptions<'_>,
    ) -> Requirements {
        let process = self.process();
        let rotates = grants::may_rotate_refresh_token(config, &self.state().login_state, process);
        Requirements {
            min_remaining: call_options.min_remaining,
            refresh_margin: config.refresh_margin,
            refresh_jitter: process.jitter.for_key(&cache_key),
            refresh_timeout: if rotates { ROTATING_RENEWAL_TIMEOUT } else { EARLY_RENEWAL_TIMEOUT },
            bypass_negative_cache: call_options.bypass_negative_cache,
        }
    }
}

fn read_source_versions(config: &Config) -> SourceVersions {
    grants::source_files(config).into_iter().map(|file| FileVersion::read(file).ok()).collect()
}

/// Limits the call of a fetch: an early renewal is a single attempt with a short timeout, because its caller
/// has a token.
fn limit_call_for_fetch(kind: FetchKind, call: &CallContext, renewal_timeout: Duration) -> CallContext {
    match kind {
        FetchKind::Needed => call.clone(),
        FetchKind::Probe => CallContext { single_attempt: true, ..call.clone() },
        FetchKind::EarlyRefresh => CallContext {
            single_attempt: true,
            ..call.capped(renewal_timeout, "the limit of an early renewal")
        },
    }
}

fn fetch_reason(kind: FetchKind) -> &'static str {
    match kind {
        FetchKind::Needed => "none is cached",
        FetchKind::Probe => "the last request failed",
        FetchKind::EarlyRefresh => "early renewal",
    }
}

fn fetched_message(token: &AccessToken, kind: FetchKind, now: i64) -> String {
    let reason = fetch_reason(kind);
    match token.expires_at() {
        Some(expires_at) => {
            format!("fetched a token ({reason}); it expires in {} s", expires_at.saturating_sub(now))
        }
        None => format!("fetched a token ({reason}); its lifetime is unknown"),
    }
}

fn not_cached_error() -> Error {
    Error::new(
        ErrorKind::NotCached,
        "token",
        "no token is cached, and AUTHGRANT_NO_NETWORK is set; call again without that flag",
    )
}
