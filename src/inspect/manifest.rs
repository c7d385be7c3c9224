//! Manifests as the API server would take them: an API server within this process checks and completes them, beside what is
//! there already. The cluster hears nothing of it.

#![allow(
    clippy::disallowed_methods,
    reason = "what is written is in this process only, and goes with it"
)]

use anyhow::Context as _;
use embedded_apiserver::{Limits, Server, Sources};
use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde::Serialize;
use serde_json::{Value, json};

use super::objects::{KINDS, Objects};
use crate::api::{GROUP, all_crds};
use crate::cache::store::Store;
use crate::local::manifests::{self, Manifest};
use crate::plan::world::Key;

/// Takes manifests into the objects; the services among them. An error says what the API server would.
pub(super) async fn apply(
    objects: &mut Objects,
    documents: Vec<(String, Vec<Value>)>,
    namespace: &str,
    now: Timestamp,
) -> anyhow::Result<Applied> {
    let mut trial = Trial::begin().await?;
    let mut applied = Applied::default();
    for (file, documents) in documents {
        for document in documents {
            for object in flat(document) {
                trial
                    .take(objects, object, namespace, now, &mut applied)
                    .await
                    .with_context(|| file.clone())?;
            }
        }
    }
    Ok(applied)
}

/// What manifests were taken in.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// Services.
    pub(super) services: Vec<Key>,
    /// Objects that are left out.
    pub(super) left_out: Vec<String>,
    /// Whether there is an EcsCluster among them.
    pub(super) cluster: bool,
}

/// The objects of a list, or the one that it is.
fn flat(document: Value) -> Vec<Value> {
    match document.get("items").and_then(Value::as_array) {
        Some(items) => items.clone(),
        None => vec![document],
    }
}

/// An API server that has our definitions, and nobody who acts on them.
struct Trial {
    client: Client,
}

impl Trial {
    async fn begin() -> anyhow::Result<Self> {
        let client = Client::new(Server::new(Sources::system(), Limits::default()), "default");
        for crd in all_crds() {
            let definition = Manifest::of("definition", serde_json::to_value(&crd)?)?;
            manifests::apply(&client, &definition).await?;
        }
        Ok(Self { client })
    }

