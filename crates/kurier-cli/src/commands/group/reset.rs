//! `kurier group reset`: where a group goes on, shown first and done on request.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};
use kurier::{
    Admin, ClientError, GroupDescription, Offset, OffsetAt, StartFrom, TopicPartition, Watermarks,
};
use serde_json::{Value, json};

use super::members::refuse_members;
use super::plan::{Goal, Present, Step};
use super::saved;
use crate::args::{Chosen, Output, Place, ResetArgs};
use crate::closed;
use crate::commands::missing::explained;
use crate::exit::{Exit, UsageError};
use crate::output::{self, counted, known};

/// Shows what a reset does, and with `--execute` does it.
///
/// # Errors
/// When it cannot be done; nothing is changed then.
pub async fn run(args: ResetArgs, admin: &Admin, form: Output) -> anyhow::Result<Exit> {
    if args.export {
        closed::refuse_closed_output("the offsets would be saved nowhere")?;
    }
    let saved = saved_in(&args)?;
    let group = described(admin, &args.group).await?;
    if !args.export
        && let Some(group) = &group
    {
        refuse_members(group, "reset")?;
    }
    let committed = admin.group_offsets(&args.group).await?;
    let partitions = match &saved {
        Some(saved) => there(admin, saved.keys().cloned().collect()).await?,
        None => chosen(admin, &args, group.is_some(), &committed).await?,
    };
    let goals = goals(admin, &args, saved, &partitions).await?;
    let steps = plan(admin, &partitions, &committed, &goals).await?;
    if args.export {
        export(&steps, form)?;
        return Ok(Exit::Done);
    }
    if !args.execute {
        show(&args.group, &steps, None, form)?;
        tracing::info!("dry run: nothing is changed; --execute does it");
        return Ok(Exit::Done);
    }
    let wanted = steps.iter().map(|step| (step.present.partition.clone(), step.new)).collect();
    let done = admin.set_group_offsets(&args.group, &wanted).await?;
    output::unless_unread(show(&args.group, &steps, Some(&done), form))?;
    Ok(if done.values().all(Result::is_ok) { Exit::Done } else { Exit::Failed })
}

fn saved_in(args: &ResetArgs) -> anyhow::Result<Option<BTreeMap<TopicPartition, Offset>>> {
    let Some(path) = &args.from_file else { return Ok(None) };
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| UsageError(format!("--from-file {name}: {error}")))?;
    let read = saved::read(&text);
    Ok(Some(read.map_err(|reason| UsageError(format!("--from-file {name}:{reason}")))?))
}

