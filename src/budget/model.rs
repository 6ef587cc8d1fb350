//! The names of models.

use core::fmt;

use crate::text::Words;

/// Text that is static or, with a heap, owned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Label(
    #[cfg(feature = "alloc")] pub(super) alloc::borrow::Cow<'static, str>,
    #[cfg(not(feature = "alloc"))] pub(super) &'static str,
);

impl Label {
    pub(super) fn as_str(&self) -> &str {
        #[cfg(feature = "alloc")]
        return &self.0;
        #[cfg(not(feature = "alloc"))]
        return self.0;
    }
}

/// The name of a model in a price table or a fallback rule: a `&'static str` or, with feature `alloc`, a `String`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelName(Label);

impl ModelName {
    /// The name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl From<&'static str> for ModelName {
    fn from(name: &'static str) -> Self {
        #[cfg(feature = "alloc")]
        return Self(Label(alloc::borrow::Cow::Borrowed(name)));
        #[cfg(not(feature = "alloc"))]
        return Self(Label(name));
    }
}

#[cfg(feature = "alloc")]
impl From<alloc::string::String> for ModelName {
    fn from(name: alloc::string::String) -> Self {
        Self(Label(name.into()))
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The model of a call that has no price. Without a heap its name is cut to 40 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownModel(Option<Words>);

impl UnknownModel {
    pub(super) fn of(model: Option<&str>) -> Self {
        Self(model.map(Words::of))
    }

    /// Its name, or `None` where none was given.
    pub fn name(&self) -> Option<&str> {
        self.0.as_ref().map(Words::as_str)
    }
}

impl fmt::Display for UnknownModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(
                f,
                "model `{name}` has no price, and the budget limits money: give it one with `Pricing::with`, or the call its \
                 cost with `Usage::with_cost`"
            ),
            None => f.write_str(
                "a call names neither its model nor its cost, and the budget limits money: use `Usage::of(model)` or \
                 `Usage::with_cost`",
            ),
        }
    }
}
