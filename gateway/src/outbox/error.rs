//! What can go wrong with the outbox, and what SQLite's codes mean for the file.

use std::path::{Path, PathBuf};

/// Why the outbox cannot do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The folder cannot be used.
    #[error("the outbox folder {0} cannot be used: {1}. Mend: create it and let this user write there, or set `data` in gateway.toml")]
    Folder(PathBuf, String),
    /// Another process has it.
    #[error("the outbox folder {0} is in use by another gateway process. Mend: stop that one, or give this one its own `data` folder")]
    InUse(PathBuf),
    /// Made by a later version of this program.
    #[error("the outbox {0} was made by a newer version of passage-gateway. Mend: install that version again; nothing was changed")]
    Newer(PathBuf),
    /// The bytes are not a sound database. [`super::Outbox::open`] mends this itself.
    #[error("damaged: {0}")]
    Corrupt(String),
    /// SQLite said no.
    #[error("the outbox {0} cannot be opened: {1}")]
    Open(PathBuf, sqlx::Error),
    /// A read failed.
    #[error("the outbox cannot be read: {0}")]
    Read(#[from] sqlx::Error),
    /// The disk refuses so far; the writer tries again.
    #[error("the outbox cannot be opened yet")]
    Away,
    /// The writer has ended.
    #[error("the outbox is closed")]
    Closed,
}

impl OutboxError {
    pub(super) fn folder(path: &Path, e: &std::io::Error) -> Self {
        Self::Folder(path.to_owned(), e.to_string())
    }

    pub(super) fn open(file: &Path, e: sqlx::Error) -> Self {
        if is_damage(&e) { Self::Corrupt(e.to_string()) } else { Self::Open(file.to_owned(), e) }
    }

    /// True if trying again does not help.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::InUse(_) | Self::Newer(_))
    }
}

/// SQLite's primary result code.
fn code(e: &sqlx::Error) -> Option<i64> {
    e.as_database_error().and_then(|d| d.code()).and_then(|c| c.parse::<i64>().ok()).map(|c| c & 0xff)
}

/// True for SQLITE_CORRUPT and SQLITE_NOTADB.
fn is_damage(e: &sqlx::Error) -> bool {
    matches!(code(e), Some(11 | 26))
}

/// True when the open file may not get well again, but one that is opened anew may: damage, SQLITE_READONLY, SQLITE_IOERR, SQLITE_CANTOPEN; and
/// SQLITE_FULL, after which a connection was seen to answer commits that never reached the disk.
pub(super) fn needs_reopening(e: &sqlx::Error) -> bool {
    is_damage(e) || matches!(code(e), Some(8 | 10 | 13 | 14))
}
