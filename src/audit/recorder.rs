//! Records the history of a live cluster: one list and then a watch per kind, resumed at the last version seen.
//!
//! Our own list and watch: `kube::runtime::watcher` hides the versions of lists and bookmarks, and lists anew where an
//! exact resumption is possible.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::{Client, ResourceExt};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, warn};

use super::history::{Event, History, Kind, Record};
use crate::api::{ContainerInstance, EcsCluster, EcsService, Task};
use crate::runtime::source;

/// Objects a list page holds.
const PAGE: u32 = 500;
/// Seconds after which the server ends a watch, after a bookmark: so much of a quiet kind's history is lost at most if
/// the API server loses its own. A connection silent for longer is dead.
const WATCH_SECONDS: u32 = 20;
/// The same at the end of a recording: the server sends a bookmark two seconds before it ends a watch.
const CLOSING_SECONDS: u32 = 3;
/// Time a list page may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// Wait after a failed request.
const RETRY: Duration = Duration::from_millis(200);

/// A recording that could not begin.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A kind could not be listed.
    #[error("cannot list {kind} to begin a recording")]
    List {
        /// The kind.
        kind: Kind,
        /// What the API server said.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server gave a version that is no number, or did not answer in time.
    #[error("the list of {kind} has no version that can be compared, or did not come in time")]
    Version {
        /// The kind.
        kind: Kind,
    },
}

/// What has been recorded of one kind.
#[derive(Debug, Default)]
struct Log {
    records: Vec<Record>,
    /// Complete up to this version.
    version: u64,
}

type Shared = Arc<Mutex<Log>>;

fn locked(log: &Shared) -> std::sync::MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A recording under way. Dropping it ends it.
#[derive(Debug)]
pub struct Recorder {
    logs: Vec<(Kind, Shared)>,
    feeds: JoinSet<()>,
    /// Set once: every kind shall be complete up to this version, then its feed ends.
    goal: watch::Sender<Option<u64>>,
    tasks: Api<DynamicObject>,
}

impl Recorder {
    /// Begins a recording; returns when every kind was listed.
    ///
    /// # Errors
    /// A kind could not be listed.
    pub async fn start(client: Client) -> Result<Self, RecordError> {
        let (goal, seen) = watch::channel(None);
        let mut feeds = JoinSet::new();
        let mut logs = Vec::new();
        for kind in Kind::ALL {
            let log = Shared::default();
            let feed = Feed {
                kind,
                api: api(&client, kind),
                log: log.clone(),
            };
            feed.list().await?;
            logs.push((kind, log));
            feeds.spawn(feed.run(seen.clone()));
        }
        Ok(Self {
            logs,
            feeds,
            goal,
            tasks: api(&client, Kind::Task),
        })
    }

    /// Ends the recording when every kind is complete up to now. A kind that is not by the deadline gets a gap.
    pub async fn stop(mut self, deadline: Duration) -> History {
        let deadline = Instant::now().checked_add(deadline).unwrap_or_else(Instant::now);
        let asked = async {
            loop {
                match now(&self.tasks).await {
                    Some(version) => break version,
                    None => sleep(RETRY).await,
                }
            }
        };
        let goal = timeout_at(deadline, asked).await.ok();
        if goal.is_some() {
            self.goal.send_replace(goal);
            let all = async { while self.feeds.join_next().await.is_some() {} };
            // what is missing is said below
            let _late = timeout_at(deadline, all).await;
        }
        self.feeds.shutdown().await;
        let mut records = Vec::new();
        for (kind, log) in &self.logs {
            let mut log = locked(log);
            let version = log.version;
            if goal.is_none_or(|goal| version < goal) {
                let note = match goal {
                    Some(goal) => format!("the recording ended before version {goal} was reached"),
                    None => "the recording ended without the version of the API server".to_owned(),
                };
                log.records
                    .push(record(*kind, Event::Gap, version, None, Some(note)));
            }
            for (number, record) in (0..).zip(&mut log.records) {
                record.number = Some(number);
            }
            records.append(&mut log.records);
        }
        History::new(records)
    }
}

fn api(client: &Client, kind: Kind) -> Api<DynamicObject> {
    let resource = match kind {
        Kind::EcsCluster => ApiResource::erase::<EcsCluster>(&()),
        Kind::ContainerInstance => ApiResource::erase::<ContainerInstance>(&()),
        Kind::EcsService => ApiResource::erase::<EcsService>(&()),
        Kind::Task => ApiResource::erase::<Task>(&()),
        Kind::Pod => ApiResource::erase::<Pod>(&()),
        Kind::Node => ApiResource::erase::<Node>(&()),
    };
    Api::all_with(client.clone(), &resource)
}

/// The version of the cluster now: that of a consistent list. It makes the server's cache of the kind catch up too.
async fn now(api: &Api<DynamicObject>) -> Option<u64> {
    let list = timeout(LIST_TIMEOUT, api.list(&ListParams::default().limit(1)))
        .await
        .ok()?
        .ok()?;
    list.metadata.resource_version?.parse().ok()
}

