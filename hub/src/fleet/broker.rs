//! The configuration of mosquitto: who may come in, by certificate, and what each name may read and write.

use std::{fmt::Write as _, net::SocketAddr};

use passage_protocol::{HubId, fleet::Machine};

use super::authority::hub_user;

/// Name of the main file.
pub const CONF: &str = "passage.conf";
/// Name of the file of rights.
pub const ACL: &str = "acl";
/// Name of the authority's certificate.
pub const CA: &str = "ca.crt";
/// Name of the list of revoked certificates.
pub const CRL: &str = "ca.crl";
/// Name of the broker's certificate.
pub const CERT: &str = "broker.crt";
/// Name of the broker's key.
pub const KEY: &str = "broker.key";

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    /// The hubs.
    pub hubs: Vec<HubId>,
    /// The machines of the gateways that were invited.
    pub members: Vec<Member>,
}

/// A gateway, as far as its rights go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its present machine. Those before it may do nothing.
    pub machine: Machine,
    /// The present machine was revoked and may do nothing either.
    pub is_out: bool,
    /// It takes positions: it also reads what phones publish, and the states of the others who do.
    pub takes_positions: bool,
}

impl Member {
    /// The machines that may do nothing any more.
    fn out(&self) -> impl Iterator<Item = Machine> + '_ {
        self.machine.before().chain(self.is_out.then(|| self.machine.clone()))
    }
}

/// Where a machine may write for no other reason than that a hub asks whether it still may; nobody reads it. `%u` is the name in the certificate.
pub(super) fn probe(name: &str) -> String {
    format!("passage/v1/gateway/{name}/probe")
}

/// Where the broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doors {
    /// Folder in which the files lie, as the broker sees it.
    pub folder: String,
    /// For TLS over TCP.
    pub tls: SocketAddr,
    /// For WebSockets with TLS.
    pub websocket: Option<SocketAddr>,
}

/// mosquitto.conf, to be included or used as a whole.
pub fn conf(doors: &Doors) -> String {
    let folder = &doors.folder;
    let mut text = format!(
        "# Made by `passage-hub broker-config`; made again it is the same.\n\
         per_listener_settings false\n\
         # A name is a certificate's name. Nobody comes in without one.\n\
         allow_anonymous false\n\
         acl_file {folder}/{ACL}\n\
         \n\
         # The outboxes of the gateways keep what matters, so the broker queues little and refuses what is too large.\n\
         # Retained messages (states, site manifests) survive a restart.\n\
         persistence true\n\
         autosave_interval 60\n\
         max_packet_size 262144\n\
         max_inflight_messages 200\n\
         max_queued_messages 2000\n\
         max_queued_bytes 67108864\n\
         max_keepalive 120\n\
         persistent_client_expiration 1h\n\
         retain_available true\n\
         set_tcp_nodelay true\n\
         connection_messages true\n\
         log_type error\nlog_type warning\nlog_type notice\n"
    );
    text += &listener(folder, doors.tls, "", "TLS over TCP");
    if let Some(address) = doors.websocket {
        text += &listener(folder, address, "protocol websockets\n", "WebSockets with TLS, for shops that are let out to the web alone");
    }
    text
}

fn listener(folder: &str, address: SocketAddr, protocol: &str, what: &str) -> String {
    format!(
        "\n# {what}.\nlistener {} {}\n{protocol}cafile {folder}/{CA}\ncertfile {folder}/{CERT}\nkeyfile {folder}/{KEY}\ncrlfile {folder}/{CRL}\n\
         require_certificate true\nuse_identity_as_username true\ntls_version tlsv1.2\n",
        address.port(),
        address.ip(),
    )
}

