//! One file per behaviour.

mod api;
mod constraint;
mod crash;
mod daemon_first;
mod drain;
mod foreign_pods;
mod ledger_wiped;
mod pod_lost;
mod replica;
mod rolling;
mod stop_timeout;
mod walk_through;
