//! Step 1, *allocate*: what a pass decides is written into the service first, in one conditional update.

use serde_json::{Value, json};

use super::scene::*;

fn ids(status: &Value) -> Vec<&str> {
    let list = status["allocations"].as_array().unwrap();
    list.iter().map(|a| a["id"].as_str().unwrap()).collect()
}

/// Service web after the planning write `body`.
fn planned(body: &Value, version: u64) -> Value {
    patched(&service_at(version, 1), body, version)
}

/// t1 as a task of service web.
fn task_of_web(version: u64) -> Value {
    let mut task = task_at(version, "other.1");
    task["spec"]["service"] = json!({ "name": "web", "uid": "s-1", "deployment": "ecs-svc/1" });
    task["spec"]["startedBy"] = json!("ecs-svc/1");
    task
}

#[tokio::test(start_paused = true)]
async fn who_loses_the_planning_write_starts_nothing_and_plans_again_state_3_state_7() {
    let (scene, mut server) = begin();
    scene.knows_service(&service_at(20, 1));
    let (report, ()) = tokio::join!(scene.pass(), async {
        let asked = server.expect(PATCH, SERVICE_STATUS).await.on(&service_at(20, 1));
        assert_eq!(ids(&asked.body["status"]).len(), 1);
        asked.conflicts();
        server.expect(GET, SERVICE).await.is(&service_at(21, 0));
        server.hears_nothing().await;
    });
    assert!(report.again && report.started.is_empty());
    let known = scene.cache.services.get(&key("web")).unwrap();
    assert_eq!(
        known.spec.desired_count,
        Some(0),
        "the next plan is made on what was read"
    );
}

#[tokio::test(start_paused = true)]
async fn a_planning_write_whose_answer_is_lost_is_seen_by_the_next_pass_which_gives_no_second_id_state_12() {
    let (scene, mut server) = begin();
    scene.knows_service(&service_at(20, 1));
    let (report, written) = tokio::join!(scene.pass(), async {
        let asked = server.expect(PATCH, SERVICE_STATUS).await;
        let written = planned(&asked.body, 21);
        asked.loses_answer();
        server.hears_nothing_for(std::time::Duration::from_secs(20)).await;
        written
    });
    assert!(report.again, "uncertain: nothing may be started on it");
    let (report, ()) = tokio::join!(scene.pass(), async {
        server
            .expect(PATCH, SERVICE_STATUS)
            .await
            .on(&service_at(20, 1))
            .conflicts();
        server.expect(GET, SERVICE).await.is(&written);
        server.hears_nothing().await;
    });
    assert!(report.again);
    let (_, ()) = tokio::join!(scene.pass(), async {
        let asked = server.expect(PATCH, SERVICE_STATUS).await.on(&written);
        assert_eq!(asked.body["status"]["allocations"], Value::Null, "no other id");
        let counted = patched(&written, &asked.body, 22);
        asked.is(&counted);
        let asked = server.expect(PATCH, INSTANCE_STATUS).await;
        let reserved = &asked.body["status"]["reservations"];
        assert_eq!(
            vec![reserved[0]["task"].as_str().unwrap()],
            ids(&written["status"])
        );
        asked.conflicts();
        server.expect(GET, INSTANCE).await.is(&instance_at(10, &[]));
    });
}

#[tokio::test(start_paused = true)]
async fn who_loses_the_planning_write_stops_nothing() {
    let (scene, mut server) = begin();
    scene.knows_service(&service_at(20, 0));
    scene.knows_task(&task_of_web(15));
    let (report, ()) = tokio::join!(scene.pass(), async {
        let asked = server.expect(PATCH, SERVICE_STATUS).await.on(&service_at(20, 0));
        let mark = &asked.body["status"]["stopping"][0];
        assert_eq!(
            (&mark["id"], &mark["uid"], &mark["taskVersion"]),
            (&json!("t1"), &json!(UID), &json!("15"))
        );
        asked.conflicts();
        server.expect(GET, SERVICE).await.is(&service_at(21, 1));
        server.hears_nothing().await;
    });
    assert!(report.again);
}

