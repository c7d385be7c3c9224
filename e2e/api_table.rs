//! The table of good and bad objects: what `kubectl apply` must accept and what the API server itself must refuse, in
//! ECS's words. Nothing of the operator takes part but its CRDs.
//!
//! A file of `fixtures/api/bad` begins with `# expect: ` and a part of the refusal, then `# rule: ` and the rule's id;
//! one of `fixtures/api/good` with `# rule: `. With one document the object is created as a dry run. With two, the
//! first is created for real, in a namespace that is deleted afterwards, and the second is sent as its update.

use std::path::Path;
use std::time::Duration;

use http::Request;
use kube::{Client, Error};
use serde_json::{Value, json};

/// So many bad objects there are at least.
const BAD_MIN: usize = 60;
/// So many good objects there are at least.
const GOOD_MIN: usize = 20;
/// Updates are tried again this often when somebody else wrote the object in between.
const CONFLICTS_MAX: usize = 10;
/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Where the API server serves our kinds.
const GROUP_PATH: &str = "/apis/ecs-operator.dev/v1alpha1";

/// One file of the table.
struct Entry {
    file: String,
    rule: String,
    /// Part of the refusal; `None` for good objects.
    expect: Option<String>,
    documents: Vec<Value>,
}

/// What the API server said: the object, or why not.
type Answer = Result<Value, String>;

/// Sends every object of the table and compares. Returns what went otherwise, one line each.
pub(crate) async fn run(client: Client) -> Vec<String> {
    let mut failures = Vec::new();
    let bad = entries("bad", &mut failures);
    let good = entries("good", &mut failures);
    if bad.len() < BAD_MIN {
        failures.push(format!(
            "only {} bad objects: at least {BAD_MIN} are promised",
            bad.len()
        ));
    }
    if good.len() < GOOD_MIN {
        failures.push(format!(
            "only {} good objects: at least {GOOD_MIN} are promised",
            good.len()
        ));
    }
    let namespace = match make_namespace(&client).await {
        Ok(name) => name,
        Err(why) => {
            failures.push(format!("cannot make a namespace: {why}"));
            return failures;
        }
    };
    for entry in bad.iter().chain(&good) {
        if let Err(why) = check(&client, &namespace, entry).await {
            failures.push(format!("{} ({}): {why}", entry.file, entry.rule));
        }
    }
    let path = format!("/api/v1/namespaces/{namespace}");
    if let Err(why) = send(&client, "DELETE", &path, None).await {
        failures.push(format!("cannot delete the namespace {namespace}: {why}"));
    }
    failures
}

/// Reads the files of one folder, in the order of their names.
fn entries(folder: &str, failures: &mut Vec<String>) -> Vec<Entry> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("e2e/fixtures/api")
        .join(folder);
    let mut files: Vec<_> = match std::fs::read_dir(&path) {
        Ok(list) => list.flatten().map(|file| file.path()).collect(),
        Err(error) => {
            failures.push(format!("cannot read {folder}: {error}"));
            return Vec::new();
        }
    };
    files.sort();
    let mut entries = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{folder}/{name}");
        let read = std::fs::read_to_string(&file).map_err(|error| error.to_string());
        match read.and_then(|text| parse(&name, &text, folder == "bad")) {
            Ok(entry) => entries.push(entry),
            Err(why) => failures.push(format!("{name}: {why}")),
        }
    }
    entries
}

