//! `[geofence]` of a gateway's file: when a position is inside.

use std::time::Duration;

use crate::{collect::mistake, model::GeofenceRules, reader::Field};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Reads the rules; what is left out stays as it is by default.
pub(crate) fn rules(f: Field<'_>) -> Option<GeofenceRules> {
    let r = f.table()?;
    let d = GeofenceRules::default();
    let rules = GeofenceRules {
        enter_p: r.or("enter_p", d.enter_p, |f| f.share()),
        exit_p: r.or("exit_p", d.exit_p, |f| f.share()),
        exit_fixes: r.or("exit_fixes", d.exit_fixes, |f| f.whole(1, 100)),
        exit_after: r.or("exit_after", d.exit_after, |f| f.duration(SECOND, HOUR)),
        max_accuracy_m: r.or("max_accuracy_m", d.max_accuracy_m, |f| f.number(1.0, 5000.0)),
        untold_accuracy_m: r.or("untold_accuracy_m", d.untold_accuracy_m, |f| f.number(1.0, 5000.0)),
        coarsest_radii: r.or("coarsest_radii", d.coarsest_radii, |f| f.number(0.1, 100.0)),
        max_speed_kmh: r.or("max_speed_kmh", d.max_speed_kmh, |f| f.number(1.0, 1000.0)),
        speed_within: r.or("speed_within", d.speed_within, |f| f.duration(SECOND, HOUR)),
        cross_within: r.or("cross_within", d.cross_within, |f| f.duration(SECOND, HOUR)),
        jump_m: r.or("jump_m", d.jump_m, |f| f.number(10.0, 1_000_000.0)),
        jump_kmh: r.or("jump_kmh", d.jump_kmh, |f| f.number(10.0, 10_000.0)),
        jump_fixes: r.or("jump_fixes", d.jump_fixes, |f| f.whole(1, 100)),
        fresh: r.or("fresh", d.fresh, |f| f.duration(SECOND, HOUR)),
        reorder: r.or("reorder", d.reorder, |f| f.duration(Duration::ZERO, HOUR)),
        silence: r.or("silence", d.silence, |f| f.duration(SECOND, 24 * HOUR)),
        far_m: r.or("far_m", d.far_m, |f| f.number(10.0, 100_000.0)),
        around_hours: r.or("around_hours", d.around_hours, |f| f.duration(Duration::ZERO, 24 * HOUR)),
    };
    if rules.exit_p >= rules.enter_p
        && let Some(f) = r.find("exit_p").or_else(|| r.find("enter_p"))
    {
        f.refuse::<()>(mistake("P008", "`exit_p` must be below `enter_p`", "a phone would flap", "keep them apart, such as 0.25 and 0.75"));
    }
    r.done();
    Some(rules)
}
