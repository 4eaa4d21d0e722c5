//! What the fields of [`Settings`] declare, as data: the only place that looks at them.

use clap::error::ErrorKind;
use clap::{Arg, Args, Command, FromArgMatches};

use crate::settings::{SECRET, Settings};

/// What environment variables of `orders` begin with.
pub(crate) const PREFIX: &str = "ORDERS_";

/// One declared setting.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    arg: Arg,
}

impl Declared {
    /// Its name, which is its flag without the dashes and its key in the file.
    pub(crate) fn name(&self) -> &str {
        self.arg.get_long().expect("every setting is declared `long`")
    }

    /// What clap calls it among the matches of a command line.
    pub(crate) fn id(&self) -> &str {
        self.arg.get_id().as_str()
    }

    /// Its environment variable.
    pub(crate) fn variable(&self) -> String {
        variable(self.name())
    }

    /// What holds when nobody says otherwise.
    pub(crate) fn default(&self) -> Option<&str> {
        self.arg.get_default_values().first().and_then(|value| value.to_str())
    }

    /// Whether its value must never be printed.
    pub(crate) fn is_secret(&self) -> bool {
        self.arg.get_value_names().is_some_and(|names| names.iter().any(|name| name.as_str() == SECRET))
    }

    /// Its argument for a command line: it takes any text, because all layers are read by [`Self::check`],
    /// and its help names the variable.
    pub(crate) fn flag(&self) -> Arg {
        let help = self.arg.get_help().map(ToString::to_string).unwrap_or_default();
        let flag = self.arg.clone().help(format!("{help} [env: {}]", self.variable()));
        let known = self.arg.get_possible_values();
        if known.is_empty() {
            flag.value_parser(clap::builder::StringValueParser::new())
        } else {
            flag.value_parser(clap::builder::PossibleValuesParser::new(known))
        }
    }

    /// Whether `value` is legal; the error says what would be.
    pub(crate) fn check(&self, value: &str) -> Result<(), String> {
        let alone = Command::new("setting").no_binary_name(true).arg(self.arg.clone().id("value"));
        let Err(error) = alone.try_get_matches_from([format!("--{}={value}", self.name())]) else { return Ok(()) };
        let known: Vec<String> =
            self.arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        Err(match (error.kind(), std::error::Error::source(&error)) {
            _ if !known.is_empty() => known.join(", "),
            (ErrorKind::ValueValidation, Some(reason)) => reason.to_string(),
            // clap takes no empty value where a parser does not ask for text.
            _ => "a value that is not empty".to_owned(),
        })
    }
}

/// The environment variable of the setting `name`.
pub(crate) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase().replace('-', "_"))
}

/// All settings, in the order of their declaration.
pub(crate) fn all() -> Vec<Declared> {
    let command = Settings::augment_args(Command::new("settings"));
    command.get_arguments().map(|arg| Declared { arg: arg.clone() }).collect()
}

/// The typed settings, from values that [`Declared::check`] has passed.
pub(crate) fn typed<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Settings, clap::Error> {
    let arguments = values.into_iter().map(|(name, value)| format!("--{name}={value}"));
    let command = Settings::augment_args(Command::new("settings").no_binary_name(true));
    Settings::from_arg_matches(&command.try_get_matches_from(arguments)?)
}
