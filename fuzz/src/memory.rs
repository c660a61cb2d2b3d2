//! What a case takes of memory, by what the process has reserved at most: that counts an allocation even
//! if it is never touched, and is given back at once.

/// How much was reserved at most, at a moment.
#[derive(Debug, Clone, Copy)]
pub struct AddressSpace(Option<u64>);

impl AddressSpace {
    /// Now.
    pub fn now() -> Self {
        Self(peak())
    }

    /// By how many bytes the peak has grown since, and a new moment; `None` where the system does not
    /// tell.
    pub fn grown(&mut self) -> Option<u64> {
        let before = std::mem::replace(self, Self::now());
        Some(self.0?.saturating_sub(before.0?))
    }
}

/// Linux tells it in `/proc` (`proc_pid_status(5)`, `VmPeak`).
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
