//! Collects the parts of a site, which come in any order, before or after their manifest. Pure, and bounded whatever is published: at most
//! [`MAX_PARTS`] parts of the wanted revision and as many others, 8 MiB together.

use std::collections::VecDeque;

use passage_protocol::{
    MAX_PAYLOAD,
    site::{MAX_PARTS, SiteManifest, digest},
};

/// One part as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Revision in its topic.
    pub revision: u64,
    /// Number in its topic, from 0.
    pub part: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What there is after something came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Collected {
    /// Not everything.
    Waiting,
    /// Everything, and it fits the digest: the manifest and the joined parts.
    Complete(Box<SiteManifest>, Vec<u8>),
    /// Everything, but it does not fit: this revision is collected anew.
    Damaged(u64),
}

/// The parts that have come in so far.
#[derive(Debug, Default)]
pub struct Collector {
    wanted: Option<Wanted>,
    /// Parts that no manifest has asked for yet, oldest first.
    loose: VecDeque<Piece>,
}

#[derive(Debug)]
struct Wanted {
    manifest: SiteManifest,
    parts: Vec<Option<Vec<u8>>>,
}

impl Collector {
    /// A manifest that is to be followed; its signature was checked. Parts that came before it count.
    pub fn want(&mut self, manifest: SiteManifest) -> Collected {
        if self.wanted.as_ref().is_none_or(|w| w.manifest.revision != manifest.revision || w.manifest.sha256 != manifest.sha256) {
            let parts = vec![None; manifest.parts.min(MAX_PARTS) as usize];
            self.wanted = Some(Wanted { manifest, parts });
        }
        for piece in std::mem::take(&mut self.loose) {
            self.put(piece);
        }
        self.look()
    }

    /// A part came in.
    pub fn take(&mut self, piece: Piece) -> Collected {
        self.put(piece);
        self.look()
    }

    /// Nothing is wanted any more: what the last manifest names is in force.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// True while a manifest waits for its parts.
    pub fn is_waiting(&self) -> bool {
        self.wanted.is_some()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let wanted = self.wanted.iter().flat_map(|w| &w.parts).flatten().map(Vec::len);
        wanted.chain(self.loose.iter().map(|p| p.bytes.len())).sum()
    }

    fn put(&mut self, piece: Piece) {
        // An empty retained message takes an old part away.
        if piece.bytes.is_empty() || piece.bytes.len() > MAX_PAYLOAD || piece.part >= MAX_PARTS {
            return;
        }
        if let Some(wanted) = self.wanted.as_mut().filter(|w| w.manifest.revision == piece.revision) {
            if let Some(slot) = wanted.parts.get_mut(piece.part as usize) {
                *slot = Some(piece.bytes);
            }
            return;
        }
        self.loose.retain(|p| (p.revision, p.part) != (piece.revision, piece.part));
        if self.loose.len() >= MAX_PARTS as usize {
            self.loose.pop_front();
        }
        self.loose.push_back(piece);
    }

    fn look(&mut self) -> Collected {
        let Some(wanted) = self.wanted.as_mut().filter(|w| w.parts.iter().all(Option::is_some)) else { return Collected::Waiting };
        if digest(wanted.parts.iter().flatten().map(Vec::as_slice)) != wanted.manifest.sha256 {
            // Which one is wrong, nobody knows.
            wanted.parts.fill(None);
            return Collected::Damaged(wanted.manifest.revision);
        }
        let joined: Vec<u8> = std::mem::take(&mut wanted.parts).into_iter().flatten().flatten().collect();
        let manifest = self.wanted.take().map(|w| Box::new(w.manifest));
        manifest.map_or(Collected::Waiting, |manifest| Collected::Complete(manifest, joined))
    }
}
