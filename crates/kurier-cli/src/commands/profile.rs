//! `kurier profile`: what profiles there are, and which settings are in effect.

use serde_json::{Value, json};

use crate::args::{Global, Output, ProfileCommand};
use crate::exit::Exit;
use crate::output;

/// Prints it. Nothing is asked of any cluster.
///
/// # Errors
/// When it can't be printed.
pub fn run(command: &ProfileCommand, global: &Global) -> anyhow::Result<Exit> {
    match (command, global.output) {
        (ProfileCommand::List, Output::Json) => {
            for (name, file) in &global.settings.profiles {
                output::json(&json!({ "profile": name, "file": file }))?;
            }
        }
        (ProfileCommand::List, Output::Table) => {
            let rows = global.settings.profiles.iter();
            let rows = rows.map(|(name, file)| format!("{name:<20} {}\n", file.display()));
            output::text(&rows.collect::<String>())?;
        }
        (ProfileCommand::Show, Output::Json) => {
            let settings = global.settings.shown().map(|(name, value, source)| {
                json!({ "name": name, "value": value, "source": source.to_string() })
            });
            let settings: Vec<Value> = settings.collect();
            output::json(&json!({ "profile": global.settings.profile, "settings": settings }))?;
        }
        (ProfileCommand::Show, Output::Table) => {
            let rows = global.settings.shown();
            let rows =
                rows.map(|(name, value, source)| format!("{name:<28} {value:<32} {source}\n"));
            output::text(&rows.collect::<String>())?;
        }
    }
    Ok(Exit::Done)
}
