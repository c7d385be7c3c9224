//! One schedule: a world, its users, its operators, and what came of it. Everything follows from the seed.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ecs_operator::audit::{Figures, History, Options, audit};
use ecs_operator::ledger::rules::{Rule, switch_off};
use ecs_operator::operator::{Leadership, Setup, operate_unchecked};
use ecs_operator::runtime::client::with_deadline;
use ecs_operator::runtime::source;
use embedded_apiserver::{Limits, Server, Sources};
use http::Method;
use jiff::Timestamp;
use kube::Client;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::faults::Faults;
use crate::kubelets::Kubelets;
use crate::log::Log;
use crate::network::{Life, Network, Who, between};
use crate::rest::unrest;
use crate::together::together;
use crate::user::{EVERYTHING, Edit, Habits, User};

/// The definitions, made once.
static CRDS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let all = ecs_operator::api::all_crds();
    all.iter().map(|crd| serde_json::to_value(crd).unwrap()).collect()
});
/// Operators that plan at the same time.
const OPERATORS: usize = 2;
/// After this time of calm the world must be at rest.
const REST_MAX: Duration = Duration::from_secs(900);
/// At rest nothing is written for this time.
const SILENCE: Duration = Duration::from_secs(60);

/// What a schedule is made of.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) seed: u64,
    pub(crate) operators: usize,
    pub(crate) edits: usize,
    pub(crate) faults: Faults,
    pub(crate) habits: Habits,
    /// A rule that is switched off.
    pub(crate) off: Option<Rule>,
}

impl Schedule {
    /// Nothing goes wrong.
    pub(crate) fn smooth(seed: u64) -> Self {
        Self {
            seed,
            operators: 1,
            edits: 0,
            faults: Faults::none(),
            habits: EVERYTHING,
            off: None,
        }
    }

    /// As the seed has it.
    pub(crate) fn drawn(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            seed,
            operators: OPERATORS,
            edits: rng.random_range(3..12),
            faults: Faults::mixture(&mut rng),
            habits: EVERYTHING,
            off: None,
        }
    }

    /// A user asks for tasks, all or none of them, and a process is killed at this write of those that follow.
    pub(crate) fn requests(seed: u64, write: u64) -> Self {
        Self {
            seed,
            operators: OPERATORS,
            edits: 1,
            faults: Faults::crash_at(write),
            habits: &[Edit::Together],
            off: None,
        }
    }

    /// What a rule is there for happens often.
    pub(crate) fn aimed_at(rule: Rule, seed: u64) -> Self {
        use Edit::{DeletePod, Drain, Revise, ReviseDaemon, Scale, StopTask};
        let habits: Habits = match rule {
            Rule::F1 => &[ReviseDaemon, ReviseDaemon, Drain],
            Rule::F2 | Rule::F3 => &[Scale, Scale, StopTask, Revise],
            Rule::F4 => &[Scale, Scale, StopTask],
            Rule::F5 => &[DeletePod, Scale],
        };
        Self {
            seed,
            operators: OPERATORS,
            edits: 12,
            faults: Faults::aimed_at(rule),
            habits,
            off: None,
        }
    }

    /// The same without the rule.
    pub(crate) fn without(self, rule: Rule) -> Self {
        Self {
            off: Some(rule),
            ..self
        }
    }

    /// Runs it.
    pub(crate) fn run(&self, log: Log) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let outcome = runtime.block_on(self.play(log));
        drop(runtime);
        outcome
    }

    async fn play(&self, log: Log) -> Outcome {
        let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let _off = self.off.map(switch_off);
        let _rule = source::simulate(self.seed, begin);
        let server = Server::new(
            Sources::seeded(Arc::new(source::now), self.seed),
            Limits::default(),
        );
        let network = Network::new(server, self.seed, self.faults.clone(), log);
        for crd in CRDS.iter() {
            let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            let (code, answer) = network.send(Who::User, Method::POST, path, Some(crd));
            assert_eq!(code, 201, "{answer}");
        }
        network.record();
        let mut kubelets = Kubelets::new(network.clone(), self.seed);
        let mut user = User::new(network.clone(), self.seed, self.habits);
        user.set_up();
        let operators: Vec<_> = (0..self.operators)
            .map(|number| tokio::spawn(keep(network.clone(), number)))
            .collect();
        for _ in 0..self.edits {
            let at = Instant::now() + user.pause();
            pass(&network, &mut kubelets, at).await;
            network.count_writes();
            user.edit();
        }
        pass(&network, &mut kubelets, Instant::now() + user.pause()).await;
        network.note("calm");
        network.calm();
        kubelets.calm();
        user.mend();
        let mut failures = come_to_rest(&network, &mut kubelets, &user).await;
        for operator in operators {
            operator.abort();
        }
        let version = network.version();
        let history = network.recorded(|recording| recording.history(version));
        let (requests, sum) = sum_up(&network, &history);
        let quiet = failures.is_empty();
        let report = audit(
            &history,
            &Options {
                quiet,
                expect_wipe: false,
            },
        );
        failures.splice(0..0, report.violations.iter().map(ToString::to_string));
        let (broken, together) = together(&history);
        failures.extend(broken);
        let lines = network.log(|log| log.lines().to_vec());
        Outcome {
            failures,
            figures: report.figures,
            requests,
            together,
            sum,
            lines,
        }
    }
}

