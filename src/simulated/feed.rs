//! List and watch of one kind, for everybody here.

use std::time::Duration;

use futures::TryStreamExt;
use kube::Client;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::Request;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::Sender;

use super::wire::Object;
use super::world::{Change, News};
use crate::runtime::backoff::Backoff;

/// Objects a list page holds.
const PAGE: u32 = 500;
/// Seconds after which the server ends a watch; a connection silent for longer is dead.
const WATCH_SECONDS: u32 = 290;
/// Time a list page may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    token: String,
}

#[derive(Debug, Deserialize)]
struct Page<K> {
    metadata: ListMeta,
    items: Vec<K>,
}

/// Tells of everything at `path`, until nobody listens any more.
pub(crate) async fn run<K: Object + DeserializeOwned>(
    client: Client,
    path: &'static str,
    tell: Sender<News>,
    news: fn(Change<K>) -> News,
) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(20));
    loop {
        let round = async {
            let (items, version) = list::<K>(&client, path).await?;
            if tell.send(news(Change::All(items))).await.is_err() {
                return Ok(());
            }
            backoff.reset();
            follow(&client, path, version, &tell, news).await
        };
        let result: anyhow::Result<()> = round.await;
        if tell.is_closed() {
            return;
        }
        if let Err(error) = result {
            tracing::warn!(path, %error, "watch failed, listing again");
        }
        tokio::time::sleep(backoff.wait()).await;
    }
}

async fn list<K: DeserializeOwned>(client: &Client, path: &str) -> anyhow::Result<(Vec<K>, String)> {
    let mut params = ListParams::default().limit(PAGE);
    let mut items = Vec::new();
    loop {
        let request = Request::new(path).list(&params)?;
        let page: Page<K> = tokio::time::timeout(LIST_TIMEOUT, client.request(request)).await??;
        items.extend(page.items);
        if page.metadata.token.is_empty() {
            return Ok((items, page.metadata.resource_version));
        }
        params.continue_token = Some(page.metadata.token);
    }
}

/// Follows the watch until the server says that the history is gone, or nobody listens.
async fn follow<K: Object + DeserializeOwned>(
    client: &Client,
    path: &str,
    mut version: String,
    tell: &Sender<News>,
    news: fn(Change<K>) -> News,
) -> anyhow::Result<()> {
    let params = WatchParams::default().timeout(WATCH_SECONDS);
    let silence = Duration::from_secs(u64::from(WATCH_SECONDS).saturating_add(10));
    loop {
        let request = Request::new(path).watch(&params, &version)?;
        let events = tokio::time::timeout(LIST_TIMEOUT, client.request_events::<K>(request)).await??;
        let mut events = std::pin::pin!(events);
        while let Some(event) = tokio::time::timeout(silence, events.try_next()).await?? {
            let change = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => Change::Is(Box::new(object)),
                WatchEvent::Deleted(object) => Change::Gone(Box::new(object)),
                WatchEvent::Bookmark(bookmark) => {
                    version = bookmark.metadata.resource_version;
                    continue;
                }
                WatchEvent::Error(status) if status.code == 410 => return Ok(()),
                WatchEvent::Error(status) => anyhow::bail!("the API server ended the watch: {status}"),
            };
            if let Change::Is(object) | Change::Gone(object) = &change {
                version.clone_from(&object.meta().resource_version);
            }
            if tell.send(news(change)).await.is_err() {
                return Ok(());
            }
        }
    }
}
