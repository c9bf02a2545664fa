//! The record of who looked at what is known of a member: on a command line, on the console, on her own page. It is written before anything is shown, so
//! what cannot be recorded is not shown. Members stand in it by their number alone, never with a value.

use std::{fs, os::unix::fs::MetadataExt as _};

use passage_protocol::Millis;

use crate::{
    identity::MemberId,
    store::{Db, StoreError, audit},
};

/// Who looked at the console: it has no accounts and answers on this machine alone.
pub const CONSOLE: &str = "console";
/// A member on her own page.
pub const HERSELF: &str = "member";

/// One look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// When, in business time.
    pub at: Millis,
    /// Who: `os:NAME`, [`CONSOLE`] or [`HERSELF`].
    pub actor: String,
    /// With what, such as `member export`.
    pub action: &'static str,
    /// At whom.
    pub subject: MemberId,
}

/// Records that somebody looks at some members, or changes what is known of them.
///
/// # Errors
/// The database.
pub async fn note(db: &Db, actor: &str, action: &'static str, subjects: &[MemberId], at: Millis) -> Result<(), StoreError> {
    if subjects.is_empty() {
        return Ok(());
    }
    let looks: Vec<Look> = subjects.iter().map(|subject| Look { at, actor: actor.to_owned(), action, subject: *subject }).collect();
    let mut tx = db.begin().await?;
    audit::add(&mut tx, &looks).await?;
    tx.commit().await
}

/// The account of the operating system that runs this command, as `os:NAME`; behind `sudo` also the one that asked for it.
pub fn os_user() -> String {
    let uid = fs::metadata("/proc/self").map(|m| m.uid()).ok();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    // Only root may be believed when it says on whose behalf it acts: everybody else can set the variable to anything.
    let asked_by = std::env::var("SUDO_USER").ok().filter(|_| uid == Some(0));
    actor(uid, &users, asked_by.as_deref())
}

fn actor(uid: Option<u32>, users: &str, asked_by: Option<&str>) -> String {
    let Some(uid) = uid else { return "os:unknown".to_owned() };
    let of_line = |line: &str| {
        let mut cells = line.split(':');
        let (name, id) = (cells.next()?, cells.nth(1)?);
        (id.parse() == Ok(uid)).then(|| name.to_owned())
    };
    let name = users.lines().find_map(of_line).unwrap_or_else(|| format!("uid {uid}"));
    match asked_by {
        Some(other) => format!("os:{name} for {other}"),
        None => format!("os:{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_named_as_the_system_names_them() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nana:x:1000:1000::/home/ana:/bin/sh\n";
        assert_eq!(actor(Some(1000), users, None), "os:ana");
        assert_eq!(actor(Some(0), users, Some("ana")), "os:root for ana");
        assert_eq!(actor(Some(7), users, None), "os:uid 7");
        assert_eq!(actor(None, users, None), "os:unknown");
        assert!(os_user().starts_with("os:"));
    }
}
