//! The commands of `passage-hub`.

pub mod apply;
pub mod import;
