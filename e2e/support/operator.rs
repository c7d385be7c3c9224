//! Operators that a scenario starts, stops and kills itself, while the installed one rests; settings of the cluster.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::{cluster, eventually};

/// The operator's program, built for tests.
const PROGRAM: &str = env!("CARGO_BIN_EXE_ecs-operator");
/// Namespace and name of the installed operator.
const HOME: &str = "ecs-operator";

/// The operator's program, without colours.
pub(crate) fn program() -> Command {
    let mut program = Command::new(PROGRAM);
    program.env("NO_COLOR", "1");
    program
}

fn kubectl(arguments: &[&str]) -> String {
    cluster::command("kubectl", arguments)
}

/// Runs kubectl where nobody may panic.
fn kubectl_quietly(arguments: &[&str]) {
    let mut command = Command::new("kubectl");
    command.args(arguments);
    cluster::quietly(command);
}

/// The installed operator, scaled to nothing; it is scaled back when this is dropped.
pub(crate) struct Resting {
    replicas: Option<String>,
}

impl Resting {
    /// Scales the installed operator, if there is one, to nothing and waits until its Pods are gone.
    pub(crate) fn begin() -> Self {
        let replicas = kubectl(&[
            "--namespace",
            HOME,
            "get",
            "deployment",
            HOME,
            "--ignore-not-found",
            "--output",
            "jsonpath={.spec.replicas}",
        ]);
        let resting = Self {
            replicas: Some(replicas).filter(|n| !n.is_empty()),
        };
        if resting.replicas.is_some() {
            scale("0");
            kubectl(&[
                "--namespace",
                HOME,
                "wait",
                "--for=delete",
                "pod",
                "--selector=app.kubernetes.io/name=ecs-operator",
                "--timeout=90s",
            ]);
        }
        resting
    }
}

fn scale(replicas: &str) {
    kubectl_quietly(&[
        "--namespace",
        HOME,
        "scale",
        "deployment",
        HOME,
        &format!("--replicas={replicas}"),
    ]);
}

impl Drop for Resting {
    fn drop(&mut self) {
        if let Some(replicas) = &self.replicas {
            scale(replicas);
            kubectl_quietly(&[
                "--namespace",
                HOME,
                "rollout",
                "status",
                "deployment",
                HOME,
                "--timeout=120s",
            ]);
        }
    }
}

/// An operator that the scenario runs on its own; killed when this is dropped.
pub(crate) struct Operator {
    child: Child,
    admin: SocketAddr,
    log: PathBuf,
}

impl Operator {
    /// Starts one that plans at once, with more environment.
    pub(crate) fn start(name: &str, environment: &[(&str, &str)]) -> Self {
        let admin = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = std::env::temp_dir().join(format!("ecs-operator-{}-{name}.log", std::process::id()));
        let out = File::create(&log).unwrap();
        let child = program()
            .args(["run", "--all-active", "--pod-name", name, "--admin-listen"])
            .arg(admin.to_string())
            .envs(environment.iter().copied())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .stdin(Stdio::null())
            .spawn()
            .expect("cannot run the operator");
        Self { child, admin, log }
    }

    /// Whether it has ended.
    pub(crate) fn ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect_timeout(&self.admin, Duration::from_secs(2)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Waits until it has read everything.
    pub(crate) async fn ready(&self) {
        eventually("the operator is ready", 60, || async {
            match self.get("/readyz") {
                Some(answer) if answer.starts_with("HTTP/1.1 200") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    /// Sum of the counters of this name whose labels contain all of these.
    pub(crate) fn count(&self, name: &str, labels: &[&str]) -> u64 {
        let text = self.get("/metrics").unwrap_or_default();
        let lines = text.lines().filter(|line| {
            line.split_once('{')
                .is_some_and(|(found, rest)| found == name && labels.iter().all(|label| rest.contains(label)))
        });
        lines
            .filter_map(|line| line.rsplit_once(' '))
            .filter_map(|(_, n)| n.trim().parse::<u64>().ok())
            .sum()
    }

    /// The last lines of its log.
    pub(crate) fn tail(&self, lines: usize) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
        if std::thread::panicking() {
            eprintln!("last words of the operator:\n{}", self.tail(40));
        }
        let _gone = std::fs::remove_file(&self.log);
    }
}

/// A setting of the EcsCluster `default`; it gets its old value when this is dropped.
pub(crate) struct Setting {
    name: String,
    before: Value,
}

impl Setting {
    pub(crate) fn set(name: &str, value: impl Into<Value>) -> Self {
        let spec = kubectl(&["get", "ecscluster", "default", "--output", "jsonpath={.spec}"]);
        let spec: Value = serde_json::from_str(&spec).unwrap();
        let setting = Self {
            name: name.to_owned(),
            before: spec[name].clone(),
        };
        setting.write(&value.into());
        setting
    }

    fn write(&self, value: &Value) {
        // a merge would leave members of an old object in place
        let path = format!("/spec/{}", self.name);
        let change = match value {
            Value::Null => json!([{ "op": "remove", "path": path }]),
            value => json!([{ "op": "add", "path": path, "value": value }]),
        };
        let change = change.to_string();
        kubectl_quietly(&[
            "patch",
            "ecscluster",
            "default",
            "--type",
            "json",
            "--patch",
            &change,
        ]);
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        self.write(&self.before);
    }
}
