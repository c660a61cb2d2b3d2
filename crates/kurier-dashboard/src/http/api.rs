//! What each path answers. What is seen of the cluster is read from snapshots; only looking at messages and
//! changing something asks Kafka, each within its own bounds.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;

use super::asked::{Asked, Named, NothingAsked, Posted};
use super::refused::Refused;
use super::{Shared, browse, letters, reset, stream, tail};
use crate::view::{
    BrokerRow, ClientProcess, DeadLetterTopic, DeadLetters, EventKind, Events, GroupDetail,
    GroupRow, LettersAsked, MessagesAnswer, MessagesAsked, Overview, Panel, ReplayAnswer,
    ReplayAsked, ResetAnswer, ResetAsked, Rows, RowsAsked, Severity, TailAsked, TopicDetail,
    TopicRow,
};

type Answer<T> = Result<Json<T>, Refused>;
type Of = State<Arc<Shared>>;

/// The most rows of a list.
pub(super) const ROWS_MAX: usize = 200;

pub(super) async fn overview(State(shared): Of, _: NothingAsked) -> Json<Overview> {
    Json(shared.watch.overview(Timestamp::now()))
}

pub(super) async fn brokers(State(shared): Of, _: NothingAsked) -> Json<Panel<Vec<BrokerRow>>> {
    Json(shared.watch.brokers())
}

pub(super) async fn topics(
    State(shared): Of,
    Asked(asked): Asked<RowsAsked>,
) -> Answer<Panel<Rows<TopicRow>>> {
    let rows = shared.watch.topics(checked(&asked)?);
    rows.map(Json).map_err(|problem| Refused::asked_wrong(problem.error))
}

pub(super) async fn topic(
    State(shared): Of,
    Named(topic): Named,
    _: NothingAsked,
) -> Answer<TopicDetail> {
    let found = shared.watch.topic(&topic);
    found.map(Json).ok_or_else(|| Refused::not_there(format!("no topic {topic:?} was ever seen")))
}

pub(super) async fn groups(
    State(shared): Of,
    Asked(asked): Asked<RowsAsked>,
) -> Answer<Panel<Rows<GroupRow>>> {
    let rows = shared.watch.groups(checked(&asked)?);
    rows.map(Json).map_err(|problem| Refused::asked_wrong(problem.error))
}

pub(super) async fn group(
    State(shared): Of,
    Named(group): Named,
    _: NothingAsked,
) -> Answer<GroupDetail> {
    let found = shared.watch.group(&group);
    found.map(Json).ok_or_else(|| Refused::not_there(format!("no group {group:?} was ever seen")))
}

pub(super) async fn clients(State(shared): Of, _: NothingAsked) -> Json<Panel<Vec<ClientProcess>>> {
    Json(shared.watch.clients())
}

pub(super) async fn dead_letter_topics(
    State(shared): Of,
    _: NothingAsked,
) -> Json<Panel<Vec<DeadLetterTopic>>> {
    Json(shared.watch.dead_letter_topics())
}

/// `?after=ID&kind=broker,leader`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct EventsAsked {
    after: Option<u64>,
    kind: String,
}

pub(super) async fn events(State(shared): Of, Asked(asked): Asked<EventsAsked>) -> Answer<Events> {
    let kinds = kinds(&asked.kind)?;
    Ok(Json(shared.watch.events(asked.after, &kinds)))
}

fn kinds(text: &str) -> Result<Vec<EventKind>, Refused> {
    let kind = |name: &str| {
        let read: Result<_, ValueError> = EventKind::deserialize(name.into_deserializer());
        read.map_err(|error| Refused::asked_wrong(format!("kind: {error}")))
    };
    text.split(',').filter(|name| !name.is_empty()).map(kind).collect()
}

pub(super) async fn changes(State(shared): Of, _: NothingAsked) -> Result<Response, Refused> {
    let Shared { watch, streams, tasks, stop, .. } = &*shared;
    let permit = Arc::clone(streams).try_acquire_owned().map_err(|_| {
        let most = stream::STREAMS_MAX;
        Refused::busy(format!("{most} pages are told of changes, which is as many as may be"))
    })?;
    Ok(stream::stream(watch, permit, tasks, stop.clone()))
}

pub(super) async fn messages(
    State(shared): Of,
    Named(topic): Named,
    Asked(asked): Asked<MessagesAsked>,
) -> Answer<MessagesAnswer> {
    let look = shared.looking.once()?;
    browse::browse(look, &topic, &asked).await.map(Json)
}

