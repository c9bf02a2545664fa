use super::*;

fn near(interval: Interval, low: f64, high: f64) {
    assert!((interval.low - low).abs() < 5e-5 && (interval.high - high).abs() < 5e-5, "{interval:?} is not {low} to {high}");
}

#[test]
fn shares_have_the_intervals_of_the_published_examples() {
    near(Share { yes: 81, of: 263 }.interval(), 0.2553, 0.3662);
    near(Share { yes: 15, of: 148 }.interval(), 0.0624, 0.1605);
    near(Share { yes: 0, of: 20 }.interval(), 0.0, 0.1611);
    near(Share { yes: 1, of: 29 }.interval(), 0.0061, 0.1718);
}

#[test]
fn differences_have_the_intervals_of_the_published_examples() {
    let share = |yes, of| Share { yes, of };
    near(share(56, 70).minus(share(48, 80)), 0.0524, 0.3339);
    near(share(9, 10).minus(share(3, 10)), 0.1705, 0.8090);
    near(share(5, 56).minus(share(0, 29)), -0.0381, 0.1926);
    near(share(10, 10).minus(share(0, 20)), 0.6791, 1.0);
    assert!(share(56, 70).minus(share(48, 80)).leaves_out_zero() && !share(5, 56).minus(share(0, 29)).leaves_out_zero());
}

proptest::proptest! {
    #[test]
    fn bounds_enclose_what_was_seen_and_turn_with_the_sides(of in 0_u32..2000, yes in 0.0_f64..=1.0, other in 0_u32..2000, its in 0.0_f64..=1.0) {
        let part = |of: u32, share: f64| Share { yes: (f64::from(of) * share).floor() as u32, of };
        let (a, b) = (part(of, yes), part(other, its));
        let one = a.interval();
        proptest::prop_assert!((0.0..=1.0).contains(&one.low) && one.low <= one.value && one.value <= one.high && one.high <= 1.0);
        let (there, back) = (a.minus(b), b.minus(a));
        proptest::prop_assert!(there.low <= there.value && there.value <= there.high);
        proptest::prop_assert!((there.low + back.high).abs() < 1e-12 && (there.high + back.low).abs() < 1e-12);
    }
}
