//! Whether brokers take connections.
//!
//! A cluster goes on listing a broker that died for as long as its session lasts (9 s by default, and as
//! long again when the controller died with it). Only brokers that are suspected are tried: one that never
//! says a word looks like a fault to the broker.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What the system says, without its number for it.
fn words(error: &std::io::Error) -> String {
    let words = error.to_string();
    words.split(" (os error").next().unwrap_or(&words).to_owned()
}

/// Those of `brokers`, by number and address, that take no connection, and why.
pub(super) async fn silent(
    brokers: BTreeMap<i32, String>,
    limit: Duration,
) -> BTreeMap<i32, String> {
    let mut tried = JoinSet::new();
    for (id, address) in brokers {
        tried.spawn(async move {
            let error = match tokio::time::timeout(limit, TcpStream::connect(&address)).await {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => Some(words(&error)),
                Err(_) => Some(format!("no connection within {limit:?}")),
            };
            (id, error)
        });
    }
    let all = tried.join_all().await.into_iter();
    all.filter_map(|(id, error)| Some((id, error?))).collect()
}
