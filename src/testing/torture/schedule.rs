//! What is to go wrong, and where.

use alloc::{format, string::String, vec, vec::Vec};
use core::{error, fmt, str::FromStr};

use super::super::parts::Random;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    // At a poll of the run's future.
    Kill,
    Rival,
    Jump,
    // At an operation of the store.
    DieBefore,
    DieAfter,
    Torn,
    TornLater,
    Short,
    Flip,
    Lose,
    Late,
    Later,
    Unavailable,
    Busy,
    Fenced,
    Unsure,
    Twice,
    Takeover,
}

use Fault::{
    Busy, DieAfter, DieBefore, Fenced, Flip, Jump, Kill, Late, Later, Lose, Rival, Short, Takeover, Torn, TornLater,
    Twice, Unavailable, Unsure,
};

const NAMES: [(Fault, &str); 18] = [
    (Kill, "kill"),
    (Rival, "rival"),
    (Jump, "jump"),
    (DieBefore, "die-before"),
    (DieAfter, "die-after"),
    (Torn, "torn"),
    (TornLater, "torn-later"),
    (Short, "short"),
    (Flip, "flip"),
    (Lose, "lose"),
    (Late, "late"),
    (Later, "later"),
    (Unavailable, "unavailable"),
    (Busy, "busy"),
    (Fenced, "fenced"),
    (Unsure, "unsure"),
    (Twice, "twice"),
    (Takeover, "takeover"),
];

impl Fault {
    pub(super) const AT_POLLS: [Self; 3] = [Kill, Rival, Jump];

    fn name(self) -> &'static str {
        NAMES.iter().find(|(fault, _)| *fault == self).map_or("", |(_, name)| name)
    }
}

/// What a store is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Open,
    Put,
    PutLedger,
    Load,
    Discard,
}

impl Op {
    /// What can go wrong with it.
    pub(super) fn faults(self) -> &'static [Fault] {
        match self {
            Self::Open => &[DieBefore, DieAfter, Torn, TornLater, Late, Later, Unavailable, Busy],
            Self::Put => &[
                DieBefore,
                DieAfter,
                Torn,
                TornLater,
                Short,
                Flip,
                Lose,
                Late,
                Later,
                Unavailable,
                Fenced,
                Unsure,
                Twice,
                Takeover,
            ],
            Self::PutLedger | Self::Discard => {
                &[DieBefore, DieAfter, Torn, TornLater, Lose, Late, Later, Unavailable, Fenced, Unsure, Twice, Takeover]
            }
            Self::Load => &[DieBefore, Late, Later, Unavailable],
        }
    }
}

/// Where it goes wrong, counted from 1 over all lives of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// After this poll.
    Poll(usize),
    /// With this operation.
    Op(usize),
}

/// What goes wrong with a run, and where: its text can be given to [`Torture::replay`](super::Torture::replay).
///
/// ```
/// use stroma::testing::Schedule;
///
/// let schedule: Schedule = "op 3 die-before, poll 9 kill, by-input".parse()?;
/// assert_eq!(schedule.to_string(), "op 3 die-before, poll 9 kill, by-input");
/// assert!("op 3 explode".parse::<Schedule>().is_err());
/// # Ok::<(), stroma::testing::ScheduleError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    pub(super) faults: Vec<(At, Fault)>,
    /// Each operation of the store takes a poll.
    pub(super) slow: bool,
    /// Later lives begin as the first one does, with the input, and do not resume.
    pub(super) by_input: bool,
}

impl Schedule {
    pub(super) fn undisturbed(slow: bool) -> Self {
        Self { slow, ..Self::default() }
    }

    /// All schedules of one fault, in a run with these operations and so many polls.
    pub(super) fn singles(slow: bool, ops: &[Op], polls: usize) -> Vec<Self> {
        let at_ops =
            ops.iter().enumerate().flat_map(|(at, op)| op.faults().iter().map(move |fault| (At::Op(at + 1), *fault)));
        let at_polls = (1..=polls).flat_map(|at| Fault::AT_POLLS.map(|fault| (At::Poll(at), fault)));
        let mut all = at_ops
            .chain(at_polls)
            .flat_map(|one| [false, true].map(|by_input| Self { faults: vec![one], slow, by_input }))
            .collect::<Vec<_>>();
        // The simple ones come first, and what only a store that breaks its word can do comes last.
        all.sort_by_key(|one| match one.faults[..] {
            [(_, Short | Flip | Lose)] => 2,
            [(_, Takeover | Rival)] => 1,
            _ => 0,
        });
        all
    }

