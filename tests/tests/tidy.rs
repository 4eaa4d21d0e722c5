//! The house rules that a compiler cannot see. ARCHITECTURE.md says why each holds.

use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above its member")
}

/// Every Rust source below `folder`, with its path from the root.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of ours") {
            let path: PathBuf = entry.expect("readable").path();
            if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(root()).expect("below the root").display().to_string();
                found.push((name, fs::read_to_string(&path).expect("UTF-8")));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has sources");
    found
}

fn everything() -> Vec<(String, String)> {
    ["bus", "bus-memory", "bus-sqs", "bus-amqp", "bus-kafka", "services", "simulator", "tests"]
        .into_iter()
        .flat_map(sources)
        .collect()
}

/// Asserts that no source of `sources` contains one of `words`, comments aside.
fn check_absent(sources: &[(String, String)], words: &[&str], why: &str) {
    let mut found = Vec::new();
    for (name, text) in sources {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            found.extend(
                words.iter().filter(|word| code.contains(**word)).map(|word| format!("{name}:{}: {word}", number + 1)),
            );
        }
    }
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}

#[test]
fn every_select_is_biased() {
    // Split, so that this file does not find itself.
    let select = concat!("select", "! {");
    for (name, text) in everything() {
        for (at, _) in text.match_indices(select) {
            let rest = text[at + select.len()..].trim_start();
            let line = text[..at].lines().count();
            assert!(rest.starts_with("biased;"), "{name}:{line}: an unbiased select draws its order at random");
        }
    }
}

#[test]
fn the_top_level_shows_the_architecture_and_nothing_else() {
    let known = [
        "Cargo.toml",
        "Cargo.lock",
        "bus",
        "bus-sqs",
        "bus-memory",
        "bus-amqp",
        "bus-kafka",
        "services",
        "simulator",
        "tests",
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "LICENSE",
        "target",
        "data",
    ];
    for entry in fs::read_dir(root()).expect("the root") {
        let name = entry.expect("readable").file_name().into_string().expect("UTF-8");
        assert!(name.starts_with('.') || known.contains(&name.as_str()), "{name} has no place at the top level");
    }
}

#[test]
fn files_stay_small() {
    for (name, text) in everything() {
        let count = text.lines().count();
        assert!(count <= LINES_MAX, "{name} has {count} lines: look for the seam");
    }
}

#[test]
fn the_contract_knows_no_broker_no_http_and_no_database() {
    let manifest = fs::read_to_string(root().join("bus/Cargo.toml")).expect("a manifest");
    let manifest = manifest.split("[dev-dependencies]").next().expect("what comes before the first");
    for foreign in ["aws", "lapin", "rdkafka", "reqwest", "hyper", "warp", "http", "sled", "journal", "bus-memory"] {
        assert!(!manifest.lines().any(|line| line.starts_with(foreign)), "bus depends on {foreign}");
    }
}

#[test]
fn services_name_a_backend_in_the_composition_root_only() {
    let outside: Vec<_> =
        sources("services/src").into_iter().filter(|(name, _)| !name.contains("bin/orders/compose/")).collect();
    check_absent(&outside, &["bus_memory", "bus_sqs", "bus_amqp", "bus_kafka"], "services name a backend");
    check_absent(&sources("services/src"), &["cfg(simulat", "cfg!(simulat"], "services have code for simulation");
}

#[test]
fn no_test_is_skipped_and_nothing_is_left_to_do() {
    let words = [concat!("#[ig", "nore"), concat!("to", "do!("), concat!("unimple", "mented!("), concat!("FIX", "ME")];
    check_absent(&everything(), &words, "unfinished or skipped");
}
