//! What a process took: processor time, and the most memory it ever had. From Linux' /proc; elsewhere it
//! is not known.

use std::fs;
use std::time::Duration;

use serde::Serialize;

/// What is known of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Seconds of all its threads, in user and kernel mode.
    pub cpu_seconds: Option<f64>,
    /// Bytes of memory it had at its peak (`VmHWM`).
    pub peak_memory: Option<u64>,
}

impl Cost {
    /// Of this process, until now.
    pub fn of_this_process() -> Self {
        Self::of("self")
    }

    /// Of a process, by its number, until now; nothing when it is gone.
    pub fn of_process(pid: u32) -> Self {
        Self::of(&pid.to_string())
    }

    fn of(process: &str) -> Self {
        let read = |file| fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
        Self { cpu_seconds: cpu(&read("stat")), peak_memory: peak(&read("status")) }
    }

    /// What is known of either, the later one winning: both figures only ever grow.
    pub fn or_before(self, before: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds.or(before.cpu_seconds),
            peak_memory: self.peak_memory.or(before.peak_memory),
        }
    }

    /// What was added since `before`; the memory stays what it is.
    pub fn since(self, before: Self) -> Self {
        let spent = self.cpu_seconds.zip(before.cpu_seconds).map(|(now, then)| now - then);
        Self { cpu_seconds: spent, ..self }
    }
}

/// Linux counts in hundredths of a second, whatever the kernel's own clock (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// Of /proc/PID/stat: fields 14 and 15, counted behind the name in parentheses, which may hold anything.
fn cpu(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    // The first of these is field 3.
    let mut times = fields.split_whitespace().skip(14 - 3);
    let ticks: u64 = times.next()?.parse::<u64>().ok()? + times.next()?.parse::<u64>().ok()?;
    Some(ticks as f64 * TICK.as_secs_f64())
}

/// Of /proc/PID/status.
fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_figures_are_read_as_linux_writes_them() {
        let stat = "4242 (java (x) 7) S 1 4242 4242 0 -1 4194560 9 0 0 0 250 50 3 4 20 0 31 0 9";
        assert_eq!(cpu(stat), Some(3.0));
        let status = "Name:\tkurier\nVmPeak:\t  999 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(peak(status), Some(2 << 20));
        assert_eq!((cpu(""), peak("Name:\tzombie\nState:\tZ (zombie)\n")), (None, None));
    }

    #[test]
    fn a_process_that_ends_keeps_what_was_last_seen_of_it() {
        let seen = Cost { cpu_seconds: Some(1.0), peak_memory: Some(10) };
        let dead = Cost { cpu_seconds: Some(1.5), peak_memory: None };
        let known = dead.or_before(seen);
        assert_eq!(known, Cost { cpu_seconds: Some(1.5), peak_memory: Some(10) });
        assert_eq!(known.since(seen).cpu_seconds, Some(0.5));
    }
}
