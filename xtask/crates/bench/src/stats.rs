//! How much B differs from A, and how sure that is.
//!
//! Measurements come in pairs: an A and a B that ran one after the other, so that what slowed the machine for minutes
//! slowed both. The ratio is the Hodges-Lehmann estimate of the pairs' log ratios, and its interval is the exact one of
//! Wilcoxon's signed-rank test (Hollander, Wolfe: Nonparametric Statistical Methods, 3.2 and 3.3). Neither supposes that
//! noise is normal, and one wild pair of fifteen moves neither by much.

use serde::Serialize;

/// How sure an interval is meant to be; it is at least that.
const CONFIDENCE: f64 = 0.95;

/// The middle, and how far it goes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    pub(crate) fn of(values: &[f64]) -> Self {
        let min = values.iter().copied().fold(f64::INFINITY, f64::min);
        let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Self { median: median(values), min, max }
    }
}

/// B divided by A.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// The estimate.
    pub ratio: f64,
    /// The ends of the interval in which the true one is; without it where there are too few pairs for any.
    pub interval: Option<(f64, f64)>,
}

/// What can be said of a ratio and a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The whole interval is within the limit.
    Within,
    /// The whole interval is over it.
    Over,
    /// The limit is in the interval: the noise is too large, or the pairs too few, to judge.
    Unsure,
}

impl Ratio {
    /// Of pairs of an A and a B.
    pub(crate) fn of(a: &[f64], b: &[f64]) -> Self {
        let logs: Vec<f64> = a.iter().zip(b).map(|(a, b)| (b / a).ln()).collect();
        let walsh = walsh_averages(&logs);
        let interval = rank(logs.len()).and_then(|rank| {
            let (low, high) = (walsh.get(rank)?, walsh.get(walsh.len() - 1 - rank)?);
            Some((low.exp(), high.exp()))
        });
        Self { ratio: median(&walsh).exp(), interval }
    }

    /// Is B at most so many times A?
    pub(crate) fn verdict(&self, limit: f64) -> Verdict {
        match self.interval {
            Some((_, high)) if high <= limit => Verdict::Within,
            Some((low, _)) if low > limit => Verdict::Over,
            _ => Verdict::Unsure,
        }
    }
}

/// The median; of two middle ones, their mean. NaN if there are none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The means of each value with itself and each other one, sorted.
fn walsh_averages(values: &[f64]) -> Vec<f64> {
    let pairs =
        values.iter().enumerate().flat_map(|(at, a)| values[at..].iter().map(|b| f64::midpoint(*a, *b)));
    let mut all: Vec<f64> = pairs.collect();
    all.sort_by(f64::total_cmp);
    all
}

/// How many Walsh averages at either end are outside the interval, of `n` values: the most that keep the confidence. None
/// if even the whole range has less; that is so below six.
fn rank(n: usize) -> Option<usize> {
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let mut below = 0.0;
    let mut outside = None;
    for (rank, probability) in signed_rank(n).into_iter().enumerate() {
        below += probability;
        if below > tail {
            break;
        }
        outside = Some(rank);
    }
    outside
}

/// The distribution of Wilcoxon's signed-rank sum of `n` values: the probability of each sum from 0 to n(n+1)/2, where
/// each rank counts or not, one as likely as the other.
fn signed_rank(n: usize) -> Vec<f64> {
    let mut chances = vec![1.0];
    for rank in 1..=n {
        let mut next = vec![0.0; chances.len() + rank];
        for (sum, chance) in chances.iter().enumerate() {
            next[sum] += chance / 2.0;
            next[sum + rank] += chance / 2.0;
        }
        chances = next;
    }
    chances
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn medians() {
        assert_eq!(Summary::of(&[3.0, 1.0, 2.0]), Summary { median: 2.0, min: 1.0, max: 3.0 });
        assert!((median(&[4.0, 1.0]) - 2.5).abs() < 1e-12);
        assert!(median(&[]).is_nan());
    }

    /// Of tables of critical values (two-sided, 0.05): 0 at n=6, 2 at 7, 3 at 8, 5 at 9, 8 at 10, 25 at 15, 52 at 20.
    #[test]
    fn ranks_are_those_of_the_tables() {
        let table = [(5, None), (6, Some(0)), (7, Some(2)), (8, Some(3)), (9, Some(5)), (10, Some(8))];
        assert_eq!(table.map(|(n, _)| (n, rank(n))), table);
        assert_eq!((rank(15), rank(20)), (Some(25), Some(52)));
        assert_eq!(rank(0), None);
    }

    #[test]
    fn five_pairs_are_too_few_and_six_are_not() {
        let pairs = |n: usize| Ratio::of(&vec![1.0; n], &vec![1.1; n]);
        assert_eq!((pairs(5).interval, pairs(5).verdict(1.05)), (None, Verdict::Unsure));
        assert_eq!(pairs(6).verdict(1.05), Verdict::Over);
        assert_eq!(pairs(6).verdict(1.11), Verdict::Within);
        assert!((pairs(6).ratio - 1.1).abs() < 1e-12);
    }

    #[test]
    fn noise_across_the_limit_gives_no_verdict() {
        let ratio = Ratio::of(&[1.0; 8], &[0.9, 1.1, 1.0, 1.2, 0.95, 1.15, 1.02, 1.08]);
        assert_eq!(ratio.verdict(1.05), Verdict::Unsure);
    }

    /// Of ten the estimate does not follow it, and of fifteen neither does the interval.
    #[test]
    fn one_wild_pair_is_not_believed() {
        let with_wild = |n: usize| {
            let mut b: Vec<f64> = (0..n).map(|at| [0.99, 1.0, 1.01][at % 3]).collect();
            b[3] = 5.0;
            Ratio::of(&vec![1.0; n], &b)
        };
        let (ten, fifteen) = (with_wild(10), with_wild(15));
        assert!((ten.ratio - 1.0).abs() < 0.02, "{ten:?}");
        assert_eq!((ten.verdict(1.05), fifteen.verdict(1.05)), (Verdict::Unsure, Verdict::Within));
    }

    proptest! {
        #[test]
        fn the_estimate_is_in_its_interval_and_swapping_inverts_it(
            pairs in prop::collection::vec((0.1_f64..10.0, 0.1_f64..10.0), 6..20)
        ) {
            let (a, b): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            let (there, back) = (Ratio::of(&a, &b), Ratio::of(&b, &a));
            let (low, high) = there.interval.unwrap();
            prop_assert!(low <= there.ratio && there.ratio <= high);
            prop_assert!((there.ratio * back.ratio - 1.0).abs() < 1e-9);
            prop_assert!((low * back.interval.unwrap().1 - 1.0).abs() < 1e-9);
        }
    }

    /// The interval must hold the truth as often as it says: 20,000 times ten pairs of noise that is not normal.
    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says() {
        let mut state = 1_u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from(u32::try_from(state >> 33).unwrap()) / f64::from(1_u32 << 31)
        };
        let mut held = 0;
        for _ in 0..20_000 {
            let mut noise = || (0..10).map(|_| (0.3 * uniform().powi(3)).exp()).collect::<Vec<_>>();
            let (a, b) = (noise(), noise().iter().map(|value| value * 1.07).collect::<Vec<_>>());
            let (low, high) = Ratio::of(&a, &b).interval.unwrap();
            held += i32::from(low <= 1.07 && 1.07 <= high);
        }
        assert!((18_900..=19_150).contains(&held), "{held} of 20,000");
    }
}
