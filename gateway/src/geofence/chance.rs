//! From a signed distance and an accuracy radius to a probability of being inside.

/// An accuracy radius holds 68 % of a round two-dimensional normal distribution; its sigma per axis is that radius divided by this.
const RADIUS_68_IN_SIGMAS: f64 = 1.515;
/// No phone is more exact than this, whatever it says.
const FINEST_M: f64 = 1.0;

/// Probability of being inside a fence, for the two questions that are asked of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Chance {
    /// For coming in: never more than the share of the accuracy circle that the fence could fill, so that a coarse fix proves nothing.
    pub(super) enter: f64,
    /// For staying in and for leaving: without that cap, so that poor accuracy alone never ends a stay.
    pub(super) stay: f64,
}

impl Chance {
    /// `inside_m` is the distance to the border in metres, positive inside; `accuracy_m` the 68 % radius; `area_m2` that of the fence.
    pub(super) fn of(inside_m: f64, accuracy_m: f64, area_m2: f64) -> Self {
        let stay = phi(inside_m * RADIUS_68_IN_SIGMAS / accuracy_m.max(FINEST_M));
        Self { enter: stay.min(Self::most_to_enter(accuracy_m, area_m2)), stay }
    }

    /// The share of the accuracy circle that a fence of this area could fill: no place in it gives more for coming in.
    pub(super) fn most_to_enter(accuracy_m: f64, area_m2: f64) -> f64 {
        let accuracy_m = accuracy_m.max(FINEST_M);
        area_m2 / (std::f64::consts::PI * accuracy_m * accuracy_m)
    }
}

/// The standard normal distribution function; Abramowitz and Stegun 7.1.26, error below 2e-7.
fn phi(z: f64) -> f64 {
    const A: [f64; 5] = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let tail = A.iter().rev().fold(0.0, |sum, a| (sum + a) * t) * (-x * x).exp();
    if z < 0.0 { tail / 2.0 } else { 1.0 - tail / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phi_has_the_values_of_the_tables() {
        for (z, p) in [(0.0, 0.5), (1.0, 0.841_345), (-1.0, 0.158_655), (0.674_49, 0.75), (-0.674_49, 0.25), (2.0, 0.977_25), (-6.0, 0.0)] {
            assert!((phi(z) - p).abs() < 1e-5, "phi({z}) = {}", phi(z));
        }
    }

    #[test]
    fn on_the_border_it_is_even_odds() {
        assert!((Chance::of(0.0, 20.0, 1e6).stay - 0.5).abs() < 1e-6);
    }

    #[test]
    fn a_circle_of_200_m_cannot_prove_a_fence_of_60_m() {
        let area = std::f64::consts::PI * 60.0 * 60.0;
        let chance = Chance::of(60.0, 200.0, area);
        assert!((chance.enter - 0.09).abs() < 1e-9);
        assert!(chance.stay > 0.5);
    }
}
