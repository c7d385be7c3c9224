//! Lives without a server: `src/simulated/tests` has them on one.

#![allow(clippy::needless_pass_by_value, reason = "JSON literals in tests")]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Cause, Facts, Life, Pace, Stage, after, containers};
use crate::simulated::behaviour::{self, Behaviour, EXIT, PRE_STOP, PROBES, START, STOP, WAITING};
use crate::simulated::wire::PodSpec;

/// A Pod whose life is played.
struct Play {
    spec: PodSpec,
    behaviours: Vec<Behaviour>,
    told: Timestamp,
    deletion: Option<i64>,
    now: Timestamp,
    life: Life,
    attended: bool,
}

fn begin() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn read(spec: &PodSpec, notes: &[(&str, &str)]) -> Vec<Behaviour> {
    let notes: BTreeMap<_, _> = notes
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    containers(spec)
        .map(|(_, spec)| behaviour::read(&notes, &spec.name).unwrap())
        .collect()
}

impl Play {
    fn new(spec: Value, notes: &[(&str, &str)]) -> Self {
        let spec: PodSpec = serde_json::from_value(spec).unwrap();
        let (behaviours, life) = (read(&spec, notes), Life::new(&spec, begin()));
        Self {
            behaviours,
            spec,
            told: begin(),
            deletion: None,
            now: begin(),
            life,
            attended: true,
        }
    }

    fn tell(&mut self, notes: &[(&str, &str)]) {
        self.behaviours = read(&self.spec, notes);
        self.told = self.now;
    }

    fn facts(&self) -> Facts<'_> {
        let zero = SignedDuration::ZERO;
        Facts {
            spec: &self.spec,
            names: ["default", "web", "u1"],
            behaviours: &self.behaviours,
            told: self.told,
            deletion: self.deletion,
            pace: Pace {
                pull: zero,
                start: zero,
                stop: zero,
            },
        }
    }

    /// Plays up to a second, looking only when something is due.
    fn to(&mut self, second: i64) -> &mut Self {
        let end = after(begin(), SignedDuration::from_secs(second));
        loop {
            let mut life = self.life.clone();
            let next = life.step(&self.facts(), self.now, self.attended);
            self.life = life;
            match next.filter(|next| *next <= end) {
                Some(next) => self.now = next,
                None => break,
            }
        }
        self.now = end;
        self
    }

    /// Where each container stands, in a letter, with its restarts.
    fn stages(&self) -> String {
        let letter = |stage: &Stage| match stage {
            Stage::Idle => "idle".to_owned(),
            Stage::Held(why) => format!("held {why}"),
            Stage::BackOff { seconds, .. } => format!("backoff {seconds}"),
            Stage::Creating { .. } => "creating".to_owned(),
            Stage::Running(_) => "running".to_owned(),
            Stage::Ended(ended) => format!("ended {}", ended.code),
        };
        let all = self
            .life
            .containers
            .iter()
            .map(|c| format!("{}/{}", letter(&c.stage), c.restarts));
        all.collect::<Vec<_>>().join(" ")
    }

    fn health(&self) -> Vec<(bool, bool)> {
        self.life.health(&self.facts(), self.now)
    }
}

fn app(more: &Value) -> Value {
    let mut container = json!({"name": "app", "image": "i"});
    container
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "containers": [container]})
}

fn with(mut spec: Value, name: &str, value: Value) -> Value {
    spec[name] = value;
    spec
}

#[test]
fn restarts_wait_twice_as_long_each_time_but_for_the_first() {
    let mut play = Play::new(app(&json!({})), &[(EXIT, "app=1 after 5s")]);
    assert_eq!(play.to(4).stages(), "running/0");
    assert_eq!(play.to(5).stages(), "running/1");
    assert_eq!(play.to(10).stages(), "backoff 10/1");
    assert_eq!(play.to(20).stages(), "running/2");
    assert_eq!(play.to(25).stages(), "backoff 20/2");
    assert_eq!(play.to(44).stages(), "backoff 20/2");
    assert_eq!(play.to(45).stages(), "running/3");
    // 50 + 40, 95 + 80, 180 + 160, 345 + 300, and no longer
    assert_eq!(play.to(644).stages(), "backoff 300/6");
    assert_eq!(play.to(650).stages(), "backoff 300/7");
}

#[test]
fn a_long_run_makes_the_wait_short_again() {
    let mut play = Play::new(app(&json!({})), &[(EXIT, "app=1 after 601s")]);
    assert_eq!(play.to(600).stages(), "running/0");
    assert_eq!(play.to(1202).stages(), "running/2");
}

