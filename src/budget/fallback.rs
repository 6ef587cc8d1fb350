//! Which model to use when money gets short.

use super::{model::ModelName, usd::Usd};

/// How many rules there can be.
pub const FALLBACKS_MAX: usize = 8;

/// A whole in the unit that shares are counted in.
const WHOLE: u32 = 1_000_000;

/// Rules by which a cheaper model takes the place of another once a share of the money budget is spent.
///
/// ```
/// use stroma::{Fallbacks, Usd};
///
/// let rules = Fallbacks::none().with("big", "small", 0.8)?.with("small", "tiny", 0.95)?;
/// let limit = Some(Usd::dollars(1));
/// assert_eq!(rules.model("big", Usd::cents(79), limit), "big");
/// assert_eq!(rules.model("big", Usd::cents(80), limit), "small");
/// assert_eq!(rules.model("big", Usd::cents(95), limit), "tiny");
/// assert_eq!(rules.model("big", Usd::cents(95), None), "big");
/// # Ok::<(), stroma::FallbackError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fallbacks(heapless::Vec<Rule, FALLBACKS_MAX>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    from: ModelName,
    to: ModelName,
    /// The share in millionths.
    at: u32,
}

impl Fallbacks {
    /// No rules: each model is the one that was asked for.
    pub const fn none() -> Self {
        Self(heapless::Vec::new())
    }

    /// From the share `at` on (0 to 1, kept to a millionth) of the money budget, `to` takes the place of `from`.
    ///
    /// Rules follow each other: what `to` falls back to counts too. Of several for one model that with the highest share that is
    /// reached is taken, and none is taken twice.
    ///
    /// # Errors
    /// When the share is not one, when a model would take its own place, when there are two rules for one model and share,
    /// or when there are [`FALLBACKS_MAX`] rules already.
    pub fn with(
        mut self,
        from: impl Into<ModelName>,
        to: impl Into<ModelName>,
        at: f64,
    ) -> Result<Self, FallbackError> {
        let rule = Rule { from: from.into(), to: to.into(), at: millionths(at)? };
        if rule.from.as_str().is_empty() || rule.to.as_str().is_empty() {
            return Err(FallbackError::EmptyModel);
        }
        if rule.from == rule.to {
            return Err(FallbackError::Itself { model: rule.from });
        }
        if self.0.iter().any(|other| other.from == rule.from && other.at == rule.at) {
            return Err(FallbackError::Duplicate { model: rule.from });
        }
        self.0.push(rule).map_err(|_| FallbackError::Full)?;
        Ok(self)
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The model to use in place of `wanted` when so much of the limit is spent. Without a limit it is always `wanted`.
    pub fn model<'m>(&'m self, wanted: &'m str, spent: Usd, limit: Option<Usd>) -> &'m str {
        self.at(wanted, limit.map(|limit| share(spent, limit)))
    }

    /// The model to use when so many millionths of a limit are spent.
    pub(super) fn at<'m>(&'m self, wanted: &'m str, spent: Option<u32>) -> &'m str {
        let Some(spent) = spent else { return wanted };
        let mut taken = [false; FALLBACKS_MAX];
        let mut model = wanted;
        // Each turn takes a rule, so there are at most as many as rules.
        for _ in 0..FALLBACKS_MAX {
            let next = self
                .0
                .iter()
                .zip(&mut taken)
                .filter(|(rule, taken)| !**taken && rule.from.as_str() == model && spent >= rule.at)
                .max_by_key(|(rule, _)| rule.at);
            let Some((rule, taken)) = next else { break };
            *taken = true;
            model = rule.to.as_str();
        }
        model
    }
}

/// How many millionths of `limit` are spent, rounded down: whole millionths are reached exactly when they are here.
pub(super) fn share(spent: Usd, limit: Usd) -> u32 {
    let millionths = u128::from(spent.as_picodollars()) * u128::from(WHOLE);
    let limit = u128::from(limit.as_picodollars());
    millionths.checked_div(limit).and_then(|share| u32::try_from(share).ok()).unwrap_or(u32::MAX)
}

/// Takes a share as it is written, to the nearest millionth. Not accounting: what is spent is never a float.
fn millionths(at: f64) -> Result<u32, ShareError> {
    if !at.is_finite() {
        return Err(ShareError::NotFinite);
    }
    if !(0.0..=1.0).contains(&at) {
        return Err(ShareError::Outside);
    }
    // Between zero and a million, so the cast keeps it.
    Ok((at * f64::from(WHOLE) + 0.5) as u32)
}

/// Why a number is not a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShareError {
    /// It is infinite, or `NaN`.
    #[error("the share of the budget is not finite: give one from 0 to 1, such as 0.8")]
    NotFinite,
    /// It is below zero or above one.
    #[error("the share of the budget is not between 0 and 1: 80 percent is 0.8")]
    Outside,
}

