//! A master as a program: flags, wiring, the loop. Knows which adapter carries out which effect; decides nothing.
//!
//! `start` brings up a master inside a running runtime, for `meseta master` and `meseta dev`. `flags` and `settings` read
//! what the operator wants, `runtime` is the loop, `http` the endpoints, `reads` what they show.

mod authentication;
pub mod flags;
mod http;
mod reads;
mod runtime;
mod settings;

use std::{net::SocketAddr, sync::Arc};

use coordination::Registrar;
use endpoints::Common;
use master_core::{Event, Master};
use observe::{files::Files, metrics};
use stdx::{
    clock::{self, Clock},
    flags::Values,
};
use tokio::task::JoinHandle;
use transport::{Limits, Node, Server, inbox, libprocess::NodeConfig};

use crate::{
    authentication::Authentication,
    http::{About, Endpoints},
    runtime::{Inbox, Loop},
    settings::Settings,
};

/// A master at work.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    ended: JoinHandle<String>,
    _server: transport::Running,
}

impl Running {
    /// Waits until the master steps down; the reason comes back.
    pub async fn ended(self) -> String {
        self.ended.await.unwrap_or_else(|error| error.to_string())
    }
}

/// Starts a master on the current (multi-threaded) runtime. `log_file` becomes readable as `/master/log`.
pub async fn start(values: Values, log_file: Option<&std::path::Path>) -> Result<Running, String> {
    let settings = Settings::new(values)?;
    let config = settings.core()?;
    let authentication = Authentication::new(&settings.values)?;
    let common = common(&settings, log_file);
    let opening = std::time::Instant::now();
    let store = settings.store()?;
    tracing::info!(registry = store.describe(), "opened the registry");

    let listen = settings.listen;
    let server = Server::bind(listen, Limits::default())
        .await
        .map_err(|e| format!("cannot listen on {listen}: {e}; choose another address with --ip and --port"))?;
    let address = server.local_addr().map_err(|e| e.to_string())?;
    let advertised = settings.advertised(address.port())?;
    let seed = stdx::rng::system_seed();
    let info = settings.master_info(stdx::Rng::new(seed).uuid_text(), advertised);
    let hostname = info.hostname.clone().unwrap_or_else(|| advertised.ip().to_string());

    let (inbox, arrivals) = inbox::inbox();
    let (registrar, registry) =
        Registrar::start(store, runtime::on_outcome(inbox.clone())).map_err(|e| e.to_string())?;
    common.metrics.timer("registrar/state_fetch").record(opening.elapsed());
    let (registry, registrar) = first_weights(&settings, registry, registrar)?;
    let (node, mut exits) = Node::new(NodeConfig::new(advertised));
    let core = Master::new(config, info, seed);
    let clock = Clock::start();
    let doors = authentication.doors();
    let peers = authentication.of_peers(hostname.clone(), node.clone(), inbox.clone());
    let ended = tokio::spawn(Loop::new(core, clock, registrar, node, &common.metrics).run(arrivals));

    let to_loop = inbox.clone();
    tokio::spawn(async move {
        while let Some(peer) = exits.next().await {
            to_loop.put(Event::Exited { peer }).await;
        }
    });
    stand_for_election(inbox.clone(), registry);
    let about = About { address: format!("{hostname}:{}", advertised.port()), clock, started: clock::wall() };
    let running = server.serve(Endpoints::new(inbox, common, about, doors, peers));
    tracing::info!(%address, api = endpoints::API_VERSION, version = endpoints::OWN_VERSION, "the master listens");
    Ok(Running { address, ended, _server: running })
}

fn common(settings: &Settings, log_file: Option<&std::path::Path>) -> Common {
    let files = Files::default();
    if let Some(path) = log_file {
        files.attach("/master/log", path.to_owned());
    }
    let metrics = Arc::new(metrics::Registry::default());
    observe::system::register(&metrics);
    Common { flags: Arc::new(settings.values.shown()), metrics, files }
}

/// Weights given by flag count only for a registry that has none.
fn first_weights(
    settings: &Settings,
    mut registry: registry::Registry,
    registrar: Registrar,
) -> Result<(registry::Registry, Registrar), String> {
    let operations = settings.weights()?;
    if operations.is_empty() || !registry.weights.is_empty() {
        return Ok((registry, registrar));
    }
    for operation in &operations {
        registry::apply(&mut registry, operation).map_err(|e| format!("--weights: {e}"))?;
    }
    registrar.persist(u64::MAX, operations)?;
    Ok((registry, registrar))
}

/// A master that has the only store leads as soon as it has read it.
fn stand_for_election(inbox: Inbox, registry: registry::Registry) {
    tokio::spawn(async move { inbox.put(Event::Elected { registry }).await });
}
