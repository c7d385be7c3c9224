//! What is asked: path, query and headers as the rest of the server wants them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;

use crate::registry::{Kind, Registry, Role};
use crate::status::{Cause, Refusal};

/// One request, its body read.
#[derive(Debug, Clone)]
pub struct Call {
    /// HTTP method.
    pub method: Method,
    /// Path, percent-decoded.
    pub path: String,
    /// The query's members.
    pub query: Query,
    /// Header `Accept`.
    pub accept: String,
    /// Header `Content-Type`.
    pub content_type: String,
    /// Header `User-Agent`.
    pub agent: String,
    /// The body.
    pub body: Bytes,
}

impl Call {
    /// The media type of the body without its parameters, in lower case; JSON when none is said.
    pub fn media_type(&self) -> String {
        let plain = self
            .content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_lowercase();
        if plain.is_empty() {
            "application/json".to_owned()
        } else {
            plain
        }
    }
}

/// Query parameters. Of one that is repeated the first counts, as the API server has it.
#[derive(Debug, Clone, Default)]
pub struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    /// Reads the part of the URL after the question mark.
    pub fn parse(text: &str) -> Self {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            all.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        Self(all)
    }

    /// A parameter; empty when it is not given.
    pub fn get(&self, name: &str) -> &str {
        self.0
            .get(name)
            .and_then(|values| values.first())
            .map_or("", String::as_str)
    }

    /// All values of a parameter.
    pub fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Gives a parameter a value of its own.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), vec![value.to_owned()]);
    }

    /// A truth value; given without a value it is true.
    pub fn flag(&self, name: &str) -> bool {
        self.0.contains_key(name) && !["false", "0"].contains(&self.get(name).to_lowercase().as_str())
    }

    /// A whole number.
    pub fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let text = self.get(name);
        if text.is_empty() {
            return Ok(None);
        }
        let number = text.parse().map(Some);
        number.map_err(|_| {
            Refusal::bad_request(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax"))
        })
    }
}

/// Percent-decodes a path.
pub fn decode_path(path: &str) -> String {
    // A plus stands for itself in a path, other than in a query.
    let kept = path.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(kept.as_bytes())
        .next()
        .map_or_else(String::new, |(path, _)| path.into_owned())
}

/// The object or collection that a path names.
#[derive(Debug, Clone)]
pub struct Target {
    /// The kind.
    pub kind: Arc<Kind>,
    /// The namespace; empty for none or for all.
    pub namespace: String,
    /// The object's name; empty for the collection.
    pub name: String,
    /// The subresource; empty for the object itself.
    pub subresource: String,
}

/// Why a path names nothing.
#[derive(Debug, Clone)]
pub enum NoTarget {
    /// Nothing is served there: a plain 404.
    NoSuchPath,
    /// The version is served but the resource is not: a `Status`.
    NoSuchResource,
    /// An object of a definition has no such subresource: a `Status` that says of the object that it is not there.
    NoSuchSubresource(Arc<Kind>, String),
    /// What a kubelet would answer, such as `log`: there is none.
    NoKubelet(String),
}

/// Subresources of Pods that kube-apiserver asks the kubelet for.
const OF_KUBELETS: [&str; 5] = ["attach", "exec", "log", "portforward", "proxy"];

