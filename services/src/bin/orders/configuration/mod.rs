//! From flags, environment, file and defaults to [`Settings`], each value with where it came from.
//!
//! A field of [`Settings`] is the one declaration of a setting ([`declared`]). Every layer yields
//! texts, figment keeps the strongest of each and whom it is from, and all are read by the same
//! reader ([`legal`]), so a value is as good in the file as on the command line.

pub(crate) mod declared;
mod environment;
mod file;
mod layer;
pub(crate) mod legal;
mod masked;
mod nearest;
mod show;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::Figment;

use declared::Declared;
use file::File;
use layer::Layer;

use crate::failure::Failure;
use crate::settings::Settings;

/// The file that is read without being named, if it is there.
const FILE: &str = "orders.toml";

/// What was said outside the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// Flags, by setting name.
    pub(crate) flags: BTreeMap<String, String>,
    /// `--config`.
    pub(crate) config: Option<PathBuf>,
    /// The whole environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
}

/// The settings, and how they came about.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    /// What holds.
    pub(crate) settings: Settings,
    /// Every setting as it may be printed, in the order of declaration, then those of the file only.
    pub(crate) entries: Vec<Entry>,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
}

/// One line of `orders config show`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Entry {
    pub(crate) setting: String,
    /// Masked where it is secret; `None` when it is not set and has no default.
    pub(crate) value: Option<String>,
    pub(crate) origin: String,
}

/// Resolves all settings: flag over environment over file over default.
///
/// A relative file name is looked up below `directory`.
pub(crate) fn load(said: Said, directory: &Path) -> Result<Configuration, Failure> {
    let declared = declared::all();
    let mut variables = environment::read(&declared, said.environment)?;
    let named = said.config.or(variables.remove(environment::CONFIG).map(PathBuf::from));
    let file = find(named, directory, &declared)?;

    let defaults = declared.iter().filter_map(|one| Some((one.name().to_owned(), one.default()?.to_owned())));
    let origin = file.clone();
    let figment = Figment::new()
        .merge(Layer::of_texts(defaults.collect(), |_| "default".to_owned()))
        .merge(Layer::new(file.values.clone(), move |name| origin.origin(None, name)))
        .merge(Layer::of_texts(variables, |name| format!("environment {}", declared::variable(name))))
        .merge(Layer::of_texts(said.flags, |name| format!("flag --{name}")));

    let mut values = Vec::new();
    let mut entries = Vec::new();
    for one in &declared {
        let (value, origin) = strongest(&figment, one)?;
        let shown = value.as_deref().map(|value| masked::masked(value, one.is_secret()));
        entries.push(Entry { setting: one.name().to_owned(), value: shown, origin });
        values.extend(value.map(|value| (one.name(), value)));
    }
    let typed = declared::typed(values.iter().map(|(name, value)| (*name, value.as_str())));
    let mut settings = typed.map_err(|error| Failure::usage(error.to_string().trim()))?;
    entries.extend(file_only(&file));
    settings.stock = file.stock;
    settings.payment_limit = file.payment_limit;
    Ok(Configuration { settings, entries, file: file.path })
}

/// The named file, which must be there, or else the usual one, which need not.
fn find(named: Option<PathBuf>, directory: &Path, declared: &[Declared]) -> Result<File, Failure> {
    let usual = Path::new(FILE);
    match named {
        Some(path) => File::read(&path, &directory.join(&path), declared),
        None if directory.join(usual).exists() => File::read(usual, &directory.join(usual), declared),
        None => Ok(File::default()),
    }
}

/// The value that holds, found legal, and where it is from.
fn strongest(figment: &Figment, setting: &Declared) -> Result<(Option<String>, String), Failure> {
    let name = setting.name();
    let Ok(value) = figment.find_value(name) else { return Ok((None, "default".to_owned())) };
    let origin = match figment.get_metadata(value.tag()) {
        Some(metadata) => metadata.interpolate(figment.profile(), &[name]),
        None => "default".to_owned(),
    };
    let Some(text) = text::as_text(&value) else {
        return Err(Failure::usage(format!("`{name}` cannot be a table or a list ({origin})"))
            .hint("use a text in quotes, or a number"));
    };
    match setting.check(&text) {
        Ok(()) => Ok((Some(text), origin)),
        Err(legal) => {
            let shown = masked::masked(&text, setting.is_secret());
            Err(Failure::usage(format!("`{name}` cannot be {shown:?} ({origin})")).hint(format!("use {legal}")))
        }
    }
}

fn file_only(file: &File) -> Vec<Entry> {
    let entry = |section: &str, key: &str, value: Option<String>| {
        let origin = if value.is_some() { file.origin(Some(section), key) } else { "default".to_owned() };
        Entry { setting: format!("{section}.{key}"), value, origin }
    };
    let limit = entry("payment", "limit", file.payment_limit.map(|limit| limit.to_string()));
    let stock = file.stock.iter().map(|(product, units)| entry("stock", product, Some(units.to_string())));
    std::iter::once(limit).chain(stock).collect()
}
