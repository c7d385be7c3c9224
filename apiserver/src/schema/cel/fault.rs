//! Why a rule has no result.

/// What went wrong while a rule ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An error of the rule, which `||` and `&&` may make irrelevant.
    Error(String),
    /// The rule took more steps than a rule may.
    Exhausted,
}

impl Fault {
    pub(crate) fn error(text: &str) -> Self {
        Self::Error(text.to_owned())
    }

    /// No function of this name takes these values.
    pub(crate) fn overload() -> Self {
        Self::error("no such overload")
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Error(text) => f.write_str(text),
            Self::Exhausted => f.write_str("operation cancelled: actual cost limit exceeded"),
        }
    }
}
