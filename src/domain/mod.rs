//! Pure vocabulary: quantities, attributes, expressions. No I/O, clock or randomness in here.

pub mod deployment;
pub mod expr;
pub mod records;
pub mod resources;
pub mod rollout;
pub mod units;