#[test]
fn runs_that_fail_can_be_counted() {
    let mut play = Play::new(app(&json!({})), &[(EXIT, "app=1 times 2")]);
    assert_eq!(play.to(9).stages(), "backoff 10/1");
    assert_eq!(play.to(500).stages(), "running/2");
}

#[test]
fn a_failed_init_container_ends_a_pod_that_is_never_restarted_and_is_tried_again_otherwise() {
    let inits = json!([{"name": "init", "image": "i"}]);
    let mut play = Play::new(
        with(app(&json!({})), "initContainers", inits.clone()),
        &[(EXIT, "init=2 after 1s times 2")],
    );
    assert_eq!(play.to(2).stages(), "backoff 10/1 idle/0");
    assert_eq!(play.to(12).stages(), "running/2 idle/0", "the third run goes on");
    let never = with(
        with(app(&json!({})), "initContainers", inits),
        "restartPolicy",
        json!("Never"),
    );
    let mut play = Play::new(never, &[(EXIT, "init=2 after 1s")]);
    assert_eq!(play.to(1).stages(), "ended 2/0 idle/0");
    assert!(play.life.is_over());
}

#[test]
fn sidecars_stop_last_in_reverse_order_within_the_same_grace() {
    let spec = with(
        app(&json!({})),
        "initContainers",
        json!([
            {"name": "first", "image": "i", "restartPolicy": "Always"},
            {"name": "second", "image": "i", "restartPolicy": "Always"},
        ]),
    );
    let notes = [(STOP, "app=0 after 4s; second=0 after 3s; first=ignore")];
    let mut play = Play::new(spec, &notes);
    assert_eq!(play.to(1).stages(), "running/0 running/0 running/0");
    play.deletion = Some(20);
    assert_eq!(play.to(5).stages(), "running/0 running/0 ended 0/0");
    assert_eq!(play.to(8).stages(), "running/0 ended 0/0 ended 0/0");
    assert_eq!(play.to(20).stages(), "running/0 ended 0/0 ended 0/0");
    assert_eq!(play.to(21).stages(), "ended 137/0 ended 0/0 ended 0/0");
    assert!(play.life.is_over());
}

#[test]
fn sidecars_stop_once_the_work_is_done() {
    let spec = with(
        app(&json!({})),
        "initContainers",
        json!([{"name": "side", "image": "i", "restartPolicy": "Always"}]),
    );
    let spec = with(spec, "restartPolicy", json!("Never"));
    let mut play = Play::new(spec, &[(EXIT, "app=0 after 5s"), (STOP, "side=0 after 2s")]);
    assert_eq!(play.to(6).stages(), "running/0 ended 0/0");
    assert!(!play.life.is_over());
    assert_eq!(play.to(7).stages(), "ended 0/0 ended 0/0");
    assert_eq!(play.life.stopping.unwrap().cause, Cause::Complete);
}

#[test]
fn a_sidecar_that_ends_is_started_again_beside_what_runs() {
    let spec = with(
        app(&json!({})),
        "initContainers",
        json!([{"name": "side", "image": "i", "restartPolicy": "Always"}]),
    );
    let spec = with(spec, "restartPolicy", json!("Never"));
    let mut play = Play::new(spec, &[(EXIT, "side=0 after 5s")]);
    assert_eq!(play.to(5).stages(), "running/1 running/0");
    assert_eq!(play.to(10).stages(), "backoff 10/1 running/0");
}

#[test]
fn a_second_deletion_can_only_shorten_the_grace() {
    let mut play = Play::new(app(&json!({})), &[(STOP, "app=ignore")]);
    play.to(1).deletion = Some(100);
    play.to(10).deletion = Some(20);
    assert_eq!(play.to(20).stages(), "running/0");
    assert_eq!(play.to(21).stages(), "ended 137/0");
}

#[test]
fn two_seconds_are_left_to_a_container_whatever_its_hook_took() {
    let hook = json!({"lifecycle": {"preStop": {"sleep": {"seconds": 60}}}});
    let mut play = Play::new(app(&hook), &[(STOP, "app=ignore")]);
    play.to(1).deletion = Some(10);
    assert_eq!(play.to(12).stages(), "running/0");
    assert_eq!(play.to(13).stages(), "ended 137/0");
    let hook = json!({"lifecycle": {"preStop": {"exec": {"command": ["x"]}}}});
    let mut play = Play::new(app(&hook), &[(STOP, "app=0"), (PRE_STOP, "app=3s")]);
    play.to(1).deletion = Some(10);
    assert_eq!(play.to(3).stages(), "running/0");
    assert_eq!(play.to(4).stages(), "ended 0/0");
}

