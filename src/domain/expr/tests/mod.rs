//! Tests of the language: the tables of the specification, the rules by number, and properties.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "small numbers; an overflow fails the test"
)]

mod instances;
mod properties;
mod tables;

use super::{Expected, Expression, InstanceView};
use instances::Instance;

/// Parses a text that must be an expression.
fn parsed(text: &str) -> Expression {
    match Expression::parse(text) {
        Ok(expression) => expression,
        Err(error) => panic!("{text:?}: {error}"),
    }
}

/// Where a text that must be refused stops being an expression, and what was expected there.
fn refused(text: &str) -> (usize, Expected) {
    match Expression::parse(text) {
        Ok(expression) => panic!("{text:?} was read as {expression}"),
        Err(error) => (error.offset(), error.expected().clone()),
    }
}
