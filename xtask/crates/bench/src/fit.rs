//! How a quantity grows: the exponent of the power of the input's size that comes nearest.

use serde::Serialize;

/// How many of the largest sizes tell what becomes of the largest inputs.
const TOP: usize = 3;

/// The exponent, by least squares on logarithms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Exponent {
    /// Of all sizes.
    pub all: f64,
    /// Of the largest: what every start costs hides there no longer what each part of an input does.
    pub top: f64,
}

impl Exponent {
    /// Of pairs of a size and a value, the smallest size first; none if less than three of them are positive.
    pub(crate) fn of(points: &[(f64, f64)]) -> Option<Self> {
        let points: Vec<_> =
            points.iter().copied().filter(|(size, value)| *size > 0.0 && *value > 0.0).collect();
        let top = points.len().checked_sub(TOP)?;
        Some(Self { all: slope(&points), top: slope(&points[top..]) })
    }

    /// The greater.
    pub fn worst(&self) -> f64 {
        self.all.max(self.top)
    }
}

fn slope(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<_> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.iter().map(|_| 1.0).sum::<f64>();
    let mean = |pick: fn(&(f64, f64)) -> f64| logs.iter().map(pick).sum::<f64>() / count;
    let (x, y) = (mean(|it| it.0), mean(|it| it.1));
    let covariance: f64 = logs.iter().map(|it| (it.0 - x) * (it.1 - y)).sum();
    let variance: f64 = logs.iter().map(|it| (it.0 - x).powi(2)).sum();
    covariance / variance
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [f64; 6] = [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0];

    fn of(value: impl Fn(f64) -> f64) -> Exponent {
        Exponent::of(&SIZES.map(|size| (size, value(size)))).unwrap()
    }

    #[test]
    fn powers_have_their_exponents() {
        for power in [0.0, 0.5, 1.0, 1.5, 2.0] {
            let found = of(|size| 7.0 * size.powf(power));
            assert!(
                (found.all - power).abs() < 1e-9 && (found.top - power).abs() < 1e-9,
                "{power}: {found:?}"
            );
        }
        let sorting = of(|size| size * (size * 1000.0).ln());
        assert!(sorting.worst() > 1.05 && sorting.worst() < 1.15, "{sorting:?}");
    }

    /// Over all sizes it looks linear.
    #[test]
    fn a_square_shows_at_the_top_though_the_start_costs_much() {
        let found = of(|size| 10_000.0 + size.powi(2));
        assert!(found.all < 1.0 && found.top > 1.5 && found.worst() > 1.5, "{found:?}");
    }

    #[test]
    fn two_points_are_too_few() {
        assert_eq!(Exponent::of(&[(1.0, 1.0), (2.0, 2.0)]), None);
        assert_eq!(Exponent::of(&[(1.0, 1.0), (2.0, 2.0), (3.0, 0.0)]), None);
    }
}
