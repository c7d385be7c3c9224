//! What is served: kinds, in which versions, with which rules.

mod builtin;
pub mod custom;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::store::Collection;
pub use custom::Custom;

/// How the API server treats the objects of a kind, where it is not by the general rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Stored as it is.
    Plain,
    /// Deleted gracefully, bound by its subresource, evicted by its budget.
    Pod,
    /// Made not ready by a taint when it is created.
    Node,
    /// Holds others and is finalized through `spec.finalizers`.
    Namespace,
    /// Defines further kinds.
    Definition,
    /// Served in two groups from one collection.
    Event,
    /// Holds its data in base64.
    Secret,
    /// Not stored: a question that is answered at once.
    Review,
    /// Defined by a CustomResourceDefinition.
    Custom,
}

/// Which names are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// RFC 1123 subdomain.
    Subdomain,
    /// RFC 1123 label.
    Label,
    /// RFC 1035 label.
    ServiceLabel,
    /// Whatever may stand in a path.
    PathSegment,
}

/// What may be changed by a write to the `status` subresource beside the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusRule {
    /// There is no such subresource: the status is a field like any other.
    None,
    /// The status alone.
    StatusOnly,
    /// The status and the metadata.
    WithMetadata,
}

/// Where the `scale` subresource finds its fields, as paths of member names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalePaths {
    /// The wanted number.
    pub spec_replicas: Vec<String>,
    /// The observed number.
    pub status_replicas: Vec<String>,
    /// The selector, as text or as a label selector.
    pub selector: Option<Vec<String>>,
}

/// A kind in one version, as it is served.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says one thing of a kind, and they are independent"
)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: String,
    /// Version within the group.
    pub version: String,
    /// Plural name, as in paths.
    pub plural: String,
    /// Singular name.
    pub singular: String,
    /// Kind.
    pub kind: String,
    /// Kind of the list.
    pub list_kind: String,
    /// Short names for kubectl.
    pub short_names: Vec<String>,
    /// Categories for kubectl.
    pub categories: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Where its objects are kept.
    pub collection: Collection,
    /// Which names are valid.
    pub names: Names,
    /// Special treatment.
    pub role: Role,
    /// What `status` may change.
    pub status: StatusRule,
    /// The `scale` subresource.
    pub scale: Option<ScalePaths>,
    /// Whether `metadata.generation` counts the changes of what is wanted.
    pub generation: bool,
    /// Whether an update of an object that does not exist creates it.
    pub create_on_update: bool,
    /// Whether an update may do without a resourceVersion.
    pub unconditional_update: bool,
    /// What its definition says, for kinds that have one.
    pub custom: Option<Arc<Custom>>,
}

impl Kind {
    /// `group/version`, or the version alone for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The plural with the group, as error texts have it.
    pub fn qualified_plural(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// The kind with the group, as error texts have it.
    pub fn qualified_kind(&self) -> String {
        if self.group.is_empty() {
            self.kind.clone()
        } else {
            format!("{}.{}", self.kind, self.group)
        }
    }

    /// Whether it is defined by a CustomResourceDefinition.
    pub fn is_custom(&self) -> bool {
        self.role == Role::Custom
    }

    /// Whether its definition is to be deleted: its objects go, and no new ones come.
    pub fn is_terminating(&self) -> bool {
        self.custom.as_ref().is_some_and(|custom| custom.terminating)
    }

    /// The verbs that discovery announces.
    pub fn verbs(&self) -> &'static [&'static str] {
        match self.role {
            Role::Review => &["create"],
            Role::Custom if self.is_terminating() => &["delete", "deletecollection", "get", "list", "watch"],
            Role::Custom => &[
                "delete",
                "deletecollection",
                "get",
                "list",
                "patch",
                "create",
                "update",
                "watch",
            ],
            Role::Namespace => &["create", "delete", "get", "list", "patch", "update", "watch"],
            _ => &[
                "create",
                "delete",
                "deletecollection",
                "get",
                "list",
                "patch",
                "update",
                "watch",
            ],
        }
    }

