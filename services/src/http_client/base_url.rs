//! Where a peer's routes begin.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// `http://host[:port][/prefix]`, kept without a trailing slash.
///
/// User, password, query and fragment are refused, so it may be printed anywhere.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// The URL of a route: the segments below the base, percent-encoded, and the query.
    #[must_use]
    pub fn route(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// The URL of a route given as path and query, already encoded.
    #[must_use]
    pub fn at(&self, route: &http::Uri) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{}", self.0.path().trim_end_matches('/'), route.path()));
        url.set_query(route.query());
        url
    }
}

impl FromStr for BaseUrl {
    type Err = String;

    /// The error says what would be legal and repeats nothing of the text, which may hold a password.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const LEGAL: &str = "an http:// URL such as http://127.0.0.1:8080";
        let url = Url::parse(text).map_err(|error| format!("{LEGAL} ({error})"))?;
        match url.scheme() {
            "http" => {}
            "https" => return Err(format!("{LEGAL}: this build speaks http only, so put a TLS proxy in between")),
            _ => return Err(LEGAL.to_owned()),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!("{LEGAL}, without user and password: the sync routes take --sync-token"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("{LEGAL}, without `?` and `#`"));
        }
        Ok(Self(url))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({self})")
    }
}
