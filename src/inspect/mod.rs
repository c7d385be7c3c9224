//! `explain` and `plan`: gather the objects, ask the pure part, print. Nothing is written anywhere.

mod added;
mod live;
mod manifest;
mod names;
mod objects;
mod picture;
mod saved;
#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;

use crate::cli::explain::{ExplainArgs, Named, Output, PlanArgs, SourceArgs, What};
use crate::domain::records::InstanceStatus;
use crate::explain::preview::Asked;
use crate::explain::{instance, preview, service, task, text, text_preview};
use crate::plan::world::Instance;
use objects::Objects;

/// Exit code of a plan that leaves tasks without a place, drains without an end, or no rest.
const DOES_NOT_WORK_OUT: u8 = 3;

/// Explains one object.
pub async fn explain(args: ExplainArgs) -> anyhow::Result<()> {
    say(&explain_text(&args).await?);
    Ok(())
}

async fn explain_text(args: &ExplainArgs) -> anyhow::Result<String> {
    let (What::Service(named) | What::Instance(named) | What::Task(named)) = &args.what;
    let Named { name, source } = named;
    let (objects, namespace) = gather(source).await?;
    let picture = picture::picture(&objects);
    match &args.what {
        What::Service(_) => {
            let key = names::service(&picture, &namespace, name)?;
            let found = service::explain(&picture, &key).context("it is gone")?;
            told(source.output, &found, || text::service(&found))
        }
        What::Instance(_) => {
            let name = names::instance(&picture, name)?;
            let found = instance::explain(&picture, &name).context("it is gone")?;
            told(source.output, &found, || text::instance(&found))
        }
        What::Task(_) => {
            let key = names::task(&picture, &namespace, name)?;
            let found = task::explain(&picture, &key).context("it is gone")?;
            told(source.output, &found, || text::task(&found))
        }
    }
}

/// Shows what would be placed and stopped; a failure if something would find no place, or there would be no end of it.
pub async fn plan(args: PlanArgs) -> anyhow::Result<ExitCode> {
    let (text, works_out) = plan_text(&args).await?;
    say(&text);
    Ok(if works_out {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(DOES_NOT_WORK_OUT)
    })
}

/// The preview, and whether it works out.
async fn plan_text(args: &PlanArgs) -> anyhow::Result<(String, bool)> {
    let stdin = |path: &&PathBuf| path.as_path() == Path::new("-");
    let inputs = args
        .files
        .iter()
        .chain(&args.source.snapshot)
        .filter(stdin)
        .count();
    anyhow::ensure!(inputs <= 1, "the standard input can be read once only");
    // what can be wrong with files is found before a cluster is asked
    let mut documents = Vec::new();
    for file in &args.files {
        documents.extend(saved::documents(file)?);
    }
    let (mut objects, namespace) = gather(&args.source).await?;
    let now = picture::now(&objects);
    let applied = manifest::apply(&mut objects, documents, &namespace, now).await?;
    let mut picture = picture::picture(&objects);
    picture.notes.extend(remarks(&applied));
    let mut asked = Asked {
        services: applied.services.into_iter().collect(),
        ..Asked::default()
    };
    for wish in &args.add_instances {
        for instance in added::instances(&picture.world, wish)? {
            asked.added.insert(instance.name.clone());
            picture.world.put_instance(instance);
        }
    }
    for name in &args.drain {
        let name = names::instance(&picture, name)?;
        let drain = |instance: &mut Instance| instance.status = InstanceStatus::Draining;
        picture.world.edit_instance(&name, drain);
    }
    let found = preview::preview(&picture, &asked);
    let text = told(args.source.output, &found, || text_preview::preview(&found))?;
    Ok((text, found.works_out()))
}

/// What a rehearsal of these manifests leaves out.
fn remarks(applied: &manifest::Applied) -> Vec<String> {
    let mut remarks = Vec::new();
    if !applied.left_out.is_empty() {
        remarks.push(format!("left out: {}", applied.left_out.join(", ")));
    }
    if applied.cluster {
        let text = "which nodes an EcsCluster selects, and what it tolerates, is taken as it was";
        remarks.push(text.to_owned());
    }
    remarks
}

/// All objects there are, and the namespace that is meant if none is named.
async fn gather(source: &SourceArgs) -> anyhow::Result<(Objects, String)> {
    let named = source.namespace.clone();
    if let Some(path) = &source.snapshot {
        let objects = saved::read(path)?;
        return Ok((objects, named.unwrap_or_else(|| "default".to_owned())));
    }
    let cluster = live::reach(source).await?;
    let namespace = named.unwrap_or_else(|| cluster.namespace.clone());
    Ok((live::list(&cluster).await?, namespace))
}

fn told<T: Serialize>(form: Output, found: &T, text: impl FnOnce() -> Vec<String>) -> anyhow::Result<String> {
    Ok(match form {
        Output::Text => text().join("\n"),
        Output::Json => serde_json::to_string_pretty(found)?,
    })
}

/// The result. A reader that went away is no concern of ours.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
