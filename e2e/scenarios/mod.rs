//! One file per behaviour.

mod api;
mod circuit_breaker;
mod constraint;
mod containers;
mod crash;
mod daemon_first;
mod depends_on;
mod drain;
mod foreign_pods;
mod health;
mod helm;
mod host_ports;
mod join;
mod ledger_wiped;
mod namespace_deleted;
mod node_lost;
mod pod_lost;
mod refused;
mod replica;
mod rolling;
mod selection;
mod startup_taint;
mod stop_timeout;
mod two_active;
mod walk_through;
mod writes;
