//! Tests of the language: the tables of the specification, the rules by number, and properties.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "small numbers; an overflow fails the test"
)]

mod instances;
mod messages;
mod patterns;
mod properties;
mod semantics;
mod syntax;
mod tables;

use super::{Expected, Expression, InstanceView};
use instances::Instance;

/// Instance A with one attribute set.
fn with(name: &'static str, value: Option<&'static str>) -> Instance {
    let mut instance = instances::a();
    instance.attributes.insert(name, value);
    instance
}

/// Parses a text that must be an expression.
fn parsed(text: &str) -> Expression {
    match Expression::parse(text) {
        Ok(expression) => expression,
        Err(error) => panic!("{text:?}: {error}"),
    }
}

/// Whether the instance satisfies the text.
fn holds(text: &str, instance: &dyn InstanceView) -> bool {
    parsed(text).matches(instance)
}

/// Where a text that must be refused stops being an expression, and what was expected there.
fn refused(text: &str) -> (usize, Expected) {
    match Expression::parse(text) {
        Ok(expression) => panic!("{text:?} was read as {expression}"),
        Err(error) => (error.offset(), error.expected().clone()),
    }
}

/// The message for a text that must be refused.
fn message(text: &str) -> String {
    match Expression::parse(text) {
        Ok(expression) => panic!("{text:?} was read as {expression}"),
        Err(error) => error.to_string(),
    }
}
