use proptest::prelude::*;
use serde_json::json;

use super::properties::any_definition;
use super::*;
use crate::api::TaskOverride;
use crate::build::{demand, effective_request, overridden, unsupported};

/// A Task that nobody's service has, with these overrides.
fn run_once(overrides: &Value) -> Task {
    let mut task = task();
    task.spec.service = None;
    task.spec.overrides = serde_json::from_value(overrides.clone()).unwrap();
    task
}

fn run(spec: TaskDefinitionSpec, overrides: &Value) -> Result<PodSpec, Vec<String>> {
    let roles = json!({"roleMappings": {"arn:reports": "reports"}});
    let made = pod(&PodInput {
        agent: None,
        task: &run_once(overrides),
        definition: &stored(spec),
        cluster: &cluster(&roles),
        daemon: false,
        node_name: "node-1",
    });
    made.map(|pod| pod.spec.unwrap())
}

fn of(member: &str, value: Value) -> Value {
    let mut change = json!({"name": "app"});
    change[member] = value;
    json!({"containerOverrides": [change]})
}

fn changed(spec: &TaskDefinitionSpec, overrides: &Value) -> TaskDefinitionSpec {
    let overrides: TaskOverride = serde_json::from_value(overrides.clone()).unwrap();
    overridden(spec, Some(&overrides)).unwrap().into_owned()
}

