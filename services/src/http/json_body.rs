//! Reading a request body as JSON.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::problem::Problem;

/// The body's text when it is declared as JSON, is not empty and is UTF-8.
pub(super) fn text<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<&'a str, Problem> {
    if !declared_as_json(headers) {
        return Err(Problem::unsupported_media_type("send `Content-Type: application/json`"));
    }
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(Problem::unsupported_media_type("send the body without `Content-Encoding`"));
    }
    if body.is_empty() {
        return Err(Problem::bad_request("the request body is empty"));
    }
    std::str::from_utf8(body)
        .map_err(|error| Problem::bad_request(format!("the body is not UTF-8 from byte {}", error.valid_up_to())))
}

/// The text as a `T`: 400 when it is not JSON, 422 when it is JSON but no `T`.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    // Syntax first: a wrong field early in a body that ends in the middle is malformed, not invalid.
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| malformed(&error))?;
    serde_json::from_str(text).map_err(|error| {
        if error.is_data() { Problem::unprocessable_body(error.to_string()) } else { malformed(&error) }
    })
}

fn malformed(error: &serde_json::Error) -> Problem {
    // The message of serde_json ends with the line and the column.
    Problem::bad_request(format!("malformed JSON: {error}"))
}

fn declared_as_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.strip_prefix("application/") {
        Some(subtype) => subtype == "json" || subtype.strip_suffix("+json").is_some_and(|rest| !rest.is_empty()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};

    #[track_caller]
    fn check(content_type: &'static str, accepted: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        assert_eq!(super::text(&headers, b"{}").is_ok(), accepted, "{content_type}");
    }

    #[test]
    fn any_spelling_of_json_is_json_and_nothing_else_is() {
        check("application/json", true);
        check("Application/JSON; charset=utf-8", true);
        check("application/merge-patch+json", true);
        check("application/+json", false);
        check("application/jsonp", false);
        check("text/json", false);
        check("text/plain", false);
        check("", false);
    }

    #[test]
    fn a_wrong_field_in_a_body_that_breaks_off_is_malformed() {
        let parsed = super::parse::<Vec<u8>>(r#"["one", 2"#);
        assert_eq!(parsed.map_err(|problem| problem.status()), Err(http::StatusCode::BAD_REQUEST));
    }
}
