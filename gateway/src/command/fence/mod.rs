//! `passage-gateway fence`: what the geofences of one file say of places, without a site, a gateway or a phone.

mod fixes;
#[cfg(test)]
mod golden;
mod line;
mod points;

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use passage_config::{GeofenceRules, PlainFences, load_fences};

/// What is asked.
#[derive(Debug, clap::Args)]
pub(super) struct Fence {
    /// A GeoJSON file: polygons, points with `radius_m`, lines with `buffer_m`. Ids are `properties.id`, else the feature's `id`, else its
    /// position in the file.
    #[arg(long, value_name = "FILE")]
    geofences: PathBuf,
    #[command(flatten)]
    asked: Asked,
    /// With --fixes: one line for each fix too, with the probability for each geofence near it. It holds distances of a person.
    #[arg(long, requires = "fixes")]
    explain: bool,
    /// With --fixes: the gateway's file whose rules in [geofence] count; else the defaults.
    #[arg(long, value_name = "FILE", requires = "fixes")]
    config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Asked {
    /// Places as `longitude,latitude`, one a line, or a table (`,`, `;` or tab between its columns) whose first line names both. Prints `point-index fence-id` for each geofence that holds one, sorted by both.
    #[arg(long, value_name = "FILE")]
    points: Option<PathBuf>,
    /// OwnTracks locations as JSON, one a line, in the order in which they arrived. Prints the decisions as JSON lines. A line belongs to the
    /// installation that its key `installation`, else `topic`, else `tid` names, and arrived at `received_at`, else `created_at` if not before
    /// `tst`, else `tst`.
    #[arg(long, value_name = "FILE")]
    fixes: Option<PathBuf>,
}

/// Answers on standard output; what is odd in the files goes to standard error.
pub(super) fn fence(asked: &Fence) -> anyhow::Result<()> {
    let fences = load_fences(&asked.geofences)?;
    for note in &fences.notes.0 {
        eprintln!("{}", note.to_string().replacen("error[", "note[", 1));
    }
    let out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    match (&asked.asked.points, &asked.asked.fixes) {
        (Some(points), _) => points::pairs(&fences, points, &read(points)?, out),
        (None, Some(file)) => {
            let rules = asked.config.as_ref().map_or_else(|| Ok(GeofenceRules::default()), |c| super::load(c).map(|c| c.geofence))?;
            play(&fences, rules, &read(file)?, asked.explain, out)
        }
        (None, None) => Ok(()),
    }
}

fn play(fences: &PlainFences, rules: GeofenceRules, text: &[u8], explain: bool, mut out: impl Write) -> anyhow::Result<()> {
    let mut player = fixes::Player::new(fences, rules)?;
    for line in unmarked(text).split(|b| *b == b'\n').map(<[u8]>::trim_ascii) {
        if !line.is_empty() {
            player.line(line, explain, &mut out)?;
        }
    }
    player.finish(&mut out)?;
    out.flush()?;
    eprintln!("{}", player.summary());
    Ok(())
}

/// Without the byte order mark that some tools put in front.
fn unmarked(text: &[u8]) -> &[u8] {
    text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text)
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("{}: this file cannot be read; check its name and its permissions", file.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn explain_tells_what_was_crossed_and_whose_clock_was_ahead() {
        let fences = load_fences(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/geofence/shop-and-street.geojson")).unwrap();
        let line = |north: f64, tst: i64, received_at: i64| {
            let lat = 45.76193 + north / 111_195.0;
            json!({"_type": "location", "tid": "ca", "lat": lat, "lon": 4.83604, "acc": 10, "tst": tst, "received_at": received_at})
                .to_string()
        };
        let walk = [
            line(500.0, 1_795_168_800, 1_795_168_800),
            line(-500.0, 1_795_169_040, 1_795_169_040),
            line(-500.0, 1_795_170_000, 1_795_169_100),
        ];
        let mut out = Vec::new();
        play(&fences, GeofenceRules::default(), walk.join("\n").as_bytes(), true, &mut out).unwrap();
        let told: Vec<Value> = String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let crossed = |fence: &str| json!({"fence": fence, "p": 1.0});
        assert_eq!(told.len(), 5, "{told:?}");
        assert_eq!(told[1]["crossed"], json!([crossed("shop"), crossed("street")]));
        let line = json!({"phase": "cross", "fence": "shop", "installation": "ca", "at": 1_795_169_040, "first": 1_795_168_800,
            "last": 1_795_169_040, "p": 1.0, "accuracy_m": told[2]["accuracy_m"]});
        assert_eq!((&told[2], &told[3]["fence"]), (&line, &json!("street")));
        let times: Vec<_> = [0, 1, 4].map(|i| (told[i]["at"].clone(), told[i]["ahead_s"].clone())).into();
        assert_eq!(times, [(1_795_168_800, 0), (1_795_169_040, 0), (1_795_169_100, 900)].map(|(at, ahead)| (json!(at), json!(ahead))));
        assert_eq!((&told[4]["crossed"], &told[4]["outcome"]), (&json!([]), &json!("decided")));
    }
}
