//! Applying manifests, as `kubectl apply --server-side` does.

#![allow(clippy::disallowed_methods, reason = "what a user does, not placement")]

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, oneshot::pinned_kind};
use serde_json::Value;

use crate::api::GROUP;

/// Who owns what is applied.
const FIELD_MANAGER: &str = "ecs-operator-local";

/// An object, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    /// File and number of the document in it.
    pub(super) place: String,
    /// The object.
    pub(super) object: DynamicObject,
}

impl Manifest {
    /// An object of local mode's own.
    pub(crate) fn of(place: &str, object: Value) -> anyhow::Result<Self> {
        let place = place.to_owned();
        Ok(Self {
            object: read_object(object).with_context(|| place.clone())?,
            place,
        })
    }

    /// Namespace and name, if it is an EcsService.
    #[must_use]
    pub(super) fn service(&self) -> Option<(String, String)> {
        let types = self.object.types.as_ref()?;
        let is_service = types.kind == "EcsService" && types.api_version.starts_with(GROUP);
        let namespace = self.object.metadata.namespace.as_deref().unwrap_or("default");
        is_service.then(|| {
            (
                namespace.to_owned(),
                self.object.metadata.name.clone().unwrap_or_default(),
            )
        })
    }
}

/// The `.yaml`, `.yml` and `.json` files of a directory, sorted by name.
pub(crate) fn files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let shown = directory.display();
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {shown}"))?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()
        .with_context(|| format!("cannot read {shown}"))?;
    paths.retain(|path| {
        let extension = path.extension().and_then(|e| e.to_str());
        path.is_file() && extension.is_some_and(|e| ["yaml", "yml", "json"].contains(&e))
    });
    paths.sort();
    Ok(paths)
}

/// Everything in a directory's `.yaml`, `.yml` and `.json` files, in the order of their names. All is read before anything
/// is applied.
pub(super) fn read(directory: &Path) -> anyhow::Result<Vec<Manifest>> {
    let shown = directory.display();
    let mut manifests = Vec::new();
    for path in files(directory)? {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        manifests.extend(parse(&path.display().to_string(), &text)?);
    }
    if manifests.is_empty() {
        bail!("{shown} has no manifests: files that end in .yaml, .yml or .json");
    }
    Ok(manifests)
}

/// The objects of one text.
pub(super) fn parse(name: &str, text: &str) -> anyhow::Result<Vec<Manifest>> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
    let mut manifests = Vec::new();
    for (at, document) in documents.into_iter().enumerate() {
        let place = format!("{name}, document {}", at.saturating_add(1));
        match document {
            Value::Null => {}
            document => manifests.push(Manifest::of(&place, document)?),
        }
    }
    Ok(manifests)
}

fn read_object(document: Value) -> anyhow::Result<DynamicObject> {
    for member in ["apiVersion", "kind"] {
        if !document.get(member).is_some_and(Value::is_string) {
            bail!("{member} is missing");
        }
    }
    if !document.pointer("/metadata/name").is_some_and(Value::is_string) {
        bail!("metadata.name is missing");
    }
    Ok(serde_json::from_value(document)?)
}

/// Applies one object; its `KIND/NAME`.
pub(crate) async fn apply(client: &Client, manifest: &Manifest) -> anyhow::Result<String> {
    let Manifest { place, object } = manifest;
    let types = object.types.clone().unwrap_or_default();
    let name = object.metadata.name.clone().unwrap_or_default();
    let shown = format!("{}/{name}", types.kind.to_lowercase());
    let gvk = GroupVersionKind::try_from(&types).with_context(|| place.clone())?;
    let kind = pinned_kind(client, &gvk).await;
    let (resource, capabilities) =
        kind.with_context(|| format!("{place}: no kind {} in {}", types.kind, types.api_version))?;
    let namespace = object.metadata.namespace.as_deref().unwrap_or("default");
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
        Scope::Cluster => Api::all_with(client.clone(), &resource),
    };
    let params = PatchParams::apply(FIELD_MANAGER).force().validation_strict();
    let applied = api.patch(&name, &params, &Patch::Apply(object)).await;
    match applied {
        Ok(_) => Ok(shown),
        Err(kube::Error::Api(status)) => bail!("{place} ({shown}): {}", status.message),
        Err(error) => Err(error).with_context(|| format!("{place} ({shown})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_told_apart_and_empty_ones_left_out() {
        let text = "# nothing\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n\
                    apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: a}\n---\n";
        let found = parse("f.yaml", text).unwrap();
        let names: Vec<_> = found
            .iter()
            .filter_map(|m| m.object.metadata.name.as_deref())
            .collect();
        assert_eq!(names, ["a", "b"]);
        assert!(
            found[1].place.starts_with("f.yaml, document "),
            "{}",
            found[1].place
        );
    }

    #[test]
    fn what_is_no_object_is_named_with_its_place() {
        for (text, wanted) in [
            ("kind: Pod\nmetadata: {name: a}\n", "apiVersion is missing"),
            ("apiVersion: v1\nkind: Pod\n", "metadata.name is missing"),
            ("apiVersion: v1\n  kind: Pod\n", "f.yaml"),
            ("- a\n", "apiVersion is missing"),
        ] {
            let error = format!("{:#}", parse("f.yaml", text).unwrap_err());
            assert!(error.contains(wanted) && error.contains("f.yaml"), "{error}");
        }
    }
}
