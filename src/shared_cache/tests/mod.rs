//! Tests of the protocol with simulated processes.

mod failures;
mod leases;
mod reads;
mod refresh_tokens;
mod refusals;
mod schedules;

use std::time::Duration;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