/// Takes every version into the log: how many requests there were, and the whole run as a number.
fn sum_up(network: &Network, history: &History) -> (u64, u64) {
    network.log(|log| {
        for record in history.records() {
            log.version(&serde_json::to_vec(record).unwrap());
        }
        (log.requests(), log.sum())
    })
}

/// What came of a schedule.
pub(crate) struct Outcome {
    /// What went wrong; empty if nothing did.
    pub(crate) failures: Vec<String>,
    /// What the auditor judged.
    pub(crate) figures: Figures,
    pub(crate) requests: u64,
    /// Pods of tasks that waited for each other.
    pub(crate) together: usize,
    /// The whole run as a number.
    pub(crate) sum: u64,
    pub(crate) lines: Vec<String>,
}

/// Lets time pass, kubelets working.
async fn pass(network: &Network, kubelets: &mut Kubelets, until: Instant) {
    loop {
        kubelets.act();
        if Instant::now() >= until {
            return;
        }
        let next = kubelets.next().map_or(until, |next| next.min(until));
        tokio::select! {
            biased;
            () = network.news() => {}
            () = sleep_until(next) => {}
        }
    }
}

/// Waits for rest and for silence; what prevents it if it does not come.
async fn come_to_rest(network: &Network, kubelets: &mut Kubelets, user: &User) -> Vec<String> {
    let begun = Instant::now();
    loop {
        pass(network, kubelets, Instant::now() + Duration::from_secs(5)).await;
        let left = network.recorded(|recording| unrest(recording));
        if left.is_empty() {
            let writes = network.recorded(|recording| recording.writes());
            pass(network, kubelets, Instant::now() + SILENCE).await;
            let more = network.recorded(|recording| recording.writes()) - writes;
            if more == 0 {
                return Vec::new();
            }
        } else if left.iter().any(|what| what.contains("is not there")) {
            user.settle();
        }
        if begun.elapsed() > REST_MAX {
            let mut left = left;
            left.insert(0, format!("no rest after {REST_MAX:?} of calm"));
            return left;
        }
    }
}

/// Runs an operator, and a new one when it was killed or has failed.
async fn keep(network: Arc<Network>, number: usize) {
    loop {
        let life = Arc::new(Life::default());
        let wire = network.line(Who::Operator(number), life.clone());
        let setup = Setup {
            reader: Client::new(wire.clone(), "default"),
            writer: Client::new(wire.map_request(with_deadline), "default"),
            name: format!("operator-{number}"),
            leadership: Leadership::Always,
            admin_listen: None,
            agent: None,
        };
        let mut process = tokio::spawn(operate_unchecked(setup, CancellationToken::new()));
        let ended = tokio::select! {
            biased;
            () = life.ended() => None,
            ended = &mut process => Some(ended),
        };
        process.abort();
        match ended {
            Some(Ok(Err(error))) => network.note(&format!("operator {number} ended: {error:#}")),
            Some(ended) => assert!(ended.is_ok(), "operator {number} panicked: {ended:?}"),
            None => drop(process.await),
        }
        life.end();
        let down = network.draw(|rng, faults| {
            let longest = if faults.is_none() {
                1_000
            } else {
                [200, 2_000, 40_000][rng.random_range(0..3)]
            };
            between(rng, Duration::from_millis(10), Duration::from_millis(longest))
        });
        sleep(down).await;
    }
}
