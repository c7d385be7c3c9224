//! The room as a whole, against what real API servers said.

mod fixtures;
mod properties;
mod table;
