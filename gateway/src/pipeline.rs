//! Every channel and task of a gateway on one screen.

use tokio::sync::oneshot;

use crate::{
    position::{AppEvent, Fix},
    radio::Heard,
};

/// What the decider takes in. The senders that carry a reply learn that everything decided so far is committed to the outbox.
#[derive(Debug)]
pub enum Input {
    /// An advert from the radio.
    Heard(Heard),
    /// A position of an installation; answered after the commit.
    Fix(Fix, oneshot::Sender<()>),
    /// The app's own word; answered after the commit.
    App(AppEvent, oneshot::Sender<()>),
    /// Let time pass up to the clock's now; answered after the commit.
    Advance(oneshot::Sender<()>),
}