fn record(kind: Kind, event: Event, version: u64, object: Option<Value>, note: Option<String>) -> Record {
    let at = event.is_write().then(source::now);
    Record {
        version,
        event,
        kind,
        number: None,
        at,
        object,
        note,
    }
}

/// The object as it is kept: without what says nothing about its state.
fn kept(mut object: DynamicObject) -> Option<Value> {
    object.metadata.managed_fields = None;
    if let Some(annotations) = &mut object.metadata.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    serde_json::to_value(object).ok()
}

/// How a watch ended.
enum End {
    /// The server ended it, as asked.
    Over,
    /// The version to resume at is too old.
    Expired,
    /// Anything else.
    Failed(String),
}

struct Feed {
    kind: Kind,
    api: Api<DynamicObject>,
    log: Shared,
}

impl Feed {
    fn push(&self, event: Event, version: u64, object: Option<Value>, note: Option<String>) {
        let mut log = locked(&self.log);
        log.records.push(record(self.kind, event, version, object, note));
        log.version = log.version.max(version);
    }

    fn version(&self) -> u64 {
        locked(&self.log).version
    }

    async fn list(&self) -> Result<(), RecordError> {
        let kind = self.kind;
        let mut params = ListParams::default().limit(PAGE);
        let mut objects = Vec::new();
        let version = loop {
            let page = timeout(LIST_TIMEOUT, self.api.list(&params)).await;
            let page = page.map_err(|_| RecordError::Version { kind })?;
            let page = page.map_err(|source| RecordError::List {
                kind,
                source: Box::new(source),
            })?;
            objects.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => break page.metadata.resource_version.unwrap_or_default(),
            }
        };
        let version = version.parse().map_err(|_| RecordError::Version { kind })?;
        for object in objects {
            self.push(Event::Listed, version, kept(object), None);
        }
        self.push(Event::Sync, version, None, None);
        Ok(())
    }

    /// Follows the kind until the goal is set and reached.
    async fn run(self, mut goal: watch::Receiver<Option<u64>>) {
        loop {
            let wanted = *goal.borrow_and_update();
            if wanted.is_some_and(|wanted| self.version() >= wanted) {
                return;
            }
            let end = tokio::select! {
                end = self.follow(wanted) => end,
                // the sender gone means that nobody wants the rest
                changed = goal.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            match end {
                End::Over => {}
                End::Failed(why) => {
                    debug!(kind = %self.kind, %why, "watch failed; resuming");
                    sleep(RETRY).await;
                }
                End::Expired => {
                    warn!(kind = %self.kind, "the history is gone; listing again");
                    let note = "the API server no longer has the history that follows".to_owned();
                    self.push(Event::Gap, self.version(), None, Some(note));
                    while let Err(error) = self.list().await {
                        debug!(%error, "trying again");
                        sleep(RETRY).await;
                    }
                }
            }
        }
    }

    /// One watch from the last version seen.
    async fn follow(&self, goal: Option<u64>) -> End {
        let seconds = if goal.is_some() {
            CLOSING_SECONDS
        } else {
            WATCH_SECONDS
        };
        if goal.is_some() && now(&self.api).await.is_none() {
            return End::Failed("the API server does not list".to_owned());
        }
        let params = WatchParams::default().timeout(seconds);
        let silence = Duration::from_secs(u64::from(seconds).saturating_add(10));
        let begun = timeout(silence, self.api.watch(&params, &self.version().to_string())).await;
        let mut events = match begun {
            Ok(Ok(events)) => events.boxed(),
            Ok(Err(kube::Error::Api(status))) if status.code == 410 => return End::Expired,
            Ok(Err(error)) => return End::Failed(error.to_string()),
            Err(_) => return End::Failed("no answer".to_owned()),
        };
        loop {
            let event = match timeout(silence, events.try_next()).await {
                Ok(Ok(Some(event))) => event,
                Ok(Ok(None)) => return End::Over,
                Ok(Err(error)) => return End::Failed(error.to_string()),
                Err(_) => return End::Failed("silence".to_owned()),
            };
            match event {
                WatchEvent::Added(object) => self.write(Event::Added, object),
                WatchEvent::Modified(object) => self.write(Event::Modified, object),
                WatchEvent::Deleted(object) => self.write(Event::Deleted, object),
                WatchEvent::Bookmark(bookmark) => {
                    if let Ok(version) = bookmark.metadata.resource_version.parse() {
                        self.push(Event::Sync, version, None, None);
                    }
                }
                WatchEvent::Error(status) if status.code == 410 => return End::Expired,
                WatchEvent::Error(status) => return End::Failed(status.to_string()),
            }
            if goal.is_some_and(|goal| self.version() >= goal) {
                return End::Over;
            }
        }
    }

    fn write(&self, event: Event, object: DynamicObject) {
        let version = object
            .resource_version()
            .and_then(|v| v.parse().ok())
            .unwrap_or(0);
        self.push(event, version, kept(object), None);
    }
}
