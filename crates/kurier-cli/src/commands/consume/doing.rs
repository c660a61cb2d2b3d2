//! What is done with messages: printed, or handed to a command or to a webhook.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kurier::{Batch, Context, Failure, Outcomes, Received, StoppedPartition};
use tokio_util::sync::CancellationToken;

use super::endpoint::Endpoint;
use super::errand::{Body, Errand, Payload, Several};
use super::exec::Exec;
use super::print::Out;
use super::scarcity::Scarcity;
use super::webhook::Webhook;
use crate::args::{Global, HandleArgs};
use crate::closed;
use crate::exit::UsageError;

/// One of the three.
#[derive(Debug)]
pub enum Doing {
    Print(Out),
    Exec(Exec, Body),
    Webhook(Box<Webhook>, Body),
}

/// How long one call may take unless the arguments say another.
const LIMIT: Duration = Duration::from_secs(30);

impl Doing {
    /// What the arguments say. `stop` is cancelled when it can't go on.
    ///
    /// # Errors
    /// When they make no sense.
    pub fn of(
        args: &HandleArgs,
        global: &Global,
        stop: CancellationToken,
    ) -> Result<Self, UsageError> {
        let body = if args.envelope { Body::Envelope } else { Body::Value };
        let limit = args.handler_timeout.unwrap_or(LIMIT);
        if let Some(script) = &args.exec {
            if args.webhook_auth_file.is_some() || args.webhook_ca_file.is_some() {
                let reason = "--webhook-auth-file and --webhook-ca-file go with --webhook";
                return Err(UsageError(reason.to_owned()));
            }
            let (script, withheld) = (script.clone(), global.settings.withheld());
            let (format, children, scarcity) =
                (global.log_format, Arc::default(), Scarcity::default());
            let exec = Exec { script, limit, withheld, format, children, scarcity };
            return Ok(Self::Exec(exec, body));
        }
        let Some(url) = &args.webhook else {
            if args.envelope || args.handler_timeout.is_some() {
                let reason = "--envelope and --handler-timeout go with --exec or --webhook";
                return Err(UsageError(reason.to_owned()));
            }
            closed::refuse_closed_output("messages would count as handled that nobody sees")?;
            return Ok(Self::Print(Out::new(stop)));
        };
        let endpoint = Endpoint::read(url, args.webhook_auth_file.as_deref())?;
        tracing::info!("messages are posted to {endpoint}");
        let webhook = Webhook::new(endpoint, limit, args.webhook_ca_file.as_deref())?;
        Ok(Self::Webhook(Box::new(webhook), body))
    }

    /// Handles one message.
    ///
    /// # Errors
    /// When it is not handled.
    pub async fn one<M: Payload>(
        &self,
        message: &Received<M>,
        context: &Context,
    ) -> Result<(), Failure> {
        let errand = |body: &Body| Errand::single(message, context.attempt(), *body);
        // In boxes, so that printing does not carry the size of the others along.
        match self {
            Self::Print(out) => out.print([message]),
            Self::Exec(exec, body) => Box::pin(exec.handle(errand(body)?)).await,
            Self::Webhook(webhook, body) => Box::pin(webhook.handle(errand(body)?)).await,
        }
    }

    /// Handles a batch, all of it or nothing.
    ///
    /// # Errors
    /// When it is not handled.
    pub async fn all<M: Payload>(
        &self,
        batch: &Batch<M>,
        context: &Context,
    ) -> Result<Outcomes, Failure> {
        let errand = |several| Errand::batch(batch, context.attempt(), several);
        match self {
            Self::Print(out) => out.print(batch.items().iter().map(|item| &**item)),
            Self::Exec(exec, _) => Box::pin(exec.handle(errand(Several::Lines)?)).await,
            Self::Webhook(webhook, _) => Box::pin(webhook.handle(errand(Several::Array)?)).await,
        }?;
        Ok(batch.all_done())
    }

    /// Ends what is still at work. Nothing more is handled.
    pub async fn end(&self) {
        if let Self::Exec(exec, _) = self {
            exec.children.end().await;
        }
    }

    /// Ends it at once, and says so.
    pub fn leave(&self) {
        match self {
            Self::Print(out) => {
                let printed = out.printed.load(Ordering::Relaxed);
                tracing::error!(
                    printed,
                    "incomplete: left at once; what was printed since the last commit comes again"
                );
                return;
            }
            // First, since whoever reads standard error may have gone away.
            Self::Exec(exec, _) => exec.children.kill(),
            Self::Webhook(..) => {}
        }
        tracing::error!(
            "incomplete: left at once; what was handled since the last commit comes again, and what was being \
             handled too"
        );
    }

    /// Why nothing more can be printed.
    pub fn broken(&self) -> Option<&io::Error> {
        match self {
            Self::Print(out) => out.broken.get(),
            Self::Exec(..) | Self::Webhook(..) => None,
        }
    }

    /// True when the message could not be handled because it could not be printed.
    pub fn refused(&self, stopped: &StoppedPartition) -> bool {
        matches!(self, Self::Print(out) if out.refused(stopped))
    }
}
