//! Writes that are not placement: finalizers, PodDisruptionBudgets, status of clusters and definitions.

pub mod apply;
pub mod cluster;
pub mod floor;
pub mod hold;
pub mod taint;
