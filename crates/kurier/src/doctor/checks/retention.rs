//! How long records are kept, against how far groups are behind.

use super::topics::for_settings;
use super::{Check, Says, count, group, some, time, topic};
use crate::Offset;
use crate::doctor::facts::{Backlog, Facts, GroupFacts, Settings};
use crate::doctor::finding::{Mend, Severity};
use crate::doctor::shell::{kurier, quoted, set};

pub(super) const RETENTION_AGAINST_LAG: Check = Check {
    id: "retention-against-lag",
    title: "records that are deleted before they are handled",
    reads: "each group's commits, against what its partitions still have and how old that is",
    finds: "danger: records were deleted that the group had not handled, or those it handles next have lived nine tenths of retention.ms, or are in the last tenth of what retention.bytes keeps; warning: the same for half",
    why: "retention deletes what is old or too much, whether a group has handled it or not",
    run: retention_against_lag,
};

fn retention_against_lag(facts: &Facts, says: &mut Says) {
    for it in &facts.groups {
        let backlog = it.backlog.as_ref().map_err(Clone::clone);
        let Some(backlog) = says.read(&group(&it.name), backlog) else { continue };
        deleted(it, backlog, facts, says);
        soon_deleted(it, backlog, facts, says);
    }
}

/// What is gone already.
fn deleted(it: &GroupFacts, backlog: &[Backlog], facts: &Facts, says: &mut Says) {
    let mut records = 0;
    let mut places = Vec::new();
    for row in backlog {
        let Some(earliest) = says.read(&group(&it.name), row.earliest.clone()) else { continue };
        if row.committed < earliest {
            let gone = usize::try_from(earliest.0 - row.committed.0);
            records = gone.map_or(usize::MAX, |gone| gone.saturating_add(records));
            places.push(format!(
                "{} committed {}, kept from {earliest}",
                row.partition, row.committed
            ));
        }
    }
    if !places.is_empty() {
        let found = format!(
            "deleted before they were handled: {} ({})",
            count(records, "offset"),
            some(&places)
        );
        let topics =
            topics_of(backlog, |row| row.earliest.as_ref().is_ok_and(|at| row.committed < *at));
        says.say(
            Severity::Danger,
            group(&it.name),
            found,
            topics.iter().map(|name| keep_longer(facts, name)),
        );
    }
}

/// How much of its time a record has used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    Half,
    NineTenths,
}

/// What goes next.
fn soon_deleted(it: &GroupFacts, backlog: &[Backlog], facts: &Facts, says: &mut Says) {
    for place in backlog.iter().flat_map(|row| [&row.half, &row.nearly]).flatten() {
        if let Err(why) = place {
            says.not_checked(group(&it.name), why);
        }
    }
    for (share, severity, words) in [
        (Share::NineTenths, Severity::Danger, "nine tenths"),
        (Share::Half, Severity::Warning, "half"),
    ] {
        let due = |row: &Backlog| is_due(row, share);
        let rows = backlog.iter().filter(|row| due(row));
        let places: Vec<_> = rows.map(|row| row.partition.to_string()).collect();
        if places.is_empty() {
            continue;
        }
        let names = topics_of(backlog, due);
        let kept = names.iter().map(|name| format!("{name}: {}", kept(facts, name)));
        let found = format!(
            "the next record to handle has used up {words} of retention in {} ({}); {}",
            count(places.len(), "partition"),
            some(&places),
            kept.collect::<Vec<_>>().join("; ")
        );
        let faster = Mend::command(
            "and let the group catch up: start more instances, see how far it is",
            kurier(facts, &format!("group describe {}", quoted(&it.name))),
        );
        let mends = names.iter().map(|name| keep_longer(facts, name)).chain([faster]);
        says.say(severity, group(&it.name), found, mends);
        // What is in danger is not warned of as well.
        return;
    }
}

/// True when the next record is there, is known, and has used up that much of what retention grants it.
fn is_due(row: &Backlog, share: Share) -> bool {
    let (Ok(earliest), Ok(end)) = (&row.earliest, &row.end) else { return false };
    if *end <= row.committed || row.committed < *earliest {
        return false;
    }
    let (place, tenths) = match share {
        Share::Half => (&row.half, 5),
        Share::NineTenths => (&row.nearly, 9),
    };
    let by_time = matches!(place, Some(Ok(place)) if row.committed < *place);
    // Only where something was deleted before is what is kept a measure of what will be.
    let (lag, kept) = (end.0 - row.committed.0, end.0 - earliest.0);
    let by_bytes = row.bounded
        && Offset(0) < *earliest
        && kept.saturating_mul(tenths) < lag.saturating_mul(10);
    by_time || by_bytes
}

