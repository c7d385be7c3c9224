//! The real kubectl and helm against the server, over TLS. `KUBECTL` and `HELM` name the binaries; without them those on the
//! PATH are taken.
//!
//! `cargo test -p embedded-apiserver --features kubectl --test kubectl`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use embedded_apiserver::{Limits, Server, Sources, tls};

/// A server on a port of its own, and a directory for kubectl's files that goes with it.
struct World {
    folder: PathBuf,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("embedded-apiserver-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let server = Server::new(Sources::system(), Limits::default());
        let address = "127.0.0.1:0".parse().unwrap();
        let listening = runtime.block_on(tls::listen(server, address, "token")).unwrap();
        std::fs::write(folder.join("kubeconfig"), listening.kubeconfig()).unwrap();
        runtime.spawn(listening.serve());
        Self { folder, runtime }
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.folder.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A command whose files are all in the folder.
    fn command(&self, variable: &str, name: &str) -> Command {
        let mut command = Command::new(std::env::var(variable).unwrap_or_else(|_| name.to_owned()));
        command
            .env("KUBECONFIG", self.folder.join("kubeconfig"))
            .env("KUBECACHEDIR", self.folder.join("cache"))
            .env("EDITOR", "sed -i s/before/after/");
        for place in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(place, self.folder.join(place));
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut kubectl = self.command("KUBECTL", "kubectl");
        kubectl.args(arguments).output().expect("kubectl")
    }

    /// What helm prints when all goes well.
    fn helm(&self, arguments: &[&str]) -> String {
        let mut helm = self.command("HELM", "helm");
        said(arguments, &helm.args(arguments).output().expect("helm"))
    }

    /// What kubectl prints when all goes well.
    fn ok(&self, arguments: &[&str]) -> String {
        said(arguments, &self.run(arguments))
    }

    /// What kubectl complains of.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            !output.status.success(),
            "kubectl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
        String::from_utf8_lossy(&output.stderr).trim().to_owned()
    }
}

/// What a command that succeeded printed.
fn said(arguments: &[&str], output: &Output) -> String {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{arguments:?}: {err}{out}");
    out.trim().to_owned()
}

impl Drop for World {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
        // Held until here: the server is one of its tasks.
        let _ = &self.runtime;
    }
}

fn crds() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crds")
        .to_str()
        .unwrap()
        .to_owned()
}

const OBJECTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {key: before}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {nodeName: n1, containers: [{name: c, image: "i:1"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec:
  selector: {matchLabels: {a: b}}
  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: "i:1"}]}}
"#;

#[test]
fn looking_around() {
    let world = World::new("look");
    assert!(world.ok(&["get", "ns"]).contains("kube-system"));
    assert!(world.ok(&["api-resources"]).contains("poddisruptionbudgets"));
    assert!(world.ok(&["version"]).contains("Server Version: v1."));
    assert_eq!(world.ok(&["auth", "can-i", "create", "pods"]), "yes");
    assert!(
        world
            .ok(&["explain", "pod.spec.containers"])
            .contains("FIELD: containers <[]Container>")
    );
    assert_eq!(world.ok(&["get", "--raw", "/readyz"]), "ok");
    assert!(world.ok(&["get", "ns", "-o", "wide"]).contains("kube-system"));
    assert!(
        world
            .ok(&["get", "ns", "default", "-o", "yaml"])
            .contains("kind: Namespace")
    );
    assert!(
        world
            .refused(&["get", "pod", "nope"])
            .contains("pods \"nope\" not found")
    );
}

/// Kinds that the project defines: files of `crds`.
const DEFINITIONS: usize = 6;

#[test]
fn definitions_and_their_objects() {
    let world = World::new("crds");
    let crds = crds();
    assert_eq!(
        world.ok(&["apply", "-f", &crds]).matches(" created").count(),
        DEFINITIONS
    );
    assert_eq!(
        world.ok(&["apply", "-f", &crds]).matches(" unchanged").count(),
        DEFINITIONS
    );
    world.ok(&[
        "wait",
        "--for=condition=Established",
        "crd/tasks.ecs-operator.dev",
        "--timeout=10s",
    ]);
    let cluster =
        "{apiVersion: ecs-operator.dev/v1alpha1, kind: EcsCluster, metadata: {name: default}, spec: {}}";
    let file = world.file("cluster.yaml", cluster);
    world.ok(&["apply", "--server-side", "-f", &file]);
    assert!(
        world
            .ok(&["get", "ecscl"])
            .starts_with("NAME      STATUS   INSTANCES")
    );
    assert_eq!(
        world.ok(&["get", "ecscl", "default", "-o", "jsonpath={.spec.onCordon}"]),
        "Drain"
    );
    assert!(
        world
            .ok(&["explain", "ecsservice.spec"])
            .contains("KIND:       EcsService")
    );
    let bad = world.file(
        "bad.yaml",
        &cluster.replace("spec: {}", "spec: {onCordon: 3, nothing: 1}"),
    );
    assert!(world.refused(&["apply", "-f", &bad]).contains("nothing"));
    world.ok(&["delete", "crd", "ecsclusters.ecs-operator.dev"]);
    assert!(
        world
            .refused(&["get", "crd", "ecsclusters.ecs-operator.dev"])
            .contains("not found")
    );
}

