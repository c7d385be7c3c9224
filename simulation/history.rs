//! The recording: every version of every object that the auditor reads, from the server's own log.

use std::collections::BTreeMap;

use bytes::Bytes;
use ecs_operator::audit::{Event, History, Kind, Record};
use ecs_operator::runtime::source;
use embedded_apiserver::Server;
use futures::FutureExt;
use futures::stream::BoxStream;
use http::Request;
use kube::client::Body;
use serde_json::Value;

use crate::watches;

/// Where a kind is found.
pub(crate) fn path_of(kind: Kind) -> &'static str {
    match kind {
        Kind::EcsCluster => "/apis/ecs-operator.dev/v1alpha1/ecsclusters",
        Kind::ContainerInstance => "/apis/ecs-operator.dev/v1alpha1/containerinstances",
        Kind::EcsService => "/apis/ecs-operator.dev/v1alpha1/ecsservices",
        Kind::Task => "/apis/ecs-operator.dev/v1alpha1/tasks",
        Kind::Pod => "/api/v1/pods",
        Kind::Node => "/api/v1/nodes",
    }
}

/// An event of a Pod or Node, for the kubelets.
#[derive(Clone, Debug)]
pub(crate) struct News {
    pub(crate) kind: Kind,
    pub(crate) gone: bool,
    pub(crate) object: Value,
}

/// A recording under way.
#[derive(Default)]
pub(crate) struct Recording {
    sources: Vec<(Kind, BoxStream<'static, Bytes>)>,
    records: Vec<Record>,
    /// The newest version of every object that exists, by kind and uid.
    pub(crate) live: BTreeMap<(Kind, String), Value>,
    /// What the kubelets have not taken yet.
    pub(crate) news: Vec<News>,
}

impl Recording {
    /// Begins at the server's version. There must be no object of these kinds yet.
    pub(crate) fn open(server: &Server) -> Self {
        let version = server.version();
        let mut opened = Self::default();
        for kind in Kind::ALL {
            let path = format!(
                "{}?watch=true&timeoutSeconds=1000000&resourceVersion={version}",
                path_of(kind)
            );
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            let answered = tower::ServiceExt::oneshot(server.clone(), request).now_or_never();
            let body = answered.unwrap().unwrap().into_body();
            opened.sources.push((kind, watches::events(body)));
            opened.records.push(sync(kind, version));
        }
        opened
    }

    /// Takes what has happened.
    pub(crate) fn take(&mut self) {
        let mut found = Vec::new();
        for (kind, source) in &mut self.sources {
            let ended = watches::ready(source, |line| found.push((*kind, line)));
            assert!(!ended, "the recording of {kind} ended");
        }
        for (kind, line) in found {
            self.event(kind, &line);
        }
    }

    fn event(&mut self, kind: Kind, line: &Bytes) {
        let event: Value = serde_json::from_slice(line).unwrap();
        let object = event["object"].clone();
        let event = match event["type"].as_str().unwrap() {
            "ADDED" => Event::Added,
            "MODIFIED" => Event::Modified,
            "DELETED" => Event::Deleted,
            "BOOKMARK" => return,
            other => panic!("{other} in the recording of {kind}: {object}"),
        };
        let key = (kind, object["metadata"]["uid"].as_str().unwrap().to_owned());
        let gone = event == Event::Deleted;
        if gone {
            self.live.remove(&key);
        } else {
            self.live.insert(key, object.clone());
        }
        if matches!(kind, Kind::Pod | Kind::Node) {
            let object = object.clone();
            self.news.push(News { kind, gone, object });
        }
        self.records.push(Record {
            version: object["metadata"]["resourceVersion"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap(),
            event,
            kind,
            number: None,
            at: Some(source::now()),
            object: Some(object),
            note: None,
        });
    }

    /// How many writes were recorded.
    pub(crate) fn writes(&self) -> usize {
        self.records.len()
    }

    /// What was recorded, complete up to this version.
    pub(crate) fn history(&self, version: u64) -> History {
        let mut records = self.records.clone();
        records.extend(Kind::ALL.map(|kind| sync(kind, version)));
        History::new(records)
    }

    /// The objects of a kind that exist.
    pub(crate) fn all(&self, kind: Kind) -> impl Iterator<Item = &Value> {
        self.live
            .iter()
            .filter(move |((k, _), _)| *k == kind)
            .map(|(_, object)| object)
    }
}

fn sync(kind: Kind, version: u64) -> Record {
    Record {
        version,
        event: Event::Sync,
        kind,
        number: None,
        at: None,
        object: None,
        note: None,
    }
}
