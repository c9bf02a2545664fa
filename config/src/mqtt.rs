//! `[mqtt]`: the broker and the way to it.

use std::path::PathBuf;

use crate::{
    collect::{mistake, plain},
    common,
    model::{Mqtt, Proxy, Secret, Tls, TlsFiles, TlsPair, Transport},
    reader::{Field, Reader},
};

/// Whose connection it is: only hubs have the fleet's authority at hand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Hub,
    Gateway,
}

/// `[mqtt]`.
pub(crate) fn read(r: &Reader<'_>, side: Side) -> Option<Mqtt> {
    r.need("mqtt", "[mqtt] with host and port", |f| {
        let r = f.table()?;
        let host = r.need("host", "host = \"127.0.0.1\"", |f| f.host());
        let given = r.find("tls").is_some();
        let tls = r.may("tls", |f| tls(f, side));
        let transport = transport(&r);
        let port = r.or("port", usual_port(given, &transport), |f| f.whole(1, 65_535));
        let user = r.may("user", |f| f.text().map(str::to_owned));
        let password = r.may("password", |f| f.secret());
        let proxy = r.may("proxy", proxy);
        let unencrypted = r.or("unencrypted", false, |f| f.flag());
        if let (Some(host), false, false) = (&host, given, unencrypted) {
            stays_here(&r, host);
        }
        r.done();
        Some(Mqtt { host: host?, port, user, password, tls, transport, proxy })
    })
}

pub(crate) fn usual_port(tls: bool, transport: &Transport) -> u16 {
    match (tls, transport) {
        (false, Transport::Tcp) => 1883,
        (true, Transport::Tcp) => 8883,
        (false, Transport::WebSocket { .. }) => 80,
        (true, Transport::WebSocket { .. }) => 443,
    }
}

/// Who reads along a connection without TLS learns when which id was where, and can speak for the hub and the gateway.
fn stays_here(r: &Reader<'_>, host: &str) {
    if let (false, Some(f)) = (common::is_loopback(host), r.find("host")) {
        f.refuse::<()>(mistake(
            "P070",
            "a broker on another machine needs `tls`",
            "everybody on the way could read and forge what goes there",
            "add tls = { ca = \"ca.crt\", cert = \"..\", key = \"..\" }, as the enrolment writes it, or unencrypted = true if a VPN protects the way",
        ));
    }
}

fn tls(f: Field<'_>, side: Side) -> Option<Tls> {
    if !f.is_table() {
        if side == Side::Hub {
            return f.choice(&[("fleet", ())]).map(|()| Tls::Fleet);
        }
        let mend = "write tls = { ca = \"ca.crt\", cert = \"..\", key = \"..\" }; `passage-gateway enroll` makes these files";
        return f.refuse(mistake("P007", "`tls` must be a table", "no table", mend));
    }
    let whole = f.clone();
    let r = f.table()?;
    let ca = r.need("ca", "ca = \"ca.crt\", the certificate of the authority", |f| pem(&f, "CERTIFICATE", side));
    let (has_cert, has_key) = (whole.has("cert"), whole.has("key"));
    let cert = r.may("cert", |f| pem(&f, "CERTIFICATE", side));
    let key = r.may("key", |f| pem(&f, "PRIVATE KEY", side));
    r.done();
    if has_cert != has_key {
        let missing = if has_cert { "key" } else { "cert" };
        return whole.refuse(mistake(
            "P071",
            "`cert` and `key` belong together",
            format!("`{missing}` is missing"),
            format!("add {missing} = \"..\", or leave both out if the broker asks for user and password"),
        ));
    }
    let own = if has_cert { Some(TlsPair { cert: cert?, key: key? }) } else { None };
    Some(Tls::Files(TlsFiles { ca: ca?, own }))
}

/// A file in PEM that holds `what`.
fn pem(f: &Field<'_>, what: &str, side: Side) -> Option<PathBuf> {
    let file = f.path()?;
    let label = match std::fs::read_to_string(&file) {
        Ok(text) if text.contains(&format!("{what}-----")) => return Some(file),
        Ok(_) => format!("it holds no {}", what.to_ascii_lowercase()),
        Err(e) if e.kind() == std::io::ErrorKind::InvalidData => format!("it holds no {}, or not as PEM", what.to_ascii_lowercase()),
        Err(e) => plain(&e),
    };
    let mend = match side {
        Side::Gateway => "run `passage-gateway enroll TOKEN`, which makes it, or correct the path",
        Side::Hub => "write tls = \"fleet\" if the hubs issue the certificates themselves, or correct the path",
    };
    f.refuse(mistake("P072", format!("`{}` cannot be used", f.key), label, mend))
}

/// `transport` and `path`.
pub(crate) fn transport(r: &Reader<'_>) -> Transport {
    let is_web = r.or("transport", false, |f| f.choice(&[("tcp", false), ("websocket", true)]));
    let path = r.may("path", |f| {
        if !is_web {
            return f.refuse(mistake(
                "P073",
                "only WebSockets have a `path`",
                "of no use here",
                "add transport = \"websocket\", or take it out",
            ));
        }
        let text = f.text()?;
        if text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&b)) {
            return Some(text.to_owned());
        }
        f.refuse(mistake("P073", "`path` is not the path of a URL", "not a path", "write it with its slash, such as \"/mqtt\""))
    });
    if is_web { Transport::WebSocket { path: path.unwrap_or_else(|| "/mqtt".to_owned()) } } else { Transport::Tcp }
}

fn proxy(f: Field<'_>) -> Option<Proxy> {
    let written = f.text()?;
    let url = f.text_or_reference()?;
    match read_proxy(&url) {
        Some(proxy) if proxy.login.is_some() && written == url => f.literal(),
        Some(proxy) => Some(proxy),
        None if url.contains('@') && written == url => f.literal(),
        None => f.refuse(mistake(
            "P074",
            "`proxy` names no HTTP proxy",
            "not of the form http://HOST:PORT",
            "write \"http://proxy.example.net:3128\"; one that asks for a password by \"env:NAME\", with http://USER:PASSWORD@HOST:PORT in it",
        )),
    }
}

/// A proxy out of `http://[USER:PASSWORD@]HOST:PORT`.
pub fn read_proxy(url: &str) -> Option<Proxy> {
    let rest = url.strip_prefix("http://")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (login, place) = rest.rsplit_once('@').map_or((None, rest), |(login, place)| (Some(login), place));
    let (host, port) = place.rsplit_once(':')?;
    let login = match login {
        None => None,
        Some(login) => login.split_once(':').map(|(user, password)| Some((user.to_owned(), Secret(password.to_owned()))))?,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let usable = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '/' || c == '@');
    let port = port.parse().ok().filter(|p| *p > 0)?;
    usable.then(|| Proxy { host: host.to_owned(), port, login })
}
