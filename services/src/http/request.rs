//! A request whose path, query, headers and body are plain values.

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde::de::DeserializeOwned;

use super::json_body;
use super::pattern::Params;
use super::problem::Problem;
use super::query::Query;

/// What a handler is given: everything has arrived and the body is within its limit.
#[derive(Debug)]
pub struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) params: Params,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Request {
    /// The method; a `HEAD` request reaches the `GET` handler as `HEAD`.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path as it was sent, still percent-encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What the pattern's placeholder `{name}` matched, percent-decoded and never empty.
    ///
    /// # Panics
    ///
    /// When the resource's pattern has no such placeholder; the client then reads a 500.
    #[must_use]
    pub fn param(&self, name: &str) -> &str {
        let found = self.params.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str()).expect("the pattern of this resource names it")
    }

    /// The headers as they were sent.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// A header's value as text, or `None` when it is absent.
    ///
    /// 400 when it is repeated or is not visible ASCII.
    pub fn header(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.headers.get_all(name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Problem::bad_request(format!("header `{name}` is repeated")));
        }
        let unreadable = |_| Problem::bad_request(format!("header `{name}` is not visible ASCII"));
        value.to_str().map(Some).map_err(unreadable)
    }

    /// The query, when it holds only `known` parameters, each at most once; otherwise 400.
    pub fn query(&self, known: &[&str]) -> Result<Query, Problem> {
        Query::parse(&self.query, known)
    }

    /// The body's bytes, whatever they are.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The text of a JSON body: declared as JSON, not empty, UTF-8; not parsed yet.
    ///
    /// 415 for another or no content type or an encoded body, 400 when it is empty or not UTF-8.
    pub fn json_text(&self) -> Result<&str, Problem> {
        json_body::text(&self.headers, &self.body)
    }

    /// The JSON body as a `T`.
    ///
    /// Besides the problems of [`json_text`](Self::json_text): 400 with line and column for malformed
    /// JSON, 422 for JSON that is no `T`. To name the field at fault, parse into something lenient and
    /// answer [`Problem::unprocessable`].
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        json_body::parse(self.json_text()?)
    }
}
