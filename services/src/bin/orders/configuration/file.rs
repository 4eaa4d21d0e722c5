//! The layer of `orders.toml`: the settings, and the two sections that only a file has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::Provider;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Value};
use services::domain::Money;

use super::declared::Declared;
use super::nearest;
use super::text::{as_text, line_of};
use crate::failure::Failure;

const STOCK: &str = "stock";
const PAYMENT: &str = "payment";
const LIMIT: &str = "limit";

/// A configuration file, read and checked for unknown keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    /// Where it was found; `None` when there is none.
    pub(crate) path: Option<PathBuf>,
    /// The settings in it, by name.
    pub(crate) values: Dict,
    /// Units on hand at the start, per product.
    pub(crate) stock: BTreeMap<String, u64>,
    /// Highest total that is paid.
    pub(crate) payment_limit: Option<Money>,
    text: String,
}

impl File {
    /// Reads the file at `place`; messages call it `path`, as the operator did.
    pub(crate) fn read(path: &Path, place: &Path, declared: &[Declared]) -> Result<Self, Failure> {
        let shown = path.display();
        let text = std::fs::read_to_string(place).map_err(|error| {
            Failure::usage(format!("the configuration file {shown} cannot be read: {error}"))
                .hint("name another one with --config, or leave it away: every setting has a default")
        })?;
        let parsed = Toml::string(&text).data().map_err(|error| {
            Failure::usage(format!("the configuration file {shown} is no TOML: {}", error.to_string().trim()))
        })?;
        let values = parsed.into_values().next().unwrap_or_default();
        let file = Self { path: Some(path.to_owned()), text, ..Self::default() };
        file.checked(values, declared)
    }

    fn checked(mut self, mut values: Dict, declared: &[Declared]) -> Result<Self, Failure> {
        for (product, units) in self.section(&mut values, STOCK)? {
            let units = self.units(&product, &units)?;
            self.stock.insert(product, units);
        }
        for (key, value) in self.section(&mut values, PAYMENT)? {
            if key != LIMIT {
                return Err(self.unknown(Some(PAYMENT), &key, &[LIMIT]));
            }
            self.payment_limit = Some(self.limit(&value)?);
        }
        let known: Vec<&str> = declared.iter().map(Declared::name).chain([STOCK, PAYMENT]).collect();
        if let Some(key) = values.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(self.unknown(None, key, &known));
        }
        self.values = values;
        Ok(self)
    }

    fn section(&self, values: &mut Dict, name: &str) -> Result<Dict, Failure> {
        match values.remove(name) {
            None => Ok(Dict::new()),
            Some(Value::Dict(_, section)) => Ok(section),
            Some(_) => {
                let origin = self.origin(None, name);
                Err(Failure::usage(format!("`{name}` ({origin}) must be a section")).hint(format!("write [{name}]")))
            }
        }
    }

    fn units(&self, product: &str, value: &Value) -> Result<u64, Failure> {
        let units = value.to_i128().and_then(|units| u64::try_from(units).ok());
        units.ok_or_else(|| {
            let origin = self.origin(Some(STOCK), product);
            let found = as_text(value).unwrap_or_else(|| "a table or list".to_owned());
            Failure::usage(format!("the stock of \"{product}\" cannot be {found} ({origin})"))
                .hint("use a whole number of units from 0, without quotes")
        })
    }

    fn limit(&self, value: &Value) -> Result<Money, Failure> {
        // A whole number may stand without quotes; a fraction without them has been through binary already.
        let text = value.as_str().map(str::to_owned).or_else(|| value.to_i128().map(|units| units.to_string()));
        let limit = text.and_then(|text| Money::parse(&text).ok());
        limit.filter(|limit| *limit >= Money::from_hundredths(0)).ok_or_else(|| {
            let origin = self.origin(Some(PAYMENT), LIMIT);
            let found = as_text(value).unwrap_or_else(|| "a table or list".to_owned());
            Failure::usage(format!("`payment.limit` cannot be {found} ({origin})"))
                .hint("use a decimal in quotes with at most two decimals, such as \"100000.00\"")
        })
    }

    fn unknown(&self, section: Option<&str>, key: &str, known: &[&str]) -> Failure {
        let place = section.map(|section| format!(" in [{section}]")).unwrap_or_default();
        Failure::usage(format!("unknown key `{key}`{place} ({})", self.origin(section, key))).hint(nearest::hint(
            key,
            known,
            str::to_owned,
        ))
    }

    /// Where a key stands: the file, and the line if it can be found.
    pub(crate) fn origin(&self, section: Option<&str>, key: &str) -> String {
        let path = self.path.as_deref().unwrap_or(Path::new("orders.toml")).display();
        match line_of(&self.text, section, key) {
            Some(line) => format!("{path}:{line}"),
            None => path.to_string(),
        }
    }
}
