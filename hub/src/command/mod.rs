//! The commands of `passage-hub`.

pub mod apply;
