//! `/livez`, `/readyz` and `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use crate::cache::Cache;

/// The runtime is stuck when its heartbeat is older than this.
const HEARTBEAT_MAX: Duration = Duration::from_secs(30);
/// Time between heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct Admin {
    cache: Arc<Cache>,
    metrics: Metrics,
    started: Instant,
    beat: Arc<AtomicU64>,
}

/// Serves until `stop`.
pub async fn serve(
    listen: SocketAddr,
    cache: Arc<Cache>,
    metrics: Metrics,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; choose another address with --admin-listen"))?;
    let admin = Admin {
        cache,
        metrics,
        started: Instant::now(),
        beat: Arc::default(),
    };
    let pulse = admin.clone();
    let beating = stop.clone();
    let heartbeat = async move {
        while !beating.is_cancelled() {
            pulse
                .beat
                .store(pulse.started.elapsed().as_secs(), Ordering::Relaxed);
            tokio::time::sleep(HEARTBEAT).await;
        }
    };
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .with_state(admin);
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    let (served, ()) = tokio::join!(served.into_future(), heartbeat);
    served.context("the admin server failed")
}

async fn livez(State(admin): State<Admin>) -> impl IntoResponse {
    let age = admin
        .started
        .elapsed()
        .as_secs()
        .saturating_sub(admin.beat.load(Ordering::Relaxed));
    if age > HEARTBEAT_MAX.as_secs() {
        (StatusCode::SERVICE_UNAVAILABLE, "stuck")
    } else {
        (StatusCode::OK, "ok")
    }
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    if admin.cache.synced() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the stores are not synced yet")
    }
}

async fn metrics_text(State(admin): State<Admin>) -> impl IntoResponse {
    let cache = &admin.cache;
    for (kind, count) in [
        ("Node", cache.nodes.len()),
        ("Pod", cache.pods.len()),
        ("EcsCluster", cache.clusters.len()),
        ("ContainerInstance", cache.instances.len()),
        ("TaskDefinition", cache.definitions.len()),
        ("EcsService", cache.services.len()),
        ("Task", cache.tasks.len()),
        ("RunTask", cache.requests.len()),
    ] {
        admin.metrics.objects(kind, count);
    }
    let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, format)], admin.metrics.text())
}
