//! Process-wide counters and a fetch-time histogram, reported as JSON with Prometheus metric names.
//!
//! Counting is one relaxed atomic add. The report contains numbers and constant names only, never text from
//! users or servers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::base::error::{Error, Status};

/// An event that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Tokens returned from the cache.
    CacheHits,
    /// Tokens requested from a server or signed locally.
    TokensFetched,
    /// Fetched tokens that replaced a token before it expired.
    EarlyRenewals,
    /// Errors returned from the negative cache.
    NegativeCacheHits,
    /// Requests that were retried.
    Retries,
    /// Responses that asked the client to wait (rate limiting).
    Throttled,
    /// Times that a circuit breaker opened.
    BreakerOpenings,
    /// Keys read and decrypted.
    KeysOpened,
    /// Network connections opened.
    ConnectionsOpened,
    /// Requests sent on a reused (keep-alive) connection.
    ConnectionsReused,
    /// Tokens evicted from a full cache.
    CacheEvictions,
    /// Tokens read from the store that processes share.
    SharedCacheHits,
    /// Failures of that store.
    StoreFailures,
}

impl Counter {
    const ALL: [Self; 13] = [
        Self::CacheHits,
        Self::TokensFetched,
        Self::EarlyRenewals,
        Self::NegativeCacheHits,
        Self::Retries,
        Self::Throttled,
        Self::BreakerOpenings,
        Self::KeysOpened,
        Self::ConnectionsOpened,
        Self::ConnectionsReused,
        Self::CacheEvictions,
        Self::SharedCacheHits,
        Self::StoreFailures,
    ];

    /// The Prometheus metric name.
    fn name(self) -> &'static str {
        match self {
            Self::CacheHits => "authgrant_token_cache_hits_total",
            Self::TokensFetched => "authgrant_tokens_fetched_total",
            Self::EarlyRenewals => "authgrant_early_renewals_total",
            Self::NegativeCacheHits => "authgrant_negative_cache_hits_total",
            Self::Retries => "authgrant_retries_total",
            Self::Throttled => "authgrant_throttled_total",
            Self::BreakerOpenings => "authgrant_breaker_openings_total",
            Self::KeysOpened => "authgrant_keys_opened_total",
            Self::ConnectionsOpened => "authgrant_connections_opened_total",
            Self::ConnectionsReused => "authgrant_connections_reused_total",
            Self::CacheEvictions => "authgrant_cache_evictions_total",
            Self::SharedCacheHits => "authgrant_shared_cache_hits_total",
            Self::StoreFailures => "authgrant_shared_cache_failures_total",
        }
    }
}

/// Upper bounds of the fetch-time buckets, in milliseconds. One more bucket has no upper bound.
const BUCKET_BOUNDS_MS: [u64; 11] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];

/// The counters of a process. Thread-safe.
#[derive(Default)]
pub struct Stats {
    counters: [AtomicU64; Counter::ALL.len()],
    failures: [AtomicU64; Status::ALL.len()],
    fetch_time_buckets: [AtomicU64; BUCKET_BOUNDS_MS.len() + 1],
    fetch_micros: AtomicU64,
}

