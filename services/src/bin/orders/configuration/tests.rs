//! The promises about layers, names and messages.

use std::ffi::OsString;

use tempfile::TempDir;

use super::declared::{self, Declared};
use super::{Configuration, Said, load};
use crate::failure::Failure;

/// What `orders` makes of these flags, variables and this `orders.toml`.
fn loaded(flags: &[(&str, &str)], variables: &[(&str, &str)], file: Option<&str>) -> Result<Configuration, Failure> {
    let directory = TempDir::new().expect("a directory");
    if let Some(text) = file {
        std::fs::write(directory.path().join("orders.toml"), text).expect("written");
    }
    let environment = variables.iter().map(|(key, value)| (OsString::from(key), OsString::from(value)));
    let said = Said {
        flags: flags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        config: None,
        environment: environment.collect(),
    };
    load(said, directory.path())
}

#[track_caller]
fn refused(flags: &[(&str, &str)], variables: &[(&str, &str)], file: Option<&str>, said: &[&str]) {
    let failure = loaded(flags, variables, file).expect_err("refused").to_string();
    for part in said {
        assert!(failure.contains(part), "{part:?} is missing in:\n{failure}");
    }
    assert!(!failure.contains("hunter2"), "{failure}");
}

fn entry(configuration: &Configuration, name: &str) -> (String, String) {
    let entry = configuration.entries.iter().find(|entry| entry.setting == name).expect(name);
    (entry.value.clone().unwrap_or_default(), entry.origin.clone())
}

/// A legal value of each setting that is not its default.
fn sample(setting: &Declared) -> &'static str {
    match setting.name() {
        "role" => "producer",
        "bus" => "memory://?journal=x",
        "data" => "/var/orders",
        "producer-addr" | "consumer-addr" => "[::1]:9000",
        "producer-url" | "consumer-url" => "http://h/p",
        "order-queue" | "sync-queue" => "q.fifo",
        "time-zone" => "Etc/UTC",
        "sync-token" => "s3cret",
        "reconcile-every" | "reconcile-grace" | "drain" | "settle" => "250ms",
        "concurrency" | "attempts" | "members" => "3",
        "poison" => "park",
        "log" => "warn",
        "log-format" => "json",
        name => panic!("no sample for {name}"),
    }
}

#[test]
fn flags_variables_and_keys_are_the_same_names() {
    for setting in declared::all() {
        let (name, variable, value) = (setting.name(), setting.variable(), sample(&setting));
        assert_eq!(variable, format!("ORDERS_{}", name.to_uppercase().replace('-', "_")));
        assert_eq!(setting.flag().get_long(), Some(name));
        let file = format!("{name} = {value:?}\n");
        for (flags, variables, file, origin) in [
            (vec![(name, value)], vec![], None, format!("flag --{name}")),
            (vec![], vec![(variable.as_str(), value)], None, format!("environment {variable}")),
            (vec![], vec![], Some(file.as_str()), "orders.toml:1".to_owned()),
        ] {
            let configuration = loaded(&flags, &variables, file).expect(name);
            let shown = if name == "sync-token" { "***" } else { value };
            assert_eq!(entry(&configuration, name), (shown.to_owned(), origin));
        }
    }
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let file = Some("log = \"warn\"\nattempts = 7\nconcurrency = 8\ndrain = \"1s\"\n");
    let variables = [("ORDERS_ATTEMPTS", "6"), ("ORDERS_DRAIN", "2s"), ("PATH", "/bin")];
    let configuration = loaded(&[("drain", "3s")], &variables, file).expect("legal");
    let check = |name: &str, value: &str, origin: &str| {
        assert_eq!(entry(&configuration, name), (value.to_owned(), origin.to_owned()));
    };
    check("drain", "3s", "flag --drain");
    check("attempts", "6", "environment ORDERS_ATTEMPTS");
    check("concurrency", "8", "orders.toml:3");
    check("settle", "10s", "default");
    assert_eq!((configuration.settings.attempts, configuration.settings.concurrency), (6, 8));
}

#[test]
fn an_unknown_key_or_variable_is_named_with_its_place_and_the_nearest_known_one() {
    refused(&[], &[], Some("log = \"info\"\nprodcer_addr = \"x\"\n"), &["`prodcer_addr`", ":2", "`producer-addr`"]);
    refused(&[], &[], Some("[payment]\nlimits = \"1\"\n"), &["`limits` in [payment]", ":2", "`limit`"]);
    refused(&[], &[], Some("[stocks]\na = 1\n"), &["`stocks`", ":1", "`stock`"]);
    refused(&[], &[("ORDERS_PRODUCER_ADR", "x")], None, &["ORDERS_PRODUCER_ADR", "`ORDERS_PRODUCER_ADDR`"]);
    refused(&[], &[("ORDERS_QQQQ", "x")], None, &["ORDERS_QQQQ", "known are ORDERS_ROLE, ORDERS_BUS"]);
    refused(&[], &[("ORDERS_PORT_80_TCP", "x")], None, &["ORDERS_PORT_80_TCP", "enableServiceLinks"]);
}

