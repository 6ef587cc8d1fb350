//! Money: what calls cost, how much may be spent, and who has spent it.

mod fallback;
#[cfg(feature = "json")]
mod json;
mod known;
mod ledger;
mod limit;
mod model;
mod price;
mod pricing;
mod spend;
mod usage;
mod usd;

pub use fallback::{FALLBACKS_MAX, FallbackError, Fallbacks, ShareError};
pub(crate) use ledger::LEDGER_MAX;
pub use ledger::{Amount, Ledger, LedgerError, Remaining};
#[allow(unused_imports, reason = "the runner takes it up next")]
pub(crate) use ledger::{Recent, Scope};
pub use limit::{Budget, BudgetExceeded, Dimension, EmptyBudget, SpendError};
pub use model::{ModelName, UnknownModel};
pub use price::{Price, PricingError, PricingErrorKind};
pub use pricing::{OWN_PRICES_MAX, Pricing};
pub use spend::{Accounts, Reservation, Spender};
pub use usage::Usage;
pub use usd::{Usd, UsdError};
