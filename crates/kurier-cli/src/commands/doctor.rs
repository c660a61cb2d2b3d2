//! `kurier doctor`: what endangers at-least-once, as text for people or one object.
//!
//! The checks and their words are the library's; here they are laid out.

use clap::builder::styling::{AnsiColor, Style};
use kurier::{Check, Diagnosis, Doctor, Finding, Severity, Subject};
use serde_json::{Value, json};

use super::missing::explained;
use crate::args::{DoctorArgs, Global, Output};
use crate::exit::Exit;
use crate::{output, settings};

/// Looks, prints, and ends with 1 when there is a danger.
///
/// # Errors
/// When the cluster or the topic can't be looked at.
pub async fn run(args: DoctorArgs, global: &Global) -> anyhow::Result<Exit> {
    let mut doctor = Doctor::new(global.client());
    if let Some(topic) = &args.topic {
        doctor = doctor.topic(topic);
    }
    for group in args.groups {
        doctor = doctor.group(group);
    }
    if let Some(instances) = args.instances {
        doctor = doctor.instances(usize::from(instances));
    }
    let admin = super::admin(global)?;
    let examined = doctor.examine(&admin).await;
    let examined = explained(&admin, args.topic.as_deref().unwrap_or_default(), examined).await;
    admin.close().await;
    let diagnosis = examined?;
    let exit = exit(&diagnosis, args.strict);
    let written = match global.output {
        Output::Json => output::json(&object(&diagnosis, global.bootstrap())),
        Output::Table => {
            output::text(&Page { colour: settings::wants_colour() }.write(&diagnosis, global))
        }
    };
    output::unless_unread(written)?;
    Ok(exit)
}

/// Dangers count; with `strict` warnings and what was not checked do, too.
fn exit(diagnosis: &Diagnosis, strict: bool) -> Exit {
    let counts = |finding: &Finding| match finding.severity {
        Severity::Danger => true,
        Severity::Warning | Severity::NotChecked => strict,
        _ => false,
    };
    if diagnosis.findings.iter().any(counts) { Exit::Failed } else { Exit::Done }
}

fn object(diagnosis: &Diagnosis, bootstrap: &str) -> Value {
    let findings = diagnosis.findings.iter().map(|finding| {
        let mends = finding.mends.iter();
        let mends = mends.map(|mend| json!({ "advice": mend.advice, "command": mend.command }));
        json!({
            "check": finding.check.id,
            "severity": finding.severity.name(),
            "subject": { "kind": finding.subject.kind(), "name": finding.subject.name() },
            "found": finding.found,
            "why": finding.check.why,
            "mend": mends.collect::<Vec<_>>(),
        })
    });
    json!({
        "bootstrap": bootstrap, "cluster": diagnosis.cluster, "brokers": diagnosis.brokers,
        "topics": diagnosis.topics, "groups": diagnosis.groups,
        "dangers": diagnosis.count(Severity::Danger),
        "warnings": diagnosis.count(Severity::Warning),
        "notes": diagnosis.count(Severity::Note),
        "not_checked": diagnosis.count(Severity::NotChecked),
        "findings": findings.collect::<Vec<_>>(),
    })
}

/// The form for people. What is what is said in words; colour only repeats it.
struct Page {
    colour: bool,
}

/// Findings of one check that differ in nothing but their subject.
struct Alike<'a> {
    first: &'a Finding,
    subjects: Vec<&'a Subject>,
}

impl Page {
    fn write(&self, diagnosis: &Diagnosis, global: &Global) -> String {
        let mut page = format!(
            "cluster {} at {}: {}, {}, {}\n\n",
            output::known(diagnosis.cluster.as_ref()),
            global.bootstrap(),
            count(diagnosis.brokers, "broker"),
            count(diagnosis.topics.len(), "topic"),
            count(diagnosis.groups.len(), "group"),
        );
        let mut explained: Vec<&Check> = Vec::new();
        for alike in alike(diagnosis) {
            let is_new = !explained.contains(&alike.first.check);
            explained.push(alike.first.check);
            page += &self.finding(&alike, is_new);
        }
        page + &self.unread(diagnosis) + &self.sum(diagnosis)
    }

    fn finding(&self, alike: &Alike<'_>, is_new: bool) -> String {
        let Finding { check, severity, found, mends, .. } = alike.first;
        let head = self.bold(&subjects(&alike.subjects));
        let mut text = format!("{} {head}  ({})\n", self.label(*severity), check.id);
        text += &wrapped("  ", "  ", found);
        if is_new {
            text += &wrapped("  why   ", "        ", check.why);
        }
        for mend in mends {
            text += &wrapped("  mend  ", "        ", &mend.advice);
            if let Some(command) = &mend.command {
                // As it is: broken into lines it could not be pasted.
                let command = if command.len() <= COMMAND_MAX {
                    format!("        $ {command}\n")
                } else {
                    "        the command is long: it is in -o json, as mend.command\n".to_owned()
                };
                text += &command;
            }
        }
        if 1 < alike.subjects.len() && mends.iter().any(|mend| mend.command.is_some()) {
            text += "        and so for each of them\n";
        }
        text + "\n"
    }

