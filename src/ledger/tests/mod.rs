//! The ledger and the controllers that use it in conversation with a scripted API server, on a paused clock: late and
//! lost answers, conflicts and refusals, one file per step or fence of the design.

#![allow(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

mod bind;
mod by_hand;
mod definitions;
mod f1_tombstones;
mod f2_authorise;
mod f3_fence;
mod f4_names;
mod f5_one_pod;
mod held;
mod lane;
mod leaving;
mod life;
mod planning;
mod pods;
mod protection;
mod queue;
mod request;
mod reserving;
mod scene;
mod script;
mod tasks;
