use serde_json::json;

use super::*;
use crate::build::unsupported;

const CHECK: &str = r#"{"command": ["CMD-SHELL", "check"], "interval": 10, "timeout": 3, "retries": 2}"#;

fn check() -> Value {
    serde_json::from_str(CHECK).unwrap()
}

/// Names of init containers (sidecars with `+`, with a startup probe `+!`) and of containers.
fn shape(spec: &PodSpec) -> (Vec<String>, Vec<String>) {
    let init = spec
        .init_containers
        .iter()
        .flatten()
        .map(|c| {
            let sidecar = if c.restart_policy.as_deref() == Some("Always") {
                "+"
            } else {
                ""
            };
            let probed = if c.startup_probe.is_some() { "!" } else { "" };
            format!("{}{sidecar}{probed}", c.name)
        })
        .collect();
    (init, spec.containers.iter().map(|c| c.name.clone()).collect())
}

#[test]
fn td_17_conditions_become_sidecars_probes_and_init_containers() {
    let spec = spec_of(several(&[
        json!({"dependsOn": waits(&[("b", "START"), ("c", "HEALTHY"), ("d", "SUCCESS")])}),
        json!({}),
        json!({"healthCheck": check(), "startTimeout": 95}),
        json!({"essential": false, "dependsOn": waits(&[("c", "HEALTHY")])}),
    ]));
    assert_eq!(
        shape(&spec),
        (vec!["b+".into(), "c+!".into(), "d".into()], vec!["a".into()])
    );
    let probed = &spec.init_containers.as_ref().unwrap()[1];
    assert_eq!(
        serde_json::to_value(&probed.startup_probe).unwrap(),
        json!({"exec": {"command": ["/bin/sh", "-c", "check"]}, "periodSeconds": 10, "timeoutSeconds": 3,
               "failureThreshold": 10, "successThreshold": 1})
    );
    assert_eq!(
        probed.readiness_probe.as_ref().unwrap().failure_threshold,
        Some(2)
    );
}

#[test]
fn td_18_without_start_timeout_the_startup_probe_never_gives_up() {
    let spec = spec_of(several(&[
        json!({"dependsOn": waits(&[("b", "HEALTHY")])}),
        json!({"healthCheck": check()}),
    ]));
    let probe = spec.init_containers.unwrap()[0].startup_probe.clone().unwrap();
    assert_eq!(probe.failure_threshold, Some(i32::MAX));
}

#[test]
fn td_17_a_start_target_stays_a_container_if_nothing_else_keeps_the_pod_alive() {
    let spec = spec_of(several(&[
        json!({"essential": false, "dependsOn": waits(&[("b", "START")])}),
        json!({}),
    ]));
    assert_eq!(shape(&spec), (vec![], vec!["b".into(), "a".into()]));
    let refused = unsupported(&several(&[
        json!({"essential": false, "dependsOn": waits(&[("b", "HEALTHY")])}),
        json!({"healthCheck": check()}),
    ]))
    .refused;
    assert!(
        refused[0].starts_with("dependsOn: no essential container can keep the Pod alive: only a would"),
        "{refused:?}"
    );
}

#[test]
fn td_17_complete_circles_and_wrong_targets_are_refused_by_name() {
    let refused = |members: &[Value]| unsupported(&several(members)).refused.join(" | ");
    let complete = refused(&[
        json!({"dependsOn": waits(&[("b", "COMPLETE")])}),
        json!({"essential": false}),
    ]);
    assert!(
        complete.starts_with("Container 'b': dependsOn: another container waits for it to COMPLETE"),
        "{complete}"
    );
    let circle = refused(&[
        json!({"dependsOn": waits(&[("b", "START")])}),
        json!({"dependsOn": waits(&[("a", "START")])}),
    ]);
    assert!(
        circle.starts_with("dependsOn: these containers wait for each other: a, b."),
        "{circle}"
    );
    let unknown = refused(&[json!({"dependsOn": waits(&[("z", "START")])})]);
    assert_eq!(unknown, "Container 'a': dependsOn: there is no container 'z'.");
    let essential = refused(&[json!({"dependsOn": waits(&[("b", "SUCCESS")])}), json!({})]);
    assert_eq!(
        essential,
        "Container 'b': essential: a container that others wait for to end with SUCCESS must not be essential."
    );
    let unchecked = refused(&[json!({"dependsOn": waits(&[("b", "HEALTHY")])}), json!({})]);
    assert_eq!(
        unchecked,
        "Container 'b': healthCheck: another container waits for it to be HEALTHY, but it has no health check."
    );
    let both = refused(&[
        json!({"dependsOn": waits(&[("c", "HEALTHY")])}),
        json!({"dependsOn": waits(&[("c", "SUCCESS")])}),
        json!({"essential": false, "healthCheck": check()}),
    ]);
    assert!(
        both.contains("can't be awaited both as HEALTHY and as ended"),
        "{both}"
    );
}

#[test]
fn td_17_differences_in_waiting_and_restarting_are_reported() {
    let reported = unsupported(&several(&[
        json!({"dependsOn": waits(&[("c", "SUCCESS"), ("d", "START")])}),
        json!({}),
        json!({"essential": false, "startTimeout": 5}),
        json!({"essential": false}),
    ]))
    .reported;
    assert_eq!(
        reported,
        [
            "Container 'c': startTimeout: has no effect but for a container that others wait for to be HEALTHY.",
            "Container 'd': essential: others wait for it, so it is a sidecar of the Pod: if it ends, Kubernetes starts it \
             again, and it is shown as STOPPED with its first exit code.",
            "Container 'c': dependsOn: in a Pod these wait for it too, though they do not in ECS: b.",
        ]
    );
}

fn grace(members: &[Value]) -> i64 {
    spec_of(several(members))
        .termination_grace_period_seconds
        .unwrap()
}

#[test]
fn stop_3_timeouts_default_to_30_and_may_be_hours() {
    assert_eq!(grace(&[json!({})]), 30);
    assert_eq!(grace(&[json!({"stopTimeout": 0})]), 30);
    assert_eq!(grace(&[json!({"stopTimeout": 1})]), 1);
    assert_eq!(
        grace(&[json!({"stopTimeout": 86400}), json!({"stopTimeout": 5})]),
        86400
    );
}

#[test]
fn stop_4_grace_is_the_sum_along_the_longest_chain() {
    let chain = |b: i64| {
        grace(&[
            json!({"stopTimeout": 100, "dependsOn": waits(&[("b", "START")])}),
            json!({"stopTimeout": b, "dependsOn": waits(&[("c", "START")])}),
            json!({"stopTimeout": 7}),
            json!({"stopTimeout": 50}),
        ])
    };
    assert_eq!(chain(10), 117);
    assert_eq!(chain(3600), 3707);
    // What was awaited to end has ended.
    let ended = grace(&[
        json!({"dependsOn": waits(&[("b", "SUCCESS")])}),
        json!({"essential": false, "stopTimeout": 20}),
    ]);
    assert_eq!(ended, 30);
    // A chain among plain containers.
    let plain = grace(&[
        json!({"essential": false, "dependsOn": waits(&[("b", "START")])}),
        json!({}),
    ]);
    assert_eq!(plain, 60);
}

#[test]
fn stop_3_unrelated_sidecars_are_stopped_one_by_one_and_each_keeps_its_time() {
    let both = grace(&[
        json!({"dependsOn": waits(&[("b", "START"), ("c", "START")])}),
        json!({"stopTimeout": 40}),
        json!({"stopTimeout": 50}),
    ]);
    assert_eq!(both, 120);
}
