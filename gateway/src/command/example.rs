//! `passage-gateway config`.

/// The file of a gateway in a shop, as the demo runs it.
const SHOP: &str = include_str!("../../../config/demo/gateway-lyon.toml");
/// The file of a position gateway.
const POSITION: &str = include_str!("../../../config/demo/gateway-position.toml");

/// The demo plays its own adverts; a shop has a radio.
const PLAYED: &str = "# The demo plays its own adverts into the gateway.\nradio = \"none\"";
const REAL: &str = "radio = \"ble\"";

/// Prints an example to start from.
pub(super) fn print(position: bool) -> anyhow::Result<()> {
    print!("{}", if position { POSITION.to_owned() } else { shop() });
    Ok(())
}

fn shop() -> String {
    SHOP.replace(PLAYED, REAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_for_a_shop_has_a_radio() {
        assert!(shop().contains(REAL) && !shop().contains(PLAYED), "{}", shop());
    }
}
