//! Paragraphs of an index as tests see them: a reader of its own, which shares nothing with the one under test.

use std::collections::BTreeMap;

/// One paragraph: names and values in their order, values with every byte behind the colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paragraph(pub Vec<(String, String)>);

/// The paragraphs of an index.
#[track_caller]
pub fn read(text: &str) -> Vec<Paragraph> {
    assert!(text.is_empty() || text.ends_with('\n'), "an index ends with a line's end");
    text.split("\n\n").map(|part| part.trim_matches('\n')).filter(|part| !part.is_empty()).map(Paragraph::read).collect()
}

impl Paragraph {
    fn read(text: &str) -> Self {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in text.lines() {
            if line.starts_with([' ', '\t']) {
                let (_, value) = fields.last_mut().unwrap_or_else(|| panic!("a field before this line:\n{text}"));
                value.push('\n');
                value.push_str(line);
            } else {
                let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("\"{line}\" is no field of\n{text}"));
                fields.push((name.to_owned(), value.to_owned()));
            }
        }
        Self(fields)
    }

    /// A value without the blanks around it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.trim())
    }

    #[track_caller]
    pub fn need(&self, name: &str) -> &str {
        self.get(name).unwrap_or_else(|| panic!("no {name} in {self:#?}"))
    }

    /// What tells it from every other of its index.
    pub fn identity(&self) -> String {
        let md5 = self.get("Description-md5").filter(|_| self.get("Version").is_none());
        format!(
            "{} {} {}",
            self.need("Package"),
            self.get("Version").or(md5).unwrap_or_default(),
            self.get("Architecture").unwrap_or_default()
        )
    }

    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Values by name, without blanks around their lines: what tools that fold or trim otherwise agree on.
    pub fn trimmed(&self) -> BTreeMap<String, String> {
        let trim = |value: &str| value.trim().lines().map(str::trim).collect::<Vec<_>>().join("\n");
        self.0.iter().map(|(name, value)| (name.clone(), trim(value))).collect()
    }
}

/// The text of an index with `Tag`, which Debian folds, on one line.
pub fn with_tags_unfolded(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut in_tag = false;
    for line in text.lines() {
        let continues = line.starts_with([' ', '\t']);
        match lines.last_mut() {
            Some(tag) if continues && in_tag => tag.push_str(&format!(" {}", line.trim())),
            _ => {
                in_tag = line.starts_with("Tag:");
                lines.push(line.to_owned());
            }
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}
