//! What is measured with: CPU time, memory, and the machine.

use std::{fs, time::Duration};

use rustix::time::{ClockId, clock_gettime};

use crate::Result;

/// The CPU time that this process has used so far, all threads, user and system.
pub(crate) fn cpu() -> Duration {
    read(ClockId::ProcessCPUTime)
}

/// A moment, on a clock that all processes of this machine share.
#[cfg(feature = "http-models")]
pub(crate) fn moment() -> Duration {
    read(ClockId::Monotonic)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// The memory of this process that is resident, in bytes. `smaps_rollup` is exact, where `statm` lags behind by some
/// pages for each thread.
pub(crate) fn resident() -> Result<f64> {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u32 = kib.ok_or("no Rss in smaps_rollup")?.trim().parse()?;
    Ok(f64::from(kib) * 1024.0)
}

/// How many cores there are.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The machine's load over the last minute: what others do here disturbs what is measured.
pub(crate) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("?").to_owned()
}