#[test]
fn a_task_runs_its_own_command_and_variables_run_5() {
    let spec = container(json!({"command": ["serve"],
        "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}));
    let pod = run(spec.clone(), &of("command", json!(["report", "--month"]))).unwrap();
    assert_eq!(
        pod.containers[0].args,
        Some(vec!["report".to_owned(), "--month".to_owned()])
    );
    let more = json!([{"name": "B", "value": "3"}, {"name": "C", "value": "$(A)"}]);
    let pod = run(spec.clone(), &of("environment", more)).unwrap();
    let variables: Vec<_> = pod.containers[0].env.iter().flatten().collect();
    let variables: Vec<_> = variables
        .iter()
        .map(|v| (v.name.as_str(), v.value.as_deref().unwrap()))
        .collect();
    assert_eq!(variables, [("A", "1"), ("B", "3"), ("C", "$$(A)")]);
    assert_eq!(
        pod.containers[0].args,
        Some(vec!["serve".to_owned()]),
        "as it was"
    );
    let unchanged = run(spec.clone(), &of("command", json!([]))).unwrap();
    assert_eq!(Ok(unchanged), run(spec, &json!(null)));
}

#[test]
fn what_a_task_asks_for_changes_its_demand_and_its_pod_alike_run_5_res_9() {
    let spec = container(json!({"memoryReservation": 64}));
    let takes = |overrides: Value| {
        let sum = demand(&changed(&spec, &overrides)).unwrap();
        let asked = effective_request(&run(spec.clone(), &overrides).unwrap());
        assert!(asked.cpu <= sum.cpu && asked.memory <= sum.memory && asked.gpu <= sum.gpu);
        (sum.cpu, sum.memory, sum.gpu)
    };
    assert_eq!(takes(json!({})), (256, 64, 0));
    assert_eq!(takes(of("cpu", json!(1024))), (1024, 64, 0));
    assert_eq!(takes(of("memoryReservation", json!(100))), (256, 100, 0));
    assert_eq!(
        takes(of("memory", json!(512))),
        (256, 64, 0),
        "the reservation counts"
    );
    assert_eq!(
        takes(of("resourceRequirements", json!([{"type": "GPU", "value": "2"}]))),
        (256, 64, 2)
    );
    assert_eq!(takes(json!({"cpu": "1 vCPU", "memory": "1 GB"})), (1024, 1024, 0));
    let limits = run(spec.clone(), &of("memory", json!(512))).unwrap();
    let limits = limits.containers[0]
        .resources
        .as_ref()
        .and_then(|r| r.limits.as_ref());
    assert_eq!(limits.unwrap()["memory"].0, "512Mi");
}

#[test]
fn a_task_may_have_another_role_run_5() {
    let spec = container(json!({}));
    let account = |overrides: &Value| run(spec.clone(), overrides).unwrap().service_account_name;
    assert_eq!(account(&json!(null)).as_deref(), Some("default"));
    assert_eq!(
        account(&json!({"taskRoleArn": "arn:reports"})).as_deref(),
        Some("reports")
    );
}

#[test]
fn overrides_that_ecs_refuses_or_a_pod_has_no_counterpart_for_are_refused_by_name_run_5() {
    let refused = |overrides: Value| run(container(json!({})), &overrides).unwrap_err().join(" ");
    assert_eq!(
        refused(json!({"containerOverrides": [{"name": "web", "cpu": 1}]})),
        "Override for container named web is not a container in the TaskDefinition. Name one of these: app."
    );
    let long = refused(of("command", json!(["x".repeat(8192)])));
    assert!(
        long.starts_with("Container Overrides length must be at most 8192. As JSON they have 82"),
        "{long}"
    );
    for (overrides, member) in [
        (
            json!({"ephemeralStorage": {"sizeInGiB": 30}}),
            "overrides.ephemeralStorage: ",
        ),
        (
            json!({"inferenceAcceleratorOverrides": [{}]}),
            "overrides.inferenceAcceleratorOverrides: ",
        ),
        (
            of("environmentFiles", json!([{"value": "arn:f", "type": "s3"}])),
            "environmentFiles: ",
        ),
        (
            of(
                "resourceRequirements",
                json!([{"type": "NeuronDevice", "value": "1"}]),
            ),
            "resourceRequirements: ",
        ),
        (
            of("memoryReservation", json!(4096)),
            "'memory' must not be less than 'memoryReservation'",
        ),
        (
            json!({"cpu": "128"}),
            "cpu: the containers ask for 256 units, the task has 128.",
        ),
    ] {
        let said = refused(overrides);
        assert!(said.contains(member), "{member}: {said}");
    }
}

#[test]
fn overrides_have_8192_characters_at_most_run_5() {
    let around = serde_json::to_string(&of("command", json!([""]))).unwrap().len();
    let with = |length: usize| {
        run(
            container(json!({})),
            &of("command", json!(["x".repeat(length - around)])),
        )
    };
    assert!(with(8192).is_ok() && with(8193).is_err());
}

fn any_overrides() -> impl Strategy<Value = Value> {
    let one = (
        0usize..5,
        prop::option::of(0i64..3000),
        prop::option::of(6i64..9000),
        prop::option::of(6i64..5000),
        prop::option::of(1i64..3),
    );
    let whole = (prop::option::of(128i64..20_000), prop::option::of(6i64..60_000));
    (prop::collection::vec(one, 0..4), whole).prop_map(|(containers, (cpu, memory))| {
        let containers: Vec<Value> = containers
            .into_iter()
            .map(|(index, cpu, memory, reservation, gpus)| {
                let gpus = gpus.map(|n| json!([{"type": "GPU", "value": n.to_string()}]));
                json!({"name": format!("C_{index}"), "cpu": cpu, "memory": memory, "memoryReservation": reservation,
                       "resourceRequirements": gpus.unwrap_or(json!([]))})
            })
            .collect();
        let text = |amount: Option<i64>| amount.map(|amount| amount.to_string());
        json!({"containerOverrides": containers, "cpu": text(cpu), "memory": text(memory)})
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    /// The share that the ledger gives is that of the definition as it is overridden: the Pod must fit into it.
    #[test]
    fn the_pod_of_an_overridden_task_fits_into_its_share_or_is_refused_for_the_same_reasons_run_5(
        spec in any_definition(), overrides in any_overrides()
    ) {
        let parsed: TaskOverride = serde_json::from_value(overrides.clone()).unwrap();
        let made = run(spec.clone(), &overrides);
        match overridden(&spec, Some(&parsed)) {
            Err(errors) => prop_assert_eq!(made.unwrap_err(), errors),
            Ok(whole) => match made {
                Ok(pod) => {
                    let (asked, counted) = (effective_request(&pod), demand(&whole).unwrap());
                    prop_assert!(asked.cpu <= counted.cpu && asked.memory <= counted.memory && asked.gpu <= counted.gpu);
                }
                Err(errors) => prop_assert_eq!(errors, unsupported(&whole).refused),
            },
        }
    }
}
