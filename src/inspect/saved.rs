//! Objects from files: what `kubectl get -o json` or `-o yaml` printed, or manifests.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::objects::{KINDS, Objects};
use crate::local::manifests;

/// Reads a snapshot: a file, all `.json`, `.yaml` and `.yml` files of a directory, or the standard input (`-`).
pub(super) fn read(path: &Path) -> anyhow::Result<Objects> {
    let mut objects = Objects::default();
    for (place, documents) in documents(path)? {
        for document in documents {
            objects.absorb(document).with_context(|| place.clone())?;
        }
    }
    if objects.ours == 0 {
        let kinds: Vec<&str> = KINDS.iter().map(|(_, plural, _)| *plural).collect();
        bail!(
            "{} has no objects of ecs-operator. Save them by: kubectl get {} -A -o json",
            path.display(),
            kinds.join(",")
        );
    }
    Ok(objects)
}

/// The documents of a file, a directory or the standard input, with the name of each file.
pub(super) fn documents(path: &Path) -> anyhow::Result<Vec<(String, Vec<Value>)>> {
    let shown = path.display().to_string();
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read the standard input")?;
        return Ok(vec![(
            "standard input".to_owned(),
            parse("standard input", &text)?,
        )]);
    }
    let files = if path.is_dir() {
        manifests::files(path)?
    } else {
        vec![path.to_owned()]
    };
    anyhow::ensure!(
        !files.is_empty(),
        "{shown} has no files that end in .json, .yaml or .yml"
    );
    let mut found = Vec::new();
    for file in files {
        let name = file.display().to_string();
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {name}"))?;
        let documents = parse(&name, &text)?;
        found.push((name, documents));
    }
    Ok(found)
}

/// The documents of one text: JSON values one after the other, or YAML.
fn parse(name: &str, text: &str) -> anyhow::Result<Vec<Value>> {
    if text.trim_start().starts_with('{') {
        let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        return values
            .collect::<Result<_, _>>()
            .with_context(|| format!("{name} is no JSON"));
    }
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)
        .map_err(|error| anyhow::anyhow!("{name} is no YAML that can be read (try -o json): {error}"))?;
    Ok(documents
        .into_iter()
        .filter(|document| !document.is_null())
        .collect())
}
