use std::{net::SocketAddr, path::PathBuf};

use passage_protocol::HubId;

use super::Transport;

/// Where gateways enrol, and the broker that they are told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// Address of the HTTPS service for enrolment and renewal.
    pub listen: SocketAddr,
    /// How gateways reach it: `https://host:port`.
    pub url: String,
    /// Name or address of the broker as gateways reach it; its certificate carries it.
    pub broker: String,
    /// Port of the broker.
    pub port: u16,
    /// What MQTT travels in.
    pub transport: Transport,
    /// Folder in which this hub keeps the files of mosquitto up to date.
    pub broker_files: Option<PathBuf>,
    /// All hubs that the broker lets in.
    pub hubs: Vec<HubId>,
}
