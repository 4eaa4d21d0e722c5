//! Path patterns: literal segments and `{name}` placeholders.

use super::decode;
use super::problem::Problem;

/// `/api/orders/{orderNumber}`, taken apart once at start.
pub(super) struct Pattern {
    text: &'static str,
    segments: Vec<Segment>,
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Segment {
    Literal(&'static str),
    Placeholder(&'static str),
}

/// What the placeholders matched, by name.
pub(super) type Params = Vec<(&'static str, String)>;

impl Pattern {
    /// # Panics
    ///
    /// When the pattern does not begin with `/`: patterns are part of the program, not input.
    pub(super) fn new(pattern: &'static str) -> Self {
        let path = pattern.strip_prefix('/').expect("a path pattern begins with `/`");
        let segment = |text: &'static str| match text.strip_prefix('{') {
            Some(name) => Segment::Placeholder(name.strip_suffix('}').unwrap_or(name)),
            None => Segment::Literal(text),
        };
        Self { text: pattern, segments: path.split('/').map(segment).collect() }
    }

    /// As it was written.
    pub(super) fn text(&self) -> &'static str {
        self.text
    }

    /// The placeholders' values, or `None` when the path is another one.
    pub(super) fn matches(&self, path: &[String]) -> Option<Params> {
        if self.segments.len() != path.len() {
            return None;
        }
        let mut params = Params::new();
        for (expected, found) in self.segments.iter().zip(path) {
            match *expected {
                Segment::Literal(literal) if literal == found => {}
                Segment::Placeholder(name) if !found.is_empty() => {
                    params.push((name, found.clone()));
                }
                Segment::Literal(_) | Segment::Placeholder(_) => return None,
            }
        }
        Some(params)
    }

    /// Whether both match exactly the same paths.
    pub(super) fn same_paths(&self, other: &Self) -> bool {
        let alike = |pair| match pair {
            (Segment::Literal(one), Segment::Literal(two)) => one == two,
            (Segment::Placeholder(_), Segment::Placeholder(_)) => true,
            _ => false,
        };
        self.segments.len() == other.segments.len()
            && self.segments.iter().copied().zip(other.segments.iter().copied()).all(alike)
    }
}

/// The decoded segments of a request's path; an encoded `/` stays inside its segment.
///
/// 400 for an escape that is not percent-encoded UTF-8.
pub(super) fn segments(path: &str) -> Result<Vec<String>, Problem> {
    let decoded = |raw: &str| decode::percent(raw).map(std::borrow::Cow::into_owned);
    let segments: Option<Vec<String>> = path.strip_prefix('/').unwrap_or(path).split('/').map(decoded).collect();
    segments.ok_or_else(|| Problem::bad_request("the path is not percent-encoded UTF-8"))
}
