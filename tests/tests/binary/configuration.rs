//! What can be asked without anything running.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use tests::orders::{Site, said};

#[test]
fn every_setting_is_shown_with_its_origin_and_without_its_secret() {
    let site = Site::new();
    std::fs::write(site.directory().join("orders.toml"), "drain = \"3s\"\n\n[stock]\nrare = 1\n").expect("written");
    let ask = |arguments: &[&str]| {
        let mut command = site.command(&[&["config", "show", "--attempts", "7"], arguments].concat());
        command.env("ORDERS_SYNC_TOKEN", "hunter2").env("ORDERS_BUS", "amqp://me:hunter3@broker");
        said(&mut command)
    };
    let shown = ask(&["--json"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    let shown: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    let entry = |name: &str| {
        let settings = shown["settings"].as_array().expect("a list");
        settings.iter().find(|entry| entry["setting"] == name).unwrap_or_else(|| panic!("{name}: {shown}")).clone()
    };
    for (name, value, origin) in [
        ("attempts", "7", "--attempts"),
        ("drain", "3s", "orders.toml:1"),
        ("sync-token", "***", "ORDERS_SYNC_TOKEN"),
        ("bus", "amqp://me:***@broker", "ORDERS_BUS"),
        ("settle", "10s", "default"),
        ("stock.rare", "1", "orders.toml:4"),
    ] {
        let entry = entry(name);
        assert_eq!(entry["value"], value, "{entry}");
        assert!(entry.to_string().contains(origin), "{origin}: {entry}");
    }
    let table = ask(&[]);
    assert!(table.stdout.contains("amqp://me:***@broker") && table.stdout.contains("ORDERS_SYNC_TOKEN"), "{table:?}");
}

#[test]
fn the_contract_says_what_the_bus_gives() {
    let site = Site::new();
    let shown = site.ask(&["contract"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.stdout.contains("native") && shown.stdout.contains("memory://"), "{shown:?}");
    let contract: Value = serde_json::from_str(&site.ask(&["contract", "--json"]).stdout).expect("JSON");
    let terms = contract["terms"].as_array().expect("a list");
    assert!(terms.len() > 3, "{contract}");
    for term in terms {
        let answer = term["answer"].as_str().expect("a text");
        assert!(["native", "emulated"].contains(&answer), "nothing is refused: {term}");
        assert!(answer == "native" || term["how"].as_str().is_some_and(|how| !how.is_empty()), "{term}");
    }
    assert!(!site.directory().join("data").exists(), "asking changes nothing");
}

#[test]
fn the_contract_names_what_is_emulated_its_cost_and_what_is_refused() {
    let site = Site::new();
    let weak = "memory://?dead_letters=off&nack_delay_max=1s&message_bytes_max=1000";
    let shown = site.ask(&["contract", "--bus", weak]);
    assert_eq!(shown.code, 1, "a message of the services does not fit: {shown:?}");
    let contract: Value = serde_json::from_str(&site.ask(&["contract", "--json", "--bus", weak]).stdout).expect("JSON");
    let term = |need: &str| {
        let terms = contract["terms"].as_array().expect("a list");
        terms.iter().find(|term| term["need"].as_str().is_some_and(|text| text.starts_with(need))).expect(need).clone()
    };
    for need in ["dead letter after", "retry delayed"] {
        let term = term(need);
        assert_eq!(term["answer"], "emulated", "{term}");
        for part in ["how", "cost"] {
            let text = term[part].as_str().filter(|text| !text.is_empty()).expect("a text");
            let word = text.split(' ').next().expect("not empty");
            assert!(shown.stdout.contains(word), "{word} is not in {}", shown.stdout);
        }
    }
    let refused = term("messages of");
    assert_eq!(refused["answer"], "refused");
    assert!(refused["how"].as_str().is_some_and(|why| why.contains("claim check")), "{refused}");
}

#[test]
fn completions_are_scripts_of_their_shell() {
    let site = Site::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = site.ask(&["completions", shell]);
        assert_eq!((script.code, script.stdout.contains("orders")), (0, true), "{shell}");
    }
    let script = site.ask(&["completions", "bash"]).stdout;
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().expect("bash runs");
    bash.stdin.take().expect("piped").write_all(script.as_bytes()).expect("written");
    assert!(bash.wait().expect("our child").success());
}

#[test]
fn help_names_the_exit_codes_and_every_command() {
    let help = Site::new().ask(&["--help"]);
    assert_eq!(help.code, 0);
    for part in ["Exit codes", "serve", "verify", "reconcile", "contract", "config", "completions", "ORDERS_SYNC_TOKEN"]
    {
        assert!(help.stdout.contains(part), "{part} is not in {}", help.stdout);
    }
}
