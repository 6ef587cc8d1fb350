//! Where things stand in a picture, in tenths of a pixel: whole numbers, so that every machine draws the same.

use alloc::vec::Vec;
use core::{fmt, time::Duration};

/// How wide the picture is, in pixels.
pub(super) const WIDTH: u64 = 1100;
/// Where its text begins.
pub(super) const LEFT: u64 = 12;
/// How much room the times above the rows take.
pub(super) const TOP: u64 = 34;
/// How wide a character is in the type that is used, in tenths: 0.602 of its size is the most that such types take.
pub(super) const CELL: u64 = 73;

/// Where a picture stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::picture) enum Sort {
    /// In a file of its own: with its style and a heading.
    Alone,
    /// In a page that has both; its bars lead to the rows `#e1` and so on of that page.
    InPage,
}

/// Tenths of a pixel.
pub(super) struct Px(pub(super) u64);

impl fmt::Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 10 {
            0 => write!(f, "{}", self.0 / 10),
            tenth => write!(f, "{}.{tenth}", self.0 / 10),
        }
    }
}

/// How wide a text of so many columns is.
pub(super) fn text(cells: usize) -> u64 {
    u64::try_from(cells).unwrap_or(u64::MAX).saturating_mul(CELL)
}

/// Where the name of a node begins that is in so many branches.
pub(super) const fn indent(depth: u64) -> u64 {
    (LEFT + depth * 10) * 10
}

/// Where a time stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// Where the run begins, in tenths.
    pub(super) from: u64,
    /// Where it ends, in pixels.
    pub(super) to: u64,
    /// How long it took.
    pub(super) total: Duration,
}

impl Scale {
    /// Where this time stands, in tenths; all of a run that took no time stands at its beginning.
    pub(super) fn x(&self, at: Duration) -> u64 {
        let wide = u128::from(self.end().saturating_sub(self.from));
        let share = (at.min(self.total).as_nanos() * wide).checked_div(self.total.as_nanos()).unwrap_or(0);
        self.from.saturating_add(u64::try_from(share).unwrap_or(0))
    }

    /// Where the run ends, in tenths.
    pub(super) const fn end(&self) -> u64 {
        self.to * 10
    }

    /// The times to be named, from zero on and in eight steps at most: steps of one, two or five of some unit, and such of minutes and
    /// hours as a clock has.
    pub(super) fn ticks(&self) -> Vec<Duration> {
        const STEPS: u128 = 8;
        const CLOCK: [u128; 12] = [30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200];
        let total = self.total.as_nanos();
        let seconds = 1_000_000_000;
        let decimal = |unit| (0..20).flat_map(move |power| [1, 2, 5].map(|digit| unit * digit * 10_u128.pow(power)));
        let below = decimal(1).take_while(|step| *step < 30 * seconds);
        let mut steps = below.chain(CLOCK.map(|step| step * seconds)).chain(decimal(86_400 * seconds));
        let step = steps.find(|step| step * STEPS >= total).unwrap_or(u128::MAX);
        let times = (0..=STEPS).map(|count| count.saturating_mul(step)).take_while(|at| *at <= total);
        times
            .filter_map(|at| {
                let whole = u64::try_from(at / seconds).ok()?;
                Some(Duration::new(whole, u32::try_from(at % seconds).ok()?))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_few_and_round_ticks() {
        let ticks = |nanos| Scale { from: 0, to: 100, total: Duration::from_nanos(nanos) }.ticks();
        assert_eq!(ticks(0), [Duration::ZERO]);
        assert_eq!(ticks(7).len(), 8);
        // Eight steps have nine ends.
        assert_eq!(ticks(8).len(), 9);
        assert_eq!(ticks(9).len(), 5);
        assert_eq!(ticks(1_000_000_000).get(1), Some(&Duration::from_millis(200)));
        assert_eq!(ticks(1_900_000_000).last(), Some(&Duration::from_millis(1_500)));
        for (hours, step) in [(1, 10), (2, 15), (5, 60), (72, 12 * 60)] {
            let ticks = ticks(hours * 3_600_000_000_000);
            assert_eq!(ticks.get(1), Some(&Duration::from_secs(step * 60)), "{hours} h");
        }
        let endless = Scale { from: 0, to: 100, total: Duration::MAX };
        assert!(endless.ticks().len() <= 9);
        assert_eq!(endless.x(Duration::MAX), 1_000);
    }

    #[test]
    fn a_run_without_time_stands_at_its_beginning() {
        let scale = Scale { from: 50, to: 100, total: Duration::ZERO };
        assert_eq!(scale.x(Duration::from_secs(3)), 50);
    }
}
