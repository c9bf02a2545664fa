//! The source that a configuration names.

use passage_config::{BleRadio, GatewayConfig, Radio};
use passage_protocol::Clock;

use super::{Capture, RadioError, Source, simulate};

/// Opens the source; `None` for a gateway without a radio. `skip` is the [`super::Heard::position`] up to which a capture was played before;
/// other sources begin anew.
pub async fn open(config: &GatewayConfig, skip: Option<u64>) -> Result<Option<Box<dyn Source>>, RadioError> {
    let clock = config.clock.clone();
    Ok(Some(match &config.radio {
        Radio::None => return Ok(None),
        Radio::Ble(options) => ble(options, clock).await?,
        Radio::Replay(path) => {
            let mut replay = Capture::open(path)?.play(clock);
            let (before, skipped) = (skip.unwrap_or(0), replay.skip(skip.unwrap_or(0)));
            if skipped < before {
                return Err(RadioError::Format {
                    why: format!(
                        "{} holds {skipped} adverts, but {before} were played before the restart, so it is another capture. Mend: give the \
                         right `radio` file, or another `data` folder, in gateway.toml",
                        path.display()
                    ),
                });
            }
            Box::new(replay)
        }
        Radio::Simulate { seed, phones } => {
            let brand = config.store.as_ref().and_then(|store| config.site.brands.get(&config.site.stores.get(store)?.brand));
            let Some(brand) = brand else {
                return Err(RadioError::Adapter(
                    "virtual phones need a brand to advertise for. Mend: set `store` in gateway.toml to a store of the site".to_owned(),
                ));
            };
            let start = clock.now();
            let crowd = simulate::Crowd { seed: *seed, phones: *phones, namespace: brand.namespace, start };
            Box::new(simulate::source(crowd.adverts(), clock))
        }
    }))
}

#[cfg(feature = "ble")]
async fn ble(options: &BleRadio, clock: Clock) -> Result<Box<dyn Source>, RadioError> {
    Ok(Box::new(super::ble::Ble::open(options.clone(), clock).await?))
}

#[cfg(not(feature = "ble"))]
async fn ble(_: &BleRadio, _: Clock) -> Result<Box<dyn Source>, RadioError> {
    Err(RadioError::Adapter(
        "this build has no Bluetooth. Mend: build it with `--features ble`, or choose another `radio` in gateway.toml".to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use passage_protocol::Millis;

    use super::*;

    fn config(radio: Radio) -> GatewayConfig {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/demo/gateway-lyon.toml");
        let config = passage_config::load_gateway(file.as_ref()).unwrap();
        GatewayConfig { radio, clock: Clock::stepped(Millis(0)), ..config }
    }

    fn capture() -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for at in 0..3 {
            writeln!(file, r#"{{"at":{at},"address":"a0a1a2a3a4a5","rssi":-60,"data":"00"}}"#).unwrap();
        }
        file
    }

    #[tokio::test]
    async fn a_capture_goes_on_where_it_was_before_the_restart() {
        let file = capture();
        let mut source = open(&config(Radio::Replay(file.path().to_owned())), Some(2)).await.unwrap().unwrap();
        assert_eq!(source.next().await.unwrap().unwrap().position, Some(3));
        assert!(source.next().await.is_none());
    }

    #[tokio::test]
    async fn a_capture_that_is_shorter_than_what_was_played_is_another_one() {
        let file = capture();
        let error = open(&config(Radio::Replay(file.path().to_owned())), Some(4)).await.err().unwrap().to_string();
        assert!(error.contains("another capture") && error.contains("Mend:"), "{error}");
    }

    #[tokio::test]
    async fn virtual_phones_advertise_for_the_brand_of_the_store() {
        let mut config = config(Radio::Simulate { seed: 1, phones: 2 });
        let decoder = crate::beacon::Decoder::new(&config.site);
        let mut source = open(&config, None).await.unwrap().unwrap();
        let mut ours = 0;
        for _ in 0..500 {
            ours += usize::from(decoder.sighting(&source.next().await.unwrap().unwrap().advert).is_some());
        }
        assert!(ours > 50, "{ours}");
        config.store = None;
        assert!(open(&config, None).await.err().unwrap().to_string().contains("`store`"));
    }

    #[tokio::test]
    async fn a_position_gateway_has_no_source() {
        assert!(open(&config(Radio::None), None).await.unwrap().is_none());
    }
}
