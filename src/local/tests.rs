//! Local mode as a whole: from the options to the end.

use std::path::PathBuf;

use clap::Parser;

use super::run;
use crate::api::EcsService;
use crate::cli::{Cli, Command};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// A folder of this test; gone when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ecs-operator-local-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("manifests")).unwrap();
        Self(path)
    }

    fn manifest(&self, name: &str, text: &str) {
        std::fs::write(self.0.join("manifests").join(name), text).unwrap();
    }

    /// Runs `local` with these options, and those that keep it in the folder.
    fn local(&self, options: &[&str]) -> Result<(), String> {
        let kubeconfig = self.0.join("kubeconfig");
        let mut words = vec![
            "ecs-operator",
            "local",
            "--write-kubeconfig",
            kubeconfig.to_str().unwrap(),
        ];
        words.extend(options);
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        let Command::Local(args) = cli.command else {
            panic!("not local")
        };
        // like a process: what still hangs on connections ends with its runtime
        let ended = runtime().block_on(run(*args));
        assert!(!kubeconfig.exists(), "the kubeconfig goes at the end");
        ended.map_err(|error| format!("{error:#}"))
    }

    fn apply(&self, options: &[&str]) -> Result<(), String> {
        let manifests = self.0.join("manifests");
        let mut all = vec!["--manifests", manifests.to_str().unwrap(), "--speed", "50"];
        all.extend(options);
        self.local(&all)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const AGENT: &str = include_str!("../../e2e/tour/agent.yaml");
const WEB: &str = include_str!("../../e2e/tour/web.yaml");

#[test]
fn manifests_end_well_once_their_services_are_steady() {
    let folder = Folder::new("steady");
    folder.manifest("agent.yaml", AGENT);
    folder.apply(&["--instances", "2"]).unwrap();
}

#[test]
fn a_service_that_does_not_become_steady_is_named_with_its_reason() {
    let folder = Folder::new("unsteady");
    folder.manifest("web.yaml", WEB);
    let error = folder.apply(&["--instances", "1", "--timeout", "3"]).unwrap_err();
    assert!(error.contains("default/web: 3 of 20 running"), "{error}");
    assert!(error.contains("node-1: RESOURCE:CPU"), "{error}");
}

#[test]
fn a_bad_manifest_is_named_with_its_place_and_the_servers_words() {
    let folder = Folder::new("bad");
    folder.manifest("1.yaml", AGENT);
    folder.manifest("2.yaml", &WEB.replace("desiredCount: 20", "desiredCount: many"));
    let error = folder.apply(&[]).unwrap_err();
    assert!(error.contains("2.yaml, document 2 (ecsservice/web)"), "{error}");
    assert!(error.contains("spec.desiredCount"), "{error}");
    folder.manifest("2.yaml", "kind: [");
    let error = folder.apply(&[]).unwrap_err();
    assert!(error.contains("2.yaml"), "{error}");
}

#[test]
fn a_data_directory_keeps_what_was_there_and_has_one_user_at_a_time() {
    let folder = Folder::new("data");
    folder.manifest("agent.yaml", AGENT);
    let data = folder.0.join("data");
    let kept = ["--data-dir", data.to_str().unwrap(), "--instances", "1"];
    folder.apply(&kept).unwrap();
    // service and instance are there: only what has a service of its own is waited for
    folder.manifest(
        "agent.yaml",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n",
    );
    folder.apply(&kept).unwrap();
    let store = embedded_apiserver::storage::open(&data, 10).unwrap();
    let error = folder.apply(&kept).unwrap_err();
    assert!(
        error.contains("--data-dir") && error.contains("in use"),
        "{error}"
    );
    let server = embedded_apiserver::Server::with_store(store, embedded_apiserver::Sources::system());
    let service = runtime().block_on(async {
        let client = kube::Client::new(server, "default");
        let services = kube::Api::<EcsService>::default_namespaced(client);
        services.get("agent").await.unwrap()
    });
    assert_eq!(service.status.unwrap().running_count, 1);
}

#[test]
fn the_tour_plays_to_its_end() {
    Folder::new("tour").local(&["--tour", "--speed", "5"]).unwrap();
}

#[test]
fn an_address_in_use_is_said_so() {
    let folder = Folder::new("port");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = folder.local(&["--listen", &address]).unwrap_err();
    assert!(error.contains("--listen") && error.contains("in use"), "{error}");
}

#[test]
fn an_instance_type_of_unknown_size_wants_its_size() {
    let folder = Folder::new("type");
    let error = folder.local(&["--instance-type", "p4d.24xlarge"]).unwrap_err();
    assert!(error.contains("--cpu and --memory"), "{error}");
}
