//! Sockets and HTTP: a request a connection, everything bounded. (PROT-25)

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::answer::Answer;
use super::call::{Call, route};
use super::desk::Desk;
use super::limits::{Limits, Open};

/// Connections at a time.
const CONNECTIONS: usize = 256;
/// Time for the head of a request.
const HEAD: Duration = Duration::from_secs(3);
/// Time for a connection: head, body, the call's own bound, and the answer.
const CONNECTION: Duration = Duration::from_secs(12);
/// Longest body, in bytes; ECS's is below 100.
const BODY_MAX: usize = 4096;
/// Largest head, in bytes.
const HEAD_MAX: usize = 16 * 1024;
/// Wait before accepting again when that failed, for example for want of descriptors.
const AGAIN: Duration = Duration::from_millis(200);

/// Accepts connections until `stop`, then lets those that are there end.
pub(super) async fn run(listener: TcpListener, desk: Desk, stop: CancellationToken) {
    let (limits, places) = (Limits::default(), Arc::new(Semaphore::new(CONNECTIONS)));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, peer, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                sleep(AGAIN).await;
                continue;
            }
        };
        // who has too many open is not even listened to
        if let Some(open) = limits.enter(peer.ip().to_canonical(), Instant::now()) {
            let desk = desk.clone();
            connections.spawn(async move {
                if timeout(CONNECTION, connection(stream, &desk, &open))
                    .await
                    .is_err()
                {
                    debug!(%peer, "a connection took too long");
                }
                drop(place);
            });
        }
    }
    while connections.join_next().await.is_some() {}
}

type Accepted = (TcpStream, std::net::SocketAddr, tokio::sync::OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> std::io::Result<Accepted> {
    let place = places.clone().acquire_owned().await;
    let place = place.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

async fn connection(stream: TcpStream, desk: &Desk, open: &Open) {
    let service =
        service_fn(|request| async move { Ok::<_, Infallible>(respond(request, desk, open).await) });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_MAX)
        .keep_alive(false)
        // a client that has said all may have closed its side
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        debug!(%error, "a connection ended early");
    }
}

async fn respond(request: Request<Incoming>, desk: &Desk, open: &Open) -> Response<Body> {
    let (status, content_type, body) = answer(request, desk, open).await.into_parts();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let content_type = header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

async fn answer(request: Request<Incoming>, desk: &Desk, open: &Open) -> Answer {
    if !open.pay(Instant::now()) {
        return Answer::too_often();
    }
    let (head, body) = request.into_parts();
    let (call, id) = match route(&head.method, head.uri.path()) {
        Ok(routed) => routed,
        Err(answer) => return answer,
    };
    if call != Call::UpdateProtection {
        return desk.answer(call, id, &[]).await;
    }
    match to_bytes(Body::new(body), BODY_MAX).await {
        Ok(bytes) => desk.answer(call, id, &bytes).await,
        Err(_) => Answer::undecodable(),
    }
}