    /// What was not checked, by what could not be read.
    fn unread(&self, diagnosis: &Diagnosis) -> String {
        let mut reasons: Vec<(&str, Vec<&Subject>, Vec<&str>)> = Vec::new();
        let unread = diagnosis.findings.iter().filter(|it| it.severity == Severity::NotChecked);
        for finding in unread {
            let (subject, check) = (&finding.subject, finding.check.id);
            match reasons
                .iter_mut()
                .find(|(why, of, _)| *why == finding.found && of[0].kind() == subject.kind())
            {
                Some((_, subjects, checks)) => {
                    if !subjects.contains(&subject) {
                        subjects.push(subject);
                    }
                    if !checks.contains(&check) {
                        checks.push(check);
                    }
                }
                None => reasons.push((&finding.found, vec![subject], vec![check])),
            }
        }
        let texts = reasons.iter().map(|(why, of, checks)| {
            let (label, head) = (self.label(Severity::NotChecked), self.bold(&subjects(of)));
            format!("{label} {head}  ({})\n", checks.join(", ")) + &wrapped("  ", "  ", why) + "\n"
        });
        texts.collect()
    }

    fn sum(&self, diagnosis: &Diagnosis) -> String {
        let number = |severity: Severity, what| count(diagnosis.count(severity), what);
        let verdict = match diagnosis.count(Severity::Danger) {
            0 => "nothing that was checked endangers at-least-once".to_owned(),
            _ => self.paint(style(Severity::Danger), &number(Severity::Danger, "danger")),
        };
        format!(
            "{verdict}; {}, {}, {} not checked; {} made\n",
            number(Severity::Warning, "warning"),
            number(Severity::Note, "note"),
            diagnosis.count(Severity::NotChecked),
            count(kurier::CHECKS.len(), "check")
        )
    }

    fn label(&self, severity: Severity) -> String {
        let name = match severity {
            Severity::Danger => "DANGER".to_owned(),
            Severity::Warning => "WARNING".to_owned(),
            other => other.name().to_owned(),
        };
        self.paint(style(severity), &format!("{name:<11}"))
    }

    fn bold(&self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// Longest command that is shown among the text.
const COMMAND_MAX: usize = 600;

fn style(severity: Severity) -> Style {
    let colour = match severity {
        Severity::Danger => AnsiColor::Red,
        Severity::Warning => AnsiColor::Yellow,
        Severity::Note => AnsiColor::Blue,
        _ => AnsiColor::Magenta,
    };
    colour.on_default().bold()
}

/// Puts findings together that say the same of several subjects, in the order of the first.
fn alike(diagnosis: &Diagnosis) -> Vec<Alike<'_>> {
    let mut groups: Vec<Alike<'_>> = Vec::new();
    for finding in diagnosis.findings.iter().filter(|it| it.severity != Severity::NotChecked) {
        let same = groups.iter_mut().find(|Alike { first, .. }| {
            (first.check, first.severity, first.subject.kind(), &first.found)
                == (finding.check, finding.severity, finding.subject.kind(), &finding.found)
        });
        match same {
            Some(alike) => alike.subjects.push(&finding.subject),
            None => groups.push(Alike { first: finding, subjects: vec![&finding.subject] }),
        }
    }
    groups
}

/// `cluster`, `topic orders`, `topics orders, payments`.
fn subjects(all: &[&Subject]) -> String {
    const SHOWN: usize = 10;
    let (Some(first), Some(name)) = (all.first(), all.first().and_then(|it| it.name())) else {
        return all.first().map(ToString::to_string).unwrap_or_default();
    };
    if all.len() == 1 {
        return format!("{} {name}", first.kind());
    }
    let names: Vec<_> = all.iter().take(SHOWN).filter_map(|it| it.name()).collect();
    let more = all.len().saturating_sub(SHOWN);
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}s {}{rest}", first.kind(), names.join(", "))
}

/// Text in lines of at most 100 characters, but for words that are longer.
fn wrapped(first: &str, rest: &str, text: &str) -> String {
    const WIDTH: usize = 100;
    let mut lines = String::new();
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in text.split(' ') {
        if !is_empty && WIDTH < line.chars().count() + 1 + word.chars().count() {
            lines += line.trim_end();
            lines.push('\n');
            rest.clone_into(&mut line);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line += word;
        is_empty = false;
    }
    lines + line.trim_end() + "\n"
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The checks as the help shows them.
pub fn help() -> String {
    let rows = kurier::CHECKS.iter().map(|check| format!("  {:<24} {}\n", check.id, check.title));
    format!(
        "Checks:\n{}\nEnds with 1 when there is a danger; with --strict a warning or something that was not checked is enough. docs/doctor.md says why each matters.",
        rows.collect::<String>()
    )
}
