//! Looking after what was given up: list, show, replay, discard.
//!
//! It talks to the bus itself, so the services need not run. Where the bus lives in a process that
//! does, its journal says who has it.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bus::Seams;
use bus::dead_letter::{DeadLetter, DeadLetters, Discard, Filter, Provenance, Replay};
use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::open_bus;
use super::signals::Signals;
use crate::configuration::legal;
use crate::failure::Failure;
use crate::output;
use crate::settings::Settings;

/// Longest time to give back what was looked at once everything is done.
const CLOSING: Duration = Duration::from_secs(10);

/// What `orders dead-letters` does.
#[derive(Subcommand, Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeadLettersCommand {
    /// List them, oldest first, with reason and provenance; changes nothing
    List {
        #[command(flatten)]
        which: Which,
        /// Most to list
        #[arg(long, value_name = "COUNT", default_value = "50")]
        limit: usize,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one whole: headers, provenance, body; changes nothing
    Show {
        /// Whose dead letters
        #[arg(value_enum)]
        queue: Queue,
        /// The message id
        #[arg(value_name = "ID", value_parser = legal::message_id)]
        id: bus::MessageId,
    },
    /// Send them back to where they came from: copied, confirmed, then removed
    Replay {
        #[command(flatten)]
        which: Which,
        /// Most to send
        #[arg(long, value_name = "COUNT")]
        limit: Option<usize>,
        /// Most to send per second
        #[arg(long, value_name = "COUNT")]
        rate: Option<std::num::NonZeroU32>,
        /// Only count what would be sent
        #[arg(long)]
        dry_run: bool,
    },
    /// Remove them for good
    Discard {
        #[command(flatten)]
        which: Which,
        /// Most to remove
        #[arg(long, value_name = "COUNT")]
        limit: Option<usize>,
        /// Only count what would be removed
        #[arg(long)]
        dry_run: bool,
        /// Remove all of them; needed when nothing says which
        #[arg(long)]
        all: bool,
    },
}

/// Whose dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Queue {
    /// Of the order messages.
    Order,
    /// Of the sync events.
    Sync,
}

/// Which dead letters are meant; everything given must hold.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Which {
    /// Whose dead letters
    #[arg(value_enum)]
    queue: Queue,
    /// Only the one with this message id
    #[arg(long, value_name = "ID", value_parser = legal::message_id)]
    id: Option<bus::MessageId>,
    /// Only those of this order
    #[arg(long, value_name = "ORDER", value_parser = legal::message_key)]
    key: Option<bus::MessageKey>,
    /// Only those whose reason contains this
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only those rejected longer ago than this
    #[arg(long, value_name = "TIME", value_parser = legal::time)]
    older: Option<Duration>,
    /// Only those rejected within this time
    #[arg(long, value_name = "TIME", value_parser = legal::time)]
    newer: Option<Duration>,
}

impl Which {
    fn filter(self) -> Filter {
        Filter {
            message_id: self.id,
            key: self.key,
            reason_contains: self.reason,
            older_than: self.older,
            newer_than: self.newer,
            ..Filter::default()
        }
    }
}

pub(crate) async fn dead_letters(
    command: DeadLettersCommand,
    settings: Settings,
    seams: Seams,
) -> Result<ExitCode, Failure> {
    let queue = match &command {
        DeadLettersCommand::Show { queue, .. } => *queue,
        DeadLettersCommand::List { which, .. }
        | DeadLettersCommand::Replay { which, .. }
        | DeadLettersCommand::Discard { which, .. } => which.queue,
    };
    let destination = match queue {
        Queue::Order => &settings.order_queue,
        Queue::Sync => &settings.sync_queue,
    };
    let mut signals = Signals::watch()?;
    let open = open_bus(&settings.bus, &settings.data.join("bus"), None, &seams).await?;
    let bus = super::agreement::agreed(&settings, Arc::clone(&open.bus), &seams)?;
    let letters = DeadLetters::of(bus, destination, seams).map_err(Failure::runtime)?;
    let shutdown = CancellationToken::new();
    let work = run(command, &letters, shutdown.clone());
    tokio::pin!(work);
    let done = tokio::select! {
        biased;
        done = &mut work => done,
        _ = signals.next() => {
            // What is held goes back; what was sent is removed.
            shutdown.cancel();
            work.await
        }
    };
    let _ = open.bus.close(CLOSING).await;
    done
}

