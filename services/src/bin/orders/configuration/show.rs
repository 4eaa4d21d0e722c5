//! `orders config show`.

use comfy_table::{Table, presets};
use serde_json::json;

use super::Configuration;

impl Configuration {
    /// As a table for people, or as one JSON object.
    pub(crate) fn shown(&self, as_json: bool) -> String {
        let file = self.file.as_ref().map(|path| path.display().to_string());
        if as_json {
            return format!("{:#}\n", json!({ "file": file, "settings": self.entries }));
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["setting", "value", "from"]);
        for entry in &self.entries {
            table.add_row([entry.setting.as_str(), entry.value.as_deref().unwrap_or("-"), entry.origin.as_str()]);
        }
        let file = file.unwrap_or_else(|| "none".to_owned());
        format!("{}\n\nfile: {file}\n", table.trim_fmt())
    }
}