    /// One of several faults, in a run of about so many operations and polls.
    pub(super) fn random(seed: u64, ops: usize, polls: usize) -> Self {
        let mut random = Random::new(seed);
        let count = 2 + random.below(3);
        let mut faults: Vec<(At, Fault)> = Vec::new();
        while faults.len() < count {
            let (at, all) = if random.below(3) == 0 {
                (At::Poll(1 + random.below(2 * polls + 2)), &Fault::AT_POLLS[..])
            } else {
                (At::Op(1 + random.below(2 * ops + 2)), Op::Put.faults())
            };
            if let Some(fault) = all.get(random.below(all.len()))
                && faults.iter().all(|(other, _)| *other != at)
            {
                faults.push((at, *fault));
            }
        }
        faults.sort_by_key(|(at, _)| match at {
            At::Op(at) => (0, *at),
            At::Poll(at) => (1, *at),
        });
        Self { faults, slow: random.below(2) == 0, by_input: random.below(2) == 0 }
    }

    /// Schedules that are simpler than this one, the simplest first.
    pub(super) fn simpler(&self) -> Vec<Self> {
        let mut all = Vec::new();
        for at in 0..self.faults.len() {
            let mut less = self.clone();
            less.faults.remove(at);
            all.push(less);
        }
        if self.slow {
            all.push(Self { slow: false, ..self.clone() });
        }
        if self.by_input {
            all.push(Self { by_input: false, ..self.clone() });
        }
        for (number, (at, fault)) in self.faults.iter().enumerate() {
            let (Self { slow, by_input, .. }, mut faults) = (self, self.faults.clone());
            faults.remove(number);
            let mut change = |one: (At, Fault)| {
                let mut faults = faults.clone();
                faults.insert(number, one);
                all.push(Self { faults, slow: *slow, by_input: *by_input });
            };
            match fault {
                Later => change((*at, Late)),
                TornLater => change((*at, Torn)),
                _ => {}
            }
            match *at {
                At::Op(at) => (1..at).for_each(|earlier| change((At::Op(earlier), *fault))),
                At::Poll(at) => (1..at).for_each(|earlier| change((At::Poll(earlier), *fault))),
            }
        }
        all
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (at, fault) in &self.faults {
            parts.push(match at {
                At::Op(at) => format!("op {at} {}", fault.name()),
                At::Poll(at) => format!("poll {at} {}", fault.name()),
            });
        }
        parts.extend(self.slow.then(|| String::from("slow")));
        parts.extend(self.by_input.then(|| String::from("by-input")));
        f.write_str(if parts.is_empty() { "undisturbed" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let mut schedule = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let error = || ScheduleError { part: part.into() };
            let words = part.split(' ').collect::<Vec<_>>();
            match words[..] {
                ["undisturbed"] => {}
                ["slow"] => schedule.slow = true,
                ["by-input"] => schedule.by_input = true,
                [place, number, name] => {
                    let number = number.parse().map_err(|_| error())?;
                    let fault =
                        NAMES.iter().find(|(_, known)| *known == name).map(|(fault, _)| *fault).ok_or_else(error)?;
                    let at = match (place, Fault::AT_POLLS.contains(&fault)) {
                        ("op", false) => At::Op(number),
                        ("poll", true) => At::Poll(number),
                        _ => return Err(error()),
                    };
                    schedule.faults.push((at, fault));
                }
                _ => return Err(error()),
            }
        }
        Ok(schedule)
    }
}

/// A text that is no schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleError {
    part: String,
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no part of a schedule: `op <number> <fault>`, `poll <number> <fault>`, `slow`, `by-input`",
            self.part
        )
    }
}

impl error::Error for ScheduleError {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn whatever_has_a_name_goes_wrong_somewhere() {
        let ops = [Op::Open, Op::Put, Op::PutLedger, Op::Load, Op::Discard];
        let all = Schedule::singles(false, &ops, 1);
        for (fault, name) in NAMES {
            assert!(all.iter().any(|schedule| schedule.faults.iter().any(|(_, one)| *one == fault)), "{name}");
            assert!(Op::Put.faults().contains(&fault) || fault == Busy || Fault::AT_POLLS.contains(&fault), "{name}");
        }
        assert_eq!(all.len(), 2 * (ops.iter().map(|op| op.faults().len()).sum::<usize>() + 3));
    }

    #[test]
    fn a_seed_is_always_the_same_schedule_and_what_is_simpler_comes_to_an_end() {
        for seed in 0..200 {
            let mut schedule = Schedule::random(seed, 8, 12);
            assert_eq!(schedule, Schedule::random(seed, 8, 12));
            assert!((2..=4).contains(&schedule.faults.len()));
            assert_eq!(schedule.to_string().parse(), Ok(schedule.clone()));
            let mut steps = 0;
            while let Some(simpler) = schedule.simpler().into_iter().next_back() {
                schedule = simpler;
                steps += 1;
                assert!(steps < 1_000);
            }
            assert_eq!(schedule, Schedule::default());
        }
    }
}
