//! Nodes that can be added, killed and returned: those of the harness of `e2e/cluster`, which needs root for namespaces,
//! mounts and cgroups, or those of local mode.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::ground::{is_local, machine_command, new_name};

/// Whether this is a cluster of the harness; says on standard error what is left out if not.
pub(crate) fn controls_nodes(scenario: &str) -> bool {
    let controlled = is_local() || std::env::var_os("ECS_CLUSTER").is_some();
    if !controlled {
        eprintln!("left out: {scenario} adds or kills nodes, which needs the harness of e2e/cluster");
    }
    controlled
}

fn harness_command(arguments: &[&str]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/cluster/cluster.sh");
    let mut command = Command::new(script);
    command.args(arguments);
    command
}

/// Runs a command about nodes and gives what it says.
fn done(mut command: Command) -> String {
    let output = command.output().expect("cannot run what controls nodes");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A node that the scenario added; it goes when this is dropped.
pub(crate) struct Added {
    name: String,
}

impl Added {
    /// Adds a node and waits until it is Ready.
    pub(crate) fn begin() -> Self {
        if !is_local() {
            let name = done(harness_command(&["add-node"]));
            return Self { name };
        }
        let name = new_name();
        done(machine_command(&["add", &name]));
        Self { name }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Added {
    fn drop(&mut self) {
        if is_local() {
            return quietly(machine_command(&["remove", &self.name]));
        }
        // powered off for good; the Node object would stay
        quietly(harness_command(&["remove-node", &self.name]));
        let mut delete = Command::new("kubectl");
        delete.args(["delete", "node", &self.name, "--wait=false"]);
        quietly(delete);
    }
}

/// How a node is lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The power fails: everything on the node ends at once.
    Power,
    /// The kubelet stops: the containers run on, and nobody hears of them.
    Kubelet,
}

/// A node that the scenario lost; it returns when this is dropped.
pub(crate) struct Off {
    name: String,
    loss: Loss,
}

impl Off {
    /// Takes a node away.
    pub(crate) fn begin(name: &str, loss: Loss) -> Self {
        let verb = match loss {
            Loss::Power => "kill-node",
            Loss::Kubelet => "stop-kubelet",
        };
        let fault = match loss {
            Loss::Power => "--fault=power-off",
            Loss::Kubelet => "--fault=kubelet-dead",
        };
        done(if is_local() {
            machine_command(&["break", fault, name])
        } else {
            harness_command(&[verb, name])
        });
        let name = name.to_owned();
        Self { name, loss }
    }
}

impl Drop for Off {
    fn drop(&mut self) {
        let verb = match self.loss {
            Loss::Power => "start-node",
            Loss::Kubelet => "start-kubelet",
        };
        quietly(if is_local() {
            machine_command(&["mend", &self.name])
        } else {
            harness_command(&[verb, &self.name])
        });
    }
}

/// A Pod that a node's kubelet runs by itself; it goes when this is dropped.
pub(crate) struct StaticPod {
    node: String,
    name: String,
}

impl StaticPod {
    /// Gives it to the kubelet.
    pub(crate) fn begin(node: &str, name: &str, manifest: &Value) -> Self {
        let mut child = harness_command(&["static-pod", node, name])
            .stdin(Stdio::piped())
            .spawn()
            .expect("cannot run e2e/cluster/cluster.sh");
        let given = Self {
            node: node.to_owned(),
            name: name.to_owned(),
        };
        let mut input = child.stdin.take().expect("its standard input");
        input.write_all(manifest.to_string().as_bytes()).unwrap();
        drop(input);
        assert!(
            child.wait().unwrap().success(),
            "cluster.sh static-pod {node} {name}"
        );
        given
    }
}

impl Drop for StaticPod {
    fn drop(&mut self) {
        quietly(harness_command(&["no-static-pod", &self.node, &self.name]));
    }
}

/// Runs a command where nobody may panic.
pub(super) fn quietly(mut command: Command) {
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => eprintln!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => eprintln!("{command:?}: {error}"),
    }
}

/// [`command`] `kubectl`, beside whatever else the scenario does meanwhile.
pub(crate) async fn kubectl(arguments: &[&str]) -> String {
    let arguments: Vec<String> = arguments.iter().map(|&a| a.to_owned()).collect();
    let running = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        command("kubectl", &arguments)
    });
    running.await.expect("kubectl")
}

/// Runs a command and gives its standard output; panics with its errors if it fails.
pub(crate) fn command(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect("cannot run the program");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{program} {arguments:?}: {out}{err}");
    out.trim().to_owned()
}
