//! An answer, read to its end.

use http::StatusCode;
use serde::de::DeserializeOwned;
use url::Url;

use super::failure::{Failure, FailureKind};
use super::{ANSWER_BYTES_MAX, ANSWER_TIMEOUT};

/// Status and body of an answer.
#[derive(Clone, Debug)]
pub struct Reply {
    url: Url,
    status: StatusCode,
    body: Vec<u8>,
}

impl Reply {
    pub(super) async fn read(mut response: reqwest::Response, url: Url) -> Result<Self, Failure> {
        let status = response.status();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES_MAX => body.extend_from_slice(&chunk),
                Ok(Some(_)) => {
                    let cause = format!("the answer is longer than {ANSWER_BYTES_MAX} bytes");
                    return Err(Failure::new(FailureKind::TooLarge, &url, cause));
                }
                Ok(None) => return Ok(Self { url, status, body }),
                Err(error) if error.is_timeout() => {
                    let cause = format!("no whole answer within {} s", ANSWER_TIMEOUT.as_secs());
                    return Err(Failure::new(FailureKind::Timeout, &url, cause));
                }
                Err(error) => return Err(Failure::of(&url, &error)),
            }
        }
    }

    /// The URL that answered.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The status, whatever it is.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The body as it came.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as `T`.
    ///
    /// # Errors
    /// When it is no JSON, or not that of a `T`; the error says where.
    pub fn json<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.body)
    }
}
