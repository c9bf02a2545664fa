//! One position: longitude, latitude, and a height that does not matter.

use geo::Coord;

use crate::{collect::mistake, reader::Field, tree::Kind};

/// Reads a position.
pub(super) fn read(f: &Field<'_>) -> Option<Coord<f64>> {
    let no_position = || mistake("P058", "this is not a position", "not [longitude, latitude]", "write [4.8320, 45.7578]");
    let Kind::Array(parts) = &f.node.kind else { return f.refuse(no_position()) };
    #[expect(clippy::cast_precision_loss, reason = "degrees are small")]
    let numbers: Vec<f64> = parts
        .iter()
        .filter_map(|n| match n.kind {
            Kind::Integer(n) => Some(n as f64),
            Kind::Number(n) => Some(n),
            _ => None,
        })
        .collect();
    // Heights, and what else a tool puts behind them, are not looked at.
    if !(2..=4).contains(&parts.len()) || numbers.len() != parts.len() {
        return f.refuse(no_position());
    }
    let (x, y) = (numbers[0], numbers[1]);
    if x.abs() <= 180.0 && y.abs() <= 90.0 {
        return Some(Coord { x, y });
    }
    f.refuse(if x.abs() <= 90.0 && y.abs() <= 180.0 {
        let mend = format!("write [{y}, {x}]: longitude first");
        mistake("P050", "latitude and longitude are swapped", format!("no place has the latitude {y}"), mend)
    } else if y.abs() <= 90.0 && x.abs() <= 540.0 {
        // Map tools let people draw on the next copy of the world.
        let turned = ((x - 360.0 * x.signum()) * 1e7).round() / 1e7;
        let mend = format!("write [{turned}, {y}]; a shape over longitude 180 is understood");
        mistake("P057", "longitudes go from -180 to 180", format!("{x} is one turn around the Earth too far"), mend)
    } else {
        mistake("P057", "no place on Earth has these coordinates", "out of range", "write degrees, longitude first: [4.8320, 45.7578]")
    })
}
