//! Logs on stderr: for people on a terminal, JSON lines for everything else.

use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;

use bus::Clock;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::failure::Failure;
use crate::settings::{LogFormat, Settings};

/// What is not logged unless the filter names it. The AMQP client logs whole messages and tells nothing that its
/// backend does not tell in our words. Spans would stand on every line; without a reader they are not even made, and
/// the traces go on in the headers all the same.
const QUIET: &str = "lapin=off,bus::layer::tracing=off,bus::middleware::tracing=off,services::http::tracing=off";

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Pretty { colours: bool },
    Json,
}

/// Starts logging for this process.
pub(crate) fn start(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<(), Failure> {
    let colours_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let style = style(settings.log_format, std::io::stderr().is_terminal(), colours_refused);
    let subscriber = subscriber(style, &settings.log, clock, std::io::stderr);
    tracing::subscriber::set_global_default(subscriber).map_err(Failure::runtime)
}

fn style(format: LogFormat, is_terminal: bool, colours_refused: bool) -> Style {
    match format {
        LogFormat::Json => Style::Json,
        LogFormat::Auto if !is_terminal => Style::Json,
        LogFormat::Auto | LogFormat::Pretty => Style::Pretty { colours: is_terminal && !colours_refused },
    }
}

fn subscriber<W>(style: Style, filter: &str, clock: &Arc<dyn Clock>, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let shared = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("{QUIET},{filter}")))
        .with_timer(Wall(Arc::clone(clock)))
        .with_writer(writer)
        // Otherwise a stderr that somebody closed would panic whoever logs.
        .log_internal_errors(false);
    match style {
        Style::Pretty { colours } => Box::new(shared.with_ansi(colours).compact().finish()),
        // Flat, so that `event`, `order_number`, `message_id`, `attempt` are fields of the line itself.
        Style::Json => Box::new(shared.with_ansi(false).json().flatten_event(true).with_span_list(false).finish()),
    }
}

/// Calendar time from the clock seam, in milliseconds.
struct Wall(Arc<dyn Clock>);

impl FormatTime for Wall {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        write!(w, "{:.3}", self.0.wall())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use bus::Seams;
    use jiff::Timestamp;

    use super::*;

    /// A writer that keeps what was written.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(style: Style, filter: &str) -> String {
        let clock = Seams::repeatable(Timestamp::UNIX_EPOCH, 1).clock;
        let kept = Kept::default();
        let writer = kept.clone();
        tracing::subscriber::with_default(subscriber(style, filter, &clock, move || writer.clone()), || {
            tracing::info!(event = "order_stored", order_number = "ORD-1", message_id = "m", attempt = 1, "stored");
            tracing::debug!("details");
        });
        let bytes = kept.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[tokio::test(start_paused = true)]
    async fn json_lines_have_the_fields_of_the_event_at_the_top() {
        let line = logged(Style::Json, "info");
        let value: serde_json::Value = serde_json::from_str(&line).expect("one line of JSON");
        for (field, expected) in [
            ("event", "order_stored"),
            ("order_number", "ORD-1"),
            ("message_id", "m"),
            ("message", "stored"),
            ("level", "INFO"),
            ("timestamp", "1970-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(value[field], expected, "{line}");
        }
        assert_eq!(value["attempt"], 1);
        assert!(value["target"].is_string());
    }

    #[test]
    fn spans_are_made_for_a_filter_that_names_them() {
        let check = |filter, is_made| {
            let clock = Seams::repeatable(Timestamp::UNIX_EPOCH, 1).clock;
            tracing::subscriber::with_default(subscriber(Style::Json, filter, &clock, std::io::sink), || {
                let span = tracing::info_span!(target: "bus::middleware::tracing", "process");
                assert_eq!(!span.is_disabled(), is_made, "{filter}");
            });
        };
        check("info", false);
        check("debug,bus=trace", false);
        check("info,bus::middleware::tracing=info", true);
    }

    #[tokio::test(start_paused = true)]
    async fn pretty_lines_are_for_people() {
        let plain = logged(Style::Pretty { colours: false }, "info,orders=debug");
        assert!(plain.contains("INFO") && plain.contains("stored") && plain.contains("details"), "{plain}");
        assert!(!plain.contains('\u{1b}'), "{plain}");
        assert!(logged(Style::Pretty { colours: true }, "info").contains('\u{1b}'));
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let check = |format, is_terminal, refused, expected| assert_eq!(style(format, is_terminal, refused), expected);
        check(LogFormat::Auto, true, false, Style::Pretty { colours: true });
        check(LogFormat::Auto, true, true, Style::Pretty { colours: false });
        check(LogFormat::Auto, false, false, Style::Json);
        check(LogFormat::Pretty, false, false, Style::Pretty { colours: false });
        check(LogFormat::Json, true, false, Style::Json);
    }
}
