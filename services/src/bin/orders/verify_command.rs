//! `orders verify`: the library's comparison, on this terminal.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use bus::Seams;
use services::verify::{self, Options};

use crate::failure::Failure;
use crate::output;
use crate::settings::Settings;

/// Back to the start of the terminal's line, and nothing on it: the counter writes over itself.
const CLEAR_LINE: &str = "\r\u{1b}[K";

/// Compares both sides and prints the report.
pub(crate) async fn run(settings: Settings, seams: Seams, as_json: bool) -> Result<ExitCode, Failure> {
    let is_watched = std::io::stderr().is_terminal();
    let options = Options {
        producer: settings.producer_url,
        consumer: settings.consumer_url,
        sync_token: settings.sync_token,
        settle: settings.settle,
        progress: is_watched.then_some(show_progress as fn(usize, usize)),
    };
    let report = verify::run(&options, seams.clock.as_ref()).await;
    if is_watched {
        let _ = write!(std::io::stderr(), "{CLEAR_LINE}");
    }
    match &report.unanswered {
        // Nothing was compared: that is an error, not a result, but programs still get their JSON.
        Some(unanswered) if !as_json => {
            let verify::Unanswered { side, url, reason, hint } = unanswered;
            return Err(Failure::usage(format!("the {side} did not answer: {url}: {reason}")).hint(hint));
        }
        _ if as_json => output::print(&report.to_json())?,
        _ => output::print(&report.to_string())?,
    }
    Ok(report.exit_code())
}

fn show_progress(compared_count: usize, order_count: usize) {
    let _ = write!(std::io::stderr(), "{CLEAR_LINE}{compared_count} of {order_count} orders");
}
