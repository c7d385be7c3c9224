//! Explanations: a snapshot in, what there is to know about a service, an instance or a task out, and what would happen
//! to all of them. Pure: nothing here talks to anybody, and every rule is asked of the planners, never told again.

pub mod change;
pub mod instance;
mod options;
pub mod picture;
pub mod preview;
pub mod rehearsal;
pub mod remedy;
pub mod service;
pub mod task;
#[cfg(test)]
mod tests;
pub mod text;
pub mod text_preview;
pub mod timeline;
mod unqueued;

pub use picture::Picture;
