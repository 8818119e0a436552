//! A master as a program: flags, wiring, the loop. Knows which adapter carries out which effect; decides nothing.
//!
//! `start` brings up a master inside a running runtime, for `meseta master` and `meseta dev`. `flags` and `settings`
//! read what the operator wants, `traffic` is what goes in and out of the loop in `runtime`, `http` the endpoints,
//! `reads` what they show.

mod authentication;
pub mod flags;
mod http;
mod reads;
mod runtime;
mod seat;
mod settings;
mod traffic;
mod whitelist;

use std::{net::SocketAddr, sync::Arc};

use endpoints::Common;
use master_core::{Event, Master, recording::Beginning};
use observe::{files::Files, flight::Flight, metrics};
use stdx::{
    clock::{self, Clock},
    flags::Values,
};
use tokio::task::JoinHandle;
use transport::{
    Node, Server, inbox,
    libprocess::{NodeConfig, senders::Senders},
};

use crate::{
    authentication::Authentication,
    http::{About, Endpoints},
    runtime::Loop,
    seat::{Failure, Seat},
    settings::Settings,
    traffic::Inbox,
    whitelist::Whitelist,
};

/// A master at work.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    ended: JoinHandle<String>,
    failure: Option<Failure>,
    seat: Seat,
    inbox: Inbox,
    _server: transport::Running,
}

impl Running {
    /// Waits until the master steps down; the reason comes back.
    pub async fn ended(&mut self) -> String {
        let failed = async {
            match &mut self.failure {
                Some(failure) => match failure.await {
                    Ok(why) => why,
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        let why = tokio::select! {
            why = &mut self.ended => why.unwrap_or_else(|error| error.to_string()),
            why = failed => why,
        };
        self.seat.abandon();
        why
    }

    /// Waits until an operator asks this master to hand over.
    pub fn asked_to_hand_over(&self) -> impl Future<Output = ()> + use<> {
        let seat = self.seat.clone();
        async move { seat.asked_to_hand_over().await }
    }

    /// Stops acting, stores what is under way, and lets the next master lead at once.
    pub async fn hand_over(self) {
        let leads = self.seat.standing.borrow().leading;
        tracing::info!(leads, "handing over: deciding nothing any more, storing what is under way");
        self.inbox.put(Event::Deposed).await;
        // A standby's loop has nothing to end.
        if leads {
            let _ = self.ended.await;
        }
        self.seat.hand_over().await;
        tracing::info!("handed over; the next master may lead");
    }
}

/// Starts a master on the current (multi-threaded) runtime. `log_file` becomes readable as `/master/log`.
pub async fn start(values: Values, log_file: Option<&std::path::Path>) -> Result<Running, String> {
    let settings = Settings::new(values)?;
    let config = settings.core()?;
    let authentication = Authentication::new(&settings.values)?;
    let place = settings.place()?;
    let store = if place.is_none() { Some(settings.store()?) } else { None };

    let whitelist = Whitelist::open(settings.values.text("whitelist"))?;

    let listen = settings.listen;
    let server = Server::bind(listen, endpoints::serving::limits(&settings.values)?)
        .await
        .map_err(|e| format!("cannot listen on {listen}: {e}; choose another address with --ip and --port"))?;
    let address = server.local_addr().map_err(|e| e.to_string())?;
    let advertised = settings.advertised(address.port())?;
    let seed = stdx::rng::system_seed();
    let info = settings.master_info(stdx::Rng::new(seed).uuid_text(), advertised)?;
    let hostname = info.hostname.clone().unwrap_or_else(|| advertised.ip().to_string());

    let (inbox, arrivals) = inbox::inbox(endpoints::serving::bounds(&settings.values));
    let senders = endpoints::serving::senders(advertised)?;
    let server = server.knowing(senders.clone());
    let common = common(&settings, log_file, senders.clone());
    let (node, mut exits) = Node::new(NodeConfig { senders: Some(senders), ..NodeConfig::new(advertised) });
    let beginning = || Beginning { info: info.clone(), seed, config: config.clone() }.encode();
    let flight = Flight::open(settings.values.text("flight_recorder"), beginning)?;
    let core = Master::new(config, info.clone(), seed);
    let clock = Clock::start();
    let doors = authentication.doors();
    let peers = authentication.of_peers(hostname.clone(), node.clone(), inbox.clone());
    let (seat, failure) = match (store, place) {
        (Some(store), _) => (seat::alone(&settings, store, &info, &inbox, &common.metrics)?, None),
        (None, Some((place, timeout))) => {
            let connect = coordination::connect(place, timeout);
            let (seat, failure) = seat::candidate(&settings, connect, &info, &inbox, &common.metrics)?;
            (seat, Some(failure))
        }
        (None, None) => return Err("there is no store for the registry".into()),
    };
    let ended =
        tokio::spawn(Loop::new(core, clock, seat.clone(), node, &common.metrics).recorded_by(flight).run(arrivals));

    let to_loop = inbox.clone();
    tokio::spawn(async move {
        while let Some(peer) = exits.next().await {
            to_loop.put(Event::Exited { peer }).await;
        }
    });
    if let Some((whitelist, first)) = whitelist {
        inbox.put(Event::Whitelist { hostnames: Some(first) }).await;
        tokio::spawn(whitelist.watch(inbox.clone()));
    }
    let about = About { address: format!("{hostname}:{}", advertised.port()), clock, started: clock::wall() };
    let running = server.serve(Endpoints::new(inbox.clone(), common, about, seat.clone(), doors, peers));
    tracing::info!(%address, api = endpoints::API_VERSION, version = endpoints::OWN_VERSION, "the master listens");
    Ok(Running { address, ended, failure, seat, inbox, _server: running })
}

fn common(settings: &Settings, log_file: Option<&std::path::Path>, senders: Arc<Senders>) -> Common {
    let files = Files::default();
    if let Some(path) = log_file {
        files.attach("/master/log", path.to_owned());
    }
    let metrics = Arc::new(metrics::Registry::default());
    observe::system::register(&metrics);
    Common { flags: Arc::new(settings.values.shown()), metrics, files, senders }
}