    async fn take(
        &mut self,
        objects: &mut Objects,
        mut object: Value,
        namespace: &str,
        now: Timestamp,
        applied: &mut Applied,
    ) -> anyhow::Result<()> {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .map(ToOwned::to_owned)
        };
        let kind = text("/kind").unwrap_or_default();
        let name = text("/metadata/name").unwrap_or_default();
        let ours = text("/apiVersion").is_some_and(|version| version.starts_with(&format!("{GROUP}/")));
        let rehearsed = ["EcsCluster", "ContainerInstance", "TaskDefinition", "EcsService"];
        if kind == "Namespace" && !name.is_empty() {
            if objects.cache.namespaces.named(&name).is_none() && !objects.cache.namespaces.is_empty() {
                objects.put("Namespace", object)?;
            }
            return Ok(());
        }
        if !ours || !rehearsed.contains(&kind.as_str()) {
            applied.left_out.push(format!("{kind} {name}"));
            return Ok(());
        }
        let namespaced = matches!(kind.as_str(), "TaskDefinition" | "EcsService");
        let namespace = text("/metadata/namespace").unwrap_or_else(|| namespace.to_owned());
        let key = Key::new(if namespaced { namespace.as_str() } else { "" }, name.as_str());
        if namespaced {
            let known = &objects.cache.namespaces;
            let there = known.is_empty() || known.named(&namespace).is_some();
            anyhow::ensure!(there, "{kind} {name}: namespaces \"{namespace}\" not found");
            set(&mut object, "/metadata", "namespace", json!(namespace));
            self.make_namespace(&namespace).await?;
        }
        let before = known(objects, &kind, &key)?;
        if let Some(before) = &before {
            self.create(&kind, &key, bare(before)).await?;
        }
        let manifest = Manifest::of(&format!("{kind} {name}"), object)?;
        manifests::apply(&self.client, &manifest).await?;
        let after = self.get(&kind, &key).await?;
        let after = match before {
            Some(mut before) => {
                for member in ["spec", "labels"] {
                    let (pointer, at) = if member == "spec" {
                        ("", "/spec")
                    } else {
                        ("/metadata", "/metadata/labels")
                    };
                    set(
                        &mut before,
                        pointer,
                        member,
                        after.pointer(at).cloned().unwrap_or_default(),
                    );
                }
                before
            }
            None => new(&after, &key, now),
        };
        objects.put(&kind, after)?;
        applied.cluster |= kind == "EcsCluster";
        if kind == "EcsService" && !applied.services.contains(&key) {
            applied.services.push(key);
        }
        Ok(())
    }

    async fn make_namespace(&self, name: &str) -> anyhow::Result<()> {
        let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        manifests::apply(&self.client, &Manifest::of("namespace", object)?).await?;
        Ok(())
    }

    /// Puts an object there that is none of the manifests', so that what they don't name stays.
    async fn create(&self, kind: &str, key: &Key, object: Value) -> anyhow::Result<()> {
        let object: DynamicObject = serde_json::from_value(object)?;
        match self.api(kind, key).create(&PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) if !status.is_already_exists() => {
                anyhow::bail!("what is there already would be refused today: {}", status.message)
            }
            Err(kube::Error::Api(_)) | Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn get(&self, kind: &str, key: &Key) -> anyhow::Result<Value> {
        Ok(serde_json::to_value(self.api(kind, key).get(&key.name).await?)?)
    }

    fn api(&self, kind: &str, key: &Key) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk(GROUP, "v1alpha1", kind);
        let plural = KINDS
            .iter()
            .find(|(name, ..)| *name == kind)
            .map_or("", |(_, plural, _)| plural);
        let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
        if key.namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), &key.namespace, &resource)
        }
    }
}

fn set(object: &mut Value, pointer: &str, member: &str, value: Value) {
    if let Some(members) = object.pointer_mut(pointer).and_then(Value::as_object_mut) {
        if value.is_null() {
            members.remove(member);
        } else {
            members.insert(member.to_owned(), value);
        }
    }
}

/// What a user gave of an object.
fn bare(object: &Value) -> Value {
    let of = |pointer: &str| object.pointer(pointer).cloned().unwrap_or_default();
    json!({ "apiVersion": of("/apiVersion"), "kind": of("/kind"), "spec": of("/spec"), "metadata": {
        "name": of("/metadata/name"), "namespace": of("/metadata/namespace"), "labels": of("/metadata/labels") } })
}

/// An object that is made now, with a uid that nothing else has.
fn new(object: &Value, key: &Key, now: Timestamp) -> Value {
    let mut object = bare(object);
    set(&mut object, "/metadata", "uid", json!(format!("new {key}")));
    let created = json!(format!("{now:.0}"));
    set(&mut object, "/metadata", "creationTimestamp", created);
    object
}

/// The object as it is there already.
fn known(objects: &Objects, kind: &str, key: &Key) -> anyhow::Result<Option<Value>> {
    fn of<K>(store: &Store<K>, kind: &str, key: &Key) -> anyhow::Result<Option<Value>>
    where
        K: kube::Resource + Serialize,
    {
        let Some(found) = store.get(key) else {
            return Ok(None);
        };
        let mut object = serde_json::to_value(found.as_ref())?;
        set(&mut object, "", "kind", json!(kind));
        set(&mut object, "", "apiVersion", json!(format!("{GROUP}/v1alpha1")));
        Ok(Some(object))
    }
    let cache = &objects.cache;
    match kind {
        "EcsCluster" => of(&cache.clusters, kind, key),
        "ContainerInstance" => of(&cache.instances, kind, key),
        "TaskDefinition" => of(&cache.definitions, kind, key),
        _ => of(&cache.services, kind, key),
    }
}
