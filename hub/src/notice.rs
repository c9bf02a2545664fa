//! What just happened, for people who watch: the demo's lines and the console's live view. Notices carry member codes only and may be lost.

use passage_protocol::{Millis, StoreId};
use tokio::sync::broadcast;

use crate::identity::MemberId;

/// One thing that happened.
#[derive(Debug, Clone)]
pub struct Notice {
    /// Business time.
    pub at: Millis,
    /// Where, if it has a place.
    pub store: Option<StoreId>,
    /// Who, if it is about somebody.
    pub member: Option<MemberId>,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum What {
    /// A member came in; the zone in words.
    Entered(String),
    /// A stay became a qualified visit.
    VisitQualified,
    /// A stay ended with this label.
    VisitClosed(&'static str),
    /// A closed visit has other figures now: its revision, and why.
    VisitRevised(u32, &'static str),
    /// An exposure to this campaign is credited for the visit.
    ExposureCredited(String),
    /// An offer was decided: offer, `send` or the refusal's name.
    OfferDecided(String, String),
    /// An SMS was handed over to the SMSC: the text.
    SmsHandedOver(String),
    /// A message reached this state.
    Receipt(&'static str),
    /// A reply stopped all offers of a brand.
    Stop,
    /// Anything else worth a line, such as a refused enrolment.
    Note(String),
}

/// Where stages put notices. Clones share one channel; without a listener a notice is dropped.
#[derive(Debug, Clone)]
pub struct Notices(broadcast::Sender<Notice>);

impl Default for Notices {
    fn default() -> Self {
        Self(broadcast::channel(4096).0)
    }
}

impl Notices {
    /// Tells whoever listens.
    pub fn tell(&self, notice: Notice) {
        // Nobody listening is the normal case of a hub in service.
        let _ = self.0.send(notice);
    }

    /// Listens from now on.
    pub fn listen(&self) -> broadcast::Receiver<Notice> {
        self.0.subscribe()
    }
}
