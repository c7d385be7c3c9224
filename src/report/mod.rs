//! Writes that are not placement: finalizers, PodDisruptionBudgets, Events, status of clusters and definitions.

pub mod apply;
pub mod cluster;
pub mod floor;
pub mod hold;
pub mod say;
pub mod taint;
