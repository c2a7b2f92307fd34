//! Measurement of elapsed time and CPU time.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::BenchResult;

/// Nanoseconds of the system clock.
pub fn wall_nanos() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_nanos())
}

/// Nanoseconds of CPU time of this process.
pub fn cpu_nanos() -> u128 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec, as clock_gettime requires.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    u128::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u128::try_from(time.tv_nsec).unwrap_or(0)
}

/// Runs `work` `count` times; returns median and 10th percentile of elapsed time, and mean CPU time.
pub fn measure_each(count: usize, mut work: impl FnMut() -> BenchResult<()>) -> BenchResult<String> {
    let mut times = Vec::with_capacity(count);
    let cpu_start = cpu_nanos();
    for _ in 0..count {
        let started = wall_nanos();
        work()?;
        times.push(wall_nanos() - started);
    }
    let used = (cpu_nanos() - cpu_start) / count as u128;
    times.sort_unstable();
    Ok(format!("{} {} {used}", times[count / 2], times[count / 10]))
}
