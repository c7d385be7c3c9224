//! `explain` and `plan`: gather the objects, ask the pure part, print. Nothing is written anywhere.

mod live;
mod names;
mod objects;
mod picture;
mod saved;
#[cfg(test)]
mod tests;

use std::io::Write as _;

use anyhow::Context as _;
use serde::Serialize;

use crate::cli::explain::{ExplainArgs, Named, Output, SourceArgs, What};
use crate::explain::{instance, service, task, text};
use objects::Objects;

/// Explains one object.
pub async fn explain(args: ExplainArgs) -> anyhow::Result<()> {
    let (What::Service(named) | What::Instance(named) | What::Task(named)) = &args.what;
    let Named { name, source } = named;
    let (objects, namespace) = gather(source).await?;
    let picture = picture::picture(&objects);
    match &args.what {
        What::Service(_) => {
            let key = names::service(&picture, &namespace, name)?;
            let found = service::explain(&picture, &key).context("it is gone")?;
            print(source.output, &found, || text::service(&found))
        }
        What::Instance(_) => {
            let name = names::instance(&picture, name)?;
            let found = instance::explain(&picture, &name).context("it is gone")?;
            print(source.output, &found, || text::instance(&found))
        }
        What::Task(_) => {
            let key = names::task(&picture, &namespace, name)?;
            let found = task::explain(&picture, &key).context("it is gone")?;
            print(source.output, &found, || text::task(&found))
        }
    }
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

fn print<T: Serialize>(form: Output, found: &T, text: impl FnOnce() -> Vec<String>) -> anyhow::Result<()> {
    let said = match form {
        Output::Text => text().join("\n"),
        Output::Json => serde_json::to_string_pretty(found)?,
    };
    // a reader that went away is no concern of ours
    let _ = writeln!(std::io::stdout().lock(), "{said}");
    Ok(())
}
