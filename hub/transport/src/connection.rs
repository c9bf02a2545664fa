//! What the MQTT client is told of the way.

use std::sync::Arc;

use passage_config::model::{Mqtt, Tls, Transport};
use rumqttc::{NetworkOptions, Proxy, ProxyAuth, ProxyType, TlsConfiguration, v5::MqttOptions};

use crate::tls::{self, TlsError};

/// Seconds for the connection when both sides speak at once.
const DIRECT: u64 = 5;
/// With a handshake, a proxy or an upgrade on a slow line in between.
const ROUNDABOUT: u64 = 15;

/// Why a connection is not even tried.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// Certificates or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// `tls = "fleet"`, but nobody has made a certificate.
    #[error("`tls = \"fleet\"` is for hubs. Mend: write tls = {{ ca = \"..\", cert = \"..\", key = \"..\" }}")]
    NoIdentity,
}

/// What a hub presents when it issues its own certificate.
pub type Identity = Arc<rustls::ClientConfig>;

/// Options for a client with this id; `identity` is what `tls = "fleet"` stands for.
pub fn options(mqtt: &Mqtt, client: &str, identity: Option<&Identity>) -> Result<MqttOptions, Unreachable> {
    let tls = match &mqtt.tls {
        None => None,
        Some(Tls::Files(files)) => Some(Arc::new(tls::from_files(files)?)),
        Some(Tls::Fleet) => Some(identity.cloned().ok_or(Unreachable::NoIdentity)?),
    };
    let mut options = MqttOptions::new(client, address(mqtt, tls.is_some()), mqtt.port);
    options.set_transport(match (tls, &mqtt.transport) {
        (None, Transport::Tcp) => rumqttc::Transport::Tcp,
        (Some(tls), Transport::Tcp) => rumqttc::Transport::Tls(TlsConfiguration::Rustls(tls)),
        (None, Transport::WebSocket { .. }) => rumqttc::Transport::Ws,
        (Some(tls), Transport::WebSocket { .. }) => rumqttc::Transport::Wss(TlsConfiguration::Rustls(tls)),
    });
    if let Some(proxy) = &mqtt.proxy {
        let auth = match &proxy.login {
            None => ProxyAuth::None,
            Some((user, password)) => ProxyAuth::Basic { username: user.clone(), password: password.0.clone() },
        };
        options.set_proxy(Proxy { ty: ProxyType::Http, auth, addr: bracketed(&proxy.host), port: proxy.port });
    }
    let is_direct = mqtt.tls.is_none() && mqtt.transport == Transport::Tcp && mqtt.proxy.is_none();
    options.set_connection_timeout(if is_direct { DIRECT } else { ROUNDABOUT });
    if let Some(user) = &mqtt.user {
        options.set_credentials(user, mqtt.password.as_ref().map_or("", |p| &p.0));
    }
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    Ok(options)
}

/// The client takes the URL of a WebSocket in place of the host.
fn address(mqtt: &Mqtt, is_tls: bool) -> String {
    match &mqtt.transport {
        Transport::Tcp => mqtt.host.clone(),
        Transport::WebSocket { path } => {
            let scheme = if is_tls { "wss" } else { "ws" };
            format!("{scheme}://{}:{}{path}", bracketed(&mqtt.host), mqtt.port)
        }
    }
}

/// An IPv6 address in front of a port stands in brackets.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use passage_config::model::{self, Secret};

    use super::*;

    #[test]
    fn a_websocket_behind_a_proxy_is_a_url_and_a_login() {
        let mut mqtt = Mqtt::plain("::1", 443);
        mqtt.transport = Transport::WebSocket { path: "/mqtt".into() };
        mqtt.proxy = Some(model::Proxy { host: "proxy".into(), port: 3128, login: Some(("till".into(), Secret("x".into()))) });
        let options = options(&mqtt, "gw-one", None).unwrap();
        assert_eq!(options.broker_address().0, "ws://[::1]:443/mqtt");
        assert!(matches!(options.proxy(), Some(Proxy { port: 3128, auth: ProxyAuth::Basic { .. }, .. })));
    }

    #[test]
    fn a_gateway_cannot_make_its_own_certificate() {
        let mut mqtt = Mqtt::plain("broker", 8883);
        mqtt.tls = Some(Tls::Fleet);
        assert!(matches!(options(&mqtt, "gw-one", None), Err(Unreachable::NoIdentity)));
    }
}
