//! The tree of an expression. Each subject has its own kind of test, so that an operator outside a subject's row of
//! CQL-2 cannot be represented.

use super::operand::{Instant, Version};
use super::pattern::Pattern;

/// A boolean combination of predicates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// True if one of at least two members is; no member is itself `Any`.
    Any(Vec<Node>),
    /// True if each of at least two members is; no member is itself `All`.
    All(Vec<Node>),
    Not(Box<Node>),
    Test(Predicate),
}

impl Node {
    /// Joins by "or"; nested "or"s become one, which changes no result.
    pub(super) fn any(members: Vec<Node>) -> Node {
        Self::join(members, Node::Any, |node| match node {
            Node::Any(inner) => Ok(inner),
            Node::All(_) | Node::Not(_) | Node::Test(_) => Err(node),
        })
    }

    /// Joins by "and"; nested "and"s become one, which changes no result.
    pub(super) fn all(members: Vec<Node>) -> Node {
        Self::join(members, Node::All, |node| match node {
            Node::All(inner) => Ok(inner),
            Node::Any(_) | Node::Not(_) | Node::Test(_) => Err(node),
        })
    }

    fn join(
        members: Vec<Node>,
        wrap: fn(Vec<Node>) -> Node,
        open: fn(Node) -> Result<Vec<Node>, Node>,
    ) -> Node {
        let mut flat = Vec::with_capacity(members.len());
        for member in members {
            match open(member) {
                Ok(inner) => flat.extend(inner),
                Err(single) => flat.push(single),
            }
        }
        match <[Node; 1]>::try_from(flat) {
            Ok([only]) => only,
            Err(several) => wrap(several),
        }
    }
}

/// One question about one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Predicate {
    AgentConnected(TextTest),
    AgentVersion(ValueTest<Version>),
    Ec2InstanceId(TextTest),
    RegisteredAt(ValueTest<Instant>),
    RunningTasksCount(ValueTest<i64>),
    TaskGroup(GroupTest),
    Attribute { name: String, test: AttributeTest },
}

/// A test of a text: `==`, `in`, `=~` or the negation of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextTest {
    pub(super) negated: bool,
    pub(super) accepts: Accepts,
}

/// The positive part of a [`TextTest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Accepts {
    Equal(String),
    OneOf(Vec<String>),
    Match(Pattern),
}

/// A comparison with a typed operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ValueTest<T> {
    pub(super) comparison: Comparison,
    pub(super) operand: T,
}

/// A test of the groups on an instance. [CQL-16, CQL-17]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GroupTest {
    Exists { negated: bool },
    Text(TextTest),
}

/// A test of an attribute. [CQL-18 to CQL-21]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AttributeTest {
    Exists { negated: bool },
    Text(TextTest),
    Order(Order, String),
}

/// The comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Order(Order),
}

/// The comparison operators that need an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
}