async fn run(
    command: DeadLettersCommand,
    letters: &DeadLetters,
    shutdown: CancellationToken,
) -> Result<ExitCode, Failure> {
    match command {
        DeadLettersCommand::List { which, limit, json } => list(letters, &which.filter(), limit, json).await,
        DeadLettersCommand::Show { id, .. } => match letters.show(&id).await.map_err(Failure::runtime)? {
            Some(letter) => output::print(&shown(&letter)).map(|()| ExitCode::SUCCESS),
            None => Err(Failure::runtime(format!("no dead letter has the id {id}"))
                .hint("`orders dead-letters list` shows what is there; it may have been replayed")),
        },
        DeadLettersCommand::Replay { which, limit, rate, dry_run } => {
            let replay = Replay { filter: which.filter(), limit, per_second_max: rate, dry_run, ..Replay::default() };
            let progress = |progress: &bus::dead_letter::Progress| tracing::info!(%progress, "replaying");
            let done = letters.replay(replay, shutdown, progress).await.map_err(Failure::runtime)?;
            let would = if dry_run { "would be: " } else { "" };
            output::print(&format!("{would}{}; {}\n", done.progress, done.ended))?;
            for failure in &done.failures {
                output::print(&format!("not replayed: {} — {}\n", failure.message_id, failure.reason))?;
            }
            Ok(ExitCode::from(u8::from(done.progress.failed_count > 0)))
        }
        DeadLettersCommand::Discard { which, limit, dry_run, all } => {
            let filter = which.filter();
            if filter == Filter::default() && !all && !dry_run {
                return Err(Failure::usage("this would remove every dead letter")
                    .hint("say which with --id, --key, --reason, --older or --newer, or say --all"));
            }
            let discard = Discard { filter, limit, dry_run };
            let done = letters.discard(discard, shutdown).await.map_err(Failure::runtime)?;
            let verb = if dry_run { "would be removed" } else { "removed" };
            output::print(&format!(
                "{} {verb}, {} failed, {} looked at; {}\n",
                done.discarded_count, done.failed_count, done.examined_count, done.ended
            ))?;
            Ok(ExitCode::from(u8::from(done.failed_count > 0)))
        }
    }
}

async fn list(letters: &DeadLetters, filter: &Filter, limit: usize, as_json: bool) -> Result<ExitCode, Failure> {
    let listing = letters.list(filter, limit).await.map_err(Failure::runtime)?;
    if as_json {
        let rows: Vec<_> = listing.letters.iter().map(as_object).collect();
        let object = json!({"deadLetters": rows, "examined": listing.examined_count, "complete": listing.is_complete});
        output::print(&format!("{object}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["rejected", "message id", "key", "reason"]);
    for letter in &listing.letters {
        let Provenance { at, reason, .. } = letter.provenance();
        let key = letter.message().key().map(ToString::to_string);
        table.add_row([
            at.map(|at| at.to_string()).unwrap_or_default(),
            letter.message().id().to_string(),
            key.unwrap_or_default(),
            reason.clone().unwrap_or_default(),
        ]);
    }
    let more = if listing.is_complete { "" } else { ", and there are more" };
    output::print(&format!("{table}\n{} dead letters{more}\n", listing.letters.len()))?;
    Ok(ExitCode::SUCCESS)
}

fn as_object(letter: &DeadLetter) -> serde_json::Value {
    let (message, provenance) = (letter.message(), letter.provenance());
    json!({
        "messageId": message.id().to_string(),
        "key": message.key().map(ToString::to_string),
        "reason": provenance.reason,
        "rejectedBy": provenance.rejected_by.as_ref().map(ToString::to_string),
        "rejectedAt": provenance.at.map(|at| at.to_string()),
        "receiveCount": provenance.receive_count,
        "replayCount": provenance.replay_count,
        "bodyBytes": message.body().len(),
    })
}

/// One dead letter for a person: what is text is shown as text.
fn shown(letter: &DeadLetter) -> String {
    let message = letter.message();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut shown = format!("message id: {}\n", message.id());
    for (name, value) in [
        ("key", message.key().map(ToString::to_string)),
        ("content type", message.content_type().map(ToOwned::to_owned)),
    ] {
        shown.extend(value.map(|value| format!("{name}: {value}\n")));
    }
    shown.extend(message.headers().iter().map(|(name, value)| format!("{name}: {}\n", text(value))));
    format!("{shown}\n{}\n", text(message.body()))
}
