//! One position: longitude, latitude, and a height that does not matter.

use std::collections::BTreeMap;

use geo::Coord;

use crate::{
    collect::{Mistake, mistake},
    reader::Field,
    tree::Kind,
};

/// Reads a position.
pub(super) fn read(f: &Field<'_>) -> Option<Coord<f64>> {
    parse(f).map_err(|m| f.refuse::<()>(m)).ok()
}

/// Reads a list of positions. A mistake that many of them share is told once, at the first: a file in metres has it at every corner.
pub(super) fn all(list: &[Field<'_>]) -> Option<Vec<Coord<f64>>> {
    let mut wrong: BTreeMap<&str, (&Field<'_>, Mistake, usize)> = BTreeMap::new();
    let mut good = Vec::with_capacity(list.len());
    for f in list {
        match parse(f) {
            Ok(position) => good.push(position),
            Err(m) => wrong.entry(m.code).or_insert((f, m, 0)).2 += 1,
        }
    }
    let whole = wrong.is_empty();
    for (f, mut m, times) in wrong.into_values() {
        if times > 1 {
            m.label = format!("{} (and {} more here)", m.label, times - 1);
        }
        f.refuse::<()>(m);
    }
    whole.then_some(good)
}

fn parse(f: &Field<'_>) -> Result<Coord<f64>, Mistake> {
    let no_position = || mistake("P058", "this is not a position", "not [longitude, latitude]", "write [4.8320, 45.7578]");
    let Kind::Array(parts) = &f.node.kind else { return Err(no_position()) };
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
        return Err(no_position());
    }
    let (x, y) = (numbers[0], numbers[1]);
    if x.abs() <= 180.0 && y.abs() <= 90.0 {
        return Ok(Coord { x, y });
    }
    Err(if x.abs() <= 90.0 && y.abs() <= 180.0 {
        let mend = format!("write [{y}, {x}]: longitude first");
        mistake("P050", "latitude and longitude are swapped", format!("no place has the latitude {y}"), mend)
    } else if y.abs() <= 90.0 && x.abs() <= 540.0 {
        // Map tools let people draw on the next copy of the world.
        let turned = ((x - 360.0 * x.signum()) * 1e7).round() / 1e7;
        let mend = format!("write [{turned}, {y}]; a shape over longitude 180 is understood");
        mistake("P057", "longitudes go from -180 to 180", format!("{x} is one turn around the Earth too far"), mend)
    } else if (x.abs() > 540.0 || y.abs() > 540.0) && x.is_finite() && y.is_finite() {
        mistake("P057", "no place on Earth has these coordinates", "these are metres, not degrees", super::features::IN_DEGREES)
    } else {
        mistake("P057", "no place on Earth has these coordinates", "out of range", "write degrees, longitude first: [4.8320, 45.7578]")
    })
}
