//! What ECS's agent gives to the containers of a task, at the URI in `ECS_AGENT_URI`: the task protects itself, and hears
//! that it should finish. (PROT-20 to PROT-25, PROT-11; record 0094)
//!
//! - [`call`]: a request in ECS's words, or why it is none. Pure.
//! - [`answer`]: what a Task says, in ECS's words. Pure.
//! - [`limits`]: how much each peer may ask. Pure but for the clock it is given.
//! - [`desk`]: who asks, by live reads; the request goes into the Task, the answer is waited for.
//! - [`server`]: sockets and HTTP.
//!
//! Every replica serves, leader or not: whoever plans answers in the Task's status, which all watch.

mod answer;
mod call;
mod desk;
mod limits;
mod server;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cache::Cache;
use crate::ledger::Ledger;

/// A socket, and where Pods reach it.
pub struct Endpoint {
    listener: TcpListener,
    base: String,
}

impl Endpoint {
    /// Listens there. Pods reach it at `base`, or else at the very address.
    ///
    /// # Errors
    /// The address can't be listened on.
    pub async fn bind(listen: SocketAddr, base: Option<String>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(listen).await;
        let listener = listener.with_context(|| {
            format!("cannot listen on {listen}; choose another address with --agent-listen")
        })?;
        let base = match base {
            Some(base) => base,
            None => format!("http://{}", listener.local_addr()?),
        };
        Ok(Self { listener, base })
    }

    /// `http://HOST:PORT`, as Pods are told.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }
}

/// Serves until `stop`; what goes wrong with a connection ends that connection.
pub async fn serve(endpoint: Endpoint, ledger: Ledger, cache: Arc<Cache>, stop: CancellationToken) {
    server::run(endpoint.listener, desk::Desk::new(ledger, cache), stop).await;
}
