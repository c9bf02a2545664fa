//! What `hub.toml` and the gateway files have in common: the clock and the names of machines.

use passage_protocol::Clock;

use crate::{
    collect::mistake,
    reader::{Field, Reader},
};

/// `clock`.
pub(crate) fn clock(r: &Reader<'_>) -> Clock {
    r.or("clock", Clock::System, |f| {
        if !f.is_table() {
            return f.choice(&[("system", ())]).map(|()| Clock::System);
        }
        let r = f.table()?;
        let start = r.need("start", "start = \"2026-11-20T08:30:00+01:00\"", |f| f.instant());
        let anchor = r.need("anchor", "anchor = \"..\", the real time at which business time is `start`", |f| f.instant());
        let speed = r.or("speed", 1.0, |f| f.number(0.001, 100_000.0));
        r.done();
        Some(Clock::Scaled { start: start?, anchor: anchor?, speed })
    })
}

impl Field<'_> {
    /// The name or address of a machine.
    pub(crate) fn host(&self) -> Option<String> {
        let text = self.text()?;
        if text.contains(|c: char| c.is_whitespace() || c == '/' || c.is_control()) || (text.matches(':').count() == 1) {
            let message = format!("`{}` is not the name of a machine", self.key);
            return self.refuse(mistake(
                "P017",
                message,
                "only the name or the IP address",
                "take protocol and port out; the port has its own key",
            ));
        }
        Some(text.to_owned())
    }
}

/// True if `host` is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