#[test]
fn liveness_kills_after_so_many_failures_and_the_container_starts_again() {
    let probe = json!({"livenessProbe": {"periodSeconds": 10, "failureThreshold": 3, "successThreshold": 1}});
    let notes = [
        (PROBES, "app.liveness=fail after 25s for 40s"),
        (STOP, "app=0 after 1s"),
    ];
    let mut play = Play::new(app(&probe), &notes);
    // probes fail at 30, 40 and 50
    assert_eq!(play.to(50).stages(), "running/0");
    assert_eq!(play.to(51).stages(), "running/1");
}

#[test]
fn readiness_comes_after_its_delay_and_goes_and_comes_with_what_is_said() {
    let probe = json!({"readinessProbe": {
        "initialDelaySeconds": 5, "periodSeconds": 10, "failureThreshold": 2, "successThreshold": 2}});
    let mut play = Play::new(app(&probe), &[]);
    assert_eq!(play.to(14).health(), [(true, false)]);
    assert_eq!(play.to(15).health(), [(true, true)]);
    play.to(20).tell(&[(PROBES, "app.readiness=fail for 30s")]);
    // it fails at 25 and 35, up to 45; good again at 55 and 65
    assert_eq!(play.to(34).health(), [(true, true)]);
    assert_eq!(play.to(35).health(), [(true, false)]);
    assert_eq!(play.to(64).health(), [(true, false)]);
    assert_eq!(play.to(65).health(), [(true, true)]);
    assert_eq!(play.stages(), "running/0");
}

#[test]
fn a_startup_probe_holds_back_the_others_and_kills_when_it_never_succeeds() {
    let probes = json!({
        "startupProbe": {"periodSeconds": 5, "failureThreshold": 4, "successThreshold": 1},
        "livenessProbe": {"periodSeconds": 1, "failureThreshold": 1, "successThreshold": 1},
    });
    let notes = [(PROBES, "app.startup=fail for 12s; app.liveness=fail for 12s")];
    let mut play = Play::new(app(&probes), &notes);
    assert_eq!(play.to(14).health(), [(false, false)]);
    assert_eq!(
        (play.to(15).health(), play.stages()),
        (vec![(true, true)], "running/0".to_owned())
    );
    let mut play = Play::new(app(&probes), &[(PROBES, "app.startup=fail")]);
    assert_eq!(play.to(14).stages(), "running/0");
    assert_eq!(play.to(15).stages(), "running/1");
}

#[test]
fn what_cannot_start_waits_until_it_may() {
    let mut play = Play::new(
        app(&json!({})),
        &[(WAITING, "app=ImagePullBackOff: no such image")],
    );
    assert_eq!(play.to(100).stages(), "held ImagePullBackOff: no such image/0");
    play.tell(&[(START, "app=3s")]);
    assert_eq!(play.to(102).stages(), "creating/0");
    assert_eq!(play.to(103).stages(), "running/0");
}

#[test]
fn without_a_kubelet_containers_end_and_nobody_does_anything_about_it() {
    let mut play = Play::new(app(&json!({})), &[(EXIT, "app=3 after 5s")]);
    play.to(1).attended = false;
    play.deletion = Some(1);
    assert_eq!(play.to(60).stages(), "ended 3/0");
    assert!(play.life.stopping.is_none());
    let finished = play.life.containers[0].ended().unwrap().finished;
    assert_eq!(
        finished,
        Some(after(begin(), SignedDuration::from_secs(5))),
        "when it ended, not when it was seen"
    );
    play.deletion = None;
    play.attended = true;
    assert_eq!(play.to(60).stages(), "running/1");
}

#[test]
fn a_machine_that_lost_its_power_begins_anew() {
    let inits = json!([{"name": "init", "image": "i"}]);
    let mut play = Play::new(
        with(app(&json!({})), "initContainers", inits),
        &[(EXIT, "init=0 after 4s")],
    );
    assert_eq!(play.to(10).stages(), "ended 0/0 running/0");
    let spec = play.spec.clone();
    play.life.lose(&spec, play.now);
    assert_eq!(play.stages(), "idle/0 ended 255/0");
    assert_eq!(play.to(13).stages(), "running/1 ended 255/0");
    assert_eq!(play.to(14).stages(), "ended 0/1 running/1");
}

#[test]
fn a_pod_past_its_deadline_is_stopped() {
    let spec = with(app(&json!({})), "activeDeadlineSeconds", json!(9));
    let mut play = Play::new(spec, &[(STOP, "app=0 after 2s")]);
    assert_eq!(play.to(10).stages(), "running/0");
    assert_eq!(play.to(11).stages(), "ended 0/0");
    assert_eq!(play.life.stopping.unwrap().cause, Cause::Deadline);
}
