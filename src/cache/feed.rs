//! List and watch of one kind into its store.
//!
//! Our own and not `kube::runtime::watcher`, because planning needs to know the version a store is complete up to, and
//! that one hides the versions of lists and bookmarks (see `docs/decisions/0002-own-list-and-watch.md`).

use std::fmt::Debug;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::store::{Change, Store, version_of};
use crate::runtime::backoff::Backoff;

/// Objects a list page holds.
const PAGE: u32 = 500;
/// Seconds after which the server ends a watch; a connection silent for longer is dead.
const WATCH_SECONDS: u32 = 290;
/// Time a list page may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);

/// Which objects are watched.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Label selector.
    pub labels: Option<String>,
    /// Field selector.
    pub fields: Option<String>,
}

/// Keeps `store` up to date until `stop`, telling every change to `changed` after `trim` took off what is never read.
pub async fn run<K>(
    api: Api<K>,
    scope: Scope,
    store: &Store<K>,
    trim: fn(&mut K),
    changed: impl Fn(Change<K>),
    stop: CancellationToken,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let kind = K::kind(&());
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(20));
    while !stop.is_cancelled() {
        let round = async {
            let version = relist(&api, &scope, store, trim, &changed).await?;
            debug!(%kind, version, objects = store.len(), "listed");
            follow(&api, &scope, store, trim, &changed, version).await
        };
        let result = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            result = round => result,
        };
        match result {
            // the server ended the history we asked for: list again at once, but never in a tight loop
            Ok(progress) if progress => backoff.reset(),
            Ok(_) => {}
            Err(error) => warn!(%kind, %error, "watch failed, listing again"),
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(backoff.wait()) => {}
        }
    }
}

async fn relist<K>(
    api: &Api<K>,
    scope: &Scope,
    store: &Store<K>,
    trim: fn(&mut K),
    changed: &impl Fn(Change<K>),
) -> anyhow::Result<u64>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let mut params = ListParams::default().limit(PAGE);
    params.label_selector.clone_from(&scope.labels);
    params.field_selector.clone_from(&scope.fields);
    let mut objects = Vec::new();
    let version = loop {
        let page = tokio::time::timeout(LIST_TIMEOUT, api.list(&params)).await??;
        // page by page: what is taken off is most of it
        objects.extend(page.items.into_iter().map(|mut object| {
            trim(&mut object);
            object
        }));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => break page.metadata.resource_version.unwrap_or_default(),
        }
    };
    let version = version.parse()?;
    for change in store.listed(objects, version) {
        changed(change);
    }
    Ok(version)
}

/// Follows the watch from `version` until the server says that the history is gone; whether anything came.
async fn follow<K>(
    api: &Api<K>,
    scope: &Scope,
    store: &Store<K>,
    trim: fn(&mut K),
    changed: &impl Fn(Change<K>),
    mut version: u64,
) -> anyhow::Result<bool>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send,
{
    let mut params = WatchParams::default().timeout(WATCH_SECONDS);
    params.label_selector.clone_from(&scope.labels);
    params.field_selector.clone_from(&scope.fields);
    let silence = Duration::from_secs(u64::from(WATCH_SECONDS).saturating_add(10));
    let mut progress = false;
    loop {
        let events = api.watch(&params, &version.to_string()).await?.boxed();
        #[cfg(feature = "testing")]
        let events = super::delay::delayed(events);
        let mut events = events;
        loop {
            let Some(event) = tokio::time::timeout(silence, events.try_next()).await?? else {
                break;
            };
            let seen = match event {
                WatchEvent::Added(mut object) | WatchEvent::Modified(mut object) => {
                    let seen = version_of(&object);
                    trim(&mut object);
                    if let Some(change) = store.heard(object) {
                        changed(change);
                    }
                    seen
                }
                WatchEvent::Deleted(object) => {
                    if let Some(change) = store.remove(&object) {
                        changed(change);
                    }
                    version_of(&object)
                }
                WatchEvent::Bookmark(bookmark) => bookmark.metadata.resource_version.parse().unwrap_or(0),
                WatchEvent::Error(status) if status.code == 410 => return Ok(progress),
                WatchEvent::Error(status) => anyhow::bail!("the API server ended the watch: {status}"),
            };
            progress = true;
            version = version.max(seen);
            store.advance(seen);
        }
    }
}

/// Takes off what no decision reads, and the room that decoding left for more.
pub fn trim_meta<K: Resource>(object: &mut K) {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    if let Some(owners) = &mut meta.owner_references {
        owners.shrink_to_fit();
    }
    if let Some(finalizers) = &mut meta.finalizers {
        finalizers.shrink_to_fit();
    }
    object
        .annotations_mut()
        .remove("kubectl.kubernetes.io/last-applied-configuration");
}
