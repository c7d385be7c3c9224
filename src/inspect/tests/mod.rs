//! `explain` and `plan` as whole commands: what docs/explain.md shows is what they print for the snapshot beside this file.

use std::path::Path;

use clap::Parser;

use super::{explain_text, plan_text};
use crate::cli::{Cli, Command};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// What a command prints; files are those of this folder.
fn run(words: &[&str]) -> Result<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/inspect/tests");
    let place = |word: &&str| {
        let extension = Path::new(word).extension().and_then(|e| e.to_str());
        if matches!(extension, Some("yaml" | "json")) {
            folder.join(word).display().to_string()
        } else {
            (*word).to_owned()
        }
    };
    let cli = Cli::try_parse_from(words.iter().map(place)).map_err(|error| error.to_string())?;
    let outcome = runtime().block_on(async {
        match cli.command {
            Command::Explain(args) => explain_text(&args).await,
            Command::Plan(args) => plan_text(&args).await.map(|(text, _)| text),
            _ => panic!("neither explain nor plan"),
        }
    });
    outcome.map_err(|error| format!("{error:#}"))
}

/// The examples of the page, each a command and what it prints. With `ECS_UPDATE_DOCS` they are written anew.
#[test]
fn the_page_shows_what_the_commands_print() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/explain.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let mut parts: Vec<String> = text.split("```").map(ToOwned::to_owned).collect();
    let mut shown = 0;
    for part in parts
        .iter_mut()
        .filter(|part| part.starts_with("console\n$ ecs-operator "))
    {
        let command = part.lines().nth(1).unwrap().trim_start_matches("$ ").to_owned();
        let mut words: Vec<&str> = command.split(' ').collect();
        words.extend(["--snapshot", "shop.json"]);
        let printed = run(&words).unwrap_or_else(|error| format!("error: {error}"));
        *part = format!("console\n$ {command}\n{printed}\n");
        shown += 1;
    }
    let now = parts.join("```");
    if std::env::var_os("ECS_UPDATE_DOCS").is_some() {
        std::fs::write(&page, &now).unwrap();
        return;
    }
    assert!(shown >= 5);
    assert!(
        now == text,
        "docs/explain.md differs; run this test with ECS_UPDATE_DOCS=1 and look at what changed"
    );
}

fn error(words: &str) -> String {
    let words: Vec<&str> = words.split(' ').collect();
    run(&words).unwrap_err()
}

#[test]
fn names_that_nothing_has_are_answered_with_those_that_were_meant() {
    let of = |what: &str| error(&format!("ecs-operator explain {what} --snapshot shop.json"));
    assert_eq!(
        of("service wep -n shop"),
        "there is no EcsService wep in namespace shop; is it web?"
    );
    assert_eq!(
        of("service web"),
        "there is no EcsService web in namespace default, but with -n shop"
    );
    assert!(of("instance node-9").starts_with("there is no ContainerInstance node-9; is it node-1"));
    assert_eq!(of("task zzz -n shop"), "there is no Task zzz in namespace shop");
}

#[test]
fn what_cannot_be_read_is_named_with_its_place() {
    let of = |file: &str| error(&format!("ecs-operator explain service web --snapshot {file}"));
    assert!(of("none.json").contains("cannot read"), "{}", of("none.json"));
    assert!(of("web.yaml").contains("no EcsService web in namespace default, but with -n shop"));
    let broken = std::env::temp_dir().join(format!("ecs-operator-broken-{}.txt", std::process::id()));
    let wrong = |text: &str, expected: &str| {
        std::fs::write(&broken, text).unwrap();
        let said = of(&broken.display().to_string());
        assert!(said.contains(expected), "{said}");
    };
    wrong("{ \"kind\": ", "is no JSON");
    wrong("a: b: c", "is no YAML");
    wrong("{}", "kind is missing");
    wrong(
        "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\"}",
        "Save them by: kubectl get",
    );
    wrong(
        "{\"apiVersion\": \"ecs-operator.dev/v1alpha1\", \"kind\": \"EcsService\", \"metadata\": {\"name\": \"x\"}, \"spec\": 3}",
        "EcsService x",
    );
    std::fs::remove_file(&broken).unwrap();
}

#[test]
fn manifests_are_refused_as_the_api_server_refuses_them() {
    let file = std::env::temp_dir().join(format!("ecs-operator-refused-{}.txt", std::process::id()));
    let refused = |spec: &str, expected: &str| {
        let text = format!(
            "apiVersion: ecs-operator.dev/v1alpha1\nkind: EcsService\nmetadata: {{name: web, namespace: shop}}\nspec: {spec}\n"
        );
        std::fs::write(&file, text).unwrap();
        let said = error(&format!(
            "ecs-operator plan -f {} --snapshot shop.json",
            file.display()
        ));
        assert!(said.contains(expected), "{said}");
    };
    refused("{ bogus: 1 }", "bogus");
    refused("{ desiredCount: -1 }", "desiredCount");
    refused("{ schedulingStrategy: DAEMON }", "schedulingStrategy");
    std::fs::remove_file(&file).unwrap();
    let wish = error("ecs-operator plan --add-instances 2,cpu=1 --snapshot shop.json");
    assert!(wish.contains("memory (MiB) are missing"), "{wish}");
}

#[test]
fn json_has_what_text_says() {
    let of = |words: &str| -> serde_json::Value {
        let words: Vec<&str> = words.split(' ').collect();
        serde_json::from_str(&run(&words).unwrap()).unwrap()
    };
    let service = of("ecs-operator explain service batch -n shop --snapshot shop.json -o json");
    assert_eq!(service["waiting"], 2);
    assert_eq!(service["instances"][0]["change"][0]["amounts"]["cpu"], 768);
    let plan = of("ecs-operator plan --add-instances 2,like=node-1 --snapshot shop.json -o json");
    assert_eq!(plan["services"][0]["tasks"]["added-1"], 1);
}
