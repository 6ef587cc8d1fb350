//! Money: what calls cost, how much may be spent, and who has spent it.

mod accounts;
mod ahead;
mod amount;
mod decimal;
mod fallback;
#[cfg(feature = "json")]
mod json;
mod known;
mod ledger;
mod limit;
mod model;
mod pool;
mod price;
mod pricing;
mod spend;
mod usage;
mod usd;

pub use accounts::{Accounts, AccountsError};
pub use ahead::AheadReservation;
pub(crate) use ahead::Writing as WritingAhead;
pub use amount::{Amount, Remaining};
pub use decimal::UsdError;
pub use fallback::{FALLBACKS_MAX, FallbackError, Fallbacks, ShareError};
pub(crate) use ledger::{AheadHere, INNER as INNER_BUDGETS_MAX, LEDGER_MAX, SHORT};
pub use ledger::{Ledger, LedgerError, Scope};
pub use limit::{Budget, BudgetExceeded, Dimension, EmptyBudget, LEDGERS, SpendError};
pub use model::{ModelName, UnknownModel};
pub use pool::Ledgers;
pub(crate) use pool::Lent;
pub use price::{Price, PricingError, PricingErrorKind};
pub use pricing::{OWN_PRICES_MAX, Pricing};
pub use spend::{Reservation, Spender};
pub use usage::Usage;
pub use usd::Usd;