impl Target {
    /// Reads the segments after `/api` or `/apis/GROUP`: the version, then what is in it.
    pub fn parse(registry: &Registry, group: &str, segments: &[&str]) -> Result<Self, NoTarget> {
        let (version, rest) = segments.split_first().ok_or(NoTarget::NoSuchPath)?;
        let kinds = registry.version(group, version).ok_or(NoTarget::NoSuchPath)?;
        let missing = if kinds.values().any(|kind| kind.is_custom()) {
            NoTarget::NoSuchPath
        } else {
            NoTarget::NoSuchResource
        };
        let find = |plural: &str| kinds.get(plural).cloned().ok_or(missing.clone());
        let target = |kind, namespace: &str, name: &str, subresource: &str| Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
        };
        match *rest {
            ["namespaces", namespace, plural] if !["status", "finalize"].contains(&plural) => {
                Self::namespaced(target(find(plural)?, namespace, "", ""), missing)
            }
            ["namespaces", namespace, plural, name] => {
                Self::namespaced(target(find(plural)?, namespace, name, ""), missing)
            }
            ["namespaces", namespace, plural, name, subresource] => {
                Self::namespaced(target(find(plural)?, namespace, name, subresource), missing)
            }
            [plural] => Ok(target(find(plural)?, "", "", "")),
            [plural, name] => Self::cluster_wide(target(find(plural)?, "", name, ""), missing),
            [plural, name, subresource] => {
                Self::cluster_wide(target(find(plural)?, "", name, subresource), missing)
            }
            _ => Err(missing),
        }
    }

    fn namespaced(self, missing: NoTarget) -> Result<Self, NoTarget> {
        if self.kind.namespaced {
            self.with_subresource(missing)
        } else {
            Err(missing)
        }
    }

    fn cluster_wide(self, missing: NoTarget) -> Result<Self, NoTarget> {
        if self.kind.namespaced {
            Err(missing)
        } else {
            self.with_subresource(missing)
        }
    }

    fn with_subresource(self, missing: NoTarget) -> Result<Self, NoTarget> {
        let known = self.subresource.is_empty()
            || self
                .kind
                .subresources()
                .iter()
                .any(|subresource| subresource.name == self.subresource);
        match known {
            true => Ok(self),
            false if self.kind.role == Role::Pod && OF_KUBELETS.contains(&self.subresource.as_str()) => {
                Err(NoTarget::NoKubelet(self.subresource))
            }
            false if self.kind.is_custom() => Err(NoTarget::NoSuchSubresource(self.kind, self.name)),
            false => Err(missing),
        }
    }
}

/// What happens to fields that the schema does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validation {
    /// They are dropped.
    Ignore,
    /// They are dropped, with a warning each.
    Warn,
    /// The request is refused.
    Strict,
}

/// Options of a write.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// Whether nothing is stored.
    pub dry_run: bool,
    /// Who is recorded in `managedFields`.
    pub manager: String,
    /// Treatment of unknown fields.
    pub validation: Validation,
    /// Whether an apply takes fields over from other managers.
    pub force: bool,
}

/// A manager's name has at most so many bytes.
const MANAGER_MAX_BYTES: usize = 128;

impl WriteOptions {
    /// Those of the server's own writes.
    pub(crate) fn own() -> Self {
        Self {
            dry_run: false,
            manager: "kube-apiserver".to_owned(),
            validation: Validation::Ignore,
            force: false,
        }
    }

    /// Reads and checks the options; `name` is what the API server calls them, such as `CreateOptions`.
    pub fn parse(call: &Call, name: &'static str) -> Result<Self, Refusal> {
        let query = &call.query;
        let mut causes = Vec::new();
        let dry_run = query.all("dryRun");
        if dry_run.iter().any(|value| value != "All") {
            let given: Vec<String> = dry_run.iter().map(|value| format!("\"{value}\"")).collect();
            causes.push(Cause::unsupported(
                "dryRun",
                &format!("[{}]", given.join(",")),
                &["All"],
            ));
        }
        let manager = query.get("fieldManager");
        if manager.len() > MANAGER_MAX_BYTES {
            let detail = format!("may not be more than {MANAGER_MAX_BYTES} bytes");
            causes.push(Cause {
                reason: "FieldValueTooLong",
                message: format!("Too long: {detail}"),
                field: "fieldManager".to_owned(),
            });
        }
        let is_apply = call.media_type() == "application/apply-patch+yaml";
        if is_apply && manager.is_empty() {
            causes.push(Cause::required("fieldManager", "is required for apply patch"));
        }
        if !is_apply && name == "PatchOptions" && query.flag("force") {
            causes.push(Cause::forbidden(
                "force",
                "may not be specified for non-apply patch",
            ));
        }
        let validation = match query.get("fieldValidation") {
            "Strict" => Validation::Strict,
            "" | "Warn" => Validation::Warn,
            "Ignore" => Validation::Ignore,
            other => {
                let choices = ["", "Ignore", "Strict", "Warn"];
                causes.push(Cause::unsupported(
                    "fieldValidation",
                    &format!("\"{other}\""),
                    &choices,
                ));
                Validation::Ignore
            }
        };
        if !causes.is_empty() {
            return Err(Refusal::invalid_options(name, causes));
        }
        let manager = if manager.is_empty() {
            default_manager(&call.agent)
        } else {
            manager.to_owned()
        };
        Ok(Self {
            dry_run: !dry_run.is_empty(),
            manager,
            validation,
            force: query.flag("force"),
        })
    }
}

