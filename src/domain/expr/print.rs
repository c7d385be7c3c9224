//! Writes a tree as an expression that parses to the same tree.
//!
//! Parentheses are written only where the grammar needs them, so the result never nests deeper than what was parsed.

use super::ast::{
    Accepts, AttributeTest, Comparison, GroupTest, Node, Order, Predicate, TextTest, ValueTest,
};
use super::errors::SubjectKind;
use super::lexer::{is_bare_pattern, is_bare_value};
use super::operand::Operand;

/// How the connectives and the optional white space are written.
#[derive(Clone, Copy)]
pub(super) struct Style {
    or: &'static str,
    and: &'static str,
    not: &'static str,
    gap: &'static str,
}

/// For people.
pub(super) const SPACED: Style = Style {
    or: " or ",
    and: " and ",
    not: "not ",
    gap: " ",
};

/// As short as the language allows.
pub(super) const COMPACT: Style = Style {
    or: "||",
    and: "&&",
    not: "!",
    gap: "",
};

/// The tree in the given style.
pub(super) fn print(root: &Node, style: Style) -> String {
    let mut printer = Printer {
        style,
        out: String::new(),
    };
    printer.node(root);
    printer.out
}

struct Printer {
    style: Style,
    out: String,
}

impl Printer {
    fn node(&mut self, node: &Node) {
        match node {
            Node::Any(members) => self.joined(members, self.style.or),
            Node::All(members) => self.joined(members, self.style.and),
            Node::Not(inner) => {
                self.out.push_str(self.style.not);
                self.operand_of(inner, matches!(**inner, Node::Any(_) | Node::All(_)));
            }
            Node::Test(predicate) => self.predicate(predicate),
        }
    }

    fn joined(&mut self, members: &[Node], connective: &str) {
        for (position, member) in members.iter().enumerate() {
            if position > 0 {
                // A bare value may end in one `&`; a second would belong to the first.
                if connective
                    .chars()
                    .next()
                    .is_some_and(|first| self.out.ends_with(first))
                {
                    self.out.push(' ');
                }
                self.out.push_str(connective);
            }
            self.operand_of(
                member,
                connective == self.style.and && matches!(member, Node::Any(_)),
            );
        }
    }

    fn operand_of(&mut self, node: &Node, in_parentheses: bool) {
        if in_parentheses {
            self.out.push('(');
            self.node(node);
            self.out.push(')');
        } else {
            self.node(node);
        }
    }

    fn predicate(&mut self, predicate: &Predicate) {
        match predicate {
            Predicate::AgentConnected(test) => self.text_test(SubjectKind::AgentConnected.word(), test),
            Predicate::AgentVersion(test) => self.value_test(SubjectKind::AgentVersion.word(), test),
            Predicate::Ec2InstanceId(test) => self.text_test(SubjectKind::Ec2InstanceId.word(), test),
            Predicate::RegisteredAt(test) => self.value_test(SubjectKind::RegisteredAt.word(), test),
            Predicate::RunningTasksCount(test) => {
                self.value_test(SubjectKind::RunningTasksCount.word(), test);
            }
            Predicate::TaskGroup(test) => {
                let subject = SubjectKind::TaskGroup.word();
                match test {
                    GroupTest::Exists { negated } => self.exists(subject, *negated),
                    GroupTest::Text(test) => self.text_test(subject, test),
                }
            }
            Predicate::Attribute { name, test } => {
                let subject = format!("{}{name}", SubjectKind::Attribute.word());
                match test {
                    AttributeTest::Exists { negated } => self.exists(&subject, *negated),
                    AttributeTest::Text(test) => self.text_test(&subject, test),
                    AttributeTest::Order(order, operand) => {
                        self.operator(&subject, order_symbol(*order));
                        self.value(operand);
                    }
                }
            }
        }
    }

    fn exists(&mut self, subject: &str, negated: bool) {
        self.out.push_str(subject);
        self.out.push_str(if negated { self.style.gap } else { " " });
        self.out.push_str(if negated { "!exists" } else { "exists" });
    }

    fn text_test(&mut self, subject: &str, test: &TextTest) {
        match (&test.accepts, test.negated) {
            (Accepts::Equal(value), false) => {
                self.operator(subject, "==");
                self.value(value);
            }
            (Accepts::Equal(value), true) => {
                self.operator(subject, "!=");
                self.value(value);
            }
            (Accepts::OneOf(values), negated) => {
                self.out.push_str(subject);
                self.out.push_str(if negated { self.style.gap } else { " " });
                self.out.push_str(if negated { "!in" } else { "in" });
                self.out.push_str(self.style.gap);
                self.list(values);
            }
            (Accepts::Match(pattern), negated) => {
                self.operator(subject, if negated { "!~" } else { "=~" });
                self.text(pattern.source(), is_bare_pattern(pattern.source()));
            }
        }
    }

    fn value_test<T: Operand>(&mut self, subject: &str, test: &ValueTest<T>) {
        let symbol = match test.comparison {
            Comparison::Equal => "==",
            Comparison::NotEqual => "!=",
            Comparison::Order(order) => order_symbol(order),
        };
        self.operator(subject, symbol);
        self.value(&test.operand.to_text());
    }

    fn operator(&mut self, subject: &str, symbol: &str) {
        self.out.push_str(subject);
        self.out.push_str(self.style.gap);
        self.out.push_str(symbol);
        self.out.push_str(self.style.gap);
    }

    fn list(&mut self, values: &[String]) {
        self.out.push('[');
        for (position, value) in values.iter().enumerate() {
            if position > 0 {
                self.out.push(',');
                self.out.push_str(self.style.gap);
            }
            self.value(value);
        }
        self.out.push(']');
    }

    fn value(&mut self, value: &str) {
        self.text(value, is_bare_value(value));
    }

    fn text(&mut self, text: &str, is_bare: bool) {
        if is_bare {
            // `>` and `<` would take a `=` that follows for a part of themselves.
            if text.starts_with('=') && self.out.ends_with(['>', '<']) {
                self.out.push(' ');
            }
            self.out.push_str(text);
        } else {
            // A text that was read has at most one kind of quotation mark in it.
            let quote = if text.contains('\'') { '"' } else { '\'' };
            self.out.push(quote);
            self.out.push_str(text);
            self.out.push(quote);
        }
    }
}

fn order_symbol(order: Order) -> &'static str {
    match order {
        Order::Greater => ">",
        Order::GreaterEqual => ">=",
        Order::Less => "<",
        Order::LessEqual => "<=",
    }
}
