//! One line per thing that happens.

use std::collections::BTreeMap;

use chrono::DateTime;
use passage_hub::{
    identity::MemberId,
    notice::{Notice, What},
};
use passage_protocol::Millis;
use tokio::sync::broadcast::{Receiver, error::TryRecvError};

use crate::day::ZONE;

/// Prints what the hub tells.
#[derive(Debug)]
pub struct Lines {
    notices: Receiver<Notice>,
    cast: BTreeMap<MemberId, String>,
}

impl Lines {
    /// Prints from `notices`; members of the cast are called by their part.
    pub fn new(notices: Receiver<Notice>, cast: BTreeMap<MemberId, String>) -> Self {
        Self { notices, cast }
    }

    /// Prints all that happened so far.
    pub fn print(&mut self) {
        loop {
            match self.notices.try_recv() {
                Ok(notice) => println!("{}", self.line(&notice)),
                Err(TryRecvError::Lagged(n)) => println!("         ({n} lines were not printed: too many at once)"),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn line(&self, n: &Notice) -> String {
        let store = n.store.as_ref().map_or("-", |s| s.as_str());
        let who = n.member.map_or_else(String::new, |m| match self.cast.get(&m) {
            Some(part) => format!("{} ({part})", m.code()),
            None => m.code(),
        });
        format!("{}  {store:<18} {who:<32} {}", wall(n.at), words(&n.what))
    }
}

/// A time as the shops' clocks show it.
pub fn wall(at: Millis) -> String {
    DateTime::from_timestamp_millis(at.0).map_or_else(String::new, |t| t.with_timezone(&ZONE).format("%H:%M:%S").to_string())
}

fn words(what: &What) -> String {
    match what {
        What::Entered(zone) => format!("entered ({zone})"),
        What::VisitQualified => "visit qualified".to_owned(),
        What::VisitClosed(label) => format!("stay ended: {label}"),
        What::ExposureCredited(campaign) => format!("exposure credited: {campaign}"),
        What::OfferDecided(offer, result) => format!("offer {offer}: {result}"),
        What::SmsHandedOver(text) => format!("SMS handed over: \"{text}\""),
        What::Receipt(state) => format!("receipt: {state}"),
        What::Stop => "STOP: no more offers of this brand".to_owned(),
        What::Note(text) => text.clone(),
    }
}
