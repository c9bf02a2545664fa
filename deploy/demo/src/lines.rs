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

    /// Prints all that happened so far, in the order of the shops' time.
    pub fn print(&mut self) {
        let mut told = Vec::new();
        loop {
            match self.notices.try_recv() {
                Ok(notice) => told.push(notice),
                Err(TryRecvError::Lagged(n)) => println!("          ({n} lines were not printed: too many at once)"),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        told.sort_by_key(|n| n.at);
        told.iter().for_each(|n| println!("{}", self.line(n)));
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
        What::Entered(zone) if zone == "in" => "entered the shop".to_owned(),
        What::Entered(zone) if zone == "front" => "stopped in front of the shop".to_owned(),
        What::Entered(fence) => format!("entered the geofence {fence}"),
        What::VisitQualified => "visit qualified".to_owned(),
        What::VisitClosed(label) => format!("stay closed: {label}"),
        What::VisitRevised(revision, because) => format!("visit revised ({revision}): {because}"),
        What::ExposureCredited(campaign) => format!("exposure credited: {campaign}"),
        What::OfferDecided(offer, result) => format!("offer {offer}: {result}"),
        What::SmsHandedOver(text) => format!("SMS handed over: \"{text}\""),
        What::Receipt(state) => format!("receipt: {state}"),
        What::Stop => "STOP: no more offers of this brand".to_owned(),
        What::Note(text) => text.clone(),
    }
}
