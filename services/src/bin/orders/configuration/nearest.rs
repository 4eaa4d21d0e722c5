//! "Did you mean": the known name most like an unknown one.

/// How alike two names must be (Jaro–Winkler, 0 to 1) for one to be a slip of the other.
const ALIKE: f64 = 0.75;

/// A hint that names the setting nearest to `word`, or all of them when none is near, as `spell`
/// writes a setting in the place where `word` stood.
pub(crate) fn hint(word: &str, names: &[&str], spell: impl Fn(&str) -> String) -> String {
    let word = word.to_ascii_lowercase().replace('_', "-");
    let scored = names.iter().map(|name| (strsim::jaro_winkler(&word, name), name));
    match scored.max_by(|one, two| one.0.total_cmp(&two.0)) {
        Some((alike, name)) if alike > ALIKE => format!("did you mean `{}`?", spell(name)),
        _ => format!("known are {}", names.iter().map(|name| spell(name)).collect::<Vec<_>>().join(", ")),
    }
}
