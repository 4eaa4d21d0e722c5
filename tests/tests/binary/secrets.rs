//! A secret that was given is never given away.

use std::path::Path;

use tests::orders::{Said, Site, said};

use crate::shop::completed;

const TOKEN: &str = "c4nary-t0ken";
const PASSWORD: &str = "c4nary-passw0rd";

#[track_caller]
fn check(text: &str, whose: &str) {
    for secret in [TOKEN, PASSWORD] {
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(secret)).take(3).collect();
        assert!(lines.is_empty(), "{whose} gives away {secret}: {lines:?}");
    }
}

/// Runs a command with both secrets in the environment, and checks what it says.
fn ask(site: &Site, arguments: &[&str]) -> Said {
    let mut command = site.command(arguments);
    command
        .env("ORDERS_SYNC_TOKEN", TOKEN)
        .env("ORDERS_BUS", format!("amqp://me:{PASSWORD}@127.0.0.1:1?sasl_password={PASSWORD}"));
    let said = said(&mut command);
    check(&said.stdout, &format!("stdout of {arguments:?}"));
    check(&said.stderr, &format!("stderr of {arguments:?}"));
    said
}

fn check_files(directory: &Path) -> usize {
    let mut file_count = 0;
    for entry in std::fs::read_dir(directory).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            file_count += check_files(&path);
        } else {
            let bytes = std::fs::read(&path).expect("readable");
            check(&String::from_utf8_lossy(&bytes), &path.display().to_string());
            file_count += 1;
        }
    }
    file_count
}

#[test]
fn no_command_prints_them_whatever_goes_wrong() {
    let site = Site::new();
    for arguments in [
        &["config", "show"][..],
        &["config", "show", "--json"],
        &["contract", "--log", "trace"],
        &["verify", "--log", "trace"],
        &["verify", "--json", "--log", "trace"],
        &["reconcile", "--log", "trace"],
        &["serve", "--log", "trace"],
        &["serve", "--role", "producer"],
        &["serve", "--role", "nobody"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let _ = ask(&site, arguments);
    }
    let url = format!("http://me:{PASSWORD}@127.0.0.1:8080");
    let bus = format!("me:{PASSWORD}@host");
    let token = format!("{TOKEN} with spaces");
    for arguments in [["--producer-url", &url], ["--bus", &bus], ["--sync-token", &token]] {
        let refused = ask(&site, &[&["config", "show"], &arguments[..]].concat());
        assert_eq!(refused.code, 2, "{refused:?}");
    }
    std::fs::write(site.directory().join("orders.toml"), format!("sync-token = [\"{TOKEN}\"]\nbus = \"{bus}\"\n"))
        .expect("written");
    let refused = site.ask(&["serve"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    check(&refused.stderr, "a bad file");
}

#[tokio::test]
async fn a_running_system_that_logs_everything_does_not_log_them() {
    let site = Site::new();
    let process = site.start_command(site.command(&["--log", "trace"]).env("ORDERS_SYNC_TOKEN", TOKEN));
    let process = site.until_ready(process).await;
    completed(&site, "key").await;
    for arguments in [&["verify", "--log", "trace"][..], &["reconcile", "--log", "trace"]] {
        let said = said(site.command(arguments).env("ORDERS_SYNC_TOKEN", TOKEN));
        assert_eq!(said.code, 0, "{said:?}");
        check(&said.stdout, "stdout");
        check(&said.stderr, "stderr");
    }
    let wrong = site.client().get(site.producer("/api/sync/orders")).bearer_auth("wrong").send().await;
    check(&wrong.expect("an answer").text().await.expect("a body"), "a problem document");
    assert!(process.terminate().success());
    // Log, banner and every file of the stores and the bus.
    assert!(check_files(site.directory()) > 5);
}
