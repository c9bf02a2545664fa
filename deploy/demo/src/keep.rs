//! Keeps what a day left behind, as the folder of a hub of its own, so that `passage-hub` can be asked about it.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};

/// What the hub of the demo writes.
const DATABASE: &str = "hub.db";
/// The file of its secret, which it has in memory only.
const KEY: &str = "hub.key";

/// Refuses a folder that holds something already.
///
/// # Errors
/// It is not empty, or cannot be made.
pub fn check(target: &Path) -> Result<()> {
    fs::create_dir_all(target).with_context(|| format!("cannot make {}", target.display()))?;
    let empty = fs::read_dir(target)?.next().is_none();
    ensure!(empty, "{} is not empty. Mend: name a folder that is new", target.display());
    Ok(())
}

/// Copies the configuration in `files` and what the hub left in `folder` to `target`, writes its secret beside them, and prints how to ask about it.
///
/// # Errors
/// The disk; or `hub.toml` does not name its database and its key on lines of their own.
pub fn keep(files: &Path, folder: &Path, secret: &[u8], target: &Path) -> Result<()> {
    copy(files, target)?;
    fs::write(target.join(KEY), secret)?;
    // Of a database that is not closed yet, the newest part is in its write-ahead log.
    let log = format!("{DATABASE}-wal");
    for name in [DATABASE, &log] {
        if name != log || folder.join(name).exists() {
            fs::copy(folder.join(name), target.join(name)).with_context(|| format!("cannot keep {name}"))?;
        }
    }
    let file = target.join("hub.toml");
    let text = with(&fs::read_to_string(&file)?, "database", &format!("sqlite:{DATABASE}"))?;
    fs::write(&file, with(&text, "key_file", KEY)?)?;
    println!("\nThe day is kept. Ask about it, for example:");
    println!("  passage-hub --config {} report match --day 2026-11-20", file.display());
    Ok(())
}

/// The text with another value of a key that stands at the begin of a line.
fn with(text: &str, key: &str, value: &str) -> Result<String> {
    let is_it = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='));
    if !text.lines().any(is_it) {
        bail!("hub.toml has no line that begins with `{key} =`");
    }
    let line = |line: &str| if is_it(line) { format!("{key} = \"{value}\"\n") } else { format!("{line}\n") };
    Ok(text.lines().map(line).collect())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("cannot copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_key_gets_another_value() {
        let text = "id = \"a\"\n# database = 1\ndatabase = \"x\" # so\ndatabases = 2\n";
        assert_eq!(with(text, "database", "y").unwrap(), "id = \"a\"\n# database = 1\ndatabase = \"y\"\ndatabases = 2\n");
        assert!(with(text, "key_file", "y").is_err());
    }

    #[test]
    fn a_folder_that_holds_something_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path()).unwrap();
        check(&folder.path().join("new/one")).unwrap();
        assert!(check(folder.path()).is_err());
    }
}
