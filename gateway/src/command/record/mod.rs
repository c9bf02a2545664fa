//! `passage-gateway record`: a capture of our own beacons, for a walk through the shop that can be played again and again.
//!
//! A stranger's advert is counted and forgotten. Of our own, only the structures that name the beacon are kept, so that the name of a phone is
//! not among them; the address is replaced.

mod format;

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use self::format::Format;
use crate::{
    beacon::{Decoder, ad},
    pipeline::{Opened, Played, open_source},
    radio::{Advert, Source},
};

/// Records from the configured radio until `seconds` have passed, the source ends, or somebody stops it.
pub(super) async fn record(out: &Path, file: &Path, seconds: Option<u64>) -> anyhow::Result<()> {
    let config = super::radio_or_ble(super::load(file)?);
    let format = Format::of(out)?;
    let Opened { source, .. } = open_source(&config, &Played::default()).await?.context("there is no radio to record from")?;
    // What our beacons send is personal data: the file is for its owner alone, and an earlier one is not overwritten.
    let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(out);
    let file = open.with_context(|| format!("cannot make {}. Mend: give a new file in a folder where you may write", out.display()))?;
    let mut recorder = Recorder::new(Decoder::new(&config.site), format, io::BufWriter::new(file))?;
    let end = async {
        match seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        result = recorder.listen(source) => result,
        () = end => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
    .and_then(|()| recorder.out.flush())
    .with_context(|| format!("cannot write {}", out.display()))?;
    eprintln!(
        "{} adverts of our beacons are in {}; {} adverts of strangers were heard and not kept",
        recorder.ours,
        out.display(),
        recorder.strangers
    );
    Ok(())
}

/// Writes what is ours.
struct Recorder<W> {
    decoder: Decoder,
    format: Format,
    /// Only this run knows it, so nobody can tell the addresses afterwards or join two captures.
    secret: [u8; 64],
    out: W,
    ours: u64,
    strangers: u64,
}

impl<W: Write> Recorder<W> {
    fn new(decoder: Decoder, format: Format, mut out: W) -> io::Result<Self> {
        format.begin(&mut out)?;
        Ok(Self { decoder, format, secret: rand::random(), out, ours: 0, strangers: 0 })
    }

    async fn listen(&mut self, mut source: Box<dyn Source>) -> io::Result<()> {
        while let Some(next) = source.next().await {
            match next {
                Ok(heard) => self.hear(&heard.advert)?,
                Err(e) => eprintln!("{e}"),
            }
        }
        Ok(())
    }

    fn hear(&mut self, advert: &Advert) -> io::Result<()> {
        if self.decoder.sighting(advert).is_none() {
            self.strangers += 1;
            return Ok(());
        }
        self.ours += 1;
        let kept = Advert { address: self.pseudonym(advert.address), data: self.naming(advert), ..*advert };
        self.format.write(&kept, &mut self.out)?;
        self.out.flush()
    }

    /// The structures that name our beacon by themselves; the whole advert when it takes several of them.
    fn naming(&self, advert: &Advert) -> Vec<u8> {
        let mut kept = Vec::new();
        for (kind, value) in ad::structures(&advert.data) {
            let mut data = Vec::with_capacity(value.len() + 2);
            ad::push(&mut data, kind, &[value]);
            let alone = Advert { data, ..*advert };
            if self.decoder.sighting(&alone).is_some() {
                kept.extend(alone.data);
            }
        }
        if kept.is_empty() { advert.data.clone() } else { kept }
    }

    /// The same for all adverts of a device in this run, and in no other.
    fn pseudonym(&self, address: [u8; 6]) -> [u8; 6] {
        let mut mac = Hmac::<Sha256>::new(&self.secret.into());
        mac.update(&address);
        let digest = mac.finalize().into_bytes();
        let mut pseudonym = [0; 6];
        pseudonym.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        // The two highest bits of a random static address.
        if let Some(first) = pseudonym.first_mut() {
            *first |= 0xc0;
        }
        pseudonym
    }
}

#[cfg(test)]
mod tests;
