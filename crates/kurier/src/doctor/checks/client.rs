//! What this client's own settings would do.

use super::{Check, Says, brokers, time};
use crate::doctor::facts::Facts;
use crate::doctor::finding::{Mend, Severity, Subject};
use crate::doctor::shell::in_file;

pub(super) const CLIENT_PROPERTIES: Check = Check {
    id: "client-properties",
    title: "properties of this client that kurier refuses",
    reads: "the properties given by -X and --config, as a producer and a consumer of kurier take them",
    finds: "danger: one that kurier refuses",
    why: "a client of another kind takes such a property without a word, and keeps fewer promises with it",
    run: client_properties,
};

fn client_properties(facts: &Facts, says: &mut Says) {
    for problem in &facts.client.problems {
        let mend = Mend::advice(format!("take {} out of -X or the file", problem.name));
        let found = format!("{}={}: {}", problem.name, problem.value, problem.reason);
        says.say(Severity::Danger, Subject::Client, found, [mend]);
    }
}

pub(super) const SESSION_TIMEOUT: Check = Check {
    id: "session-timeout",
    title: "session timeouts that brokers refuse, too short or too long",
    reads: "the client's session.timeout.ms, against group.min.session.timeout.ms and group.max.session.timeout.ms of the brokers",
    finds: "danger: the brokers do not take it; warning: less than 10 s, or more than 5 min",
    why: "a member whose timeout is not taken never joins and handles nothing; with a short one a pause of a member or broker moves its partitions and what was under way is handled twice; with a long one a dead member's partitions stand still that long",
    run: session_timeout,
};

fn session_timeout(facts: &Facts, says: &mut Says) {
    const NAME: &str = "session.timeout.ms";
    let Some(session) = says.read(&Subject::Client, facts.client.consumer.number(NAME)) else {
        return;
    };
    for (limit, is_above) in
        [("group.min.session.timeout.ms", false), ("group.max.session.timeout.ms", true)]
    {
        let mut refusing = Vec::new();
        let mut bound = session;
        for (id, value) in facts.broker_numbers(limit) {
            let Some(value) = says.read(&Subject::Broker(id), value) else { continue };
            if (is_above && value < session) || (!is_above && session < value) {
                refusing.push(id);
                bound = value;
            }
        }
        if !refusing.is_empty() {
            let side = if is_above { "above" } else { "below" };
            let found =
                format!("{NAME}={session} is {side} {limit}={bound} of {}", brokers(&refusing));
            let mine = Mend::advice(format!("give consumers -X {NAME}={bound}"));
            says.say(
                Severity::Danger,
                Subject::Client,
                found,
                [mine, in_file(&format!("{limit}={session}"))],
            );
        }
    }
    if !(10_000..=300_000).contains(&session) {
        let found = format!("{NAME}={session} ({})", time(session));
        let mend = Mend::advice(format!("give consumers -X {NAME}=45000, the default"));
        says.say(Severity::Warning, Subject::Client, found, [mend]);
    }
}
