//! Tries once more what was put aside: after a store was added to the configuration, or a forked outbox was stopped.

use std::collections::BTreeMap;

use passage_config::model::Site;
use passage_protocol::{Event, Topic};

use super::{
    Resolve,
    accept::{Accepted, Checked, CheckedEvent, accept},
    batch::{self, Content, Parcel, Written},
    link::Message,
};
use crate::store::{
    Db, StoreError,
    quarantine::{self as table, Aside},
};

/// Why it could not be used this time either.
#[derive(Debug, thiserror::Error)]
pub enum AgainError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Only its first part was kept.
    #[error("it was {0} bytes long and only the first {1} were kept, so it cannot be read")]
    Cut(u64, usize),
    /// Nobody knows whose it is.
    #[error("it is not known which gateway it came from")]
    Nobody,
    /// The same fault as before, or another one.
    #[error("{0}")]
    Refused(String),
    /// Its seqs or event ids are taken.
    #[error(
        "its seqs or event ids are stored with other events. Mend: if the events are to be kept beside them, try it with --new-epoch; if not, drop it"
    )]
    Taken,
}

/// Stores what was put aside and takes it out of quarantine; returns how many events that were. With `new_epoch` they are stored beside the ones that
/// have their seqs.
pub async fn again(db: &Db, site: &Site, resolver: &dyn Resolve, aside: &Aside, new_epoch: bool) -> Result<usize, AgainError> {
    if aside.size != u64::try_from(aside.raw.len()).unwrap_or(u64::MAX) {
        return Err(AgainError::Cut(aside.size, aside.raw.len()));
    }
    let gateway = aside.gateway.clone().ok_or(AgainError::Nobody)?;
    let mut tx = db.begin().await?;
    let (written, count) = if let Ok(event) = serde_json::from_slice::<Event>(&aside.raw) {
        let epoch = table::epoch_of(&mut tx, &gateway, &event.id.to_string()).await?;
        let epoch = epoch.ok_or_else(|| AgainError::Refused("the key of the event is not stored".to_owned()))?;
        if !site.stores.contains_key(&event.store) {
            return Err(AgainError::Refused("the event names a store that is not in the configuration".to_owned()));
        }
        let event = CheckedEvent { event, shift: 0, refused: None };
        let checked = Checked { gateway, epoch, events: vec![event], gone: Vec::new(), backlog: true };
        let fresh = [(0, &checked, &checked.events[0])];
        (batch::write_events(&mut tx, &fresh, resolver, aside.at).await?, 1)
    } else {
        // Times are judged as when it came.
        let accepted = accept(&Topic::Event(gateway).to_string(), &aside.raw, aside.at, site);
        let Ok(Accepted::Envelope(mut checked)) = accepted else {
            return Err(AgainError::Refused(accepted.err().map_or_else(|| "it is no envelope".to_owned(), |refused| refused.reason)));
        };
        if let Some(reason) = checked.events.iter().find_map(|event| event.refused) {
            return Err(AgainError::Refused(reason.to_owned()));
        }
        if new_epoch {
            checked.epoch = format!("aside-{}", aside.id);
        }
        let count = checked.events.len();
        let message = Message { topic: String::new(), payload: Vec::new(), radio: None, positions: None, receipt: Default::default() };
        let parcel = [Parcel { message, content: Content::Envelope(checked) }];
        (batch::write(&mut tx, &parcel, &BTreeMap::new(), resolver, aside.at).await?, count)
    };
    match written {
        Written::All { .. } => {
            table::drop_one(&mut tx, &aside.id).await?;
            tx.commit().await?;
            Ok(count)
        }
        Written::Spoiled(_) => Err(AgainError::Taken),
    }
}
