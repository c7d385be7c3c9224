//! Metrics of the process: names are a contract, labels come from closed sets.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CommitLabels {
    object: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    controller: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabel {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabel {
    action: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabel {
    check: &'static str,
}

/// All metrics. Clones share the values.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    commits: Family<CommitLabels, Counter>,
    reconciles: Family<ReconcileLabels, Counter>,
    durations: Family<ControllerLabel, Histogram, fn() -> Histogram>,
    in_flight: Family<ControllerLabel, Gauge>,
    actions: Family<ActionLabel, Counter>,
    objects: Family<KindLabel, Gauge<i64>>,
    waits: Family<KindLabel, Counter>,
    violations: Family<CheckLabel, Counter>,
    leader: Gauge<u64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("ecs_operator");
        let commits = Family::default();
        let reconciles = Family::default();
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let durations = Family::new_with_constructor(histogram);
        let in_flight = Family::default();
        let actions = Family::default();
        let objects = Family::default();
        let waits = Family::default();
        let violations = Family::default();
        let leader = Gauge::default();
        registry.register(
            "ledger_commits",
            "Writes of the ledger by object and outcome",
            commits.clone(),
        );
        registry.register(
            "reconciles",
            "Reconciles by controller and outcome",
            reconciles.clone(),
        );
        let help = "Time a reconcile took";
        registry.register_with_unit("reconcile_duration", help, Unit::Seconds, durations.clone());
        registry.register("reconciles_in_flight", "Reconciles under way", in_flight.clone());
        registry.register(
            "plan_actions",
            "Actions that planners decided on",
            actions.clone(),
        );
        registry.register("cache_objects", "Objects in the stores", objects.clone());
        registry.register(
            "freshness_waits",
            "Plans put off until the store has caught up",
            waits.clone(),
        );
        registry.register(
            "invariant_violations",
            "Broken invariants; alert above 0",
            violations.clone(),
        );
        registry.register("leader", "Whether this replica holds the lease", leader.clone());
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of the operator", version);
        let registry = Arc::new(registry);
        Self {
            registry,
            commits,
            reconciles,
            durations,
            in_flight,
            actions,
            objects,
            waits,
            violations,
            leader,
        }
    }
}

impl Metrics {
    /// A write of the ledger ended.
    pub fn commit(&self, object: &'static str, outcome: &'static str) {
        self.commits
            .get_or_create(&CommitLabels { object, outcome })
            .inc();
    }

    /// A reconcile begins.
    pub fn begin(&self, controller: &'static str) {
        self.in_flight
            .get_or_create(&ControllerLabel { controller })
            .inc();
    }

    /// A reconcile ended.
    pub fn end(&self, controller: &'static str, outcome: &'static str, seconds: f64) {
        self.in_flight
            .get_or_create(&ControllerLabel { controller })
            .dec();
        self.durations
            .get_or_create(&ControllerLabel { controller })
            .observe(seconds);
        self.reconciles
            .get_or_create(&ReconcileLabels { controller, outcome })
            .inc();
    }

    /// A planner decided on actions.
    pub fn planned(&self, action: &'static str, count: usize) {
        self.actions
            .get_or_create(&ActionLabel { action })
            .inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Size of a store.
    pub fn objects(&self, kind: &'static str, count: usize) {
        self.objects
            .get_or_create(&KindLabel { kind })
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A plan was put off until the store of `kind` has caught up.
    pub fn waited(&self, kind: &'static str) {
        self.waits.get_or_create(&KindLabel { kind }).inc();
    }

    /// An invariant was found broken.
    pub fn violated(&self, check: &'static str) {
        self.violations.get_or_create(&CheckLabel { check }).inc();
    }

    /// Whether this replica holds the lease.
    pub fn leads(&self, leads: bool) {
        self.leader.set(u64::from(leads));
    }

    /// The metrics as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            text.push_str("# the metrics could not be encoded\n");
        }
        text
    }
}
