//! A run drawn: a timeline for a browser, and a sequence diagram.

use std::fmt::Write;

use super::cause::{Cause, is_fault, sentence};
use crate::chronicle::Event;

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>
<style>
body{font:14px/1.4 system-ui,sans-serif;margin:2em;max-width:90em;color:#222;background:#fff}
table{border-collapse:collapse;width:100%}th{text-align:left;position:sticky;top:0;background:#fff}
td,th{padding:.15em .6em;border-left:1px solid #ddd;vertical-align:top;width:22%}
td:first-child,th:first-child{width:8em;text-align:right;border:0;font-variant-numeric:tabular-nums}
tr.fault td{background:#fdecea}tr.cause td{font-weight:600}tr.other{display:none}.all tr.other{display:table-row;color:#777}
pre{background:#f5f5f5;padding:1em;overflow:auto}
@media(prefers-color-scheme:dark){body,th{background:#181818;color:#ddd}td,th{border-color:#444}tr.fault td{background:#452020}
pre{background:#222}}
</style>";

const LANES: [&str; 4] = ["customer", "producer", "trouble", "consumer"];

/// A page without anything from elsewhere: who did what, a column each, faults marked, what counts in bold,
/// and every other event for who asks. `needs` is what the failure takes, in a sentence.
#[must_use]
pub fn timeline(title: &str, needs: &str, cause: &Cause, events: &[Event]) -> String {
    let mut page = String::from(HEAD);
    // Writing to a string cannot fail, here and below.
    let _ = write!(
        page,
        "<title>{0}</title><h1>{0}</h1><p>{1}</p><pre>{2}</pre>",
        escaped(title),
        escaped(needs),
        escaped(&cause.to_string())
    );
    page.push_str(
        "<label><input type=checkbox onchange=\"document.body.classList.toggle('all')\"> every event</label>\n<table><tr><th>time",
    );
    for lane in LANES {
        let _ = write!(page, "<th>{lane}");
    }
    for event in events {
        let class = match (is_fault(event), cause.events.contains(event), event.is_told) {
            (true, _, _) => "fault",
            (false, true, _) => "cause",
            (false, false, true) => "told",
            (false, false, false) => "other",
        };
        let lane = LANES.iter().position(|lane| *lane == event.who).unwrap_or(2);
        let _ = write!(page, "\n<tr class={class}><td>{:.6}", event.at.as_secs_f64());
        for place in 0..LANES.len() {
            page.push_str("<td>");
            if place == lane {
                page.push_str(&escaped(&sentence(event)));
            }
        }
    }
    page.push_str("\n</table></html>\n");
    page
}

/// The events that count, as the text of a Mermaid sequence diagram.
#[must_use]
pub fn sequence(cause: &Cause) -> String {
    let mut text = String::from("sequenceDiagram\n");
    for who in ["customer", "producer", "broker", "consumer"] {
        let _ = writeln!(text, "    participant {who}");
    }
    for event in &cause.events {
        let said = plain(&[event.what.as_str(), &event.whom, &event.result].join(" "));
        let _ = match (event.who.as_str(), event.what.as_str()) {
            ("customer", what) => writeln!(text, "    customer->>producer: {what} {}", plain(&event.whom)),
            ("trouble", _) => writeln!(text, "    Note over producer,consumer: ⚡ {said}"),
            (who, "died") => writeln!(text, "    Note over {who}: ✝ {said}"),
            (who, "published") => writeln!(text, "    {who}->>broker: {said}"),
            (who, "was given") => writeln!(text, "    broker->>{who}: {said}"),
            (who, "settled") => writeln!(text, "    {who}->>broker: {said}"),
            (who, "asked") => writeln!(text, "    {who}->>producer: {said}"),
            (who, _) => writeln!(text, "    Note over {who}: {said}"),
        };
    }
    let _ = writeln!(text, "    Note over customer,consumer: {}", plain(&format!("{}: {}", cause.check, cause.why)));
    text
}

/// Without what ends a line or means something to Mermaid.
fn plain(text: &str) -> String {
    text.chars()
        .map(|sign| if matches!(sign, ';' | '#' | '\n' | '%') { ',' } else { sign })
        .collect::<String>()
        .trim()
        .to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
