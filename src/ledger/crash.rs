//! For tests: ends the process at a chosen write, as SIGKILL would.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Number of the write at which the process ends; 0: never.
static CRASH_AT: LazyLock<u64> = LazyLock::new(|| {
    let wanted = std::env::var("ECS_OPERATOR_TEST_CRASH_AFTER").ok();
    wanted.and_then(|n| n.parse().ok()).unwrap_or(0)
});
static WRITES: AtomicU64 = AtomicU64::new(0);

/// Time in which a request is sent, but hardly answered.
const SENT: Duration = Duration::from_millis(2);

/// Runs a request; the process ends at the n-th write: after it was sent if n is odd, after its answer if n is even.
pub(super) async fn after<T>(object: &'static str, request: impl Future<Output = T>) -> T {
    if *CRASH_AT == 0 || object.ends_with("_get") {
        return request.await;
    }
    let n = WRITES.fetch_add(1, Ordering::SeqCst).saturating_add(1);
    if n != *CRASH_AT {
        return request.await;
    }
    if n % 2 == 1 {
        let _answer = tokio::time::timeout(SENT, request).await;
    } else {
        let _answer = request.await;
    }
    tracing::warn!(write = n, object, "ending here, as the test wants");
    std::process::abort();
}
