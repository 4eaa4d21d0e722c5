//! The guard of the routes that only a token opens.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};

use super::problem::Problem;

/// A bearer token (RFC 6750) that a request must show; `Debug` does not print it.
#[derive(Debug, Clone)]
pub struct Bearer(SecretString);

impl Bearer {
    /// A guard that opens to exactly this token, and to nobody when it is empty.
    #[must_use]
    pub fn new(token: SecretString) -> Self {
        Self(token)
    }

    /// 401 unless the request's `Authorization` carries the token.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let expected = self.0.expose_secret().as_bytes();
        match presented(headers) {
            Some(token) if !expected.is_empty() && same(token, expected) => Ok(()),
            _ => Err(Problem::unauthorized()),
        }
    }
}

fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Compares every byte whatever the first difference is: the time tells the length, nothing more.
fn same(one: &[u8], two: &[u8]) -> bool {
    let differing = one.iter().zip(two).fold(0, |bits, (one, two)| bits | (one ^ two));
    std::hint::black_box(differing) == 0 && one.len() == two.len()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

    use super::Bearer;

    #[track_caller]
    fn check(token: &str, header: &'static str, opens: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static(header));
        assert_eq!(Bearer::new(token.into()).admit(&headers).is_ok(), opens, "{header}");
    }

    #[test]
    fn only_the_whole_token_opens() {
        check("s3cret", "Bearer s3cret", true);
        check("s3cret", "bearer  s3cret", true);
        for header in ["Bearer", "Bearer ", "Bearer s3cre", "Bearer s3crets", "Basic s3cret", "s3cret", ""] {
            check("s3cret", header, false);
        }
        check("", "Bearer ", false);
    }

    #[test]
    fn debug_does_not_print_the_token() {
        assert!(!format!("{:?}", Bearer::new("s3cret".into())).contains("s3cret"));
    }
}
