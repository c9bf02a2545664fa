//! What a member may ask for: to see all that is known of her, to have it erased, or kept without being used. And what is never taken from anybody.

pub mod audit;
pub mod erase;
pub mod export;
pub mod inventory;
pub mod payload;
