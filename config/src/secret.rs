//! Secrets come from the environment or from a file; one that stands in a config file is a mistake, and is not shown again.

use crate::{
    collect::{mistake, plain},
    model::Secret,
    reader::Field,
    tree::Kind,
};

const WAYS: &str = "put it into a file and write \"file:PATH\", or set a variable and write \"env:NAME\"";

impl Field<'_> {
    /// A secret by `env:NAME` or `file:PATH`.
    pub(crate) fn secret(&self) -> Option<Secret> {
        if !matches!(self.node.kind, Kind::Text(_)) {
            return self.literal();
        }
        match self.reference(self.text()?) {
            Some(found) => found.map(Secret),
            None => self.literal(),
        }
    }

    /// A text that may hold a secret: `env:NAME`, `file:PATH`, or itself.
    pub(crate) fn text_or_reference(&self) -> Option<String> {
        let text = self.text()?;
        self.reference(text).unwrap_or_else(|| Some(text.to_owned()))
    }

    /// Refuses the value, which is or holds a secret.
    pub(crate) fn literal<T>(&self) -> Option<T> {
        for line in self.source.slice(&self.node.span).lines() {
            self.out.mask(line.trim().trim_matches(['"', '\'']));
        }
        self.refuse(mistake("P018", format!("`{}` is a secret and must not stand in this file", self.key), "a secret in plain text", WAYS))
    }

    /// `None` if `text` refers to nothing; `Some(None)` if it does but nothing is there.
    fn reference(&self, text: &str) -> Option<Option<String>> {
        if let Some(name) = text.strip_prefix("env:") {
            Some(self.variable(name.trim()))
        } else {
            text.strip_prefix("file:").map(|path| self.content(path.trim()))
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        let usable = !name.is_empty() && !name.contains(['=', '\0']);
        match usable.then(|| std::env::var(name).ok()).flatten().filter(|v| !v.trim().is_empty()) {
            Some(value) => Some(value.trim().to_owned()),
            None => {
                let mend = format!("set {name} before the start, or write \"file:PATH\"");
                self.refuse(mistake("P019", format!("the secret `{}` is not there", self.key), "this variable is not set", mend))
            }
        }
    }

    fn content(&self, path: &str) -> Option<String> {
        let file = self.beside(path);
        let why = match std::fs::read_to_string(&file) {
            Ok(text) if !text.trim().is_empty() => return Some(text.trim().to_owned()),
            Ok(_) => "it is empty".to_owned(),
            Err(e) => plain(&e),
        };
        let mend = format!("write the secret into {path}, readable by Passage alone");
        self.refuse(mistake("P019", format!("the secret `{}` is not there", self.key), format!("this file cannot be used: {why}"), mend))
    }
}
