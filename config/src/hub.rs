//! `hub.toml`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use passage_protocol::{Clock, HubId};

use crate::{
    collect::{Collector, mistake},
    common, fleet,
    hours::DayWindow,
    identity,
    model::{AppRules, Caps, Grant, HubConfig, Identity, Imports, MemberPage, MessageIds, Retention, Secret, Smpp, Sms, Web, Windows},
    mqtt, offer, page,
    reader::{Field, Reader},
    site, tracking, web,
};

const DAY: Duration = Duration::from_secs(86_400);

/// Reads one hub's file, and the site beside it.
pub(crate) fn read(r: Reader<'_>, out: &Collector) -> Option<HubConfig> {
    let dir = crate::site_dir(&r);
    let id = r.need("id", "id = \"hub-1\"", |f| f.id::<HubId>());
    let database = r.need("database", "database = \"sqlite:data/hub.db\"", database);
    let key_file = r.need("key_file", "key_file = \"data/hub.key\", which is made at the first start", |f| f.path());
    let broker = mqtt::read(&r, mqtt::Side::Hub);
    let fleet = r.may("fleet", |f| fleet::read(f, id.as_ref()));
    let api = r.or("api", loopback(8080), |f| f.address());
    let console = r.or("console", loopback(8081), console);
    let metrics = r.may("metrics", |f| f.address());
    let clock = common::clock(&r);
    let (api_tokens, grants) = r.or("api_tokens", Tokens::default(), api_tokens);
    let web = Web { grants, ..r.or("web", Web::default(), web::read) };
    let position_secret = r.may("position_secret", |f| crate::gateway::position_secret(&f));
    let app = r.or("app", AppRules::default(), app);
    let page = r.or("page", MemberPage::default(), page::read);
    let page = MemberPage { url: page.url.or_else(|| web.url.clone()), ..page };
    let sms = r.or("sms", Sms::Sandbox, |f| sms(f, &clock));
    let caps = r.or("caps", Caps::default(), caps);
    let hard_window = r.or("hard_window", DayWindow::HARD, |f| f.window());
    let windows = r.or("windows", Windows::default(), windows);
    let retention = r.or("retention", Retention::default(), retention);
    let k = r.or("k", 20, |f| f.whole(1, 10_000));
    let phone_region = r.or("phone_region", "FR".to_owned(), phone_region);
    let (ack_every, batch_within, backlog_rate, backlog_total) = r.or("ingest", INGEST, ingest);
    let identity = r.or("identity", Identity::default(), identity::read);
    let imports = r.or("imports", Imports::default(), imports);
    let segments = r.find("identity").filter(Field::is_table).and_then(|f| f.table()?.find("segments"));
    r.done();
    let mut loaded = site::read(&dir, out);
    if let Some(segments) = segments.filter(Field::is_table) {
        tracking::no_sensitive_segments(&loaded.site.touch, segments);
    }
    offer::within_bounds(&mut loaded.offers, hard_window, out);
    offer::page_known(&loaded.offers, page.url.is_some(), out);
    let mut site = loaded.site;
    site.offers = loaded.offers.into_iter().map(|p| (p.offer.id.clone(), p.offer)).collect();
    Some(HubConfig {
        id: id?,
        database: database?,
        key_file: key_file?,
        mqtt: broker?,
        fleet,
        api,
        console,
        metrics,
        clock,
        api_tokens,
        web,
        position_secret,
        app,
        page,
        sms,
        caps,
        hard_window,
        visit: site.visit,
        windows,
        retention,
        k,
        ack_every,
        batch_within,
        backlog_rate,
        backlog_total,
        phone_region,
        identity,
        imports,
        site_dir: dir,
        applied: 0,
        site: Arc::new(site),
    })
}

/// Least time between acks, longest wait for a fuller batch, events a second from one backlog and from all.
type Ingest = (Duration, Duration, u32, u32);
const INGEST: Ingest = (Duration::from_millis(200), Duration::from_millis(20), 50, 5_000);

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

fn database(f: Field<'_>) -> Option<String> {
    let written = f.text()?;
    let url = f.text_or_reference()?;
    if let Some(path) = url.strip_prefix("sqlite:").filter(|p| !p.is_empty()) {
        return Some(format!("sqlite:{}", f.beside(path).display()));
    }
    if let Some(rest) = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://")) {
        let login = rest.split('/').next().unwrap_or("").rsplit_once('@').map_or("", |(login, _)| login);
        let told = login.contains(':') || rest.to_ascii_lowercase().contains("password=");
        return if told && written == url { f.literal() } else { Some(url) };
    }
    f.refuse(mistake(
        "P009",
        "`database` names no database",
        "neither SQLite nor PostgreSQL",
        "write \"sqlite:PATH\" or \"postgres://USER@HOST/NAME\"",
    ))
}

fn console(f: Field<'_>) -> Option<SocketAddr> {
    let address = f.address()?;
    if address.ip().is_loopback() {
        return Some(address);
    }
    let mend = format!("write \"127.0.0.1:{}\" and reach it through a tunnel", address.port());
    f.refuse(mistake("P045", "the console has no accounts yet and may be seen on this machine alone", "not a loopback address", mend))
}

/// Secrets and what they may do, by name.
type Tokens = (BTreeMap<String, Secret>, BTreeMap<String, Grant>);

