//! What `kurier dashboard` takes.

use std::path::PathBuf;

use clap::Args;

use super::address;

#[derive(Debug, Args)]
pub struct DashboardArgs {
    /// Where to listen; port 0 takes a free one. There is no password for reading: whoever reaches it reads
    /// messages
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080", value_parser = address)]
    pub listen: String,
    /// A file with a token of 16 characters or more. Whoever knows it may replay dead letters and reset
    /// groups from the page; without, nothing can be changed
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A name or address that the page is opened by, beside where it listens and localhost; may be repeated.
    /// Other names are refused
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// Where a produce, a consume or a program of your own serves /metrics and /readyz; a name with several
    /// addresses means all of them; may be repeated
    #[arg(long = "client", value_name = "HOST:PORT", value_parser = address)]
    pub clients: Vec<String>,
    /// A topic of dead letters, beside those called ….dlq; may be repeated
    #[arg(long = "dead-letter", value_name = "TOPIC")]
    pub dead_letters: Vec<String>,
}
