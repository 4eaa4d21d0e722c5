//! Backends by URL scheme, assembled by the application.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::url::nearest;
use crate::{Bus, BusUrl, Error, ErrorKind, Result, Seams};

/// Opens buses of one kind. A backend crate has one public value of it.
#[async_trait]
pub trait Backend: Send + Sync {
    /// The URL schemes it answers to, such as `amqp` and `amqps`.
    fn schemes(&self) -> &'static [&'static str];

    /// Opens a bus.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for a bad URL or option; otherwise what the broker says.
    async fn open(&self, url: &BusUrl, seams: &Seams) -> Result<Arc<dyn Bus>>;
}

/// The backends an application was built with.
#[derive(Default)]
pub struct Registry {
    backends: BTreeMap<&'static str, Arc<dyn Backend>>,
}

impl Registry {
    /// Knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a backend under all its schemes; a later one replaces an earlier one.
    #[must_use]
    pub fn with(mut self, backend: impl Backend + 'static) -> Self {
        let backend: Arc<dyn Backend> = Arc::new(backend);
        for scheme in backend.schemes() {
            self.backends.insert(scheme, Arc::clone(&backend));
        }
        self
    }

    /// All known schemes, in alphabetical order.
    pub fn schemes(&self) -> impl Iterator<Item = &'static str> {
        self.backends.keys().copied()
    }

    /// Opens the bus that `url` names.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for an unknown scheme, listing the known ones; otherwise the backend's.
    pub async fn open(&self, url: &BusUrl, seams: &Seams) -> Result<Arc<dyn Bus>> {
        let Some(backend) = self.backends.get(url.scheme()) else {
            let known: Vec<&str> = self.schemes().collect();
            let hint =
                nearest(url.scheme(), &known).map(|near| format!(" Did you mean `{near}://`?")).unwrap_or_default();
            let list: Vec<String> = known.iter().map(|scheme| format!("{scheme}://")).collect();
            let message = format!("unknown scheme `{}://`;{hint} this build knows {}", url.scheme(), list.join(", "));
            return Err(Error::new(ErrorKind::Invalid, "open", message));
        };
        backend.open(url, seams).await
    }
}
