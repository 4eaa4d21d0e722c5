//! One source of values, as figment merges them.

use std::collections::BTreeMap;

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

/// Values by setting name, and how each of them says where it came from.
pub(crate) struct Layer {
    metadata: Metadata,
    values: Dict,
}

impl Layer {
    /// A layer whose value of `name` comes from `origin(name)`.
    pub(crate) fn new(values: Dict, origin: impl Fn(&str) -> String + Clone + Send + Sync + 'static) -> Self {
        let metadata = Metadata::named("layer").interpolater(move |_: &Profile, path: &[&str]| origin(&path.join(".")));
        Self { metadata, values }
    }

    /// A layer of plain texts.
    pub(crate) fn of_texts(
        values: BTreeMap<String, String>,
        origin: impl Fn(&str) -> String + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::new(values.into_iter().map(|(name, value)| (name, Value::from(value))).collect(), origin)
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}
