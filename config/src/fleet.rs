//! `[fleet]` of `hub.toml`: where gateways enrol, and the broker that they are told of.

use passage_protocol::{HubId, fleet::host_and_port};

use crate::{
    collect::mistake,
    model::Fleet,
    mqtt,
    reader::{Field, whole},
};

/// Reads it; `own` is the hub's id.
pub(crate) fn read(f: Field<'_>, own: Option<&HubId>) -> Option<Fleet> {
    let r = f.table()?;
    let listen = r.need("listen", "listen = \"0.0.0.0:8443\"", |f| f.address());
    let url = r.need("url", "url = \"https://hub.example.net:8443\", as gateways reach `listen`", |f| url(&f));
    let broker = r.need("broker", "broker = \"broker.example.net\", as gateways reach it", |f| f.host());
    let transport = mqtt::transport(&r);
    let port = r.or("port", mqtt::usual_port(true, &transport), |f| f.whole(1, 65_535));
    let broker_files = r.may("broker_files", |f| f.path());
    let hubs = r.or("hubs", own.into_iter().cloned().collect(), |f| whole(f.texts()?.iter().map(|f| f.id::<HubId>()).collect()));
    if let (Some(own), false, Some(f)) = (own, own.is_none_or(|own| hubs.contains(own)), r.find("hubs")) {
        let message = format!("`hubs` lacks \"{own}\", this very hub");
        f.refuse::<()>(mistake("P075", message, "the broker would not let it in", format!("add \"{own}\"")));
    }
    r.done();
    Some(Fleet { listen: listen?, url: url?, broker: broker?, port, transport, broker_files, hubs })
}

/// Where gateways reach a hub.
pub(crate) fn url(f: &Field<'_>) -> Option<String> {
    let text = f.text()?;
    match host_and_port(text) {
        Some(_) => Some(text.trim_end_matches('/').to_owned()),
        _ => f.refuse(mistake(
            "P075",
            format!("`{}` is not where gateways reach the hub", f.key),
            "not of the form https://HOST:PORT",
            "write \"https://hub.example.net:8443\", without a path",
        )),
    }
}
