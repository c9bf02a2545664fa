//! The source of adverts that the config names.

use passage_config::GatewayConfig;

use crate::radio::{self, RadioError, Source};

/// Opens the source; `None` for a gateway without a radio. Of a capture, the first `skip` items were played before.
pub async fn open(config: &GatewayConfig, skip: u64) -> Result<Option<Box<dyn Source>>, RadioError> {
    radio::open(config, Some(skip)).await
}
