//! The hubs' public keys: those of `gateway.toml`, and those that the hub named when it renewed the certificate.
//!
//! The hub's answer comes over TLS that the pinned authority of the fleet vouches for, as the first keys did at the enrolment.

use std::path::{Path, PathBuf};

use passage_config::{GatewayConfig, Tls};
use passage_protocol::sign::Pinned;

use super::{EnrolError, files};

/// Keys that a renewal brought, one a line, beside the certificate.
pub const FILE: &str = "hub.keys";

/// Every key that counts, each once. A line of the file that is no key is told of and left out; what stands in `gateway.toml` is taken as it is.
pub fn hub_keys(config: &GatewayConfig) -> Vec<String> {
    let mut keys = config.hub_keys.clone();
    let Some(Tls::Files(tls)) = &config.mqtt.tls else { return keys };
    let Some(own) = &tls.own else { return keys };
    for key in kept(&file_beside(&own.cert)) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

fn file_beside(certificate: &Path) -> PathBuf {
    certificate.with_file_name(FILE)
}

fn kept(file: &Path) -> Vec<String> {
    // Most gateways have none: the keys that they enrolled with are still the hubs' own.
    let Ok(text) = std::fs::read_to_string(file) else { return Vec::new() };
    let (keys, other): (Vec<&str>, Vec<&str>) =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).partition(|line| Pinned::from_base64([*line]).is_ok());
    if !other.is_empty() {
        tracing::warn!("{} lines of {} are no keys and are left out; the next renewal writes it anew", other.len(), file.display());
    }
    keys.into_iter().map(str::to_owned).collect()
}

/// Keeps the keys of a renewal on the disk, then lets them count; returns how many are new.
pub(super) fn keep(certificate: &Path, keys: &[String], pinned: &Pinned) -> Result<usize, EnrolError> {
    Pinned::from_base64(keys.iter().map(String::as_str)).map_err(|_| EnrolError::Answer("a hub key that is none"))?;
    let file = file_beside(certificate);
    if kept(&file) != keys {
        files::replace(&file, &(keys.join("\n") + "\n"), 0o644)?;
    }
    Ok(keys.iter().filter(|key| pinned.add(key).unwrap_or(false)).count())
}

#[cfg(test)]
mod tests {
    use passage_protocol::sign::Signing;

    use super::*;

    fn key(n: u8) -> String {
        Signing::from_bytes(&[n; 32]).public()
    }

    #[test]
    fn keys_of_a_renewal_count_at_once_and_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let certificate = folder.path().join("gateway.crt");
        let pinned = Pinned::from_base64([key(1).as_str()]).unwrap();
        let uplink = pinned.clone();
        assert_eq!(keep(&certificate, &[key(1), key(2)], &pinned).unwrap(), 1);
        assert_eq!(keep(&certificate, &[key(1), key(2)], &pinned).unwrap(), 0);
        let signed = Signing::from_bytes(&[2; 32]);
        assert_eq!(uplink.verify("d", b"m", &signed.key_id(), &signed.sign("d", b"m")), Ok(()), "clones know the new key");
        assert_eq!(kept(&file_beside(&certificate)), [key(1), key(2)]);
    }

    #[test]
    fn an_answer_that_holds_no_keys_changes_nothing_and_a_damaged_file_loses_its_line_alone() {
        let folder = tempfile::tempdir().unwrap();
        let certificate = folder.path().join("gateway.crt");
        assert!(keep(&certificate, &["no key".to_owned()], &Pinned::default()).is_err());
        let file = file_beside(&certificate);
        assert!(!file.exists());
        std::fs::write(&file, format!("{}\nrubbish\n", key(3))).unwrap();
        assert_eq!(kept(&file), [key(3)]);
    }
}