/// Why a fallback rule is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FallbackError {
    /// Its share is not one.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// A model has no name.
    #[error("a fallback rule has a model without a name: give both models the names that their calls use")]
    EmptyModel,
    /// A model would take its own place.
    #[error("a fallback rule puts `{model}` in the place of itself: name a cheaper one")]
    Itself {
        /// The model.
        model: ModelName,
    },
    /// There is a rule for this model and share.
    #[error("two fallback rules for `{model}` are for the same share: leave one out, or give it another share")]
    Duplicate {
        /// The model.
        model: ModelName,
    },
    /// There is no room for another rule.
    #[error("there is room for {FALLBACKS_MAX} fallback rules: leave some out")]
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Option<Usd> = Some(Usd::picodollars(1_000));

    fn at(rules: &Fallbacks, model: &'static str, spent: u64) -> &'static str {
        let found = rules.model(model, Usd::picodollars(spent), LIMIT);
        ["big", "small", "tiny", "other"].into_iter().find(|name| *name == found).unwrap()
    }

    #[test]
    fn a_chain_is_followed_each_rule_from_exactly_its_share_on() {
        let rules = Fallbacks::none().with("big", "small", 0.8).unwrap().with("small", "tiny", 0.95).unwrap();
        for (spent, big, small) in
            [(0, "big", "small"), (799, "big", "small"), (800, "small", "small"), (949, "small", "small")]
        {
            assert_eq!((at(&rules, "big", spent), at(&rules, "small", spent)), (big, small), "{spent}");
        }
        for spent in [950, 1_000, 5_000, u64::MAX] {
            assert_eq!((at(&rules, "big", spent), at(&rules, "small", spent)), ("tiny", "tiny"), "{spent}");
        }
        assert_eq!(at(&rules, "other", 5_000), "other");
        assert_eq!(rules.model("big", Usd::MAX, None), "big");
    }

    #[test]
    fn a_circle_ends() {
        let rules = Fallbacks::none().with("big", "small", 0.5).unwrap().with("small", "big", 0.9).unwrap();
        assert_eq!(at(&rules, "big", 500), "small");
        assert_eq!(at(&rules, "big", 900), "big");
        assert_eq!(at(&rules, "small", 900), "small");
    }

    #[test]
    fn of_several_rules_for_a_model_the_highest_share_counts() {
        let rules = Fallbacks::none().with("big", "tiny", 0.9).unwrap().with("big", "small", 0.5).unwrap();
        assert_eq!([499, 500, 899, 900].map(|spent| at(&rules, "big", spent)), ["big", "small", "small", "tiny"]);
    }

    #[test]
    fn shares_are_exact() {
        // A third of the largest budget, and one picodollar less.
        let rules = Fallbacks::none().with("big", "small", 0.333_333).unwrap();
        let limit = Usd::picodollars(3_000_000);
        assert_eq!(rules.model("big", Usd::picodollars(999_998), Some(limit)), "big");
        assert_eq!(rules.model("big", Usd::picodollars(999_999), Some(limit)), "small");
        let half = Fallbacks::none().with("big", "small", 0.5).unwrap();
        assert_eq!(half.model("big", Usd::picodollars(u64::MAX / 2), Some(Usd::MAX)), "big");
        assert_eq!(half.model("big", Usd::picodollars(u64::MAX / 2 + 1), Some(Usd::MAX)), "small");
        let (first, last) = (Fallbacks::none().with("big", "small", 0.0), Fallbacks::none().with("big", "small", 1.0));
        assert_eq!(at(&first.unwrap(), "big", 0), "small");
        let last = last.unwrap();
        assert_eq!((at(&last, "big", 999), at(&last, "big", 1_000)), ("big", "small"));
    }

    #[test]
    fn bad_rules_are_refused_with_the_reason() {
        for (share, error) in [
            (f64::NAN, ShareError::NotFinite),
            (f64::INFINITY, ShareError::NotFinite),
            (f64::NEG_INFINITY, ShareError::NotFinite),
            (-0.1, ShareError::Outside),
            (1.000_001, ShareError::Outside),
            (80.0, ShareError::Outside),
        ] {
            assert_eq!(Fallbacks::none().with("big", "small", share), Err(error.into()));
        }
        assert_eq!(Fallbacks::none().with("big", "big", 0.8), Err(FallbackError::Itself { model: "big".into() }));
        assert_eq!(Fallbacks::none().with("", "big", 0.8), Err(FallbackError::EmptyModel));
        assert_eq!(Fallbacks::none().with("big", "", 0.8), Err(FallbackError::EmptyModel));
        let mut rules = Fallbacks::none();
        assert!(rules.is_empty());
        for share in 1..=8 {
            rules = rules.with("big", "small", f64::from(share) / 10.0).unwrap();
        }
        assert_eq!(rules.clone().with("big", "small", 0.9), Err(FallbackError::Full));
        assert_eq!(rules.with("big", "tiny", 0.1), Err(FallbackError::Duplicate { model: "big".into() }));
    }
}