/// The file of rights. Patterns hold for every name; a name is that of a certificate, and no certificate has a name with `+`, `#` or `/` in it.
pub fn acl(rights: &Rights) -> String {
    let mut text = String::from(
        "# Made by `passage-hub broker-config`; made again it is the same.\n\
         \n\
         # Those who were revoked: nothing, on connections that still stand too.\n",
    );
    for machine in rights.members.iter().flat_map(Member::out) {
        let _ = writeln!(text, "user {machine}\ntopic deny #\n");
    }
    text += "# Hubs. Their names hold a colon, which no gateway's can.\n";
    for hub in &rights.hubs {
        let _ = writeln!(
            text,
            "user {}\n\
             topic read passage/v1/gateway/+/event\n\
             topic read passage/v1/gateway/+/hello\n\
             topic read passage/v1/gateway/+/state\n\
             topic read passage/v1/hub/+/state\n\
             topic write passage/v1/hub/{hub}/state\n\
             topic write passage/v1/gateway/+/ack\n\
             topic write passage/v1/gateway/+/site/#\n\
             topic write passage/v1/gateway/+/command\n",
            hub_user(hub)
        );
    }
    text += "# Position gateways: what phones publish, and the states of each other. Machines that took the place of another: their gateway's own.\n";
    let positions: Vec<&Member> = rights.members.iter().filter(|m| m.takes_positions && !m.is_out).collect();
    for member in rights.members.iter().filter(|m| !m.is_out && (m.takes_positions || m.machine.number > 1)) {
        let _ = writeln!(text, "user {}", member.machine);
        if member.machine.number > 1 {
            text += &own(&member.machine);
        }
        if member.takes_positions {
            text += "topic read owntracks/#\n";
            for other in positions.iter().filter(|other| other.machine != member.machine) {
                let _ = writeln!(text, "topic read passage/v1/gateway/{}/state", other.machine.gateway);
            }
        }
        text.push('\n');
    }
    text += "# Every first machine: below its own name alone.\n\
             pattern write passage/v1/gateway/%u/event\n\
             pattern write passage/v1/gateway/%u/hello\n\
             pattern readwrite passage/v1/gateway/%u/state\n\
             pattern read passage/v1/gateway/%u/ack\n\
             pattern read passage/v1/gateway/%u/site/#\n\
             pattern read passage/v1/gateway/%u/command\n\
             pattern read passage/v1/hub/+/state\n\
             \n\
             # Nobody reads this: hubs ask by it whether the broker knows who was revoked.\n";
    let _ = writeln!(text, "pattern write {}", probe("%u"));
    text
}

/// What the patterns give to a first machine, whose name is its gateway's id.
fn own(machine: &Machine) -> String {
    let own = format!("passage/v1/gateway/{}", machine.gateway);
    format!(
        "topic write {own}/event\n\
         topic write {own}/hello\n\
         topic readwrite {own}/state\n\
         topic read {own}/ack\n\
         topic read {own}/site/#\n\
         topic read {own}/command\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, is_out: bool, takes_positions: bool) -> Member {
        Member { machine: Machine::named(name).unwrap(), is_out, takes_positions }
    }

    fn rights() -> Rights {
        Rights {
            hubs: vec!["hub-1".parse().unwrap(), "hub-2".parse().unwrap()],
            members: vec![
                member("gw-lyon", false, false),
                member("gw-paris:2", false, false),
                member("gw-position", false, true),
                member("gw-position-2", false, true),
                member("gw-stolen", true, false),
            ],
        }
    }

    fn doors() -> Doors {
        let folder = "/etc/mosquitto/passage".to_owned();
        Doors { folder, tls: "0.0.0.0:8883".parse().unwrap(), websocket: Some("0.0.0.0:443".parse().unwrap()) }
    }

    /// `BLESS=1` writes the copies anew, to be read before they are committed.
    #[test]
    fn the_copies_in_deploy_are_what_the_generator_makes() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/mosquitto");
        for (name, text) in [(CONF, conf(&doors())), (ACL, acl(&rights()))] {
            if std::env::var_os("BLESS").is_some() {
                std::fs::write(folder.join(name), &text).unwrap();
            }
            assert_eq!(std::fs::read_to_string(folder.join(name)).unwrap_or_default(), text, "deploy/mosquitto/{name}");
        }
    }

    #[test]
    fn a_barred_position_gateway_has_no_right_left() {
        let rights = Rights { members: vec![member("gw-position", true, true)], hubs: Vec::new() };
        assert!(!acl(&rights).contains("owntracks"), "{}", acl(&rights));
    }

    #[test]
    fn the_machines_before_the_present_one_stay_out_and_it_has_the_rights_of_its_gateway() {
        let rights = Rights { members: vec![member("gw-lyon:3", false, true), member("gw-nice", false, true)], hubs: Vec::new() };
        let text = acl(&rights);
        for out in ["user gw-lyon\ntopic deny #\n", "user gw-lyon:2\ntopic deny #\n"] {
            assert!(text.contains(out), "{out} is not in {text}");
        }
        let own = "user gw-lyon:3\ntopic write passage/v1/gateway/gw-lyon/event\n";
        assert!(text.contains(own) && !text.contains("user gw-lyon:3\ntopic deny"), "{text}");
        assert_eq!(
            text.matches("topic read passage/v1/gateway/gw-lyon/state").count(),
            1,
            "the other position gateway reads its state: {text}"
        );
    }
}
