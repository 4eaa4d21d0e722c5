//! The command line: commands are declared here, their settings in [`crate::settings`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::compose::DeadLettersCommand;
use crate::configuration::declared::{self, Declared};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed while running: a port is busy, the data directory is in use, a broker is down, …
  2  asked wrongly: a flag, the environment or the configuration file
  verify:  0 both sides are equal   1 differences   2 a side did not answer";

const PRECEDENCE: &str = "\
A setting is a flag, an environment variable or a key in orders.toml, in this order of strength;
`orders config show` says which one holds.";

/// The order system on one message bus: a producer and a consumer that stay in sync
///
/// Without a command it serves.
#[derive(Parser, Debug)]
#[command(name = "orders", version, after_help = EXIT_CODES, after_long_help = format!("{PRECEDENCE}\n\n{EXIT_CODES}"))]
struct Cli {
    /// Configuration file [env: ORDERS_CONFIG] [default: orders.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

/// What `orders` does.
#[derive(Subcommand, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Run the producer, the consumer, or both (the default)
    #[command(after_help = EXIT_CODES)]
    Serve,
    /// Compare every order on both sides: fields, results, books
    #[command(after_help = EXIT_CODES)]
    Verify {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run the reconciler once: fetch, acknowledge and process what was missed
    #[command(after_help = EXIT_CODES)]
    Reconcile {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what this bus gives the order system: native, emulated, refused, at what cost
    #[command(after_help = EXIT_CODES)]
    Contract {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Look after messages that were given up: list, show, replay, discard
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// What `orders config` does.
#[derive(Subcommand, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConfigCommand {
    /// Print every setting, its value (secrets masked) and where it came from
    #[command(after_help = EXIT_CODES)]
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) command: Command,
    pub(crate) config: Option<PathBuf>,
    /// Settings given as flags, by name.
    pub(crate) flags: BTreeMap<String, String>,
}

/// The settings that have a meaning for the commands but `config show`, which takes all.
const VERIFY: &[&str] = &["producer-url", "consumer-url", "sync-token", "settle", "log", "log-format"];
const CONTRACT: &[&str] = &["bus", "data", "order-queue", "sync-queue", "log", "log-format"];
const SERVE_WITHOUT: &[&str] = &["consumer-url", "settle"];
/// The reconciler runs in the consumer, which is asked to run it now.
const RECONCILE: &[&str] = &["consumer-url", "sync-token", "log", "log-format"];

/// The whole command line, each command with the settings that have a meaning for it.
pub(crate) fn command() -> clap::Command {
    let all = declared::all();
    let with = |command: clap::Command, takes: &dyn Fn(&str) -> bool| {
        command.args(all.iter().filter(|one| takes(one.name())).map(Declared::flag))
    };
    let serves = |name: &str| !SERVE_WITHOUT.contains(&name);
    with(Cli::command(), &serves)
        .mut_subcommand("serve", |command| with(command, &serves))
        .mut_subcommand("verify", |command| with(command, &|name| VERIFY.contains(&name)))
        .mut_subcommand("reconcile", |command| with(command, &|name| RECONCILE.contains(&name)))
        .mut_subcommand("contract", |command| with(command, &|name| CONTRACT.contains(&name)))
        .mut_subcommand("dead-letters", |dead_letters| {
            ["list", "show", "replay", "discard"].into_iter().fold(dead_letters, |dead_letters, action| {
                let takes = |name: &str| CONTRACT.contains(&name);
                dead_letters.mut_subcommand(action, |command| with(command, &takes).after_help(EXIT_CODES))
            })
        })
        .mut_subcommand("config", |config| config.mut_subcommand("show", |command| with(command, &|_| true)))
}

/// Reads a command line; the error is clap's own, help and version included.
pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Asked, clap::Error> {
    let mut line = command();
    let matches = line.try_get_matches_from_mut(arguments)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut line))?;
    let flags = flags(&matches).map_err(|stray| {
        let message = format!("'--{stray}' means nothing to this command: see its own --help");
        line.error(clap::error::ErrorKind::UnknownArgument, message)
    })?;
    Ok(Asked { command: cli.command.unwrap_or(Command::Serve), config: cli.config, flags })
}

