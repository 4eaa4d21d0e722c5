//! What may stand in the body of a result, field by field.

use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::domain::{FailureReason, Status};
use crate::http::{FieldError, Problem};
use crate::wire::{ResultBody, read_time};

use super::request::read_object;

/// Every field as written, so that each can be judged and named on its own.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw<'a> {
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
    #[serde(borrow, default)]
    expected_version: Option<&'a RawValue>,
    #[serde(borrow, default)]
    processed_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    failure_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message_id: Option<&'a RawValue>,
}

/// Reads and checks a JSON body.
///
/// # Errors
/// 400 for text that is no JSON; 422 with every field that is wrong.
pub(super) fn read_result(text: &str) -> Result<ResultBody, Problem> {
    let raw: Raw<'_> = read_object(text)?;
    let mut faults = Faults::default();
    let is_result = |status: &Status| matches!(status, Status::Completed | Status::Failed);
    let status = faults.field("status", raw.status, "must be COMPLETED or FAILED", is_result);
    let expected_version =
        faults.field("expectedVersion", raw.expected_version, "must be the version that was processed", |_| true);
    let is_time = |text: &String| read_time(text, &TimeZone::UTC).is_some();
    let processed_at = faults.field("processedAt", raw.processed_at, "must be a time in RFC 3339", is_time);
    let failure_reason = match raw.failure_reason {
        None => None,
        some => {
            let fits = |_: &FailureReason| status.is_none_or(|status| status == Status::Failed);
            faults.field("failureReason", some, "must be a known reason, and goes with FAILED only", fits)
        }
    };
    let message_id =
        faults.field("messageId", raw.message_id, "must be a text that is not empty", |id: &String| !id.is_empty());
    match (status, expected_version, processed_at, message_id) {
        (Some(status), Some(expected_version), Some(processed_at), Some(message_id)) if faults.0.is_empty() => {
            Ok(ResultBody { status, expected_version, processed_at, failure_reason, message_id })
        }
        _ => Err(Problem::unprocessable(faults.0)),
    }
}

#[derive(Default)]
struct Faults(Vec<FieldError>);

impl Faults {
    fn field<T: DeserializeOwned>(
        &mut self,
        name: &'static str,
        raw: Option<&RawValue>,
        must: &'static str,
        is_legal: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let value = raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).filter(is_legal);
        if value.is_none() {
            self.0.push(FieldError::new(name, if raw.is_none() { "is required" } else { must }));
        }
        value
    }
}
