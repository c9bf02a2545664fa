//! The source of adverts that the config names.

use passage_config::{GatewayConfig, Radio};

use crate::radio::{RadioError, Source};

/// Opens the source; `None` for a gateway without a radio. Of a capture, the first `skip` items were played before.
pub async fn open(config: &GatewayConfig, skip: u64) -> Result<Option<Box<dyn Source>>, RadioError> {
    let _ = skip;
    match &config.radio {
        Radio::None => Ok(None),
        _ => Err(RadioError::Adapter("this radio is not built in".into())),
    }
}
