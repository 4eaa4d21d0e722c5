//! The URL that picks and configures a bus.

mod options;

use std::fmt;

use url::form_urlencoded;

pub use options::{is_loopback, span};

use crate::{Error, ErrorKind, Result};

/// `scheme://[user[:password]@]authority[/path][?option=value…]`.
///
/// The authority is kept as text: `kafka://one:9092,two:9092` is no URL by RFC 3986. `Debug` and
/// `Display` mask the password and every option whose name speaks of a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct BusUrl {
    scheme: String,
    user: Option<String>,
    password: Option<String>,
    authority: String,
    path: String,
    options: Vec<(String, String)>,
}

impl BusUrl {
    /// Splits a URL into its parts.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] without a scheme, or with an option given twice.
    pub fn parse(text: &str) -> Result<Self> {
        let (scheme, rest) = text.split_once("://").filter(|(scheme, _)| !scheme.is_empty()).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "bus url", "a bus URL starts with its scheme, such as memory:// or amqp://")
        })?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (userinfo, rest) = match rest.rsplit_once('@') {
            Some((userinfo, rest)) => (Some(userinfo), rest),
            None => (None, rest),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (user, password) = match userinfo.map(|info| info.split_once(':').unwrap_or((info, ""))) {
            Some((user, password)) => {
                (Some(user.to_owned()), Some(password.to_owned()).filter(|text| !text.is_empty()))
            }
            None => (None, None),
        };
        let mut options: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if options.iter().any(|(known, _)| *known == name) {
                return Err(Error::new(ErrorKind::Invalid, "bus url", format!("option `{name}` is given twice")));
            }
            options.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self {
            scheme: scheme.to_ascii_lowercase(),
            user,
            password,
            authority: authority.to_owned(),
            path: path.to_owned(),
            options,
        })
    }

    /// The scheme in lower case: which backend.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// User and password as written, percent-encoded. The password is a secret.
    #[must_use]
    pub fn credentials(&self) -> (Option<&str>, Option<&str>) {
        (self.user.as_deref(), self.password.as_deref())
    }

    /// Host, hosts, region or nothing: the backend knows.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// From the first `/` on, or empty.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value of an option.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Sets an option unless it is given.
    #[must_use]
    pub fn with_default(mut self, name: &str, value: &str) -> Self {
        if self.option(name).is_none() {
            self.options.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Refuses options the backend does not know.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] names the unknown option, the nearest known one, and all of them.
    pub fn only_options(&self, known: &[&str]) -> Result<()> {
        for (name, _) in &self.options {
            if !known.contains(&name.as_str()) {
                let hint = nearest(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                let message =
                    format!("unknown option `{name}` of {}://{hint} Known: {}", self.scheme, known.join(", "));
                return Err(Error::new(ErrorKind::Invalid, "bus url", message));
            }
        }
        Ok(())
    }
}

/// The candidate most like `word`, when it is like enough to be a slip.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let scored = candidates.iter().map(|candidate| (strsim::jaro_winkler(word, candidate), *candidate));
    scored.filter(|(score, _)| *score > 0.75).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, candidate)| candidate)
}

fn is_secret(option: &str) -> bool {
    let option = option.to_ascii_lowercase();
    ["password", "secret", "token", "key", "credential", "sasl"].iter().any(|word| option.contains(word))
}

impl fmt::Display for BusUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if let Some(user) = &self.user {
            write!(f, "{user}{}@", if self.password.is_some() { ":***" } else { "" })?;
        }
        write!(f, "{}{}", self.authority, self.path)?;
        for (index, (name, value)) in self.options.iter().enumerate() {
            let value = if is_secret(name) { "***" } else { value };
            write!(f, "{}{name}={value}", if index == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for BusUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BusUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_never_show() {
        let url = BusUrl::parse("amqp://user:hunter2@host/%2f?ssl_key_password=hunter3&heartbeat=10").expect("a URL");
        for shown in [format!("{url}"), format!("{url:?}")] {
            assert!(!shown.contains("hunter"), "{shown}");
            assert!(shown.contains("heartbeat=10"), "{shown}");
        }
        assert_eq!(url.credentials(), (Some("user"), Some("hunter2")));
    }

    #[test]
    fn hosts_stay_text() {
        let url = BusUrl::parse("kafka://one:9092,two:9092?acks=all").expect("a URL");
        assert_eq!((url.scheme(), url.authority(), url.option("acks")), ("kafka", "one:9092,two:9092", Some("all")));
    }

    #[test]
    fn an_unknown_option_gets_a_suggestion() {
        let url = BusUrl::parse("memory://?jornal=x").expect("a URL");
        let error = url.only_options(&["journal", "lease"]).expect_err("a slip").to_string();
        assert!(error.contains("did you mean `journal`?"), "{error}");
    }
}
