//! One file per behaviour.

mod api;
mod constraint;
mod crash;
mod daemon_first;
mod depends_on;
mod drain;
mod foreign_pods;
mod helm;
mod ledger_wiped;
mod namespace_deleted;
mod node_lost;
mod pod_lost;
mod replica;
mod rolling;
mod stop_timeout;
mod two_active;
mod walk_through;
mod writes;
