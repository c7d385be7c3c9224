//! The operator's own kinds: what a real API server said about the good and bad objects in `e2e/fixtures/api` these
//! schemas must say too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::schema::{Schema, strict_error};

/// Objects whose fault lies in the metadata, which the schema does not judge.
const METADATA: [&str; 1] = ["task-definition-family-leading-underscore.yaml"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.split("\n---\n")
        .map(|text| {
            serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect()
}

/// The schemas of all kinds in `crds`.
fn schemas() -> BTreeMap<String, Schema> {
    let mut schemas = BTreeMap::new();
    for file in std::fs::read_dir(repository().join("crds")).unwrap() {
        for crd in documents(&file.unwrap().path()) {
            let kind = crd["spec"]["names"]["kind"].as_str().unwrap().to_owned();
            let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            schemas.insert(
                kind.clone(),
                Schema::from_json(schema).unwrap_or_else(|error| panic!("{kind}: {error}")),
            );
        }
    }
    schemas
}

/// What the API server would say to a create, or an update of `old`: nothing, or the refusal.
fn answer(schema: &Schema, mut object: Value, old: Option<&Value>) -> Result<Value, String> {
    schema.default(&mut object);
    if let Some(why) = strict_error(&[], &schema.prune(&mut object)) {
        return Err(why);
    }
    let errors = schema.validate(&object, old);
    if errors.is_empty() {
        return Ok(object);
    }
    Err(errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", "))
}

fn check(schemas: &BTreeMap<String, Schema>, path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).unwrap();
    let expected = text
        .lines()
        .find_map(|line| line.strip_prefix("# expect: "))
        .map(str::trim);
    let documents = documents(path);
    let schema = &schemas[documents[0]["kind"].as_str().unwrap()];
    let answer = match documents.as_slice() {
        [object] => answer(schema, object.clone(), None),
        [first, second] => {
            let old =
                answer(schema, first.clone(), None).map_err(|why| format!("the first document: {why}"))?;
            answer(schema, second.clone(), Some(&old))
        }
        _ => return Err("one or two documents".to_owned()),
    };
    match (expected, answer) {
        (Some(text), Err(why)) if why.contains(text) => Ok(()),
        (None, Ok(_)) => Ok(()),
        (expected, answer) => Err(format!("expected {expected:?}, got {:?}", answer.err())),
    }
}

fn run(folder: &str, at_least: usize) {
    let schemas = schemas();
    let folder = repository().join("e2e/fixtures/api").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= at_least, "only {} files", files.len());
    let mut failures = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if METADATA.contains(&name.as_str()) {
            continue;
        }
        if let Err(why) = check(&schemas, &file) {
            failures.push(format!("{name}: {why}"));
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn good_objects_are_taken() {
    run("good", 30);
}

#[test]
fn bad_objects_are_refused_in_the_servers_words() {
    run("bad", 160);
}
