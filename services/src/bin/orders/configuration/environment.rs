//! The layer of the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::declared::{Declared, PREFIX, variable};
use super::nearest;
use crate::failure::Failure;

/// The variable that picks the file: no setting, because it says where settings are.
pub(crate) const CONFIG: &str = "config";

/// The values of all variables that begin with [`PREFIX`], by setting name; [`CONFIG`] is among them.
///
/// Every such variable must be known: a misspelt one would be obeyed by nobody.
pub(crate) fn read(
    declared: &[Declared],
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<BTreeMap<String, String>, Failure> {
    let names: Vec<&str> = declared.iter().map(Declared::name).chain([CONFIG]).collect();
    let mut values = BTreeMap::new();
    for (key, value) in variables {
        let key = key.to_string_lossy().into_owned();
        let Some(rest) = key.strip_prefix(PREFIX) else { continue };
        let Some(name) = names.iter().find(|name| variable(name) == key) else {
            return Err(unknown(&key, rest, &names));
        };
        let value = value.into_string().map_err(|_| {
            Failure::usage(format!("the environment variable {key} is no UTF-8 text")).hint("set it again as UTF-8")
        })?;
        values.insert((*name).to_owned(), value);
    }
    Ok(values)
}

fn unknown(key: &str, rest: &str, names: &[&str]) -> Failure {
    let failure = Failure::usage(format!("unknown environment variable {key}"));
    if rest.starts_with("PORT") || rest.starts_with("SERVICE_") {
        return failure.hint(
            "Kubernetes sets it for a service named `orders`: set `enableServiceLinks: false` in the pod's specification",
        );
    }
    // Compared without the prefix, which would make all of them look alike.
    failure.hint(nearest::hint(rest, names, variable))
}
