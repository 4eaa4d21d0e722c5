//! `orders`: the order system on one bus, from the command line.
//!
//! [`cli`] says what may be asked, [`configuration`] turns flags, environment and file into
//! [`settings`], [`compose`] puts the services together.

mod banner;
mod cli;
mod compose;
mod configuration;
mod failure;
mod logging;
mod output;
mod settings;
mod verify_command;

use std::path::Path;
use std::process::ExitCode;

use bus::Seams;
use clap_complete::Shell;

use cli::{Asked, Command, ConfigCommand};
use configuration::{Configuration, Said};
use failure::Failure;

fn main() -> ExitCode {
    let asked = match cli::read(std::env::args_os()) {
        Ok(asked) => asked,
        Err(error) => {
            // Help and version are errors to clap too; where nobody reads, nothing is lost.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    run(asked).unwrap_or_else(|failure| failure.report())
}

fn run(asked: Asked) -> Result<ExitCode, Failure> {
    let Asked { command, config, flags } = asked;
    if let Command::Completions { shell } = command {
        return completions(shell);
    }
    let said = Said { flags, config, environment: std::env::vars_os().collect() };
    let configuration = configuration::load(said, Path::new("."))?;
    if let Command::Config(ConfigCommand::Show { json }) = command {
        output::print(&configuration.shown(json))?;
        return Ok(ExitCode::SUCCESS);
    }
    work(command, configuration)
}

/// The commands that need logs and a runtime.
fn work(command: Command, configuration: Configuration) -> Result<ExitCode, Failure> {
    let settings = configuration.settings;
    if command == Command::Serve {
        settings.check_serving()?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::runtime(format!("this machine gives no threads: {error}")))?;
    runtime.block_on(async move {
        let seams = Seams::system();
        logging::start(&settings, &seams.clock)?;
        match command {
            Command::Serve => compose::serve(settings, seams).await,
            Command::Verify { json } => verify_command::run(settings, seams, json).await,
            Command::Reconcile { json } => compose::reconcile(settings, seams, json).await,
            Command::Contract { json } => compose::contract(settings, seams, json).await,
            Command::DeadLetters(command) => compose::dead_letters(command, settings, seams).await,
            Command::Config(_) | Command::Completions { .. } => Ok(ExitCode::SUCCESS),
        }
    })
}

fn completions(shell: Shell) -> Result<ExitCode, Failure> {
    // Into memory first: clap_complete panics when it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "orders", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
