//! `kurier topic alter`: more partitions, other settings.

use anyhow::Context;
use kurier::{Admin, ConfigChanges};
use serde_json::{Map, Value, json};

use crate::args::{AlterArgs, Output};
use crate::commands::missing::explained;
use crate::exit::UsageError;
use crate::output::{self, counted};

/// Does it: settings first, since they are refused more often and take nothing back.
///
/// # Errors
/// When it cannot be done; the words say when some of it was.
pub async fn run(args: AlterArgs, admin: &Admin, form: Output) -> anyhow::Result<()> {
    let AlterArgs { name, partitions, set, unset } = args;
    let changes = changes(&set, &unset)?;
    let before = explained(admin, &name, admin.describe_topic(&name).await).await?;
    let before = before.partitions.len();
    if !changes.is_empty() {
        admin.alter_topic(&name, &changes).await?;
    }
    if let Some(total) = partitions {
        let grown = admin.add_partitions(&name, total).await;
        let context =
            if changes.is_empty() { "nothing is changed" } else { "only settings are changed" };
        grown.context(context)?;
        tracing::warn!(
            "most keys go to another partition from now on: of one key's messages, those sent before may \
             be handled after those sent now"
        );
    }
    let written = match form {
        Output::Json => {
            let set: Map<String, Value> =
                set.into_iter().map(|(key, value)| (key, value.into())).collect();
            output::json(&json!({
                "topic": name, "partitions": partitions.map_or(json!(before), |total| json!(total)),
                "before": before, "set": set, "unset": unset,
            }))
        }
        Output::Table => {
            let total = partitions
                .map(|total| format!("{} ({before} before)", counted(total, "partition")));
            let set = set.iter().map(|(key, value)| format!("{key}={value}"));
            let unset = unset.iter().map(|key| format!("{key} is the default"));
            let all: Vec<_> = total.into_iter().chain(set).chain(unset).collect();
            output::text(&format!("altered {name}: {}\n", all.join(", ")))
        }
    };
    Ok(output::unless_unread(written)?)
}

/// Each setting once.
fn changes(set: &[(String, String)], unset: &[String]) -> Result<ConfigChanges, UsageError> {
    let mut names: Vec<_> = set.iter().map(|(key, _)| key).chain(unset).collect();
    names.sort();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(UsageError(format!("{} is named twice", pair[0])));
    }
    let changes = set.iter().fold(ConfigChanges::new(), |all, (key, value)| all.set(key, value));
    Ok(unset.iter().fold(changes, ConfigChanges::unset))
}
