//! Shares with their intervals: Wilson's score interval for one, Newcombe's hybrid of two of them for a difference (Statistics in Medicine 17, 1998,
//! method 10 of the paper on differences, without correction of continuity). Pure.

/// A figure between the bounds that hold it in 95 of 100 repetitions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower bound.
    pub low: f64,
    /// What was seen.
    pub value: f64,
    /// The upper bound.
    pub high: f64,
}

impl Interval {
    /// True if the interval leaves out zero: the difference is not one of chance alone.
    pub fn leaves_out_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// How many of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Those of whom it is true.
    pub yes: u32,
    /// All.
    pub of: u32,
}

/// The 97.5 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

impl Share {
    /// The share with its interval; nothing is known of nobody.
    pub fn interval(self) -> Interval {
        if self.of == 0 {
            return Interval { low: 0.0, value: 0.0, high: 1.0 };
        }
        let (n, p) = (f64::from(self.of), f64::from(self.yes) / f64::from(self.of));
        let scale = 1.0 + Z * Z / n;
        let centre = (p + Z * Z / (2.0 * n)) / scale;
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt() / scale;
        // Where all or none say yes the bound is exact, and not what rounding makes of it.
        let low = if self.yes == 0 { 0.0 } else { (centre - half).max(0.0) };
        let high = if self.yes == self.of { 1.0 } else { (centre + half).min(1.0) };
        Interval { low, value: p, high }
    }

    /// How much larger this share is than the other one.
    pub fn minus(self, other: Self) -> Interval {
        let (a, b) = (self.interval(), other.interval());
        let value = a.value - b.value;
        let low = value - (a.value - a.low).hypot(b.high - b.value);
        let high = value + (a.high - a.value).hypot(b.value - b.low);
        Interval { low, value, high }
    }
}

#[cfg(test)]
mod tests;
