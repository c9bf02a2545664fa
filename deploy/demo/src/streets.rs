//! The radio side of the day: what the gateway of each shop hears of the phones that are near it.

use std::{collections::BTreeMap, sync::Arc};

use passage_config::{Namespace, Site};
use passage_gateway::radio::{
    Advert,
    simulate::{Carrier, Walk, stranger},
};
use passage_protocol::{ChainKey, Millis, StoreId};

use crate::day::{How, Outing, Where};

/// All phones that are or will be on the air.
pub struct Streets {
    site: Arc<Site>,
    seed: u64,
    walks: BTreeMap<(Millis, u64), (StoreId, Box<dyn Iterator<Item = Advert> + Send>)>,
}

impl std::fmt::Debug for Streets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Streets({} phones)", self.walks.len())
    }
}
