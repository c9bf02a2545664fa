//! Certificates for a made-up fleet: each gateway joins by its own invitation, as a machine in a shop does, and connects with what it got.

use std::path::Path;

use anyhow::{Context as _, ensure};
use passage_config::{GatewayConfig, Tls, TlsFiles, TlsPair};
use passage_protocol::Invitation;

use crate::enrol::{CA, CERT, KEY, enrol};

/// The invitations in a file, one a line.
///
/// # Errors
/// The file, or a line that is no invitation.
pub fn invitations(file: &Path) -> anyhow::Result<Vec<Invitation>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let line = |line: &str| line.parse().with_context(|| format!("a line of {}", file.display()));
    text.lines().filter(|l| !l.trim().is_empty()).map(line).collect()
}

/// Gives each gateway its own certificate, in its own folder; one that has enrolled there before keeps it.
pub(super) async fn certify(fleet: Vec<GatewayConfig>, invitations: &[Invitation]) -> anyhow::Result<Vec<GatewayConfig>> {
    let mut certified = Vec::with_capacity(fleet.len());
    for mut config in fleet {
        if !invitations.is_empty() {
            join(&config, invitations).await?;
            let file = |name| config.data.join(name);
            let own = TlsPair { cert: file(CERT), key: file(KEY) };
            config.mqtt.tls = Some(Tls::Files(TlsFiles { ca: file(CA), own: Some(own) }));
        }
        let own = matches!(&config.mqtt.tls, Some(Tls::Files(TlsFiles { own: Some(own), .. })) if own.cert.parent() != Some(&config.data));
        ensure!(
            !own,
            "the pattern has one certificate, and a broker lets it speak for one gateway only. Mend: take cert and key out of [mqtt] and give \
             --invitations a file with what `passage-hub gateway invite {}` prints, and the same for the others",
            config.id
        );
        certified.push(config);
    }
    Ok(certified)
}

async fn join(config: &GatewayConfig, invitations: &[Invitation]) -> anyhow::Result<()> {
    if config.data.join(CERT).is_file() {
        return Ok(());
    }
    let own = invitations.iter().find(|i| i.gateway == config.id);
    let own = own
        .with_context(|| format!("nobody has invited {0}. Mend: `passage-hub gateway invite {0}` prints a line for the file", config.id))?;
    enrol(own, config.mqtt.proxy.as_ref(), &config.data).await.with_context(|| format!("{} cannot enrol", config.id))?;
    Ok(())
}
