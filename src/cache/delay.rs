//! For tests: watches that lag.

use std::sync::LazyLock;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{BoxStream, Stream};
use rand::Rng;

/// Events that may be under way.
const UNDER_WAY: usize = 100_000;

/// Shortest and longest delay in milliseconds, as `0-3000`.
static DELAY: LazyLock<Option<(u64, u64)>> = LazyLock::new(|| {
    let wanted = std::env::var("ECS_OPERATOR_TEST_WATCH_DELAY_MS").ok()?;
    let (least, most) = wanted.split_once('-')?;
    Some((least.parse().ok()?, most.parse().ok()?))
});

/// Gives every event a random delay from its arrival on; the order is kept.
pub(super) fn delayed<'a, T: Send + 'a>(events: impl Stream<Item = T> + Send + 'a) -> BoxStream<'a, T> {
    let Some((least, most)) = *DELAY else {
        return events.boxed();
    };
    events
        .map(move |event| async move {
            let delay = rand::rng().random_range(least..=most.max(least));
            tokio::time::sleep(Duration::from_millis(delay)).await;
            event
        })
        .buffered(UNDER_WAY)
        .boxed()
}
