//! What can go wrong in the database, and what of it passes by itself.

/// What can go wrong in the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not do what was asked.
    #[error("database: {0}")]
    Sql(#[from] sqlx::Error),
    /// The tables could not be brought up to date.
    #[error("database migration: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A stored value cannot be read back; the database was changed by something else.
    #[error("the database holds an unreadable {0}")]
    Corrupt(&'static str),
    /// The server did not answer, and its connections were given up.
    #[error("the database server does not answer")]
    Silent,
    /// The URL is of no known engine.
    #[error("'{0}' is not a database; write sqlite:PATH or postgres://USER@HOST/NAME")]
    Url(String),
}

impl StoreError {
    /// True if the same call may succeed later: the server is away, busy, full, or ended the transaction in favour of another one.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Sql(sqlx::Error::Database(e)) => e.code().is_some_and(|code| is_transient_code(&code)),
            Self::Silent
            | Self::Sql(
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed,
            ) => true,
            _ => false,
        }
    }
}

/// PostgreSQL's codes have five characters, of which two are the class; SQLite's are numbers with the primary code in the low byte.
fn is_transient_code(code: &str) -> bool {
    if code.len() == 5 {
        // connection, rollback in favour of another one, resources, operator's intervention, system error; a server that took over and is
        // still read-only, a transaction that lay idle, an object that is not ready, a lock
        let passing = ["25006", "25P03", "55000", "55P03"];
        return ["08", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class)) || passing.contains(&code);
    }
    // busy, locked, read-only (a disk in trouble), I/O, full, cannot open
    code.parse::<u32>().is_ok_and(|code| [5, 6, 8, 10, 13, 14].contains(&(code & 0xff)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_pass_are_told_from_errors_that_stay() {
        for code in ["57P01", "40001", "08006", "55P03", "5", "517", "13", "3850"] {
            assert!(is_transient_code(code), "{code}");
        }
        for code in ["23505", "22021", "42P01", "19", "1", "1555", "éé"] {
            assert!(!is_transient_code(code), "{code}");
        }
        assert!(StoreError::Sql(sqlx::Error::PoolTimedOut).is_transient());
        assert!(!StoreError::Corrupt("x").is_transient());
    }
}
