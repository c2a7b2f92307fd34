//! How long something takes, by the wall and by the processor.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::BenchResult;

/// Nanoseconds of the wall clock.
pub fn wall_nanos() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

/// Nanoseconds that this process has had a processor for, by the kernel's own count.
pub fn cpu_nanos() -> u128 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes a timespec, which this is.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    u128::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u128::try_from(time.tv_nsec).unwrap_or(0)
}

/// Runs `work` so many times: the median and the tenth percentile by the wall, and the mean by the processor.
pub fn measure_each(count: usize, mut work: impl FnMut() -> BenchResult<()>) -> BenchResult<String> {
    let mut times = Vec::with_capacity(count);
    let began = cpu_nanos();
    for _ in 0..count {
        let started = wall_nanos();
        work()?;
        times.push(wall_nanos() - started);
    }
    let used = (cpu_nanos() - began) / count as u128;
    times.sort_unstable();
    Ok(format!("{} {} {used}", times[count / 2], times[count / 10]))
}
