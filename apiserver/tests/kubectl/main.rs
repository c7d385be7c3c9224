//! The real kubectl against the server, over TLS. `KUBECTL` names the binary; without it the one on the PATH is taken.
//!
//! `cargo test -p embedded-apiserver --features kubectl --test kubectl`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned()))
            .args(arguments)
            .env("KUBECONFIG", self.folder.join("kubeconfig"))
            .env("KUBECACHEDIR", self.folder.join("cache"))
            .env("EDITOR", "sed -i s/before/after/")
            .output()
            .expect("kubectl")
    }

    /// What kubectl prints when all goes well.
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "kubectl {arguments:?}: {err}{out}");
        out.trim().to_owned()
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
    assert!(
        world
            .refused(&["get", "pod", "nope"])
            .contains("pods \"nope\" not found")
    );
}

#[test]
fn definitions_and_their_objects() {
    let world = World::new("crds");
    let crds = crds();
    assert_eq!(world.ok(&["apply", "-f", &crds]).matches(" created").count(), 5);
    assert_eq!(world.ok(&["apply", "-f", &crds]).matches(" unchanged").count(), 5);
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
