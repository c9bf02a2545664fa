//! Which manifest is followed. Pure.

use passage_protocol::{GatewayId, sign::Pinned, site::SiteManifest};

use super::Refusal;

/// The site in force, as far as the rule needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held<'a> {
    /// 0 when there is none.
    pub revision: u64,
    /// Digest of its parts.
    pub sha256: &'a str,
}

/// Judges what was published as our manifest; `None` when it names what is in force already.
///
/// # Errors
/// Why it is not followed: no manifest, for another gateway, not signed by a pinned key, or a revision that is not higher than the one in force while
/// its `rollback` does not name that one.
pub fn judge(payload: &[u8], own: &GatewayId, pinned: &Pinned, held: Held<'_>) -> Result<Option<SiteManifest>, Refusal> {
    let manifest = SiteManifest::from_slice(payload)?;
    if manifest.gateway != *own {
        return Err(Refusal::Foreign);
    }
    manifest.verify(pinned)?;
    if manifest.revision == held.revision && manifest.sha256 == held.sha256 {
        return Ok(None);
    }
    let may_go_back = manifest.rollback == Some(held.revision);
    match manifest.revision {
        revision if revision > held.revision || may_go_back => Ok(Some(manifest)),
        revision if revision == held.revision => Err(Refusal::Other(revision)),
        revision => Err(Refusal::Older(revision, held.revision)),
    }
}
