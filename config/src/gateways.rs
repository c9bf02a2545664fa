//! `gateways/*.toml`: a gateway that gets its site from the hub, one a file. Says where it hangs and how near is inside.

use passage_protocol::{GatewayId, StoreId};

use crate::{
    collect::mistake,
    gateway, geofence,
    model::{GeofenceRules, PresenceRules, SiteGateway},
    reader::Reader,
    site::Names,
};

/// Reads one gateway. `hub` is no name for one.
pub(crate) fn read(r: Reader<'_>, id: &str, names: &Names) -> Option<(GatewayId, SiteGateway)> {
    let Ok(id) = GatewayId::checked(id) else {
        let m = mistake("P010", format!("\"{id}\" cannot be the id of a gateway"), "", "rename the file; \"hub\" is taken");
        r.out.whole(&r.source.file, m);
        return None;
    };
    let store = store(&r, names);
    let presence = r.or("presence", PresenceRules::default(), gateway::presence);
    let geofence = r.or("geofence", GeofenceRules::default(), geofence::rules);
    r.done();
    Some((id, SiteGateway { store: store?, presence, geofence }))
}

/// Its one shop, or all of them; never all because a line is missing.
fn store(r: &Reader<'_>, names: &Names) -> Option<Option<StoreId>> {
    let all = r.or("all_stores", false, |f| f.flag());
    match (r.find("store"), all) {
        (Some(f), false) => names.store(&f).map(Some),
        (None, true) => Some(None),
        (Some(f), true) => {
            let mend = "take out `all_stores` for a gateway in a shop, or `store` for a position gateway";
            f.refuse(mistake("P065", "a gateway has one shop, or all of them", "`all_stores` stands beside it", mend))
        }
        (None, false) => {
            let mend = "add store = \"..\", the name of a file in stores/, or all_stores = true for a position gateway";
            r.out.at(r.source, &r.place, mistake("P065", "this gateway has no shop", "it belongs here", mend));
            None
        }
    }
}
