//! What an expression asks about, and the values it names: for those who look for what would make it hold.

use super::Expression;
use super::ast::{Accepts, AttributeTest, GroupTest, Node, Predicate, TextTest};

/// A subject of an expression with the values that a test of it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mention<'a> {
    /// An attribute.
    Attribute {
        /// Its name.
        name: &'a str,
        /// Values it is compared with; a pattern is none.
        values: Vec<&'a str>,
    },
    /// The groups of the tasks on the instance.
    TaskGroup {
        /// Names they are compared with; a pattern is none.
        values: Vec<&'a str>,
    },
    /// The machine or its agent: nothing that somebody sets.
    Machine,
}

impl Expression {
    /// Everything it mentions, in the order of the text; a subject may occur several times.
    #[must_use]
    pub fn mentions(&self) -> Vec<Mention<'_>> {
        let mut found = Vec::new();
        self.root.mentions(&mut found);
        found
    }

    /// Whether its truth can depend on the tasks of an instance, and not on the instance alone.
    #[must_use]
    pub fn asks_about_tasks(&self) -> bool {
        self.root.asks_about_tasks()
    }
}

impl Node {
    fn asks_about_tasks(&self) -> bool {
        match self {
            Self::Any(members) | Self::All(members) => members.iter().any(Self::asks_about_tasks),
            Self::Not(inner) => inner.asks_about_tasks(),
            Self::Test(predicate) => match predicate {
                Predicate::TaskGroup(_) | Predicate::RunningTasksCount(_) => true,
                Predicate::AgentConnected(_)
                | Predicate::AgentVersion(_)
                | Predicate::Ec2InstanceId(_)
                | Predicate::RegisteredAt(_)
                | Predicate::Attribute { .. } => false,
            },
        }
    }

    fn mentions<'a>(&'a self, found: &mut Vec<Mention<'a>>) {
        match self {
            Self::Any(members) | Self::All(members) => members.iter().for_each(|m| m.mentions(found)),
            Self::Not(inner) => inner.mentions(found),
            Self::Test(predicate) => found.push(predicate.mention()),
        }
    }
}

impl Predicate {
    fn mention(&self) -> Mention<'_> {
        match self {
            Self::Attribute { name, test } => Mention::Attribute {
                name,
                values: match test {
                    AttributeTest::Exists { .. } => Vec::new(),
                    AttributeTest::Text(test) => test.values(),
                    AttributeTest::Order(_, operand) => vec![operand],
                },
            },
            Self::TaskGroup(GroupTest::Exists { .. }) => Mention::TaskGroup { values: Vec::new() },
            Self::TaskGroup(GroupTest::Text(test)) => Mention::TaskGroup {
                values: test.values(),
            },
            Self::AgentConnected(_)
            | Self::AgentVersion(_)
            | Self::Ec2InstanceId(_)
            | Self::RegisteredAt(_)
            | Self::RunningTasksCount(_) => Mention::Machine,
        }
    }
}

impl TextTest {
    fn values(&self) -> Vec<&str> {
        match &self.accepts {
            Accepts::Equal(value) => vec![value],
            Accepts::OneOf(values) => values.iter().map(String::as_str).collect(),
            Accepts::Match(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_groups_and_counts_are_about_tasks_and_nothing_else_is_cql_15_cql_16() {
        let asks = |text: &str| Expression::parse(text).unwrap().asks_about_tasks();
        assert!(asks("not (attribute:a == b or task:group == service:db)"));
        assert!(asks("attribute:a exists and runningTasksCount < 4"));
        assert!(asks("task:group !exists"));
        assert!(!asks(
            "attribute:a == b and agentConnected == true and agentVersion >= 1.0 and ec2InstanceId in [a, b] \
             and registeredAt < 2026-01-01"
        ));
    }

    #[test]
    fn subjects_are_told_with_the_values_they_are_compared_with() {
        let text = "attribute:stack in [prod, test] and (not task:group == service:db or attribute:n > 3) \
                    and attribute:ssd exists and runningTasksCount < 4";
        let expression = Expression::parse(text).unwrap();
        let attribute = |name, values: &[&'static str]| Mention::Attribute {
            name,
            values: values.to_vec(),
        };
        assert_eq!(
            expression.mentions(),
            [
                attribute("stack", &["prod", "test"]),
                Mention::TaskGroup {
                    values: vec!["service:db"]
                },
                attribute("n", &["3"]),
                attribute("ssd", &[]),
                Mention::Machine,
            ]
        );
    }
}
