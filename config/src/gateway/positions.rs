//! `[positions]` of `gateway.toml`, and the secret that it shares with `hub.toml`.

use std::collections::BTreeMap;

use passage_protocol::{GatewayId, PositionSecret, position::LEAST_SECRET};

use crate::{
    collect::mistake,
    model::Positions,
    reader::{Field, whole},
};

/// Reads the table for the gateway `own`.
pub(super) fn read(f: Field<'_>, own: Option<&GatewayId>) -> Option<Positions> {
    let place = f.clone();
    let r = f.table()?;
    let d = Positions::default();
    let given = r.find("secret");
    let positions = Positions {
        secret: given.as_ref().and_then(secret),
        mqtt: r.or("mqtt", d.mqtt, |f| f.flag()),
        topic: r.or("topic", d.topic, topic),
        set_waypoints: r.or("set_waypoints", d.set_waypoints, |f| f.flag()),
        group: r.or("group", d.group, |f| group(f, own)),
    };
    r.done();
    if positions.mqtt && given.is_none() {
        let mend = "add secret = \"file:positions.key\", the same file as `position_secret` of hub.toml, or take `mqtt` out";
        return place.refuse(mistake("P048", "positions over MQTT are taken encrypted only", "but `secret` is missing", mend));
    }
    Some(positions)
}

/// The secret that hubs and position gateways have in common.
pub(crate) fn secret(f: &Field<'_>) -> Option<PositionSecret> {
    let text = f.secret()?;
    match PositionSecret::new(&text.0) {
        Some(secret) => Some(secret),
        None => f.refuse(mistake(
            "P048",
            format!("`{}` is too short to be safe", f.key),
            format!("fewer than {LEAST_SECRET} characters"),
            "make one with `openssl rand -base64 32 > positions.key` and give it to the hub and all position gateways",
        )),
    }
}

fn topic(f: Field<'_>) -> Option<String> {
    let text = f.text()?;
    let levels = text.split('/').all(|level| !level.is_empty() && !level.contains(['+', '#', '\0', '%']) && !level.starts_with('$'));
    if levels && !text.starts_with("passage/") && text != "passage" {
        return Some(text.to_owned());
    }
    let mend = "write the part of the apps' topic before user and device, such as \"owntracks\"";
    f.refuse(mistake("P009", "`topic` cannot be the beginning of the apps' topics", "not the first levels of a topic", mend))
}

fn group(f: Field<'_>, own: Option<&GatewayId>) -> Option<BTreeMap<GatewayId, String>> {
    let place = f.clone();
    let members = whole(f.table()?.all().into_iter().map(member).collect())?;
    let group: BTreeMap<GatewayId, String> = members.into_iter().collect();
    if let Some(own) = own.filter(|own| !group.contains_key(own)) {
        let mend = format!("add {own} = \"HOST:PORT\"; every gateway of the group has the same list");
        return place.refuse(mistake("P049", "this gateway is not in its own group", format!("`{own}` is missing"), mend));
    }
    Some(group)
}

fn member(f: Field<'_>) -> Option<(GatewayId, String)> {
    let id = match GatewayId::checked(&f.key) {
        Ok(id) => id,
        Err(_) => {
            let mend = "use 3 to 40 characters out of a-z, 0-9 and - (\"hub\" is taken)";
            return f.refuse(mistake("P010", format!("\"{}\" cannot be the id of a gateway", f.key), "not an id", mend));
        }
    };
    let text = f.text()?;
    let good = text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/@?#".contains(c)) && port.parse::<u16>().is_ok_and(|p| p > 0)
    });
    if good {
        return Some((id, text.to_owned()));
    }
    f.refuse(mistake(
        "P017",
        format!("`{id}` has no address"),
        "no host with a port",
        "write \"HOST:PORT\", as the other gateways reach it",
    ))
}