impl Stats {
    /// Increments `counter`.
    pub fn count(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Adds `count` to `counter`.
    pub fn add(&self, counter: Counter, count: u64) {
        add_relaxed(self.counters.get(counter as usize), count);
    }

    /// Counts a failed fetch by the status of its error.
    pub fn count_failure(&self, error: &Error) {
        add_relaxed(self.failures.get(error.status() as usize), 1);
    }

    /// Records the duration of a fetch, successful or not.
    pub fn record_fetch_time(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let bucket =
            BUCKET_BOUNDS_MS.iter().position(|bound| millis < *bound).unwrap_or(BUCKET_BOUNDS_MS.len());
        add_relaxed(self.fetch_time_buckets.get(bucket), 1);
        add_relaxed(Some(&self.fetch_micros), u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Formats all metrics as JSON. `external_counts` are added to the counters here; `gauges` are included
    /// unchanged.
    #[must_use]
    pub fn to_json(&self, external_counts: &[(Counter, u64)], gauges: &[(&'static str, u64)]) -> String {
        let mut report = BTreeMap::new();
        for (counter, value) in Counter::ALL.iter().zip(&self.counters) {
            let external =
                external_counts.iter().filter(|(other, _)| other == counter).map(|(_, count)| count);
            let count = external.fold(load_relaxed(value), |sum, count| sum.wrapping_add(*count));
            report.insert(counter.name(), Metric::Number(count));
        }
        report.extend(gauges.iter().map(|(name, value)| (*name, Metric::Number(*value))));
        let failures = Status::ALL
            .iter()
            .zip(&self.failures)
            .map(|(status, count)| (status.name(), load_relaxed(count)));
        let failures = failures.filter(|(_, count)| *count > 0).collect();
        report.insert("authgrant_fetch_failures_total", Metric::ByStatus(failures));
        report.insert("authgrant_fetch_duration_seconds", Metric::Histogram(self.histogram()));
        // Serialization of numbers and constant names cannot fail.
        serde_json::to_string_pretty(&report).unwrap_or_default()
    }

    fn histogram(&self) -> Histogram {
        let mut count = 0_u64;
        let mut buckets = Vec::new();
        let bounds = BUCKET_BOUNDS_MS.iter().map(|millis| format_seconds(Duration::from_millis(*millis)));
        for (bound, bucket) in bounds.chain(["+Inf".to_owned()]).zip(&self.fetch_time_buckets) {
            count = count.saturating_add(load_relaxed(bucket));
            buckets.push(Bucket { le: bound, count });
        }
        let sum = Duration::from_micros(load_relaxed(&self.fetch_micros)).as_secs_f64();
        Histogram { buckets, sum, count }
    }
}

fn add_relaxed(counter: Option<&AtomicU64>, count: u64) {
    if let Some(counter) = counter {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

fn load_relaxed(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn format_seconds(time: Duration) -> String {
    time.as_secs_f64().to_string()
}

#[derive(Serialize)]
#[serde(untagged)]
enum Metric {
    Number(u64),
    ByStatus(BTreeMap<&'static str, u64>),
    Histogram(Histogram),
}

/// A cumulative histogram as in Prometheus: each bucket counts all values up to its upper bound.
#[derive(Serialize)]
struct Histogram {
    buckets: Vec<Bucket>,
    sum: f64,
    count: u64,
}

#[derive(Serialize)]
struct Bucket {
    le: String,
    count: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::base::error::{ErrorKind, OAuthReason, TimeoutKind};

    fn report(stats: &Stats) -> Value {
        serde_json::from_str(&stats.to_json(&[], &[("authgrant_cached_identities", 7)])).unwrap()
    }

    #[test]
    fn counter_is_reported_under_its_own_name() {
        for (index, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(*counter as usize, index);
            let stats = Stats::default();
            stats.count(*counter);
            stats.add(*counter, 2);
            let report = report(&stats);
            for other in Counter::ALL {
                assert_eq!(report[other.name()], if other == *counter { 3 } else { 0 }, "{counter:?}");
            }
        }
    }

    #[test]
    fn external_counts_are_added() {
        let stats = Stats::default();
        stats.count(Counter::CacheHits);
        let report: Value = serde_json::from_str(&stats.to_json(&[(Counter::CacheHits, 41)], &[])).unwrap();
        assert_eq!(report["authgrant_token_cache_hits_total"], 42);
        assert_eq!(report["authgrant_keys_opened_total"], 0);
    }

    #[test]
    fn metric_names_follow_prometheus_conventions() {
        let report = report(&Stats::default());
        for name in report.as_object().unwrap().keys() {
            assert!(name.starts_with("authgrant_"), "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        }
        assert_eq!(report["authgrant_cached_identities"], 7);
    }

    #[test]
    fn failures_are_counted_by_status() {
        let stats = Stats::default();
        for kind in
            [OAuthReason::Denied.into(), TimeoutKind::Call.into(), ErrorKind::from(OAuthReason::Denied)]
        {
            stats.count_failure(&Error::new(kind, "token", "hunter2"));
        }
        let expected = json!({"AUTHGRANT_DENIED": 2, "AUTHGRANT_TIMEOUT": 1});
        assert_eq!(report(&stats)["authgrant_fetch_failures_total"], expected);
        assert!(!stats.to_json(&[], &[]).contains("hunter2"));
    }

    #[test]
    fn histogram_is_cumulative() {
        let stats = Stats::default();
        for millis in [0, 4, 5, 999, 9_999, 10_000, 100_000] {
            stats.record_fetch_time(Duration::from_millis(millis));
        }
        let histogram = &report(&stats)["authgrant_fetch_duration_seconds"];
        let counts: Vec<_> = histogram["buckets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|bucket| (bucket["le"].as_str().unwrap(), bucket["count"].as_u64().unwrap()))
            .collect();
        assert_eq!(
            counts,
            [
                ("0.005", 2),
                ("0.01", 3),
                ("0.025", 3),
                ("0.05", 3),
                ("0.1", 3),
                ("0.25", 3),
                ("0.5", 3),
                ("1", 4),
                ("2.5", 4),
                ("5", 4),
                ("10", 5),
                ("+Inf", 7)
            ]
        );
        assert_eq!((histogram["count"].as_u64(), histogram["sum"].as_f64()), (Some(7), Some(121.007)));
    }
}
