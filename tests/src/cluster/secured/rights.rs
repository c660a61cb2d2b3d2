//! Who may do what. librdkafka's admin in rdkafka has no call for it, so the ACLs are made by one request
//! by hand (KIP-140; the numbers are those of `AclOperation`, `ResourceType` and `PatternType`).

use std::net::SocketAddr;

use anyhow::ensure;
use kafka_protocol::messages::CreateAclsRequest;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::protocol::StrBytes;

use super::TOPIC;
use crate::cluster::exchange::exchange;

/// May do everything with every topic and group; also the name in the client's certificate.
pub const WORKER: &str = "worker";
/// May look at the topic, neither read nor write it; may join every group, and write elsewhere.
pub const LOOKOUT: &str = "lookout";
/// May read the topic, and join no group.
pub const LONER: &str = "loner";
/// May read the topic in every group, and look at the dead-letter topic but not write it.
pub const CLERK: &str = "clerk";
/// May do nothing.
pub const NOVICE: &str = "novice";
/// A topic of no matter.
pub const ELSEWHERE: &str = "elsewhere";

/// A topic for dead letters.
pub const LETTERS: &str = "orders.dlq";

const TOPICS: i8 = 2;
const GROUPS: i8 = 3;
const ALL: i8 = 2;
const READ: i8 = 3;
const WRITE: i8 = 4;
const DESCRIBE: i8 = 8;
const LITERAL: i8 = 3;
const ALLOW: i8 = 3;
const VERSION: i16 = 3;

/// Asks the node at `open`, where everybody may do everything. A node that has answered goes by them.
pub async fn grant(open: SocketAddr) -> anyhow::Result<()> {
    let rights = [
        (WORKER, TOPICS, "*", ALL),
        (WORKER, GROUPS, "*", ALL),
        ("CN=worker", TOPICS, "*", ALL),
        ("CN=worker", GROUPS, "*", ALL),
        (LOOKOUT, TOPICS, TOPIC, DESCRIBE),
        (LOOKOUT, TOPICS, ELSEWHERE, WRITE),
        (LOOKOUT, GROUPS, "*", READ),
        (LONER, TOPICS, TOPIC, READ),
        (CLERK, TOPICS, TOPIC, READ),
        (CLERK, GROUPS, "*", READ),
        (CLERK, TOPICS, LETTERS, DESCRIBE),
    ];
    let creations = rights.map(|(user, kind, name, operation)| {
        AclCreation::default()
            .with_principal(StrBytes::from(format!("User:{user}")))
            .with_host(StrBytes::from_static_str("*"))
            .with_resource_type(kind)
            .with_resource_name(StrBytes::from_static_str(name))
            .with_resource_pattern_type(LITERAL)
            .with_operation(operation)
            .with_permission_type(ALLOW)
    });
    let question = CreateAclsRequest::default().with_creations(creations.to_vec());
    let answer = exchange(open, VERSION, &question).await?;
    for result in answer.results {
        ensure!(result.error_code == 0, "an ACL: error {}", result.error_code);
    }
    Ok(())
}
