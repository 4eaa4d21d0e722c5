//! A slip on the command line, in the environment or in the file: exit code 2 and what was meant.

use tests::orders::{Said, Site, said};

#[track_caller]
fn check(refused: &Said, parts: &[&str]) {
    assert_eq!(refused.code, 2, "{refused:?}");
    for part in parts {
        assert!(refused.stderr.contains(part), "{part} is not in {}", refused.stderr);
    }
    assert_eq!(refused.stdout, "", "errors are not results");
}

#[test]
fn a_misspelt_key_in_the_file_is_refused_with_its_line_and_a_suggestion() {
    for (text, parts) in [
        ("produser-addr = \"127.0.0.1:0\"\n", ["produser-addr", "orders.toml:1", "did you mean `producer-addr`?"]),
        ("\n[payment]\nlimits = \"1.00\"\n", ["limits", "orders.toml:3", "did you mean `limit`?"]),
        ("attempts = \"many\"\n", ["attempts", "orders.toml:1", "1 to 1000"]),
    ] {
        let site = Site::new();
        std::fs::write(site.directory().join("orders.toml"), text).expect("written");
        for command in [&["serve"][..], &["config", "show"], &["verify"]] {
            check(&site.ask(command), &parts);
        }
    }
}

#[test]
fn a_misspelt_variable_is_refused_with_a_suggestion() {
    let site = Site::new();
    for (name, value, parts) in [
        ("ORDERS_SYNC_TOKN", "x", ["ORDERS_SYNC_TOKN", "did you mean `ORDERS_SYNC_TOKEN`?"]),
        ("ORDERS_DRAIN", "soon", ["ORDERS_DRAIN", "10s"]),
    ] {
        let refused = said(site.command(&["serve"]).env(name, value));
        check(&refused, &parts[..1]);
        if parts[1].starts_with("did") {
            check(&refused, &parts);
        }
    }
}

#[test]
fn a_bad_flag_is_refused_with_what_would_be_legal() {
    let site = Site::new();
    for (arguments, parts) in [
        (&["--drain", "soon"][..], &["drain", "soon"][..]),
        (&["--role", "both"], &["role", "both", "all"]),
        (&["--producer-addr", "localhost:8080"], &["producer-addr", "127.0.0.1:8080"]),
        (&["--producer-url", "https://127.0.0.1"], &["producer-url", "http"]),
        (&["--bus", "nonsense"], &["bus", "memory://"]),
        (&["--bus", "carrier-pigeon://loft"], &["carrier-pigeon", "memory"]),
        (&["--order-queue", "with space"], &["order-queue"]),
        (&["--order-queue", "same", "--sync-queue", "same"], &["same"]),
        (&["--attempts", "0"], &["attempts", "1"]),
        (&["--members", "0"], &["members", "1 to 64"]),
        (&["--members", "2", "--poison", "park"], &["--poison park", "--members 1"]),
        (&["--members", "2", "--role", "producer", "--bus", "amqp://127.0.0.1"], &["--members", "--role producer"]),
        (&["--time-zone", "Mars/Olympus"], &["time-zone", "Asia/Seoul"]),
        (&["--log", "loud"], &["log", "trace"]),
        (&["--dat", "x"], &["--dat"]),
        (&["verify", "--data", "x"], &["--data"]),
        (&["sevre"], &["sevre", "serve"]),
        (&["--config", "missing.toml"], &["missing.toml"]),
    ] {
        check(&site.ask(arguments), parts);
    }
    assert!(!site.directory().join("data").exists(), "nothing was created");
}