/// The settings given before and after the command; the later one wins. A setting before a command that
/// has no use for it is an error, as it is behind it.
fn flags(matches: &ArgMatches) -> Result<BTreeMap<String, String>, String> {
    let all = declared::all();
    let mut flags: BTreeMap<String, String> = BTreeMap::new();
    let mut level = matches;
    loop {
        for one in all.iter().filter(|one| is_known(level, one)) {
            if level.value_source(one.id()) == Some(ValueSource::CommandLine) {
                flags.extend(level.get_one::<String>(one.id()).map(|value| (one.name().to_owned(), value.clone())));
            }
        }
        match level.subcommand() {
            Some((_, inner)) => level = inner,
            None => break,
        }
    }
    match all.iter().find(|one| flags.contains_key(one.name()) && !is_known(level, one)) {
        Some(stray) => Err(stray.name().to_owned()),
        None => Ok(flags),
    }
}

fn is_known(matches: &ArgMatches, setting: &Declared) -> bool {
    matches.try_contains_id(setting.id()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flags that belong to one command and are no settings.
    const OWN_FLAGS: [&str; 13] = [
        "config", "json", "help", "version", "id", "key", "reason", "older", "newer", "limit", "rate", "dry-run", "all",
    ];

    fn asked(line: &str) -> Result<Asked, clap::Error> {
        read(line.split_whitespace().map(OsString::from))
    }

    fn names_of(command: &clap::Command, found: &mut Vec<String>) {
        found.extend(command.get_arguments().filter_map(|arg| arg.get_long().map(ToOwned::to_owned)));
        command.get_subcommands().for_each(|inner| names_of(inner, found));
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_flag_is_a_declared_setting() {
        let all = declared::all();
        let known: Vec<&str> = all.iter().map(Declared::name).chain(OWN_FLAGS).collect();
        let mut found = Vec::new();
        names_of(&command(), &mut found);
        assert!(found.iter().all(|name| known.contains(&name.as_str())), "{found:?}");
        for name in [VERIFY, CONTRACT, SERVE_WITHOUT, RECONCILE].concat() {
            assert!(known.contains(&name), "{name}");
        }
    }

    #[test]
    fn help_of_every_flag_names_its_variable_and_default() {
        let help = command().term_width(400).render_long_help().to_string();
        for one in declared::all().iter().filter(|one| !SERVE_WITHOUT.contains(&one.name())) {
            assert!(help.contains(&format!("[env: {}]", one.variable())), "{}", one.name());
            assert!(one.default().is_none_or(|default| help.contains(&format!("[default: {default}]"))), "{help}");
        }
        assert!(help.contains("Exit codes:"), "{help}");
    }

    #[test]
    fn serving_needs_no_command() {
        for line in
            ["orders --role producer", "orders serve --role producer", "orders --role all serve --role producer"]
        {
            let asked = asked(line).expect(line);
            assert_eq!(asked.command, Command::Serve, "{line}");
            assert_eq!(asked.flags.get("role").map(String::as_str), Some("producer"), "{line}");
        }
        assert!(asked("orders").expect("legal").flags.is_empty(), "a default is no flag");
    }

    #[test]
    fn a_flag_without_meaning_is_refused_on_either_side_of_the_command() {
        for line in ["orders verify --role all", "orders --role all verify", "orders --role all completions fish"] {
            assert_eq!(asked(line).expect_err(line).exit_code(), 2, "{line}");
        }
        let show = asked("orders --role producer config show --bus memory:// --json").expect("all are shown");
        assert_eq!(show.flags.len(), 2);
    }

    #[test]
    fn the_file_may_be_named_before_and_after_the_command() {
        for line in ["orders --config a.toml verify", "orders verify --config a.toml", "orders --config a.toml"] {
            assert_eq!(asked(line).expect(line).config, Some(PathBuf::from("a.toml")), "{line}");
        }
    }

    #[test]
    fn completions_know_the_settings_of_each_command() {
        let mut script = Vec::new();
        clap_complete::generate(Shell::Fish, &mut command(), "orders", &mut script);
        let script = String::from_utf8(script).expect("text");
        assert!(script.contains("subcommand verify") && script.contains("-l settle"), "{script}");
    }
}
