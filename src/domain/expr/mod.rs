//! The cluster query language of `memberOf` constraints and instance filters. [CQL-1 to CQL-25]
//!
//! The way through: [`Expression::parse`] scans characters (`lexer`), builds a tree whose predicates are typed by
//! subject (`parser`, `ast`) and validates every operand on the way (`operand`, `pattern`); [`Expression::matches`]
//! asks an [`InstanceView`] (`eval`); `Display` writes the tree back (`print`).
//!
//! Invariants:
//! - A parsed expression can always be evaluated: whatever could be wrong with it was an error of `parse`.
//! - Work is bounded: parsing is linear in the text, nesting is limited, patterns run in linear time and limited memory.
//! - Nothing here knows what an attribute or a group means; the view decides which names it answers to.

mod ast;
mod errors;
mod eval;
mod lexer;
mod mentions;
mod operand;
mod parser;
mod pattern;
mod print;
#[cfg(test)]
mod tests;

pub use errors::{Expected, Found, ParseError, PatternProblem, SubjectKind};
pub use mentions::Mention;

use std::fmt;

use jiff::Timestamp;

/// Longest expression in characters: the limit of the ECS API for a constraint.
pub const EXPRESSION_LENGTH_MAX: usize = 2000;

/// Deepest nesting of `not` and parentheses. People write two or three levels; the bound keeps recursion over the
/// tree far from the end of any stack.
pub const EXPRESSION_DEPTH_MAX: usize = 64;

/// Longest attribute name in characters. [ATTR-2]
pub const ATTRIBUTE_NAME_LENGTH_MAX: usize = 128;

/// Largest compiled form of one pattern in bytes. An expression of the greatest length holds fewer than a hundred
/// patterns, so a hostile one costs some tens of MiB at most.
pub const PATTERN_SIZE_BYTES_MAX: usize = 256 * 1024;

/// What an expression may ask about one container instance.
pub trait InstanceView {
    /// Whether the instance's agent is connected, for `agentConnected`.
    fn agent_connected(&self) -> bool;

    /// The version the agent reports, for `agentVersion`; every comparison with an unknown version is false.
    fn agent_version(&self) -> Option<&str>;

    /// The machine's id, for `ec2InstanceId`.
    fn ec2_instance_id(&self) -> &str;

    /// When the instance registered, for `registeredAt`; every comparison with an unknown instant is false.
    fn registered_at(&self) -> Option<Timestamp>;

    /// Number of running tasks, for `runningTasksCount`. [CQL-15]
    fn running_tasks_count(&self) -> u32;

    /// The attribute of that name: `None` if missing, `Some(None)` if present without a value. Names are case
    /// sensitive. [CQL-7]
    fn attribute(&self, name: &str) -> Option<Option<&str>>;

    /// Whether the predicate holds for any name of the group of any task whose desired status is RUNNING. [CQL-16]
    ///
    /// The view decides how a group is spelled; it may offer several spellings of one group.
    fn any_task_group(&self, predicate: &mut dyn FnMut(&str) -> bool) -> bool;
}

/// A parsed and validated expression.
///
/// Two expressions are equal if they have the same tree, whatever spelling of operators, white space and redundant
/// parentheses they were written with. `Display` writes a form that parses to the same tree.
///
/// ```
/// use ecs_operator::domain::expr::Expression;
///
/// let expression = Expression::parse("attribute:stack==prod && !(task:group == database)")?;
/// assert_eq!(expression.to_string(), "attribute:stack == prod and not task:group == database");
/// # Ok::<(), ecs_operator::domain::expr::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    root: ast::Node,
}

impl Expression {
    /// Parses and validates the text. An empty text is an error. [CQL-22]
    ///
    /// # Errors
    /// The first place, from the left, where the text stops being an expression. [CQL-25]
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parser::parse(text).map(|root| Self { root })
    }

    /// Whether the instance satisfies the expression.
    #[must_use]
    pub fn matches(&self, instance: &dyn InstanceView) -> bool {
        self.root.holds(instance)
    }
}

impl fmt::Display for Expression {
    /// Writes the spaced form with `and`, `or`, `not`; if that would be longer than [`EXPRESSION_LENGTH_MAX`], the
    /// form with symbols and no optional space, which is never longer than the text it was parsed from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spaced = print::print(&self.root, print::SPACED);
        if spaced.chars().count() <= EXPRESSION_LENGTH_MAX {
            f.write_str(&spaced)
        } else {
            f.write_str(&print::print(&self.root, print::COMPACT))
        }
    }
}
