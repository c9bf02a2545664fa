//! (written by its stage)
