//! The kinds that are there from the start.

use super::{Collection, Kind, Names, Role, ScalePaths, StatusRule};

#[expect(clippy::struct_excessive_bools, reason = "a row of a table")]
struct Row {
    group: &'static str,
    plural: &'static str,
    kind: &'static str,
    short_names: &'static [&'static str],
    namespaced: bool,
    role: Role,
    names: Names,
    status: StatusRule,
    generation: bool,
    create_on_update: bool,
    unconditional_update: bool,
    category: &'static str,
    scaled: bool,
}

const fn row(group: &'static str, plural: &'static str, kind: &'static str) -> Row {
    Row {
        group,
        plural,
        kind,
        short_names: &[],
        namespaced: true,
        role: Role::Plain,
        names: Names::Subdomain,
        status: StatusRule::None,
        generation: false,
        create_on_update: false,
        unconditional_update: true,
        category: "",
        scaled: false,
    }
}

impl Row {
    const fn short(self, short_names: &'static [&'static str]) -> Self {
        Self { short_names, ..self }
    }
    const fn cluster(self) -> Self {
        Self {
            namespaced: false,
            ..self
        }
    }
    const fn role(self, role: Role) -> Self {
        Self { role, ..self }
    }
    const fn names(self, names: Names) -> Self {
        Self { names, ..self }
    }
    const fn status(self, status: StatusRule) -> Self {
        Self { status, ..self }
    }
    const fn generation(self) -> Self {
        Self {
            generation: true,
            ..self
        }
    }
    const fn create_on_update(self) -> Self {
        Self {
            create_on_update: true,
            ..self
        }
    }
    const fn conditional(self) -> Self {
        Self {
            unconditional_update: false,
            ..self
        }
    }
    const fn category(self, category: &'static str) -> Self {
        Self { category, ..self }
    }
    const fn in_all(self) -> Self {
        self.category("all")
    }
    const fn scaled(self) -> Self {
        Self { scaled: true, ..self }
    }
}

const WORKLOAD: StatusRule = StatusRule::WithMetadata;
const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";