pub(super) async fn messages_tail(
    State(shared): Of,
    Named(topic): Named,
    Asked(asked): Asked<TailAsked>,
) -> Result<Response, Refused> {
    let look = shared.looking.tail()?;
    tail::tail(look, &topic, &asked, shared.stop.clone(), shared.waits.tail).await
}

pub(super) async fn dead_letters(
    State(shared): Of,
    Named(topic): Named,
    Asked(asked): Asked<LettersAsked>,
) -> Answer<DeadLetters> {
    let look = shared.looking.once()?;
    letters::letters(look, &topic, asked).await.map(Json)
}

pub(super) async fn replay(
    State(shared): Of,
    Named(topic): Named,
    headers: HeaderMap,
    Posted(asked): Posted<ReplayAsked>,
) -> Result<Response, Refused> {
    if asked.dry_run {
        let _look = shared.looking.once()?;
        return shared.replays.told(&topic, &asked).await.map(|told| Json(told).into_response());
    }
    shared.guard.may_write(&headers)?;
    let (watch, subject) = (shared.watch.clone(), format!("topic {topic}"));
    let ended = move |outcome: &Result<ReplayAnswer, Refused>| {
        let (severity, text) = match outcome {
            Ok(answer) => (Severity::Info, replayed(answer)),
            Err(refused) => (Severity::Error, format!("replay failed: {}", refused.reason())),
        };
        watch.note(EventKind::Action, severity, subject, text);
    };
    let answer = shared.replays.done(&topic, &asked, ended).await?;
    let status = if answer.running { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(answer)).into_response())
}

fn replayed(answer: &ReplayAnswer) -> String {
    let left: u64 = answer.left.iter().map(|(_, count)| count).sum();
    let stopped = answer.stopped.as_ref().map_or_else(String::new, |why| format!("; {why}"));
    format!("replay: {} dead letters sent again, {left} left{stopped}", answer.replayed)
}

pub(super) async fn replay_of(
    State(shared): Of,
    Named(topic): Named,
    _: NothingAsked,
) -> Answer<ReplayAnswer> {
    shared.replays.of(&topic).map(Json)
}

pub(super) async fn group_reset(
    State(shared): Of,
    Named(group): Named,
    headers: HeaderMap,
    Posted(asked): Posted<ResetAsked>,
) -> Answer<ResetAnswer> {
    if !asked.dry_run {
        shared.guard.may_write(&headers)?;
    }
    let look = shared.looking.once()?;
    let told = reset::told(&look.admin, &group, &asked).await?;
    if asked.dry_run {
        return Ok(Json(told));
    }
    // Once it may be done it is done and entered, also when whoever asked does not wait for it.
    let watch = shared.watch.clone();
    let doing = shared.tasks.spawn(async move {
        let outcome = reset::done(&look.admin, &group, &asked.topic, told).await;
        let (severity, text) = positions_set(&asked, &outcome);
        watch.note(EventKind::Action, severity, format!("group {group}"), text);
        drop(look);
        outcome
    });
    let gone =
        |_| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "it is not known whether it was done");
    doing.await.map_err(gone)?.map(Json)
}

fn positions_set(asked: &ResetAsked, outcome: &Result<ResetAnswer, Refused>) -> (Severity, String) {
    let what = format!("reset to {} in {}", asked.to, asked.topic);
    match outcome {
        Ok(answer) => {
            let failed = answer.moves.iter().filter(|step| step.error.is_some()).count();
            let severity = if failed == 0 { Severity::Info } else { Severity::Error };
            let set = answer.moves.len() - failed;
            (severity, format!("{what}: {set} partitions set, {failed} not"))
        }
        Err(refused) => (
            Severity::Error,
            format!("{what} failed, and may be done in part: {}", refused.reason()),
        ),
    }
}

pub(super) async fn livez(State(shared): Of) -> (StatusCode, String) {
    match shared.watch.died() {
        None => (StatusCode::OK, "live\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not live: {why}\n")),
    }
}

pub(super) async fn readyz(State(shared): Of) -> (StatusCode, String) {
    let (is_ready, lines) = shared.watch.readiness(Timestamp::now());
    (if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, lines)
}

pub(super) async fn metrics(State(shared): Of) -> Response {
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(CONTENT_TYPE, kind)], shared.watch.metrics()).into_response()
}

fn checked(asked: &RowsAsked) -> Result<&RowsAsked, Refused> {
    if asked.page == 0 {
        return Err(Refused::asked_wrong("page: pages are numbered from 1"));
    }
    if !(1..=ROWS_MAX).contains(&asked.per_page) {
        return Err(Refused::asked_wrong(format!("per_page: 1 to {ROWS_MAX} are possible")));
    }
    Ok(asked)
}
