//! The whole operator on the embedded API server, in simulated time: whole schedules out of one number each.
//!
//! `cargo test --release --features testing --test simulation` plays 500 of them, without `--release` some. With
//! `SIMULATION_SEEDS=5000` it plays more, with `SIMULATION_FIRST` others, and `SIMULATION_SEED=7` plays one and prints
//! all that happens; with `SIMULATION_AIM=F1` beside it, the one that is aimed at that rule.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "tests"
)]

mod faults;
mod history;
mod kubelets;
mod log;
mod network;
mod rest;
mod run;
mod together;
mod user;
mod watches;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ecs_operator::ledger::rules::Rule;
use log::Log;
use run::Schedule;

/// Schedules that are played when nothing else is said: a debug build takes ten times as long for each.
const SEEDS: u64 = if cfg!(debug_assertions) { 20 } else { 500 };
/// Worlds in which a process is killed at each of the first writes, and how many of these there are.
const CRASH_SEEDS: u64 = if cfg!(debug_assertions) { 1 } else { 4 };
const WRITES_MAX: u64 = if cfg!(debug_assertions) { 20 } else { 60 };
/// In so many schedules the lack of a rule shows.
const SHOWS_WITHIN: u64 = 20;

#[test]
fn one_operator_without_faults_comes_to_rest() {
    let outcome = Schedule::smooth(1).run(Log::default());
    assert_eq!(outcome.failures, Vec::<String>::new());
    assert!(outcome.figures.pods > 5, "{:?}", outcome.figures);
}

/// A process is killed at each write that requests for tasks bring about, and at those around it.
#[test]
fn no_task_of_all_or_nothing_has_a_pod_before_all_have_shares_whichever_write_is_the_last_run_1() {
    let mut together = 0;
    for write in 1..=WRITES_MAX {
        for seed in 0..CRASH_SEEDS {
            let outcome = Schedule::requests(seed, write).run(Log::default());
            let failures = outcome.failures;
            assert_eq!(
                failures,
                Vec::<String>::new(),
                "seed {seed}, killed at write {write}"
            );
            together += outcome.together;
        }
    }
    assert!(together > 0, "no request of all or nothing had its Pods");
}

#[test]
fn in_crowded_clusters_tasks_wait_behind_stopping_ones_opt_1() {
    let queued = |seed| Schedule::drawn(seed).run(Log::default()).figures.queued;
    // `on`, then `smart`
    for mode in [[14, 38, 62], [27, 39, 71]] {
        assert!(mode.into_iter().any(|seed| queued(seed) > 0), "{mode:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_log() {
    for seed in 0..2 {
        let schedule = Schedule::drawn(seed);
        let (first, second) = (schedule.run(Log::keeping()), schedule.run(Log::keeping()));
        let differs = first
            .lines
            .iter()
            .zip(&second.lines)
            .find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.sum, second.sum, "seed {seed}");
    }
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|error| panic!("{name}={text}: {error}")),
    )
}

/// The rule that `SIMULATION_AIM` names.
fn aim() -> Option<Rule> {
    let text = std::env::var("SIMULATION_AIM").ok()?;
    let named = Rule::ALL.into_iter().find(|rule| format!("{rule:?}") == text);
    Some(named.unwrap_or_else(|| panic!("SIMULATION_AIM={text}: it is one of {:?}", Rule::ALL)))
}

/// Plays a schedule; what is to be told of it if it failed.
fn failed(schedule: &Schedule) -> Option<String> {
    let played = catch_unwind(AssertUnwindSafe(|| schedule.run(Log::default())));
    let seed = schedule.seed;
    let failures = match played {
        Ok(outcome) if outcome.failures.is_empty() => return None,
        Ok(outcome) => outcome.failures.join("\n  "),
        Err(_) => "it panicked, see above".to_owned(),
    };
    Some(format!(
        "seed {seed}:\n  {failures}\n  again, with all that happens: \
         SIMULATION_SEED={seed} cargo test --features testing --test simulation schedules"
    ))
}

#[test]
fn schedules_with_faults_break_nothing_and_come_to_rest() {
    if let Some(seed) = number("SIMULATION_SEED") {
        let schedule = aim().map_or_else(|| Schedule::drawn(seed), |rule| Schedule::aimed_at(rule, seed));
        let outcome = schedule.run(Log::printing());
        eprintln!("{:?}, {} requests", outcome.figures, outcome.requests);
        assert_eq!(outcome.failures, Vec::<String>::new());
        return;
    }
    let first = number("SIMULATION_FIRST").unwrap_or(0);
    let seeds = number("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(first);
    let told = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    if let Some(text) = failed(&Schedule::drawn(seed)) {
                        eprintln!("{text}");
                        told.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    let told = told.into_inner().unwrap();
    assert!(
        told.is_empty(),
        "{} of {seeds} schedules failed: {told:?}",
        told.len()
    );
}

/// Without the rule something is broken within some schedules that are not broken with it.
fn bites(rule: Rule) {
    for seed in 0..SHOWS_WITHIN {
        let schedule = Schedule::aimed_at(rule, seed);
        let without = schedule.clone().without(rule).run(Log::default());
        if let Some(first) = without.failures.first() {
            println!("without {rule:?}, seed {seed}: {first}");
            assert_eq!(
                schedule.run(Log::default()).failures,
                Vec::<String>::new(),
                "with {rule:?}; again, with all that happens: SIMULATION_AIM={rule:?} SIMULATION_SEED={seed} \
                 cargo test --features testing --test simulation schedules"
            );
            return;
        }
    }
    panic!("without {rule:?} nothing was broken in {SHOWS_WITHIN} schedules");
}

#[test]
fn without_tombstones_something_is_broken_f1() {
    bites(Rule::F1);
}

#[test]
fn without_authorising_writes_something_is_broken_f2() {
    bites(Rule::F2);
}

#[test]
fn without_the_wait_something_is_broken_f3() {
    bites(Rule::F3);
}

#[test]
fn with_names_used_twice_something_is_broken_f4() {
    bites(Rule::F4);
}

#[test]
fn with_a_second_pod_for_a_task_something_is_broken_f5() {
    bites(Rule::F5);
}
