//! What every non-2xx answer is: `application/problem+json` (RFC 9457).

use std::fmt;
use std::time::Duration;

use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::{Serialize, Serializer};

use super::respond::Response;

/// The media type of every problem.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// An error as the client reads it, with the headers that belong to its status.
///
/// The type is `about:blank` (the status says it all) unless [`of_type`](Self::of_type) names a
/// finer one; the router fills `instance` with the request's path.
#[derive(Clone)]
pub struct Problem(Box<Parts>);

/// One field of a request body that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field's name as the client wrote it.
    pub field: String,
    /// What it must be, for a person.
    pub detail: String,
}

#[derive(Clone, Serialize)]
struct Parts {
    r#type: &'static str,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Logged, never sent: it may name files, hosts or a panic's message.
    #[serde(skip)]
    cause: Option<String>,
}

impl FieldError {
    /// Names the field and what it must be.
    pub fn new(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), detail: detail.into() }
    }
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status,
            detail: detail.into(),
            instance: None,
            errors: Vec::new(),
            headers: Vec::new(),
            cause: None,
        }))
    }

    /// 400: the request itself is malformed.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401: no token, or not the right one; carries `WWW-Authenticate: Bearer`.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "a valid bearer token is required")
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 404: there is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 405: the resource exists; `Allow` lists what it takes.
    pub fn method_not_allowed(allowed: &[Method]) -> Self {
        let list = allow(allowed);
        let detail = format!("this resource allows {}", list.to_str().unwrap_or_default());
        Self::new(StatusCode::METHOD_NOT_ALLOWED, detail).with_header(ALLOW, list)
    }

    /// 408: the body did not arrive in time; the connection is closed.
    pub fn request_timeout() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "the request body did not arrive in time").closing()
    }

    /// 409: the request is fine, the state of the resource is not.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 413: the body is longer than `limit_bytes`; the connection is closed.
    pub fn payload_too_large(limit_bytes: usize) -> Self {
        let detail = format!("a request body has at most {limit_bytes} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail).closing()
    }

    /// 415: the body is not in a format this resource reads.
    pub fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    /// 422: well-formed, but these fields do not hold what they must.
    pub fn unprocessable(errors: Vec<FieldError>) -> Self {
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        let detail = format!("invalid: {}", fields.join(", "));
        let mut problem = Self::unprocessable_body(detail).of_type("/problems/invalid-field", "Invalid field");
        problem.0.errors = errors;
        problem
    }

    /// 422: well-formed, but not what this resource reads, and no single field is to blame.
    pub fn unprocessable_body(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 503: too busy or a dependency is down; carries `Retry-After` in whole seconds, at least one.
    pub fn overloaded(detail: impl Into<String>, retry_after: Duration) -> Self {
        let whole_seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .with_header(RETRY_AFTER, HeaderValue::from(whole_seconds.max(1)))
    }

    /// 500: our fault; `cause` goes to the log and never to the client.
    pub fn internal(cause: impl fmt::Display) -> Self {
        let detail = "the server failed to answer this request; its log says why";
        let mut problem = Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail);
        problem.0.cause = Some(cause.to_string());
        problem
    }

    /// The same problem under a finer type: a short relative URI and its fixed title.
    #[must_use]
    pub fn of_type(mut self, uri: &'static str, title: &'static str) -> Self {
        self.0.r#type = uri;
        self.0.title = title;
        self
    }

    /// The same problem at `path`, unless it already says where it happened.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        self.0.instance.get_or_insert_with(|| path.to_owned());
        self
    }

    /// The same problem on a connection that ends with it, because its body was not read.
    #[must_use]
    pub fn closing(self) -> Self {
        self.with_header(CONNECTION, HeaderValue::from_static("close"))
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// The status it is answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The response; an [`internal`](Self::internal) problem is logged here, where its path is known.
    #[must_use]
    pub fn into_response(self) -> Response {
        if let Some(cause) = &self.0.cause {
            let path = self.0.instance.as_deref().unwrap_or_default();
            tracing::error!(path, cause, "a request failed");
        }
        let body = serde_json::to_vec(&*self.0).expect("a problem has only string keys");
        let mut response = Response::new(body.into());
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        for (name, value) in self.0.headers {
            headers.insert(name, value);
        }
        response
    }
}

/// The value of an `Allow` header; an empty one is valid and says that nothing is allowed.
pub(super) fn allow(methods: &[Method]) -> HeaderValue {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    HeaderValue::try_from(names.join(", ")).expect("a method is a token, which a header may hold")
}

fn as_number<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.0.status.as_u16(), self.0.title, self.0.detail)
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Problem({self}, cause {:?}, errors {:?})", self.0.cause, self.0.errors)
    }
}

impl std::error::Error for Problem {}
impl warp::reject::Reject for Problem {}
