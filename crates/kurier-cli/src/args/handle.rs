//! What is done with messages instead of printing them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::duration;

/// `--exec`, `--webhook` and what goes with them.
#[derive(Debug, Args)]
pub struct HandleArgs {
    /// Run this with `sh -c` for each message, or each batch: the value on standard input, a batch as one
    /// JSON object a line; where it is from in KURIER_MSG_TOPIC, _PARTITION, _OFFSET, _KEY, _ID, _ATTEMPT.
    /// Exit code 0 is handled, 65 rejected; anything else, a signal or a timeout is tried again. What it
    /// says goes to standard error
    #[arg(long, value_name = "COMMAND", conflicts_with = "webhook",
        value_parser = NonEmptyStringValueParser::new())]
    pub exec: Option<String>,
    /// POST each message, or each batch as a JSON array, there: 2xx is handled; 408, 429, 3xx, 5xx, a
    /// timeout or a broken connection is tried again, after Retry-After if there is one; another 4xx is
    /// rejected. The id is in Idempotency-Key
    // A text, for the error of a parser would repeat it, and it may hold a password.
    #[arg(long, value_name = "URL")]
    pub webhook: Option<String>,
    /// Hand over all that is known of a message, as `consume` prints it, instead of its value; a batch is
    /// always handed over so
    #[arg(long)]
    pub envelope: bool,
    /// How long one call of the command or the webhook may take [default: 30s]
    #[arg(long, visible_alias = "exec-timeout", value_name = "TIME", value_parser = some_time)]
    pub handler_timeout: Option<Duration>,
    /// A file whose one line is the Authorization header of --webhook, such as `Bearer …`
    #[arg(long, value_name = "FILE", requires = "webhook")]
    pub webhook_auth_file: Option<PathBuf>,
    /// A file of certificates (PEM) of authorities that --webhook trusts besides the system's
    #[arg(long, value_name = "FILE", requires = "webhook")]
    pub webhook_ca_file: Option<PathBuf>,
}

fn some_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => {
            Err("nothing ends in no time: expected one such as 500ms, 30s, 5m".into())
        }
        time => Ok(time),
    }
}
