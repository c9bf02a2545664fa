//! `passage-gateway scan`.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    time::Duration,
};

use passage_config::{BleRadio, GatewayConfig, Radio};
use passage_protocol::{StaticBeacon, Subject};

use crate::{
    beacon::Decoder,
    pipeline::{Played, open_source},
    radio::Advert,
};

/// Listens to the configured radio, or to this machine's when none is configured.
pub(super) async fn scan(file: &Path, seconds: u64) -> anyhow::Result<()> {
    let config = super::load(file)?;
    let radio = if config.radio == Radio::None { Radio::Ble(BleRadio::default()) } else { config.radio.clone() };
    let config = GatewayConfig { radio, ..config };
    let decoder = Decoder::new(&config.site);
    let mut opened = open_source(&config, &Played::default()).await?.ok_or_else(|| anyhow::anyhow!("no radio"))?;
    let mut seen = Seen::default();
    let listen = async {
        while let Some(next) = opened.source.next().await {
            match next {
                Ok(heard) => seen.add(&decoder, &heard.advert),
                Err(e) => eprintln!("{e}"),
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(seconds), listen).await;
    print!("{}", seen.report());
    Ok(())
}

/// What was heard. Of strangers only how many adverts there were, and for the time of the scan from how many addresses.
#[derive(Default)]
struct Seen {
    ours: BTreeMap<Subject, (u32, i8)>,
    strangers: u64,
    addresses: HashSet<[u8; 6]>,
}

impl Seen {
    fn add(&mut self, decoder: &Decoder, advert: &Advert) {
        match decoder.sighting(advert) {
            Some(sighting) => {
                let entry = self.ours.entry(sighting.subject).or_insert((0, i8::MIN));
                *entry = (entry.0 + 1, entry.1.max(sighting.rssi));
            }
            None => {
                self.strangers += 1;
                self.addresses.insert(advert.address);
            }
        }
    }

    fn report(&self) -> String {
        let mut text = format!("{} of our beacons\n", self.ours.len());
        for (n, (subject, (count, best))) in self.ours.iter().enumerate() {
            let kind = match subject {
                Subject::Rid { .. } => "app".to_owned(),
                // A registered card is the shop's own; its number helps to find it.
                Subject::Beacon(StaticBeacon::IBeacon { major, minor, .. } | StaticBeacon::AltBeacon { major, minor, .. }) => {
                    format!("card {major}/{minor}")
                }
                Subject::Beacon(StaticBeacon::EddystoneUid { instance, .. }) => format!("card {instance}"),
                Subject::Installation(_) => "installation".to_owned(),
            };
            text.push_str(&format!("{:>4}  {kind:<20} {count:>5} adverts, strongest {best} dBm\n", n + 1));
        }
        text.push_str(&format!("{} adverts of about {} strangers, which were not kept\n", self.strangers, self.addresses.len()));
        text
    }
}