#[tokio::test(start_paused = true)]
async fn a_stop_names_the_version_it_was_decided_on_and_is_void_when_the_task_moved() {
    let (scene, mut server) = begin();
    scene.knows_service(&service_at(20, 0));
    scene.knows_task(&task_of_web(15));
    let (report, ()) = tokio::join!(scene.pass(), async {
        let asked = server.expect(PATCH, SERVICE_STATUS).await;
        let written = planned(&asked.body, 21);
        asked.is(&written);
        let asked = server.expect(PATCH, TASK).await.on(&task_of_web(15));
        assert_eq!(asked.body["spec"]["desiredStatus"], "STOPPED");
        asked.conflicts();
        server.expect(GET, TASK).await.is(&task_of_web(16));
        server.hears_nothing().await;
    });
    assert!(report.again);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_was_given_out_and_is_wanted_no_more_is_cancelled_by_a_tombstone_f1() {
    let (scene, mut server) = begin();
    let mut service = service_at(20, 0);
    service["status"] =
        json!({ "allocations": [{ "id": "t1", "deployment": "ecs-svc/1", "createdAt": "" }] });
    scene.knows_service(&service);
    let (report, ()) = tokio::join!(scene.pass(), async {
        let asked = server.expect(PATCH, SERVICE_STATUS).await.on(&service);
        assert_eq!(asked.body["status"]["stopping"][0]["id"], "t1");
        let written = patched(&service, &asked.body, 21);
        asked.is(&written);
        server
            .expect(GET, PODS)
            .await
            .is(&json!({ "metadata": {}, "items": [] }));
        let asked = server.expect(POST, TASKS).await;
        assert_eq!(
            (
                &asked.body["spec"]["tombstone"],
                &asked.body["spec"]["desiredStatus"]
            ),
            (&json!(true), &json!("STOPPED"))
        );
        let tombstone = stored(&asked.body, UID, 30);
        asked.is(&tombstone);
        server.hears_nothing().await;
    });
    assert!(!report.again);
}

#[tokio::test(start_paused = true)]
async fn evt_10_a_start_is_told_when_the_task_exists_and_once_evt_3_evt_9() {
    let (scene, mut server) = begin();
    scene.knows_service(&service_at(20, 1));
    let said = |body: &Value| body["status"]["events"].to_string();
    let (report, written) = tokio::join!(scene.pass(), async {
        let asked = server.expect(PATCH, SERVICE_STATUS).await;
        assert!(!said(&asked.body).contains("has started"), "{}", asked.body);
        let written = planned(&asked.body, 21);
        asked.is(&written);
        let asked = server.expect(PATCH, INSTANCE_STATUS).await;
        let reserved = patched(&instance_at(10, &[]), &asked.body, 22);
        asked.is(&reserved);
        let asked = server.expect(POST, TASKS).await;
        let task = stored(&asked.body, UID, 23);
        asked.is(&task);
        let asked = server.expect(POST, PODS).await;
        let pod = stored(&asked.body, "p-1", 24);
        asked.is(&pod);
        server.hears_nothing().await;
        written
    });
    assert_eq!((report.started.len(), report.said.len()), (1, 0));
    let id = ids(&written["status"])[0].to_owned();
    let text = format!("(service web) has started 1 tasks: (task {id}).");
    let (report, ()) = tokio::join!(scene.pass(), async {
        let asked = server.expect(PATCH, SERVICE_STATUS).await.on(&written);
        assert!(said(&asked.body).contains(&text), "{}", asked.body);
        assert_eq!(
            asked.body["status"]["allocations"],
            Value::Null,
            "the id leaves the list"
        );
        let written = patched(&written, &asked.body, 25);
        asked.is(&written);
    });
    assert_eq!(report.said, [text]);
    let (report, ()) = tokio::join!(scene.pass(), server.hears_nothing());
    assert!(report.said.is_empty(), "told once, without another write");
}

#[tokio::test(start_paused = true)]
async fn evt_10_a_start_that_found_no_share_is_not_told() {
    let (scene, mut server) = begin();
    scene.knows_service(&service_at(20, 1));
    let (_, written) = tokio::join!(scene.pass(), async {
        let asked = server.expect(PATCH, SERVICE_STATUS).await;
        let written = planned(&asked.body, 21);
        asked.is(&written);
        server.expect(PATCH, INSTANCE_STATUS).await.conflicts();
        // somebody else filled the instance
        server
            .expect(GET, INSTANCE)
            .await
            .is(&instance_at(11, &["x", "y"]));
        server.hears_nothing().await;
        written
    });
    let (report, ()) = tokio::join!(scene.pass(), async {
        let asked = server.expect(PATCH, SERVICE_STATUS).await.on(&written);
        let events = asked.body["status"]["events"].to_string();
        assert!(!events.contains("has started"), "{events}");
        assert!(events.contains("was unable to place a task"), "EVT-21: {events}");
        let written = patched(&written, &asked.body, 22);
        asked.is(&written);
        server.hears_nothing().await;
    });
    assert!(report.started.is_empty());
}

/// t1, told to stop by `code` for service web.
fn told(version: u64, code: &str) -> Value {
    let mut task = task_of_web(version);
    task["spec"]["desiredStatus"] = json!("STOPPED");
    task["spec"]["stopCode"] = json!(code);
    task
}

#[tokio::test(start_paused = true)]
async fn evt_11_a_stop_is_told_when_it_is_written_and_once() {
    let (scene, mut server) = begin();
    scene.knows_service(&service_at(20, 0));
    scene.knows_task(&task_of_web(15));
    let said = |body: &Value| body["status"]["events"].to_string();
    let (report, written) = tokio::join!(scene.pass(), async {
        let asked = server.expect(PATCH, SERVICE_STATUS).await;
        assert_eq!(asked.body["status"]["stopping"][0]["id"], "t1");
        assert!(!said(&asked.body).contains("has stopped"), "{}", asked.body);
        let written = patched(&service_at(20, 0), &asked.body, 21);
        asked.is(&written);
        let asked = server.expect(PATCH, TASK).await;
        assert_eq!(asked.body["spec"]["stopCode"], "ServiceSchedulerInitiated");
        let now = patched(&task_of_web(15), &asked.body, 22);
        asked.is(&now);
        server.hears_nothing().await;
        written
    });
    assert!(report.said.is_empty());
    let text = "(service web) has stopped 1 running tasks: (task t1).";
    let (report, written) = tokio::join!(scene.pass(), async {
        let asked = server.expect(PATCH, SERVICE_STATUS).await.on(&written);
        assert!(said(&asked.body).contains(text), "{}", asked.body);
        assert_eq!(
            asked.body["status"]["stopping"],
            Value::Null,
            "the mark leaves the list"
        );
        let written = patched(&written, &asked.body, 23);
        asked.is(&written);
        server.hears_nothing().await;
        written
    });
    assert!(report.said.contains(&text.to_owned()));
    assert!(written["status"]["stopping"].is_null());
    let (report, ()) = tokio::join!(scene.pass(), server.hears_nothing());
    assert!(report.said.is_empty(), "told once");
}

#[tokio::test(start_paused = true)]
async fn evt_11_a_stop_that_a_user_was_faster_with_is_not_told() {
    for code in ["UserInitiated", "ServiceSchedulerInitiated"] {
        let (scene, mut server) = begin();
        let mut service = service_at(20, 0);
        service["status"] =
            json!({ "stopping": [{ "id": "t1", "uid": UID, "taskVersion": "15", "reason": "why" }] });
        scene.knows_service(&service);
        scene.knows_task(&told(16, code));
        let (report, ()) = tokio::join!(scene.pass(), async {
            let asked = server.expect(PATCH, SERVICE_STATUS).await;
            let written = patched(&service, &asked.body, 21);
            asked.is(&written);
            server.hears_nothing().await;
        });
        let ours = code == "ServiceSchedulerInitiated";
        let said = report.said.iter().any(|text| text.contains("has stopped"));
        assert_eq!(said, ours, "{code}: {:?}", report.said);
    }
}

#[tokio::test(start_paused = true)]
async fn that_a_task_finds_no_place_is_told_once_though_its_neighbours_come_one_by_one_evt_2() {
    let (scene, mut server) = begin();
    scene.knows_service(&service_at(20, 3));
    // two of three fit
    let (_, (written, ids)) = tokio::join!(scene.pass(), async {
        let asked = server.expect(PATCH, SERVICE_STATUS).await;
        let written = patched(&service_at(20, 3), &asked.body, 21);
        asked.is(&written);
        let asked = server.expect(PATCH, INSTANCE_STATUS).await;
        let reserved = patched(&instance_at(10, &[]), &asked.body, 22);
        asked.is(&reserved);
        let mut ids = Vec::new();
        for n in 0..2 {
            let asked = server.expect(POST, TASKS).await;
            let task = stored(
                &asked.body,
                &format!("{n}aaaaaaa-0000-4000-8000-000000000001"),
                30 + n,
            );
            ids.push(task["metadata"]["name"].as_str().unwrap().to_owned());
            if n == 0 {
                asked.is(&task);
                server.expect(POST, PODS).await.breaks();
            } else {
                // it exists, and nobody here knows yet
                asked.breaks();
            }
        }
        (written, ids)
    });
    let unplaced = |said: &[String]| said.iter().filter(|s| s.contains("unable to place")).count();
    let (report, written) = tokio::join!(scene.pass(), async {
        let asked = server.expect(PATCH, SERVICE_STATUS).await.on(&written);
        let written = patched(&written, &asked.body, 40);
        asked.is(&written);
        server.hears_nothing().await;
        written
    });
    assert!(
        report.said.iter().any(|s| s.contains(&ids[0])),
        "{:?}",
        report.said
    );
    assert_eq!(
        unplaced(&report.said),
        0,
        "one is on its way yet: {:?}",
        report.said
    );
    let mut second = task_of_web(41);
    second["metadata"]["name"] = json!(ids[1]);
    second["metadata"]["uid"] = json!("bbbbbbbb-0000-4000-8000-000000000001");
    let deployment = &written["status"]["deployments"][0]["id"];
    second["spec"]["service"]["deployment"] = deployment.clone();
    second["spec"]["startedBy"] = deployment.clone();
    scene.knows_task(&second);
    let (report, ()) = tokio::join!(scene.pass(), async {
        let asked = server.expect(PATCH, SERVICE_STATUS).await.on(&written);
        let written = patched(&written, &asked.body, 42);
        asked.is(&written);
        server.hears_nothing().await;
    });
    assert!(
        report.said.iter().any(|s| s.contains(&ids[1])),
        "{:?}",
        report.said
    );
    assert_eq!(unplaced(&report.said), 1, "{:?}", report.said);
    let (report, ()) = tokio::join!(scene.pass(), server.hears_nothing());
    assert_eq!(unplaced(&report.said), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_while_a_plan_waited_for_tasks_is_waited_for_too() {
    let (scene, mut server) = begin();
    let decided = |version: u64, on: &str| {
        let mut service = service_at(version, 1);
        service["status"]["observedTaskVersion"] = json!(on);
        service
    };
    scene.cache.tasks.listed(Vec::new(), 10);
    scene.knows_service(&decided(20, "30"));
    let (looked, ()) = tokio::join!(scene.look_at_service(), async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        scene.knows_service(&decided(21, "50"));
        scene.cache.tasks.advance(30);
        server.hears_nothing().await;
    });
    assert!(looked.is_ok(), "it comes again and waits for version 50");
}