/// What a topic's retention is set to.
fn kept(facts: &Facts, name: &str) -> String {
    let Some(settings) = settings_of(facts, name) else { return "retention unknown".to_owned() };
    let shown = |name: &str| settings.text(name).unwrap_or("unknown").to_owned();
    format!("retention.ms={}, retention.bytes={}", shown("retention.ms"), shown("retention.bytes"))
}

fn keep_longer(facts: &Facts, name: &str) -> Mend {
    let doubled = |setting: &str| {
        let value = settings_of(facts, name)?.number(setting).ok().filter(|value| 0 < *value)?;
        Some(format!("{setting}={}", value.saturating_mul(2)))
    };
    // Either may be what deletes.
    let settings: Vec<_> =
        ["retention.ms", "retention.bytes"].into_iter().filter_map(doubled).collect();
    let otherwise = "retention.ms=1209600000".to_owned();
    set(facts, name, &if settings.is_empty() { otherwise } else { settings.join(" --set ") })
}

fn settings_of<'f>(facts: &'f Facts, name: &str) -> Option<&'f Settings> {
    facts.topics.iter().find(|it| it.name() == name)?.settings.as_ref().ok()
}

/// The topics of those partitions, each once.
fn topics_of(backlog: &[Backlog], which: impl Fn(&Backlog) -> bool) -> Vec<String> {
    let rows = backlog.iter().filter(|row| which(row));
    let mut names: Vec<_> = rows.map(|row| row.partition.topic.to_string()).collect();
    names.dedup();
    names
}

pub(super) const RETENTION: Check = Check {
    id: "retention",
    title: "retention that is shorter than an outage",
    reads: "the topic's retention.ms and cleanup.policy",
    finds: "warning: less than a day",
    why: "what is not handled within this time is deleted: an outage of the consumers that lasts longer loses messages",
    run: retention,
};

const DAY_MS: i64 = 86_400_000;

fn retention(facts: &Facts, says: &mut Says) {
    for_settings(facts, says, |it, settings, says| {
        let subject = topic(it.name());
        let Some(kept) = says.read(&subject, settings.number("retention.ms")) else { return };
        if settings.deletes() && (0..DAY_MS).contains(&kept) {
            let found = format!("retention.ms={kept} ({})", time(kept));
            let mend = set(facts, it.name(), "retention.ms=604800000");
            says.say(Severity::Warning, subject, found, [mend]);
        }
    });
}

pub(super) const TIMESTAMPS: Check = Check {
    id: "timestamps",
    title: "old messages that are deleted at once",
    reads: "the topic's message.timestamp.type and message.timestamp.before.max.ms, against retention.ms",
    finds: "note: records have their producers' times, also such as are older than what is kept",
    why: "retention goes by the record's timestamp: a message that is sent with an old time, such as one that is replayed, may be deleted at once",
    run: timestamps,
};

fn timestamps(facts: &Facts, says: &mut Says) {
    for_settings(facts, says, |it, settings, says| {
        let subject = topic(it.name());
        let Some(kept) = says.read(&subject, settings.number("retention.ms")) else { return };
        let Some(kind) = says.read(&subject, settings.text("message.timestamp.type")) else {
            return;
        };
        if kind != "CreateTime" || kept < 0 || !settings.deletes() {
            return;
        }
        // Before Kafka 3.6 (KIP-937) one setting held for both directions.
        let old = settings
            .number("message.timestamp.before.max.ms")
            .or_else(|_| settings.number("message.timestamp.difference.max.ms"));
        if let Some(old) = says.read(&subject, old)
            && kept < old
        {
            let found = format!(
                "message.timestamp.type=CreateTime with retention.ms={kept} ({})",
                time(kept)
            );
            let refuse = set(facts, it.name(), &format!("message.timestamp.before.max.ms={kept}"));
            let refuse =
                Mend { advice: "have such messages refused instead of deleted".into(), ..refuse };
            let stamp = set(facts, it.name(), "message.timestamp.type=LogAppendTime");
            let stamp = Mend { advice: "or let the broker's time count".into(), ..stamp };
            says.say(Severity::Note, subject, found, [refuse, stamp]);
        }
    });
}
