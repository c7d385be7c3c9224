//! Which object is meant by a name.

use anyhow::bail;

use crate::explain::Picture;
use crate::explain::picture::near;
use crate::plan::world::Key;

/// A service: `NAME` or `NAMESPACE/NAME`.
pub(super) fn service(picture: &Picture, namespace: &str, name: &str) -> anyhow::Result<Key> {
    let all: Vec<&Key> = picture.world.services.keys().collect();
    named("EcsService", namespace, name, &all)
}

/// A task: `ID` or `NAMESPACE/ID`, or the beginning of an id that only one has.
pub(super) fn task(picture: &Picture, namespace: &str, name: &str) -> anyhow::Result<Key> {
    let all: Vec<&Key> = picture.world.tasks().map(|task| &task.key).collect();
    let wanted = key(namespace, name);
    let begins = |key: &&&Key| key.namespace == wanted.namespace && key.name.starts_with(&wanted.name);
    let several: Vec<&&Key> = all.iter().filter(begins).collect();
    match several.as_slice() {
        [only] => Ok(Key::clone(only)),
        _ => named("Task", namespace, name, &all),
    }
}

/// An instance.
pub(super) fn instance(picture: &Picture, name: &str) -> anyhow::Result<String> {
    if picture.world.instances.contains_key(name) {
        return Ok(name.to_owned());
    }
    let names = picture.world.instances.keys().map(String::as_str);
    bail!(
        "there is no ContainerInstance {name}{}",
        meant(&near(name, names))
    )
}

fn key(namespace: &str, name: &str) -> Key {
    match name.split_once('/') {
        Some((namespace, name)) => Key::new(namespace, name),
        None => Key::new(namespace, name),
    }
}

fn named(kind: &str, namespace: &str, name: &str, all: &[&Key]) -> anyhow::Result<Key> {
    let wanted = key(namespace, name);
    if all.contains(&&wanted) {
        return Ok(wanted);
    }
    let elsewhere = all.iter().filter(|key| key.name == wanted.name);
    let elsewhere: Vec<String> = elsewhere.map(|key| format!("-n {}", key.namespace)).collect();
    if !elsewhere.is_empty() {
        bail!(
            "there is no {kind} {} in namespace {}, but with {}",
            wanted.name,
            wanted.namespace,
            elsewhere.join(", ")
        );
    }
    let here = all.iter().filter(|key| key.namespace == wanted.namespace);
    let names = here.map(|key| key.name.as_str());
    bail!(
        "there is no {kind} {} in namespace {}{}",
        wanted.name,
        wanted.namespace,
        meant(&near(&wanted.name, names))
    )
}

fn meant(names: &[&str]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!("; is it {}?", names.join(" or "))
    }
}
