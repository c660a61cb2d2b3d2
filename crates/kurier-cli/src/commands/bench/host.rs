//! The machine that is measured on, as far as Linux tells: figures mean nothing without it.

use std::fs;

use serde_json::{Value, json};

/// For `result.json`.
pub(super) fn described() -> Value {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    json!({
        "system": std::env::consts::OS, "architecture": std::env::consts::ARCH,
        "kernel": Some(read("/proc/sys/kernel/osrelease").trim()).filter(|it| !it.is_empty()),
        "processor": field(&read("/proc/cpuinfo"), "model name"),
        "cores": std::thread::available_parallelism().ok(),
        "memory": field(&read("/proc/meminfo"), "MemTotal"),
    })
}

/// The first value of a `NAME : VALUE` line.
fn field(text: &str, name: &str) -> Option<String> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_name() {
        let text = "processor\t: 0\nmodel name\t: A: B\nprocessor\t: 1\nmodel name\t: C\n";
        assert_eq!(field(text, "model name").as_deref(), Some("A: B"));
        assert_eq!(field(text, "model"), None);
    }
}
