//! Whether an instance satisfies an expression. Total: nothing can fail here.

use std::cmp::Ordering;

use super::InstanceView;
use super::ast::{Accepts, AttributeTest, Comparison, GroupTest, Node, Order, Predicate, TextTest};
use super::operand::{Version, compare_texts};

impl Node {
    pub(super) fn holds(&self, instance: &dyn InstanceView) -> bool {
        match self {
            Self::Any(members) => members.iter().any(|member| member.holds(instance)),
            Self::All(members) => members.iter().all(|member| member.holds(instance)),
            Self::Not(inner) => !inner.holds(instance),
            Self::Test(predicate) => predicate.holds(instance),
        }
    }
}

impl Predicate {
    fn holds(&self, instance: &dyn InstanceView) -> bool {
        match self {
            Self::AgentConnected(test) => test.holds(if instance.agent_connected() {
                "true"
            } else {
                "false"
            }),
            Self::AgentVersion(test) => instance
                .agent_version()
                .and_then(Version::reported)
                .is_some_and(|version| test.comparison.holds(version.compare(&test.operand))),
            Self::Ec2InstanceId(test) => test.holds(instance.ec2_instance_id()),
            Self::RegisteredAt(test) => instance
                .registered_at()
                .is_some_and(|at| test.comparison.holds(test.operand.compare(at))),
            Self::RunningTasksCount(test) => test
                .comparison
                .holds(i64::from(instance.running_tasks_count()).cmp(&test.operand)),
            Self::TaskGroup(test) => test.holds(instance),
            Self::Attribute { name, test } => test.holds(instance, name),
        }
    }
}

impl TextTest {
    fn holds(&self, text: &str) -> bool {
        self.accepts.holds(text) != self.negated
    }
}

impl Accepts {
    /// Exact and case sensitive. [CQL-7]
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Equal(value) => value == text,
            Self::OneOf(values) => values.iter().any(|value| value == text),
            Self::Match(pattern) => pattern.matches(text),
        }
    }
}

impl GroupTest {
    /// A negated test means that no task has such a group. [CQL-17]
    fn holds(&self, instance: &dyn InstanceView) -> bool {
        match self {
            Self::Exists { negated } => instance.any_task_group(&mut |_| true) != *negated,
            Self::Text(TextTest { negated, accepts }) => {
                instance.any_task_group(&mut |group| accepts.holds(group)) != *negated
            }
        }
    }
}

impl AttributeTest {
    /// On a missing attribute only `!exists` is true, not even a negated comparison. [CQL-18, CQL-21]
    fn holds(&self, instance: &dyn InstanceView, name: &str) -> bool {
        let Some(value) = instance.attribute(name) else {
            return matches!(self, Self::Exists { negated: true });
        };
        match self {
            Self::Exists { negated } => !negated,
            // An attribute without a value equals the empty text and has no order. [CQL-19]
            Self::Text(test) => test.holds(value.unwrap_or_default()),
            Self::Order(order, operand) => {
                value.is_some_and(|value| order.holds(compare_texts(value, operand)))
            }
        }
    }
}

impl Comparison {
    /// Whether the operator accepts how the instance's value compares to the operand.
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Order(order) => order.holds(ordering),
        }
    }
}

impl Order {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Greater => ordering.is_gt(),
            Self::GreaterEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessEqual => ordering.is_le(),
        }
    }
}
