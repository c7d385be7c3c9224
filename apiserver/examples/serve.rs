//! Serves an empty API server on a port of the loopback address and prints where its kubeconfig is.
//!
//! `cargo run -p embedded-apiserver --example serve -- [ADDRESS] [KUBECONFIG]`

use std::net::SocketAddr;

use embedded_apiserver::{Limits, Server, Sources, tls};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address: SocketAddr = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:0".to_owned())
        .parse()?;
    let path = arguments.next().unwrap_or_else(|| "kubeconfig.json".to_owned());
    let token = Sources::system().uid();
    let listening = tls::listen(Server::new(Sources::system(), Limits::default()), address, &token).await?;
    std::fs::write(&path, listening.kubeconfig())?;
    eprintln!("https://{} --kubeconfig {path}", listening.address());
    tokio::select! {
        () = listening.serve() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}
