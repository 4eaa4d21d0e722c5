//! A client that knows nothing of ours: Python's own for the broker.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::installed;

/// Runs `tests/tests/BROKER/foreign.py SERVER ACTION…` with `lines` as its input, and answers what it
/// printed, line by line.
///
/// # Panics
/// When it fails.
#[must_use]
pub fn foreign(broker: &str, server: &str, action: &[&str], lines: &[String]) -> Vec<Value> {
    let script = format!("{}/tests/{broker}/foreign.py", env!("CARGO_MANIFEST_DIR"));
    let mut client = Command::new(installed(broker).join("venv/bin/python"));
    client.arg(script).arg(server).args(action).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = client.spawn().expect("python runs");
    let mut stdin = client.stdin.take().expect("piped");
    for line in lines {
        writeln!(stdin, "{line}").expect("it reads");
    }
    drop(stdin);
    let output = client.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the foreign client of {broker}: {action:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect()
}
