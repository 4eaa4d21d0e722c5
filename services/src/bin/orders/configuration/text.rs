//! A configuration file as text, for messages: values as written and the lines they stand on.

use figment::value::Value;

/// A text or number as a flag would carry it; `None` for anything else.
pub(crate) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Num(..) => {
            value.to_i128().map(|number| number.to_string()).or_else(|| value.to_f64().map(|number| number.to_string()))
        }
        Value::Bool(_, truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// The line, counted from 1, on which `key` of `section` is set, where it is written plainly.
///
/// The TOML parser keeps no positions, so dotted keys and inline tables are not found: the message
/// then names the file alone.
pub(crate) fn line_of(text: &str, section: Option<&str>, key: &str) -> Option<usize> {
    let mut current: Option<&str> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            let name = header.split(']').next().unwrap_or_default().trim();
            if section.is_none() && name == key {
                return Some(index + 1);
            }
            current = Some(name);
        } else if let Some((name, _)) = line.split_once('=') {
            let name = name.trim().trim_matches(['"', '\'']);
            if current == section && name == key {
                return Some(index + 1);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::line_of;

    #[test]
    fn a_key_is_found_where_it_stands() {
        let text = "# role = \"all\"\nlog = \"debug\"\n\n[stock]\n\"log\" = 1\n";
        let check = |section, key, line| assert_eq!(line_of(text, section, key), line, "{section:?} {key}");
        check(None, "log", Some(2));
        check(Some("stock"), "log", Some(5));
        check(None, "stock", Some(4));
        check(None, "role", None);
    }
}