fn api_tokens(f: Field<'_>) -> Option<Tokens> {
    let mut tokens = Tokens::default();
    for (name, (secret, grant)) in f.each(|f| f.id_of_key().zip(web::token(f)))? {
        tokens.1.extend(grant.map(|grant| (name.clone(), grant)));
        tokens.0.insert(name, secret);
    }
    Some(tokens)
}

fn sms(f: Field<'_>, clock: &Clock) -> Option<Sms> {
    if !f.is_table() {
        return f.choice(&[("sandbox", ())]).map(|()| Sms::Sandbox);
    }
    let r = f.table()?;
    let kind = r.need("kind", "kind = \"sandbox\" or \"smpp\"", |f| f.choice(&[("sandbox", false), ("smpp", true)]));
    if kind != Some(true) {
        if kind.is_some() {
            r.done();
        }
        return kind.map(|_| Sms::Sandbox);
    }
    let host = r.need("host", "host = \"smpp.example.net\"", |f| {
        let host = f.host()?;
        if !clock.is_system() && !common::is_loopback(&host) {
            let m = "on any clock but the system's, no SMS may reach a real provider";
            return f.refuse(mistake("P044", m, "not this machine", "use clock = \"system\", the sandbox, or a provider on 127.0.0.1"));
        }
        Some(host)
    });
    let port = r.or("port", 2775, |f| f.whole(1, 65_535));
    let system_id = r.need("system_id", "system_id = \"..\"", |f| f.text().map(str::to_owned));
    let password = r.need("password", "password = \"env:SMPP_PASSWORD\"", |f| f.secret());
    let window = r.or("window", 10, |f| f.whole(1, 1000));
    let rate = r.or("rate", 10, |f| f.whole(1, 10_000));
    let message_ids = r.or("message_ids", MessageIds::AsIs, |f| {
        f.choice(&[("as-is", MessageIds::AsIs), ("hex-in-receipt", MessageIds::HexInReceipt), ("dec-in-receipt", MessageIds::DecInReceipt)])
    });
    r.done();
    Some(Sms::Smpp(Smpp { host: host?, port, system_id: system_id?, password: password?, window, rate, message_ids }))
}

fn app(f: Field<'_>) -> Option<AppRules> {
    let r = f.table()?;
    let presence_from = r.or("presence_from", AppRules::default().presence_from, |f| match f.whole(15, 18)? {
        years @ (15 | 18) => Some(years),
        _ => {
            let why = "the app asks for age bands, and none of them begins there";
            f.refuse(mistake("P068", "no age band begins at this age", why, "write 18, or 15 if the brand answers for minors"))
        }
    });
    r.done();
    Some(AppRules { presence_from })
}

fn caps(f: Field<'_>) -> Option<Caps> {
    let r = f.table()?;
    let d = Caps::default();
    let per_day = r.or("per_day", d.per_day, |f| f.whole(0, 1000));
    let per_week = r.or("per_week", d.per_week, |f| f.whole(0, 1000));
    let per_month = r.or("per_month", d.per_month, |f| f.whole(0, 1000));
    r.done();
    Some(Caps { per_day, per_week, per_month })
}

fn windows(f: Field<'_>) -> Option<Windows> {
    let r = f.table()?;
    let d = Windows::default();
    let read = |key, default| r.or(key, default, |f| f.duration(Duration::ZERO, DAY * 396));
    let windows = Windows {
        click: read("click", d.click),
        engaged: read("engaged", d.engaged),
        view: read("view", d.view),
        qr_call: read("qr_call", d.qr_call),
        message: read("message", d.message),
    };
    r.done();
    Some(windows)
}

fn retention(f: Field<'_>) -> Option<Retention> {
    let r = f.table()?;
    let d = Retention::default();
    // Visits stay open for some hours and caps look back a month: what is shorter would change decisions.
    let read = |key, least, most, default| r.or(key, default, |f| f.duration(DAY * least, DAY * most));
    let retention = Retention {
        events: read("events", 3, 396, d.events),
        visits: read("visits", 32, 396, d.visits),
        refused: read("refused", 1, 396, d.refused),
        members: read("members", 32, 1096, d.members),
        cookies: read("cookies", 1, 396, d.cookies),
        audit: read("audit", 32, 1827, d.audit),
    };
    r.done();
    Some(retention)
}

fn phone_region(f: Field<'_>) -> Option<String> {
    let text = f.text()?;
    if text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()) {
        return Some(text.to_owned());
    }
    f.refuse(mistake("P009", "`phone_region` is not a country", "two capital letters", "write \"FR\""))
}

fn ingest(f: Field<'_>) -> Option<Ingest> {
    let r = f.table()?;
    let ack_every = r.or("ack_every", INGEST.0, |f| f.duration(Duration::ZERO, Duration::from_secs(60)));
    let batch_within = r.or("batch_within", INGEST.1, |f| f.duration(Duration::ZERO, Duration::from_secs(5)));
    let backlog_rate = r.or("backlog_rate", INGEST.2, |f| f.whole(1, 100_000));
    let backlog_total = r.or("backlog_total", INGEST.3, |f| f.whole(1, 1_000_000));
    r.done();
    Some((ack_every, batch_within, backlog_rate, backlog_total))
}

fn imports(f: Field<'_>) -> Option<Imports> {
    let r = f.table()?;
    // Whether the files are there is asked when they are imported.
    let [crm, touchpoints, tills] = ["crm", "touchpoints", "tills"].map(|key| r.may(key, |f| f.path()));
    r.done();
    Some(Imports { crm, touchpoints, tills })
}
