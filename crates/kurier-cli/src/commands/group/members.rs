//! Groups with members, which are neither reset nor deleted under their hands.

use kurier::{GroupDescription, GroupMember};

/// Fails when the group has members, and names them.
///
/// # Errors
/// Who is in it.
pub fn refuse_members(group: &GroupDescription, to: &str) -> anyhow::Result<()> {
    const NAMED_MAX: usize = 10;
    if group.members.is_empty() {
        return Ok(());
    }
    let named = group.members.iter().take(NAMED_MAX).map(named).collect::<Vec<_>>().join("; ");
    let more = match group.members.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    anyhow::bail!(
        "group {} is {} and can't be {to} while it has members: {named}{more}; stop them first",
        group.name,
        group.state,
    )
}

fn named(member: &GroupMember) -> String {
    let owns: Vec<_> = member.partitions.iter().map(ToString::to_string).collect();
    let owns = if owns.is_empty() { "no partition".to_owned() } else { owns.join(", ") };
    let host = member.host.trim_start_matches('/');
    format!("{} on {host} with {owns}", member.client_id)
}
