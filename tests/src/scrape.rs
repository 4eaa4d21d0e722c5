//! A page of metrics, read as strictly as OpenMetrics 1.0 is written.
//!
//! Whatever a scraper might trip over is a panic that shows the line: a family told twice or in two places, a
//! suffix that is not its type's, a series twice, a bucket that shrinks, a missing end.

use std::collections::{BTreeMap, BTreeSet};

/// A page, family by family.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    families: BTreeMap<String, Family>,
}

/// What the page says of one family.
#[derive(Clone, Debug, Default)]
pub struct Family {
    /// `counter`, `gauge`, `histogram` or `info`.
    pub kind: String,
    unit: Option<String>,
    /// Series by name and labels, in the order of the page.
    pub series: Vec<Series>,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The family's name with its suffix.
    pub name: String,
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

impl Scrape {
    /// Reads a page.
    ///
    /// # Panics
    /// When it is not legal.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("a page ends with # EOF");
        let (mut scrape, mut current) = (Self::default(), String::new());
        for line in body.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let mut word = || words.next().unwrap_or_else(|| panic!("words are missing: {line}"));
                let (about, name, said) = (word(), word(), word());
                if current != name {
                    assert_eq!(about, "HELP", "each family begins with its help: {line}");
                    assert!(is_name(name) && !said.is_empty(), "{line}");
                    let known = scrape.families.insert(name.to_owned(), Family::default());
                    assert!(known.is_none(), "a family in two places: {line}");
                    name.clone_into(&mut current);
                    continue;
                }
                let family = scrape.families.get_mut(name).expect("begun");
                assert!(family.series.is_empty(), "what is said of a family comes before its series: {line}");
                match about {
                    "TYPE" if family.kind.is_empty() => said.clone_into(&mut family.kind),
                    "UNIT" if family.unit.is_none() => family.unit = Some(said.to_owned()),
                    _ => panic!("said twice, or unknown: {line}"),
                }
                assert!(about != "UNIT" || name.ends_with(&format!("_{said}")), "a unit is in the name: {line}");
            } else {
                let series = series(line);
                let family = scrape.families.get_mut(&current).unwrap_or_else(|| panic!("of no family: {line}"));
                let suffix = series.name.strip_prefix(&current).unwrap_or_else(|| panic!("not of {current}: {line}"));
                let suffixes: &[&str] = match family.kind.as_str() {
                    "counter" => &["_total"],
                    "gauge" => &[""],
                    "info" => &["_info"],
                    "histogram" => &["_bucket", "_sum", "_count"],
                    kind => panic!("{current} has the type {kind}"),
                };
                assert!(suffixes.contains(&suffix), "not the suffix of a {}: {line}", family.kind);
                assert!(family.kind == "gauge" || series.value >= 0.0, "{line}");
                family.series.push(series);
            }
        }
        scrape.families.iter().for_each(|(name, family)| family.check(name));
        scrape
    }

    /// The families, by the names their series have; a histogram's has no suffix.
    pub fn families(&self) -> impl Iterator<Item = (String, &Family)> {
        self.families.iter().map(|(name, family)| match family.kind.as_str() {
            "counter" => (format!("{name}_total"), family),
            "info" => (format!("{name}_info"), family),
            _ => (name.clone(), family),
        })
    }

    /// Every series.
    pub fn series(&self) -> impl Iterator<Item = &Series> {
        self.families.values().flat_map(|family| &family.series)
    }

    /// The sum of all series of this name that have these labels; `None` where there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |series: &&Series| {
            series.name == name
                && labels.iter().all(|(label, value)| series.labels.get(*label).is_some_and(|it| it == value))
        };
        let values: Vec<f64> = self.series().filter(has).map(|series| series.value).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

impl Family {
    /// The labels its series have, buckets' bounds aside.
    #[must_use]
    pub fn label_names(&self) -> BTreeSet<String> {
        self.series.iter().flat_map(|series| series.labels.keys()).filter(|name| *name != "le").cloned().collect()
    }

    fn check(&self, name: &str) {
        assert!(!self.kind.is_empty() && !self.series.is_empty(), "{name} is told of and has no series");
        let distinct: BTreeSet<(&str, &BTreeMap<String, String>)> =
            self.series.iter().map(|series| (series.name.as_str(), &series.labels)).collect();
        assert_eq!(distinct.len(), self.series.len(), "{name} has a series twice");
        let of = |suffix: &'static str| self.series.iter().filter(move |series| series.name.ends_with(suffix)).cloned();
        for count in of("_count").filter(|_| self.kind == "histogram") {
            let mut buckets: Vec<(f64, f64)> = Vec::new();
            for mut bucket in of("_bucket") {
                let bound = bucket.labels.remove("le").expect("a bucket has a bound");
                if bucket.labels == count.labels {
                    buckets.push((number(&bound), bucket.value));
                }
            }
            assert!(
                buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1),
                "{name}: {buckets:?}"
            );
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, count.value)), "{name}");
        }
    }
}

fn series(line: &str) -> Series {
    let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line}")));
    assert!(is_name(name), "{line}");
    let (labels, value) = match rest.strip_prefix('{') {
        None => (BTreeMap::new(), rest),
        Some(rest) => labels(rest).unwrap_or_else(|| panic!("labels that cannot be read: {line}")),
    };
    let value = value.strip_prefix(' ').unwrap_or_else(|| panic!("one space before the value: {line}"));
    Series { name: name.to_owned(), labels, value: number(value) }
}

/// Labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        let (name, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next()? {
                (end, '"') => break end,
                (_, '\\') => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    escaped @ ('\\' | '"') => escaped,
                    _ => return None,
                }),
                (_, character) => value.push(character),
            }
        };
        if !is_name(name) || name.contains(':') || labels.insert(name.to_owned(), value).is_some() {
            return None;
        }
        rest = &after[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Some((labels, rest.strip_prefix('}')?)),
        }
    }
}

fn number(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        _ => text.parse().unwrap_or_else(|_| panic!("no number: {text}")),
    }
}

fn is_name(text: &str) -> bool {
    let is_legal = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | ':');
    !text.is_empty() && text.chars().all(is_legal) && !text.starts_with(|first: char| first.is_ascii_digit())
}