#[test]
fn changing_things() {
    let world = World::new("change");
    let file = world.file("objects.yaml", OBJECTS);
    world.ok(&["apply", "-f", &file]);
    world.ok(&["diff", "-f", &file]);
    assert!(world.ok(&["edit", "configmap", "a"]).contains("edited"));
    assert_eq!(
        world.ok(&["get", "cm", "a", "-o", "jsonpath={.data.key}"]),
        "after"
    );
    world.ok(&["label", "cm", "a", "x=y"]);
    world.ok(&["annotate", "cm", "a", "x=y"]);
    assert!(
        world
            .ok(&["get", "cm", "-l", "x=y", "-o", "name"])
            .contains("configmap/a")
    );
    world.ok(&[
        "patch",
        "cm",
        "a",
        "--type",
        "merge",
        "-p",
        r#"{"data":{"q":"r"}}"#,
    ]);
    world.ok(&[
        "patch",
        "cm",
        "a",
        "--type",
        "json",
        "-p",
        r#"[{"op":"remove","path":"/data/q"}]"#,
    ]);
    world.ok(&["patch", "pod", "p", "-p", r#"{"metadata":{"labels":{"z":"z"}}}"#]);
    world.ok(&["scale", "deployment", "d", "--replicas=3"]);
    assert_eq!(
        world.ok(&["get", "deploy", "d", "-o", "jsonpath={.spec.replicas}"]),
        "3"
    );
    let taken = world.refused(&["apply", "--server-side", "--field-manager=other", "-f", &file]);
    assert!(taken.contains("conflict"), "{taken}");
    world.ok(&["create", "secret", "generic", "s", "--from-literal=a=b"]);
    assert_eq!(
        world.ok(&["get", "secret", "s", "-o", "jsonpath={.data.a}"]),
        "Yg=="
    );
    world.ok(&["describe", "pod", "p"]);
    world.ok(&["describe", "node", "n1"]);
    world.ok(&["delete", "cm", "a"]);
    assert!(world.refused(&["get", "cm", "a"]).contains("not found"));
}

#[test]
fn a_node_is_drained() {
    let world = World::new("drain");
    let file = world.file("objects.yaml", OBJECTS);
    world.ok(&["apply", "-f", &file]);
    world.ok(&["cordon", "n1"]);
    assert!(world.ok(&["get", "node", "n1"]).contains("SchedulingDisabled"));
    // There is no kubelet that would end the Pod.
    let left = world.refused(&["drain", "n1", "--force", "--timeout=1s"]);
    assert!(left.contains("timed out") || left.contains("deadline"), "{left}");
    assert!(world.ok(&["get", "pod", "p"]).contains("Terminating"));
    world.ok(&["delete", "pod", "p", "--grace-period=0", "--force"]);
    world.ok(&["drain", "n1", "--force", "--timeout=5s"]);
    world.ok(&["uncordon", "n1"]);
}

#[test]
fn a_namespace_takes_its_content_along() {
    let world = World::new("namespace");
    world.ok(&["create", "namespace", "t"]);
    world.ok(&["create", "configmap", "-n", "t", "c", "--from-literal=a=b"]);
    world.ok(&["delete", "namespace", "t", "--timeout=10s"]);
    assert!(world.refused(&["get", "ns", "t"]).contains("not found"));
    assert!(
        world
            .refused(&["create", "configmap", "-n", "t", "c"])
            .contains("namespaces \"t\" not found")
    );
}

#[test]
fn a_change_is_seen_by_a_watch() {
    let world = World::new("watch");
    world.ok(&["create", "configmap", "c", "--from-literal=a=b"]);
    let mut watch = world.command("KUBECTL", "kubectl");
    let arguments = [
        "get",
        "cm",
        "c",
        "--watch-only",
        "-o",
        "custom-columns=A:.data.a",
        "--request-timeout=20s",
    ];
    let mut watch = watch
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .expect("kubectl");
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    // the watch may begin after any of these: the last one is repeated until it is seen
    let seen =
        std::thread::spawn(move || lines.find(|line| line.as_ref().is_ok_and(|l| l.starts_with("new"))));
    let mut number = 0;
    while !seen.is_finished() {
        number += 1;
        assert!(number < 200, "nothing was seen");
        world.ok(&[
            "patch",
            "cm",
            "c",
            "-p",
            &format!(r#"{{"data":{{"a":"new-{number}"}}}}"#),
        ]);
    }
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert!(seen.join().unwrap().is_some(), "the watch ended");
}

#[test]
fn a_chart_is_installed_upgraded_and_removed() {
    let world = World::new("helm");
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/ecs-operator-crds");
    let chart = chart.to_str().unwrap();
    let place = ["--namespace", "operator", "--wait", "--timeout", "20s"];
    let with = |verb: &[&str]| [verb, place.as_slice()].concat().join(" ");
    let helm = |line: String| world.helm(&line.split(' ').collect::<Vec<_>>());
    helm(with(&["install", "definitions", chart, "--create-namespace"]));
    let crds = || world.ok(&["get", "crd", "-o", "name"]);
    assert_eq!(crds().lines().count(), DEFINITIONS);
    helm(with(&["upgrade", "definitions", chart]));
    let history = helm("history definitions --namespace operator".to_owned());
    assert!(
        history.contains("superseded") && history.contains("deployed"),
        "{history}"
    );
    helm(with(&["uninstall", "definitions"]));
    assert_eq!(helm("list --namespace operator --short".to_owned()), "");
    // the chart keeps its definitions, and the objects with them
    assert_eq!(crds().lines().count(), DEFINITIONS);
}