/// The first word of the user agent, up to a slash.
fn default_manager(agent: &str) -> String {
    let word = agent.split('/').next().unwrap_or_default();
    let mut end = word.len().min(MANAGER_MAX_BYTES);
    while !word.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let word = word.get(..end).unwrap_or_default();
    if word.is_empty() {
        "unknown".to_owned()
    } else {
        word.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_objects_collections_and_subresources() {
        let registry = Registry::new();
        let parse = |group: &str, path: &str| {
            let segments: Vec<&str> = path.split('/').collect();
            Target::parse(&registry, group, &segments).map(|target| {
                (
                    target.kind.kind.clone(),
                    target.namespace,
                    target.name,
                    target.subresource,
                )
            })
        };
        let found = |kind: &str, namespace: &str, name: &str, subresource: &str| {
            Some((
                kind.to_owned(),
                namespace.to_owned(),
                name.to_owned(),
                subresource.to_owned(),
            ))
        };
        assert_eq!(parse("", "v1/pods").ok(), found("Pod", "", "", ""));
        assert_eq!(
            parse("", "v1/namespaces/a/pods/b").ok(),
            found("Pod", "a", "b", "")
        );
        assert_eq!(
            parse("", "v1/namespaces/a/pods/b/eviction").ok(),
            found("Pod", "a", "b", "eviction")
        );
        assert_eq!(parse("", "v1/namespaces/a").ok(), found("Namespace", "", "a", ""));
        assert_eq!(
            parse("", "v1/namespaces/a/status").ok(),
            found("Namespace", "", "a", "status")
        );
        assert_eq!(
            parse("", "v1/nodes/a/status").ok(),
            found("Node", "", "a", "status")
        );
        assert_eq!(
            parse("apps", "v1/namespaces/a/deployments/b/scale").ok(),
            found("Deployment", "a", "b", "scale")
        );
        for path in [
            "v1/pods/b",
            "v1/namespaces/a/nodes/b",
            "v1/namespaces/a/configmaps/b/status",
            "v1/foo",
        ] {
            assert!(matches!(parse("", path), Err(NoTarget::NoSuchResource)), "{path}");
        }
        assert!(matches!(parse("", "v2/pods"), Err(NoTarget::NoSuchPath)));
    }

    #[test]
    fn the_manager_is_the_first_word_of_the_agent() {
        assert_eq!(default_manager("kubectl/v1.36 (linux)"), "kubectl");
        assert_eq!(default_manager(""), "unknown");
        assert_eq!(default_manager(&"ä".repeat(100)).len(), 128);
    }

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("labelSelector=a%3Db&watch&limit=x&watch2=false");
        assert_eq!(query.get("labelSelector"), "a=b");
        assert!(query.flag("watch") && !query.flag("watch2") && !query.flag("no"));
        assert_eq!(
            query.number("limit").unwrap_err().message,
            "strconv.ParseInt: parsing \"x\": invalid syntax"
        );
        assert_eq!(decode_path("/a%2Fb+c"), "/a/b+c");
    }
}