/// None for a group that is not there.
async fn described(admin: &Admin, group: &str) -> anyhow::Result<Option<GroupDescription>> {
    match admin.describe_group(group).await {
        Ok(group) => Ok(Some(group)),
        Err(error) if error.is_unknown_group() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The partitions that were named, or all of the topics that the group has commits in.
async fn chosen(
    admin: &Admin,
    args: &ResetArgs,
    known: bool,
    committed: &BTreeMap<TopicPartition, Offset>,
) -> anyhow::Result<Vec<TopicPartition>> {
    let mut all = BTreeSet::new();
    for Chosen { topic, partitions } in &args.topics {
        let described = partitions_of(admin, topic).await?;
        if let Some(missing) = partitions
            .iter()
            .find(|number| !described.iter().any(|partition| partition.partition.0 == **number))
        {
            let has = counted(described.len(), "partition");
            bail!("topic {topic} has no partition {missing}: it has {has}");
        }
        let named = |partition: &TopicPartition| {
            partitions.is_empty() || partitions.contains(&partition.partition.0)
        };
        all.extend(described.into_iter().filter(named));
    }
    if args.topics.is_empty() {
        let topics: BTreeSet<_> = committed.keys().map(|partition| &partition.topic).collect();
        for topic in topics {
            all.extend(partitions_of(admin, topic).await?);
        }
    }
    if all.is_empty() {
        let group = &args.group;
        let state = if known { "has committed nothing" } else { "is not there" };
        bail!("group {group} {state}: --topic says which topics are meant");
    }
    Ok(all.into_iter().collect())
}

async fn partitions_of(admin: &Admin, topic: &str) -> anyhow::Result<Vec<TopicPartition>> {
    let described = explained(admin, topic, admin.describe_topic(topic).await).await?;
    Ok(described.topic_partitions())
}

/// These partitions, if they are all there.
async fn there(
    admin: &Admin,
    partitions: BTreeSet<TopicPartition>,
) -> anyhow::Result<Vec<TopicPartition>> {
    let topics: BTreeSet<_> = partitions.iter().map(|partition| &partition.topic).collect();
    let mut described = BTreeSet::new();
    for topic in topics {
        described.extend(partitions_of(admin, topic).await?);
    }
    match partitions.iter().find(|partition| !described.contains(*partition)) {
        Some(missing) => bail!("{missing} is not there"),
        None => Ok(partitions.into_iter().collect()),
    }
}

/// What is wanted for each partition.
async fn goals(
    admin: &Admin,
    args: &ResetArgs,
    saved: Option<BTreeMap<TopicPartition, Offset>>,
    partitions: &[TopicPartition],
) -> anyhow::Result<BTreeMap<TopicPartition, Goal>> {
    if let Some(saved) = saved {
        return Ok(saved.into_iter().map(|(it, offset)| (it, Goal::Offset(offset))).collect());
    }
    let all = |goal| partitions.iter().map(|it| (it.clone(), goal)).collect();
    let time = match (args.to, args.shift) {
        (Some(Place::Earliest), _) => return Ok(all(Goal::Earliest)),
        (Some(Place::Latest), _) => return Ok(all(Goal::Latest)),
        (Some(Place::Current), _) => return Ok(all(Goal::Current)),
        (Some(Place::Offset(offset)), _) => return Ok(all(Goal::Offset(Offset(offset)))),
        (Some(Place::Time(time)), _) => time,
        (Some(Place::Ago(ago)), _) => jiff::Timestamp::now()
            .checked_sub(ago)
            .map_err(|_| UsageError("--to: so long ago there is no time".to_owned()))?,
        (None, Some(by)) => return Ok(all(Goal::Shift(by))),
        (None, None) => bail!(UsageError("one of --to, --shift and --from-file".to_owned())),
    };
    let starts = admin.starts(partitions, StartFrom::Time(time)).await?;
    Ok(starts.into_iter().map(|(partition, offset)| (partition, Goal::Offset(offset))).collect())
}

async fn plan(
    admin: &Admin,
    partitions: &[TopicPartition],
    committed: &BTreeMap<TopicPartition, Offset>,
    goals: &BTreeMap<TopicPartition, Goal>,
) -> anyhow::Result<Vec<Step>> {
    let earliest = admin.offsets(partitions, OffsetAt::Earliest).await?;
    let end = admin.offsets(partitions, OffsetAt::End).await?;
    let mut steps = Vec::new();
    for partition in partitions {
        let of = |offsets: &BTreeMap<_, Option<Offset>>| offsets.get(partition).copied().flatten();
        let log = of(&earliest).zip(of(&end)).map(|(earliest, end)| Watermarks { earliest, end });
        let log =
            log.with_context(|| format!("{partition}: nobody says how far its log reaches"))?;
        let Some(goal) = goals.get(partition) else { continue };
        let committed = committed.get(partition).copied();
        let present = Present { partition: partition.clone(), committed, log };
        match Step::of(present, *goal) {
            Some(step) => steps.push(step),
            None => tracing::warn!("{partition} is left as it is: the group has no commit there"),
        }
    }
    if steps.is_empty() {
        bail!("the group has committed nothing in these partitions");
    }
    for step in &steps {
        if let Some(asked) = step.asked {
            let (partition, Watermarks { earliest, end }) =
                (&step.present.partition, step.present.log);
            tracing::warn!(
                "{partition}: offset {asked} is not in its log ({earliest} to {end}); {} is taken",
                step.new
            );
        }
    }
    Ok(steps)
}

fn export(steps: &[Step], form: Output) -> std::io::Result<()> {
    let line = |step: &Step| {
        let partition = &step.present.partition;
        match form {
            Output::Json => format!("{}\n", saved::json(partition, step.new)),
            Output::Table => saved::csv(partition, step.new),
        }
    };
    output::text(&steps.iter().map(line).collect::<String>())
}

type Done = BTreeMap<TopicPartition, Result<(), ClientError>>;

/// The steps, and what became of them when they were done.
fn show(group: &str, steps: &[Step], done: Option<&Done>, form: Output) -> std::io::Result<()> {
    let failure = |step: &Step| match done?.get(&step.present.partition) {
        Some(result) => result.as_ref().err().map(ToString::to_string),
        None => Some("the answer says nothing about it".to_owned()),
    };
    if form == Output::Json {
        let rows: Vec<Value> = steps.iter().map(|step| object(step, failure(step))).collect();
        let executed = done.is_some();
        return output::json(&json!({ "group": group, "executed": executed, "partitions": rows }));
    }
    let row = |step: &Step| {
        let present = &step.present;
        vec![
            present.partition.topic.to_string(),
            present.partition.partition.to_string(),
            known(present.committed),
            step.new.to_string(),
            known(step.difference().map(|moved| format!("{moved:+}"))),
            step.lag().to_string(),
        ]
    };
    let headings = ["TOPIC", "PARTITION", "CURRENT", "NEW", "DIFFERENCE", "LAG AFTER"];
    output::table(&headings, &steps.iter().map(row).collect::<Vec<_>>())?;
    for failure in steps.iter().filter_map(failure) {
        tracing::error!("not reset: {failure}");
    }
    Ok(())
}

fn object(step: &Step, failure: Option<String>) -> Value {
    let present = &step.present;
    let mut row = json!({
        "topic": &*present.partition.topic, "partition": present.partition.partition.0,
        "current": present.committed.map(|offset| offset.0), "new": step.new.0,
        "difference": step.difference(), "lag": step.lag(),
    });
    if let Some(asked) = step.asked {
        row["asked"] = json!(asked.0);
    }
    if let Some(failure) = failure {
        row["error"] = json!(failure);
    }
    row
}
