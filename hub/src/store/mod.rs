//! The database: the only coordinator of the hubs. One hub on SQLite and five on PostgreSQL run the same steps.
//!
//! Each stage keeps its statements in the file of this folder that carries its name. The statements are one text for both engines: only `BIGINT`,
//! `DOUBLE PRECISION`, `TEXT` and bytes are used, parameters are written `$1`, times are business milliseconds, and no statement asks the database
//! for the time. What differs between the engines is in [`db`] and [`bulk`], but for row locks, which SQLite's one writer makes unnecessary; the story tests run on
//! both.

pub mod audit;
pub mod bulk;
mod columns;
pub mod config;
pub mod counter;
pub mod db;
pub mod decision;
pub mod error;
pub mod fleet;
pub mod gateway;
pub mod ingest;
pub mod message;
pub mod people;
pub mod progress;
pub mod prune;
pub mod quarantine;
pub mod regular;
pub mod replay;
pub mod retention;
pub mod sealed;
pub mod server;
pub mod site;
pub mod tally;
pub mod touchpoint;
pub mod value;
pub mod visit;
pub mod work;

pub use db::{Db, Row, Tx};
pub use error::StoreError;
pub use value::Value;
