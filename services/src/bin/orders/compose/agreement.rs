//! What the order system needs of its bus, and how a bus answers.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bus::capability::{Durability, Order, Reach};
use bus::contract::{Agreement, Answer};
use bus::pipeline::Policy;
use bus::{Bus, Contract, Seams};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use crate::failure::Failure;
use crate::output;
use crate::settings::{Role, Settings};

/// Largest message of the services: two names of 200 four-byte characters, escaped, and the rest.
const MESSAGE_BYTES: usize = 16 * 1024;
/// Longest retry delay: the policy's maximum with its full jitter.
const NACK_DELAY: Duration = Duration::from_secs(60);

/// The needs of the order system.
fn needs(settings: &Settings) -> Contract {
    Contract {
        durability: Durability::Disk,
        reach: if settings.role == Role::All { Reach::Process } else { Reach::Network },
        order_per_key: true,
        nack_delay: NACK_DELAY,
        handler_time: Policy::default().handler_timeout,
        message_bytes: MESSAGE_BYTES,
        dead_letter_after: Some(settings.attempts),
        ..Contract::default()
    }
}

/// The bus with what the order system needs and it does not do itself, or why that cannot be.
pub(super) fn agreed(settings: &Settings, bus: Arc<dyn Bus>, seams: &Seams) -> Result<Arc<dyn Bus>, Failure> {
    if settings.members > 1 && bus.capability().order == Order::None {
        let (bus, members) = (&settings.bus, settings.members);
        return Err(Failure::usage(format!(
            "--bus {bus}: it keeps the order per key within one consumer only, and --members {members} asks for more"
        ))
        .hint(
            "use --members 1 with a larger --concurrency, or a bus that keeps order per key over several consumers",
        ));
    }
    let agreement = needs(settings).negotiate(bus.capability());
    agreement.apply(bus, seams).map_err(|error| {
        Failure::usage(format!("--bus {}: {error}", settings.bus)).hint("`orders contract` shows what this bus gives")
    })
}

/// Prints what the bus gives the order system. Exit code 1 when it refuses something.
pub(crate) async fn contract(settings: Settings, seams: Seams, as_json: bool) -> Result<ExitCode, Failure> {
    // A bus of its own: the data directory may be in use, and asking must not change it.
    let scratch = tempfile::tempdir().map_err(|error| Failure::runtime(format!("no temporary directory: {error}")))?;
    let bus = super::open_bus(&settings.bus, scratch.path(), None, &seams).await?.bus;
    let agreement = needs(&settings).negotiate(bus.capability());
    let weaknesses = bus.capability().weaknesses();
    let _ = bus.close(Duration::from_secs(5)).await;
    let text = if as_json {
        as_object(&settings, &agreement, &weaknesses)
    } else {
        as_table(&settings, &agreement, &weaknesses)
    };
    output::print(&text)?;
    Ok(if agreement.require().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_table(settings: &Settings, agreement: &Agreement, weaknesses: &[String]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["the order system needs", "answer", "how, or why not", "at what cost"]);
    for term in &agreement.terms {
        let (answer, how, cost) = parts(&term.answer);
        table.add_row([term.need.as_str(), answer, how, cost]);
    }
    let weak: String = weaknesses.iter().map(|weakness| format!("- {weakness}\n")).collect();
    format!("{}\n{table}\nweakest guarantees of this bus:\n{weak}", settings.bus)
}

fn as_object(settings: &Settings, agreement: &Agreement, weaknesses: &[String]) -> String {
    let terms: Vec<_> = agreement
        .terms
        .iter()
        .map(|term| {
            let (answer, how, cost) = parts(&term.answer);
            json!({"need": term.need, "answer": answer, "how": how, "cost": cost})
        })
        .collect();
    format!("{}\n", json!({"bus": settings.bus.to_string(), "terms": terms, "weaknesses": weaknesses}))
}

fn parts(answer: &Answer) -> (&'static str, &str, &str) {
    match answer {
        Answer::Native => ("native", "", ""),
        Answer::Emulated { how, cost } => ("emulated", how, cost),
        Answer::Refused { why } => ("refused", why, ""),
    }
}