#[test]
fn a_bad_value_names_setting_value_origin_and_what_is_legal() {
    let check = |name: &str, value: &str, legal: &str| {
        refused(&[(name, value)], &[], None, &[&format!("`{name}`"), &format!("flag --{name}"), "hint: use", legal]);
    };
    check("role", "both", "all, producer, consumer");
    check("bus", "memory", "memory://");
    check("bus", "me:hunter2@broker", "memory://");
    check("data", "", "not empty");
    check("producer-addr", "localhost:8080", "host names are not looked up");
    check("producer-url", "https://h", "http only");
    check("producer-url", "http://me:hunter2@h", "without user and password");
    check("order-queue", "주문", "A–Z");
    check("time-zone", "Asia/Soul", "Asia/Seoul");
    check("sync-token", "hunter2 hunter2", "visible ASCII");
    check("drain", "30", "30s");
    check("drain", "-1s", "30s");
    check("reconcile-every", "0s", "from 1ms");
    check("concurrency", "0", "from 1 to");
    check("attempts", "five", "from 1 to");
    check("log", "inof", "trace");
    check("log-format", "text", "auto, pretty, json");
    check("poison", "drop", "skip, park, stop");
    refused(&[], &[("ORDERS_ATTEMPTS", "0")], None, &["\"0\"", "environment ORDERS_ATTEMPTS"]);
    refused(&[], &[("ORDERS_SYNC_TOKEN", "")], None, &["\"***\"", "environment ORDERS_SYNC_TOKEN"]);
    refused(&[], &[], Some("\nattempts = 2.5\n"), &["\"2.5\"", "orders.toml:2"]);
    refused(&[], &[], Some("attempts = [2]\n"), &["`attempts`", "orders.toml:1"]);
}

#[test]
fn stock_and_payment_limit_come_from_the_file_alone() {
    let file = "[stock]\n\"SyncEventListener 검증\" = 5\nlog = 0\n\n[payment]\nlimit = \"100000.00\"\n";
    let configuration = loaded(&[], &[], Some(file)).expect("legal");
    let settings = &configuration.settings;
    assert_eq!(settings.stock.get("SyncEventListener 검증"), Some(&5));
    assert_eq!(settings.payment_limit.map(|limit| limit.to_string()).as_deref(), Some("100000.00"));
    assert_eq!(settings.log, "info", "a product is no setting");
    assert_eq!(entry(&configuration, "stock.log"), ("0".to_owned(), "orders.toml:3".to_owned()));
    assert_eq!(entry(&configuration, "payment.limit").1, "orders.toml:6");
    refused(&[], &[], Some("[stock]\na = -1\n"), &["\"a\"", "-1", "orders.toml:2"]);
    refused(&[], &[], Some("[payment]\nlimit = 100000.00\n"), &["payment.limit", "in quotes", "orders.toml:2"]);
    refused(&[], &[], Some("[payment]\nlimit = \"1.005\"\n"), &["1.005", "two decimals"]);
    refused(&[], &[], Some("stock = 5\n"), &["[stock]"]);
}

#[test]
fn a_file_that_is_named_must_be_there() {
    refused(&[], &[("ORDERS_CONFIG", "other.toml")], None, &["other.toml", "--config"]);
    refused(&[], &[], Some("role = \n"), &["no TOML", "orders.toml"]);
    assert_eq!(loaded(&[], &[], None).expect("legal").file, None);
}

#[test]
fn what_is_shown_holds_no_secret() {
    let variables =
        [("ORDERS_SYNC_TOKEN", "hunter2"), ("ORDERS_BUS", "amqp://me:hunter2@broker?sasl_password=hunter2")];
    let configuration = loaded(&[], &variables, None).expect("legal");
    for as_json in [false, true] {
        let shown = configuration.shown(as_json);
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("amqp://me:***@broker?sasl_password=***"), "{shown}");
        assert!(shown.contains("environment ORDERS_SYNC_TOKEN"), "{shown}");
    }
    assert!(!format!("{:?}", configuration.settings).contains("hunter2"));
}

#[test]
fn one_side_alone_refuses_a_bus_that_ends_at_the_process() {
    let check = |flags: &[(&str, &str)], said: Option<&str>| {
        let outcome = loaded(flags, &[], None).expect("legal, each alone").settings.check_serving();
        match said {
            None => assert!(outcome.is_ok(), "{flags:?}"),
            Some(said) => assert!(outcome.expect_err("refused").to_string().contains(said), "{flags:?}"),
        }
    };
    check(&[], None);
    check(&[("role", "producer")], Some("memory:// cannot cross processes"));
    check(&[("role", "consumer"), ("bus", "amqp://h")], None);
    check(&[("consumer-addr", "127.0.0.1:8080")], Some("are both 127.0.0.1:8080"));
    check(&[("consumer-addr", "127.0.0.1:0"), ("producer-addr", "127.0.0.1:0")], None);
    check(&[("sync-queue", "order-processing-queue")], Some("a destination each"));
}
