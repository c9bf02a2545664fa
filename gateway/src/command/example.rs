//! `passage-gateway config`.

/// The file of a gateway in a shop, as the demo runs it.
const SHOP: &str = include_str!("../../../config/demo/gateway-lyon.toml");
/// The file of a position gateway.
const POSITION: &str = include_str!("../../../config/demo/gateway-position.toml");

/// Prints an example to start from.
pub(super) fn print(position: bool) -> anyhow::Result<()> {
    print!("{}", if position { POSITION } else { SHOP });
    Ok(())
}
