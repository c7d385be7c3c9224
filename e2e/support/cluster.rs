//! The harness of `e2e/cluster`: nodes that can be added, killed and returned. It needs root, for namespaces, mounts and
//! cgroups.

use std::path::Path;
use std::process::Command;

/// Whether this is a cluster of the harness; says on standard error what is left out if not.
pub(crate) fn controls_nodes(scenario: &str) -> bool {
    let controlled = std::env::var_os("ECS_CLUSTER").is_some();
    if !controlled {
        eprintln!("left out: {scenario} adds or kills nodes, which needs the harness of e2e/cluster");
    }
    controlled
}

fn harness(arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/cluster/cluster.sh");
    let output = Command::new(script)
        .args(arguments)
        .output()
        .expect("cannot run e2e/cluster/cluster.sh");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cluster.sh {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Adds a node and waits until it is Ready; its name.
pub(crate) fn add_node() -> String {
    harness(&["add-node"])
}

/// Powers a node off and forgets it; the Node object stays.
pub(crate) fn remove_node(name: &str) {
    harness(&["remove-node", name]);
}

/// Powers a node off.
pub(crate) fn kill_node(name: &str) {
    harness(&["kill-node", name]);
}

/// Powers a node on again and waits until it is Ready.
pub(crate) fn start_node(name: &str) {
    harness(&["start-node", name]);
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
