//! For tests: watches that lag.

use std::sync::LazyLock;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{BoxStream, Stream};

use crate::runtime::source;

/// Events that may be under way.
const UNDER_WAY: usize = 100_000;

/// Shortest and longest delay, from milliseconds such as `0-3000`.
static DELAY: LazyLock<Option<(Duration, Duration)>> = LazyLock::new(|| {
    let wanted = std::env::var("ECS_OPERATOR_TEST_WATCH_DELAY_MS").ok()?;
    let (least, most) = wanted.split_once('-')?;
    let parsed = |text: &str| text.parse().ok().map(Duration::from_millis);
    Some((parsed(least)?, parsed(most)?))
});

/// Gives every event a random delay from its arrival on; the order is kept.
pub(super) fn delayed<'a, T: Send + 'a>(events: impl Stream<Item = T> + Send + 'a) -> BoxStream<'a, T> {
    let Some((least, most)) = *DELAY else {
        return events.boxed();
    };
    events
        .map(move |event| async move {
            tokio::time::sleep(source::between(least, most.max(least))).await;
            event
        })
        .buffered(UNDER_WAY)
        .boxed()
}
