//! The safety rules by name. Under test one of them can be switched off, to prove that the simulation notices; a program
//! that users run has no switch.

/// A safety rule of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// What is given up is given up by a tombstone, and a Task's name stays taken for a while.
    F1,
    /// Only who has just made an authorising write creates a Pod.
    F2,
    /// "No Pod" is believed only after the whole wait.
    F3,
    /// Names are never used twice.
    F4,
    /// One Pod per Task, ever.
    F5,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::F1, Self::F2, Self::F3, Self::F4, Self::F5];
}

/// Whether a rule is switched off.
#[cfg(not(any(test, feature = "testing")))]
pub(crate) const fn off(_: Rule) -> bool {
    false
}

#[cfg(any(test, feature = "testing"))]
pub(crate) use switch::off;
#[cfg(any(test, feature = "testing"))]
pub use switch::{Off, switch_off};

#[cfg(any(test, feature = "testing"))]
mod switch {
    use std::cell::Cell;
    use std::marker::PhantomData;

    use super::Rule;

    thread_local! {
        static OFF: Cell<Option<Rule>> = const { Cell::new(None) };
    }

    /// A rule is off on this thread as long as this lives.
    #[derive(Debug)]
    pub struct Off(PhantomData<*const ()>);

    impl Drop for Off {
        fn drop(&mut self) {
            OFF.set(None);
        }
    }

    /// Switches a rule off for what runs on this thread.
    #[must_use = "the rule is back when this is dropped"]
    pub fn switch_off(rule: Rule) -> Off {
        OFF.set(Some(rule));
        Off(PhantomData)
    }

    pub(crate) fn off(rule: Rule) -> bool {
        OFF.get() == Some(rule)
    }
}
