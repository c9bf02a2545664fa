//! The source that a configuration names.

use passage_config::{GatewayConfig, Radio};

use super::{Capture, RadioError, Source, simulate};

/// Opens the source; `None` for a gateway without a radio. `skip` is the [`super::Heard::position`] up to which a capture was played before;
/// other sources begin anew.
pub async fn open(config: &GatewayConfig, skip: Option<u64>) -> Result<Option<Box<dyn Source>>, RadioError> {
    let clock = config.clock.clone();
    Ok(Some(match &config.radio {
        Radio::None => return Ok(None),
        Radio::Ble => ble(clock).await?,
        Radio::Replay(path) => {
            let mut replay = Capture::open(path)?.play(clock);
            replay.skip(skip.unwrap_or(0));
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
async fn ble(clock: passage_protocol::Clock) -> Result<Box<dyn Source>, RadioError> {
    Ok(Box::new(super::ble::Ble::open(super::ble::BleOptions::default(), clock).await?))
}

#[cfg(not(feature = "ble"))]
async fn ble(_: passage_protocol::Clock) -> Result<Box<dyn Source>, RadioError> {
    Err(RadioError::Adapter(
        "this build has no Bluetooth. Mend: build it with `--features ble`, or choose another `radio` in gateway.toml".to_owned(),
    ))
}
