//! The table of checks, as `docs/doctor.md` shows it.

use super::CHECKS;

/// A section of Markdown for each check: what it reads, what it finds, why.
pub fn checks_as_markdown() -> String {
    let sections = CHECKS.iter().map(|check| {
        format!(
            "### {}: {}\n\nReads {}.\n\nFinds: {}.\n\nWhy: {}.\n\n",
            check.id, check.title, check.reads, check.finds, check.why
        )
    });
    sections.collect::<String>().trim_end().to_owned() + "\n"
}
