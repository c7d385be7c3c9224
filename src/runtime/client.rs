//! Clients of the API server: one for watches, one for the ledger with deadlines on the server's side and no retries.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use http::{HeaderValue, Method, Request, Uri};
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::util::MapRequestLayer;

/// Deadline of a request, on our side and on the server's: T2 of the ledger's fences.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Configuration from a kubeconfig file if one is named, else from the cluster that the process runs in.
pub async fn config(kubeconfig: Option<&Path>) -> anyhow::Result<Config> {
    config_of(kubeconfig, None).await
}

/// As [`config`], with a context of the kubeconfig.
pub async fn config_of(kubeconfig: Option<&Path>, context: Option<&str>) -> anyhow::Result<Config> {
    let options = KubeConfigOptions {
        context: context.map(ToOwned::to_owned),
        ..KubeConfigOptions::default()
    };
    let mut config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path)
                .with_context(|| format!("cannot read the kubeconfig {}", path.display()))?;
            Config::from_custom_kubeconfig(file, &options)
                .await
                .context("cannot use the kubeconfig")?
        }
        None => Config::incluster()
            .context("not running in a cluster: name a kubeconfig with --kubeconfig or KUBECONFIG")?,
    };
    config.connect_timeout = Some(Duration::from_secs(5));
    config.write_timeout = Some(REQUEST_TIMEOUT);
    config.read_timeout = None;
    let agent = concat!("ecs-operator/", env!("CARGO_PKG_VERSION"));
    config
        .headers
        .push((http::header::USER_AGENT, HeaderValue::from_static(agent)));
    Ok(config)
}

/// The client for lists, watches and reports.
pub fn reader(config: Config) -> anyhow::Result<Client> {
    Client::try_from(config).context("cannot make a client")
}

/// The client of the ledger: every request that writes carries a deadline for the server, and none is sent twice.
pub fn writer(mut config: Config) -> anyhow::Result<Client> {
    config.default_retry = false;
    let layer = MapRequestLayer::new(with_deadline);
    let builder = ClientBuilder::try_from(config)
        .context("cannot make a client")?
        .with_layer(&layer);
    #[cfg(feature = "testing")]
    let builder = builder.with_layer(&super::crash::CrashLayer);
    Ok(builder.build())
}

/// Adds `timeout` to the query of requests that write, so that the server gives up when we do (T2).
pub fn with_deadline(mut request: Request<Body>) -> Request<Body> {
    let writes = matches!(
        *request.method(),
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE
    );
    if !writes {
        return request;
    }
    let mut parts = request.uri().clone().into_parts();
    if let Some(path) = &parts.path_and_query {
        let joiner = if path.query().is_some() { '&' } else { '?' };
        let with = format!("{path}{joiner}timeout={}s", REQUEST_TIMEOUT.as_secs());
        if let Ok(path) = with.parse() {
            parts.path_and_query = Some(path);
        }
    }
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri_of(method: Method, uri: &str) -> String {
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .body(Body::empty())
            .unwrap();
        with_deadline(request).uri().to_string()
    }

    #[test]
    fn writes_carry_a_deadline_for_the_server() {
        assert_eq!(uri_of(Method::POST, "/api/v1/pods"), "/api/v1/pods?timeout=10s");
        assert_eq!(
            uri_of(Method::PATCH, "/x?fieldManager=f"),
            "/x?fieldManager=f&timeout=10s"
        );
        assert_eq!(
            uri_of(Method::GET, "/api/v1/pods?watch=true"),
            "/api/v1/pods?watch=true"
        );
    }
}
