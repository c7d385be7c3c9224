//! Objects of a running cluster: a list of each kind, page by page. Only GETs are sent.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use kube::Client;
use serde::Deserialize;
use serde_json::Value;

use super::objects::{KINDS, Objects};
use crate::api::GROUP;
use crate::cli::explain::SourceArgs;
use crate::runtime::client;

/// Objects of a page.
const PAGE: usize = 500;
/// Longest wait for a page, tries again included.
const DEADLINE: Duration = Duration::from_secs(30);

/// A cluster that answers.
pub(super) struct Cluster {
    client: Client,
    /// Namespace of the kubeconfig's context.
    pub(super) namespace: String,
}

/// The cluster that is meant.
pub(super) async fn reach(source: &SourceArgs) -> anyhow::Result<Cluster> {
    let file = match &source.kubeconfig {
        Some(path) => Some(path.clone()),
        None => usual().filter(|path| path.is_file()),
    };
    let config = client::config_of(file.as_deref(), source.context.as_deref()).await?;
    let namespace = config.default_namespace.clone();
    Ok(Cluster {
        client: client::reader(config)?,
        namespace,
    })
}

/// Where kubectl looks.
fn usual() -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("HOME")?).join(".kube/config"))
}

/// Lists every kind. What can be done without is left out if it is not allowed.
pub(super) async fn list(cluster: &Cluster) -> anyhow::Result<Objects> {
    let mut objects = Objects {
        live: true,
        ..Objects::default()
    };
    for (kind, plural, needed) in KINDS {
        match list_kind(&cluster.client, kind, plural, &mut objects).await {
            Ok(()) => {}
            Err(Refused::Forbidden(why)) if !needed => objects.missing.push((plural, why)),
            Err(Refused::Forbidden(why)) => bail!(
                "not allowed to list {plural}: {why}. It takes the right to list {}",
                rights()
            ),
            Err(Refused::NoKind) => bail!(
                "the cluster has no {plural}: ecs-operator's definitions are not installed in it, or KUBECONFIG names \
                 another cluster"
            ),
            Err(Refused::Other(error)) => return Err(error).context(format!("cannot list {plural}")),
        }
    }
    Ok(objects)
}

/// What must be allowed, in words.
fn rights() -> String {
    let all: Vec<&str> = KINDS.iter().map(|(_, plural, _)| *plural).collect();
    all.join(", ")
}

/// Why there is no list.
enum Refused {
    Forbidden(String),
    NoKind,
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMeta,
    #[serde(default)]
    items: Vec<Value>,
}

#[derive(Default, Deserialize)]
struct PageMeta {
    #[serde(default, rename = "continue")]
    next: String,
}

async fn list_kind(client: &Client, kind: &str, plural: &str, objects: &mut Objects) -> Result<(), Refused> {
    let core = matches!(kind, "Node" | "Pod" | "Namespace");
    let path = if core {
        format!("/api/v1/{plural}")
    } else {
        format!("/apis/{GROUP}/v1alpha1/{plural}")
    };
    let mut next = String::new();
    loop {
        let token = if next.is_empty() {
            String::new()
        } else {
            format!("&continue={next}")
        };
        let request = http::Request::get(format!("{path}?limit={PAGE}{token}"))
            .body(Vec::new())
            .context("the server gave a strange continue token")?;
        let page = tokio::time::timeout(DEADLINE, client.request::<Page>(request)).await;
        let page = match page {
            Ok(Ok(page)) => page,
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
                return Err(Refused::Forbidden(status.message.clone()));
            }
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => return Err(Refused::NoKind),
            Ok(Err(kube::Error::Api(status))) => {
                return Err(Refused::Other(anyhow::anyhow!(status.message.clone())));
            }
            Ok(Err(error)) => return Err(Refused::Other(error.into())),
            Err(_) => {
                let error = anyhow::anyhow!("no answer from the API server within {} s", DEADLINE.as_secs());
                return Err(Refused::Other(error));
            }
        };
        for item in page.items {
            objects.put(kind, item)?;
        }
        next = page.metadata.next;
        if next.is_empty() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    /// A cluster that answers each path with a code and a body.
    fn cluster(answer: fn(&str) -> (u16, Value)) -> Cluster {
        let service = tower::service_fn(move |request: Request<Body>| async move {
            assert_eq!(request.method(), http::Method::GET, "only GETs are sent");
            let path = request.uri().to_string();
            let (code, body) = answer(&path);
            let body = Body::from(body.to_string().into_bytes());
            Response::builder().status(code).body(body)
        });
        Cluster {
            client: Client::new(service, "default"),
            namespace: "default".to_owned(),
        }
    }

    fn status(code: u16, text: &str) -> (u16, Value) {
        let reason = if code == 403 { "Forbidden" } else { "NotFound" };
        let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": text,
            "reason": reason, "code": code });
        (code, body)
    }

    #[tokio::test]
    async fn lists_go_page_by_page_and_what_can_be_done_without_is_left_out() {
        let objects = list(&cluster(|path| match path {
            p if p.contains("/pods") => status(403, "pods is forbidden"),
            p if p.contains("/ecsclusters") && p.contains("continue=next") => (
                200,
                json!({ "items": [{ "metadata": { "name": "b" }, "spec": {} }] }),
            ),
            p if p.contains("/ecsclusters") => {
                let items = json!([{ "metadata": { "name": "a" }, "spec": {} }]);
                (200, json!({ "metadata": { "continue": "next" }, "items": items }))
            }
            _ => (200, json!({ "items": [] })),
        }))
        .await
        .unwrap();
        assert_eq!(
            (objects.cache.clusters.len(), objects.ours, objects.live),
            (2, 2, true)
        );
        assert_eq!(objects.missing, [("pods", "pods is forbidden".to_owned())]);
    }

    #[tokio::test]
    async fn what_is_not_allowed_or_not_installed_is_said_with_what_it_takes() {
        let refused = list(&cluster(|_| status(403, "who are you"))).await;
        let said = format!("{:#}", refused.unwrap_err());
        assert!(
            said.starts_with("not allowed to list ecsclusters: who are you. It takes the right to list"),
            "{said}"
        );
        let bare = list(&cluster(|_| status(404, "page not found"))).await;
        let said = format!("{:#}", bare.unwrap_err());
        assert!(said.contains("definitions are not installed"), "{said}");
    }
}
