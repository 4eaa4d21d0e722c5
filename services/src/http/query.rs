//! Query parameters, strictly: a misspelled one is an error, not a default.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::decode;
use super::problem::Problem;

/// The parameters of one request, each known to its resource and given once.
#[derive(Debug)]
pub struct Query {
    values: BTreeMap<String, String>,
}

impl Query {
    pub(super) fn parse(raw: &str, known: &[&str]) -> Result<Self, Problem> {
        let mut values = BTreeMap::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if !known.contains(&name.as_str()) {
                return Err(unknown(&name, known));
            }
            if values.contains_key(&name) {
                let detail = format!("query parameter `{name}` is repeated");
                return Err(Problem::bad_request(detail));
            }
            values.insert(name, value);
        }
        Ok(Self { values })
    }

    /// The parameter's value, possibly empty, or `None` when it is absent.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The parameter as a whole number, or `None` when it is absent.
    ///
    /// 400 with the parameter and the range when it is anything else.
    pub fn number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        // Digits only: `parse` also takes a leading `+`.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && range.contains(number));
        number.map(Some).ok_or_else(|| {
            let (low, high) = (range.start(), range.end());
            Problem::bad_request(format!("`{name}` must be a whole number from {low} to {high}"))
        })
    }
}

fn decoded(raw: &str) -> Result<String, Problem> {
    let spaced = raw.replace('+', " ");
    match decode::percent(&spaced) {
        Some(text) => Ok(text.into_owned()),
        None => Err(Problem::bad_request("the query is not percent-encoded UTF-8")),
    }
}

fn unknown(name: &str, known: &[&str]) -> Problem {
    let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    let takes = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Problem::bad_request(format!("unknown query parameter `{name}`; this resource takes {takes}"))
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[track_caller]
    fn check(raw: &str, refusal: Option<&str>) {
        let limit = Query::parse(raw, &["limit", "status"]).and_then(|query| query.number("limit", 1..=500));
        match (limit, refusal) {
            (Ok(_), None) => {}
            (Err(problem), Some(part)) if problem.to_string().contains(part) => {}
            (limit, _) => panic!("{raw}: {limit:?}"),
        }
    }

    #[test]
    fn every_deviation_names_the_parameter() {
        check("", None);
        check("limit=1&status=", None);
        check("&limit=500&", None);
        check("%6Cimit=7", None);
        for raw in ["limit=0", "limit=501", "limit=", "limit", "limit=%2B5", "limit=99999999999999999999"] {
            check(raw, Some("`limit` must be a whole number from 1 to 500"));
        }
        check("limit=+5", Some("`limit`"));
        check("limit=1&limit=1", Some("`limit` is repeated"));
        check("limt=1", Some("unknown query parameter `limt`; this resource takes `limit`, `status`"));
        check("status=%ff", Some("percent-encoded"));
    }
}