fn parse(file: &str, text: &str, refused: bool) -> Result<Entry, String> {
    let header = |key: &str| {
        let found = text
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .map(str::trim);
        found.filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let rule = header("# rule: ").ok_or("it has no line `# rule: ID`")?;
    let expect = header("# expect: ");
    if expect.is_some() != refused {
        return Err("a bad object has a line `# expect: TEXT`, a good one has none".to_owned());
    }
    let documents = text
        .split("\n---\n")
        .map(|document| serde_saphyr::from_str(document).map_err(|error| error.to_string()))
        .collect::<Result<Vec<Value>, _>>()?;
    if documents.len() > 2 {
        return Err("it has more than two documents".to_owned());
    }
    Ok(Entry {
        file: file.to_owned(),
        rule,
        expect,
        documents,
    })
}

/// Sends the object, or the object and its update, and compares the answer with what the file says.
async fn check(client: &Client, namespace: &str, entry: &Entry) -> Result<(), String> {
    let answer = match entry.documents.as_slice() {
        [object] => create(client, namespace, object, true).await,
        [first, second] => {
            let suffix = namespace.rsplit('-').next().unwrap_or_default();
            let (first, second) = (renamed(first, suffix), renamed(second, suffix));
            create(client, namespace, &first, false)
                .await
                .map_err(|why| format!("the first document was refused: {why}"))?;
            let answer = update(client, namespace, &second).await;
            remove(client, namespace, &second).await?;
            answer
        }
        _ => return Err("it has no document".to_owned()),
    };
    match (&entry.expect, answer) {
        (None, Ok(_)) => Ok(()),
        (None, Err(why)) => Err(format!("it was refused: {why}")),
        (Some(text), Err(why)) if why.contains(text) => Ok(()),
        (Some(text), Err(why)) => Err(format!("it was refused, but not with `{text}`: {why}")),
        (Some(text), Ok(_)) => Err(format!("it was accepted; expected `{text}`")),
    }
}

/// The object, under a name of its own if it is cluster-wide, so that nobody else's object is touched.
fn renamed(object: &Value, suffix: &str) -> Value {
    let mut object = object.clone();
    if !namespaced(&object) {
        let name = format!("{}-{suffix}", name(&object));
        if let Some(metadata) = object.pointer_mut("/metadata/name") {
            *metadata = json!(name);
        }
    }
    object
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

fn namespaced(object: &Value) -> bool {
    !matches!(text(object, "/kind"), "EcsCluster" | "ContainerInstance")
}

/// Path of all objects of this kind: all our plurals are the kind in lower case with an s.
fn collection(namespace: &str, object: &Value) -> String {
    let plural = format!("{}s", text(object, "/kind").to_lowercase());
    if namespaced(object) {
        format!("{GROUP_PATH}/namespaces/{namespace}/{plural}")
    } else {
        format!("{GROUP_PATH}/{plural}")
    }
}

/// As `kubectl create` does it: strict about members that the schema does not have.
async fn create(client: &Client, namespace: &str, object: &Value, dry_run: bool) -> Answer {
    let dry_run = if dry_run { "&dryRun=All" } else { "" };
    let path = format!(
        "{}?fieldValidation=Strict{dry_run}",
        collection(namespace, object)
    );
    send(client, "POST", &path, Some(object)).await
}

/// Replaces the spec of the object as it is now, as a dry run.
async fn update(client: &Client, namespace: &str, object: &Value) -> Answer {
    let path = format!("{}/{}", collection(namespace, object), name(object));
    let mut answer = Err(String::new());
    for _ in 0..CONFLICTS_MAX {
        let mut live = send(client, "GET", &path, None).await?;
        let spec = object.get("spec").cloned().unwrap_or_default();
        if let Some(members) = live.as_object_mut() {
            members.insert("spec".to_owned(), spec);
        }
        let path = format!("{path}?fieldValidation=Strict&dryRun=All");
        answer = send(client, "PUT", &path, Some(&live)).await;
        if !matches!(&answer, Err(why) if why.contains("the object has been modified")) {
            break;
        }
    }
    answer
}

async fn remove(client: &Client, namespace: &str, object: &Value) -> Result<(), String> {
    let path = format!("{}/{}", collection(namespace, object), name(object));
    match send(client, "DELETE", &path, None).await {
        Ok(_) => Ok(()),
        Err(why) if why.contains("not found") => Ok(()),
        Err(why) => Err(format!("cannot delete it again: {why}")),
    }
}

async fn make_namespace(client: &Client) -> Result<String, String> {
    let object = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "generateName": "api-table-" },
    });
    let made = send(client, "POST", "/api/v1/namespaces", Some(&object)).await?;
    Ok(name(&made).to_owned())
}

async fn send(client: &Client, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let body = body.map(Value::to_string).unwrap_or_default().into_bytes();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(body)
        .map_err(|error| error.to_string())?;
    match tokio::time::timeout(ANSWER_MAX, client.request::<Value>(request)).await {
        Ok(Ok(object)) => Ok(object),
        Ok(Err(Error::Api(status))) => Err(status.message),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", ANSWER_MAX.as_secs())),
    }
}