const ROWS: &[Row] = &[
    row("", "configmaps", "ConfigMap").short(&["cm"]),
    row("", "endpoints", "Endpoints")
        .short(&["ep"])
        .create_on_update(),
    row("", "events", "Event")
        .short(&["ev"])
        .role(Role::Event)
        .create_on_update(),
    row("", "limitranges", "LimitRange")
        .short(&["limits"])
        .create_on_update(),
    row("", "namespaces", "Namespace")
        .short(&["ns"])
        .cluster()
        .role(Role::Namespace)
        .names(Names::Label)
        .status(StatusRule::WithMetadata),
    row("", "nodes", "Node")
        .short(&["no"])
        .cluster()
        .role(Role::Node)
        .status(StatusRule::WithMetadata),
    row("", "pods", "Pod")
        .short(&["po"])
        .role(Role::Pod)
        .status(StatusRule::WithMetadata)
        .generation()
        .in_all(),
    row("", "resourcequotas", "ResourceQuota")
        .short(&["quota"])
        .status(StatusRule::WithMetadata),
    row("", "secrets", "Secret").role(Role::Secret),
    row("", "serviceaccounts", "ServiceAccount").short(&["sa"]),
    row("", "services", "Service")
        .short(&["svc"])
        .names(Names::ServiceLabel)
        .status(StatusRule::WithMetadata)
        .create_on_update()
        .in_all(),
    row(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "CustomResourceDefinition",
    )
    .short(&["crd", "crds"])
    .category("api-extensions")
    .cluster()
    .role(Role::Definition)
    .status(StatusRule::StatusOnly)
    .generation()
    .conditional(),
    row("apps", "controllerrevisions", "ControllerRevision"),
    row("apps", "daemonsets", "DaemonSet")
        .short(&["ds"])
        .status(WORKLOAD)
        .generation()
        .in_all(),
    row("apps", "deployments", "Deployment")
        .short(&["deploy"])
        .status(WORKLOAD)
        .generation()
        .in_all()
        .scaled(),
    row("apps", "replicasets", "ReplicaSet")
        .short(&["rs"])
        .status(WORKLOAD)
        .generation()
        .in_all()
        .scaled(),
    row("apps", "statefulsets", "StatefulSet")
        .short(&["sts"])
        .status(WORKLOAD)
        .generation()
        .in_all()
        .scaled(),
    row(AUTHENTICATION, "selfsubjectreviews", "SelfSubjectReview")
        .cluster()
        .role(Role::Review),
    row(AUTHENTICATION, "tokenreviews", "TokenReview")
        .cluster()
        .role(Role::Review),
    row(
        AUTHORIZATION,
        "localsubjectaccessreviews",
        "LocalSubjectAccessReview",
    )
    .role(Role::Review),
    row(
        AUTHORIZATION,
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
    )
    .cluster()
    .role(Role::Review),
    row(AUTHORIZATION, "selfsubjectrulesreviews", "SelfSubjectRulesReview")
        .cluster()
        .role(Role::Review),
    row(AUTHORIZATION, "subjectaccessreviews", "SubjectAccessReview")
        .cluster()
        .role(Role::Review),
    row("batch", "jobs", "Job").status(WORKLOAD).generation().in_all(),
    row("coordination.k8s.io", "leases", "Lease")
        .create_on_update()
        .conditional(),
    row("discovery.k8s.io", "endpointslices", "EndpointSlice").generation(),
    row("events.k8s.io", "events", "Event")
        .short(&["ev"])
        .role(Role::Event)
        .create_on_update(),
    row("networking.k8s.io", "networkpolicies", "NetworkPolicy")
        .short(&["netpol"])
        .generation(),
    row("policy", "poddisruptionbudgets", "PodDisruptionBudget")
        .short(&["pdb"])
        .status(StatusRule::WithMetadata)
        .generation()
        .conditional(),
    row(RBAC, "clusterrolebindings", "ClusterRoleBinding")
        .cluster()
        .names(Names::PathSegment)
        .create_on_update(),
    row(RBAC, "clusterroles", "ClusterRole")
        .cluster()
        .names(Names::PathSegment)
        .create_on_update(),
    row(RBAC, "rolebindings", "RoleBinding")
        .names(Names::PathSegment)
        .create_on_update(),
    row(RBAC, "roles", "Role")
        .names(Names::PathSegment)
        .create_on_update(),
    row("scheduling.k8s.io", "priorityclasses", "PriorityClass")
        .short(&["pc"])
        .cluster()
        .generation(),
];

/// All built-in kinds.
pub(super) fn kinds() -> impl Iterator<Item = Kind> {
    ROWS.iter().map(to_kind)
}

fn to_kind(row: &Row) -> Kind {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    // Both groups of events show the same objects.
    let group = if row.role == Role::Event { "" } else { row.group };
    Kind {
        group: row.group.to_owned(),
        version: "v1".to_owned(),
        plural: row.plural.to_owned(),
        singular: row.kind.to_lowercase(),
        kind: row.kind.to_owned(),
        list_kind: format!("{}List", row.kind),
        short_names: owned(row.short_names),
        categories: owned(if row.category.is_empty() {
            &[]
        } else {
            std::slice::from_ref(&row.category)
        }),
        namespaced: row.namespaced,
        collection: Collection::new(group, row.plural),
        names: row.names,
        role: row.role,
        status: row.status,
        scale: row.scaled.then(workload_scale),
        generation: row.generation,
        create_on_update: row.create_on_update,
        unconditional_update: row.unconditional_update,
        custom: None,
    }
}

fn workload_scale() -> ScalePaths {
    let path = |names: [&str; 2]| names.map(str::to_owned).to_vec();
    ScalePaths {
        spec_replicas: path(["spec", "replicas"]),
        status_replicas: path(["status", "replicas"]),
        selector: Some(path(["spec", "selector"])),
    }
}
