//! The last resort: a warp rejection becomes a problem, never plain text.

use std::convert::Infallible;

use warp::reject::{
    InvalidHeader, InvalidQuery, LengthRequired, MethodNotAllowed, MissingCookie, MissingHeader, PayloadTooLarge,
    Rejection, UnsupportedMediaType,
};

use super::body::BODY_BYTES_MAX;
use super::problem::Problem;
use super::respond::Response;

/// Answers any rejection as a [`Problem`], for `Filter::recover`.
///
/// A rejection that carries a `Problem` answers with it; one that nothing here knows is a 500 and is
/// logged.
pub async fn recover(rejection: Rejection) -> Result<Response, Infallible> {
    Ok(problem(&rejection).into_response())
}

fn problem(rejection: &Rejection) -> Problem {
    if let Some(problem) = rejection.find::<Problem>() {
        problem.clone()
    } else if rejection.is_not_found() {
        Problem::not_found("no such resource")
    } else if rejection.find::<PayloadTooLarge>().is_some() {
        Problem::payload_too_large(BODY_BYTES_MAX)
    } else if rejection.find::<UnsupportedMediaType>().is_some() {
        Problem::unsupported_media_type("the content type is not one this resource reads")
    } else if let Some(detail) = malformed(rejection) {
        Problem::bad_request(detail)
    } else if rejection.find::<MethodNotAllowed>().is_some() {
        // After the others: warp combines it with the reason a sibling route had.
        Problem::method_not_allowed(&[])
    } else {
        Problem::internal(format_args!("unhandled rejection: {rejection:?}"))
    }
}

fn malformed(rejection: &Rejection) -> Option<String> {
    fn said<T: std::error::Error + 'static>(rejection: &Rejection) -> Option<String> {
        rejection.find::<T>().map(ToString::to_string)
    }
    said::<InvalidHeader>(rejection)
        .or_else(|| said::<MissingHeader>(rejection))
        .or_else(|| said::<MissingCookie>(rejection))
        .or_else(|| said::<InvalidQuery>(rejection))
        .or_else(|| said::<LengthRequired>(rejection))
        .or_else(|| said::<warp::filters::body::BodyDeserializeError>(rejection))
}