    /// Its subresources: name, kind, group and version of that kind (none: the kind's own), verbs.
    pub fn subresources(&self) -> Vec<Subresource> {
        let mut all = Vec::new();
        if self.status != StatusRule::None {
            all.push(Subresource::new(
                "status",
                &self.kind,
                None,
                &["get", "patch", "update"],
            ));
        }
        if self.scale.is_some() {
            all.push(Subresource::new(
                "scale",
                "Scale",
                Some(("autoscaling", "v1")),
                &["get", "patch", "update"],
            ));
        }
        match self.role {
            Role::Pod => {
                all.push(Subresource::new("binding", "Binding", None, &["create"]));
                all.push(Subresource::new(
                    "eviction",
                    "Eviction",
                    Some(("policy", "v1")),
                    &["create"],
                ));
            }
            Role::Namespace => all.push(Subresource::new("finalize", "Namespace", None, &["update"])),
            _ => {}
        }
        all
    }
}

/// A subresource as discovery announces it.
#[derive(Debug, Clone)]
pub struct Subresource {
    /// The last part of its path.
    pub name: &'static str,
    /// The kind of its bodies.
    pub kind: String,
    /// Group and version of that kind where they are not the resource's own.
    pub group_version: Option<(&'static str, &'static str)>,
    /// Its verbs.
    pub verbs: &'static [&'static str],
}

impl Subresource {
    fn new(
        name: &'static str,
        kind: &str,
        group_version: Option<(&'static str, &'static str)>,
        verbs: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            kind: kind.to_owned(),
            group_version,
            verbs,
        }
    }
}

/// Everything that is served.
#[derive(Debug, Default)]
pub struct Registry {
    kinds: BTreeMap<(String, String), BTreeMap<String, Arc<Kind>>>,
}

impl Registry {
    /// The built-in kinds.
    pub fn new() -> Self {
        let mut registry = Self::default();
        for kind in builtin::kinds() {
            registry.insert(kind);
        }
        registry
    }

    /// Serves a kind, instead of one of the same group, version and plural.
    pub fn insert(&mut self, kind: Kind) {
        let of_version = self
            .kinds
            .entry((kind.group.clone(), kind.version.clone()))
            .or_default();
        of_version.insert(kind.plural.clone(), Arc::new(kind));
    }

    /// Serves no version of a resource any longer.
    pub fn remove(&mut self, group: &str, plural: &str) {
        for ((in_group, _), kinds) in &mut self.kinds {
            if in_group == group {
                kinds.remove(plural);
            }
        }
        self.kinds.retain(|_, kinds| !kinds.is_empty());
    }

    /// A kind by its path.
    pub fn get(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Kind>> {
        self.version(group, version)?.get(plural).cloned()
    }

    /// The kinds of a group's version by plural name.
    pub fn version(&self, group: &str, version: &str) -> Option<&BTreeMap<String, Arc<Kind>>> {
        self.kinds.get(&(group.to_owned(), version.to_owned()))
    }

    /// A kind by apiVersion and kind, as owner references name it.
    pub fn by_kind(&self, api_version: &str, kind: &str) -> Option<Arc<Kind>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.version(group, version)?
            .values()
            .find(|found| found.kind == kind && found.role != Role::Review)
            .cloned()
    }

    /// A kind of a collection, in its first version.
    pub fn of_collection(&self, collection: &Collection) -> Option<Arc<Kind>> {
        self.all()
            .find(|kind| kind.collection == *collection && *kind.group == *collection.group)
            .cloned()
    }

    /// All kinds in all versions.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.values().flat_map(BTreeMap::values)
    }

    /// Whether a group has built-in kinds.
    pub fn is_builtin_group(&self, group: &str) -> bool {
        self.all().any(|kind| kind.group == group && !kind.is_custom())
    }

    /// The groups, each with its versions, the preferred one first. The core group is among them, with an empty name.
    pub fn groups(&self) -> BTreeMap<String, Vec<String>> {
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (group, version) in self.kinds.keys() {
            groups.entry(group.clone()).or_default().push(version.clone());
        }
        for versions in groups.values_mut() {
            versions.sort_by(|a, b| custom::version_order(a, b));
        }
        groups
    }
}
