//! Knows how a program talks to a cluster from outside: as a framework (`SchedulerClient`, `Subscription`), as a custom
//! executor (`ExecutorClient`), as an operator (`MasterClient`, `AgentClient`), against Meseta or Apache Mesos alike.
//! Knows nothing about how either side decides.
//!
//! `masters` names the masters, `reach` finds the leading one among them and follows redirects, `error` says what can
//! go wrong. A framework in full:
//!
//! ```no_run
//! use client::{Incoming, Masters, SchedulerClient, Subscription};
//! use proto::v1;
//!
//! # async fn run() -> Result<(), client::Error> {
//! let scheduler = SchedulerClient::new("127.0.0.1:5050".parse::<Masters>()?);
//! let framework = v1::FrameworkInfo { user: "root".into(), name: "example".into(), ..Default::default() };
//! let mut subscription = Subscription::new(scheduler.clone(), framework);
//! loop {
//!     match subscription.next().await? {
//!         Incoming::Subscribed { framework_id, .. } => println!("we are {}", framework_id.value),
//!         Incoming::Event(event) => {
//!             if let Some(offers) = event.offers {
//!                 let ids = offers.offers.into_iter().map(|offer| offer.id).collect();
//!                 scheduler.decline(ids, None).await?;
//!             }
//!         }
//!         Incoming::Lost(why) => println!("the master is away: {why}"),
//!     }
//! }
//! # }
//! ```

mod error;
pub mod executor;
pub mod masters;
pub mod operator;
mod reach;
pub mod scheduler;
pub mod subscription;

pub use error::Error;
pub use executor::{ExecutorClient, ExecutorEvents};
pub use masters::Masters;
pub use operator::{AgentClient, MasterClient, OperatorClient};
pub use proto::content::ContentType;
pub use reach::{Credential, Options};
pub use scheduler::{Events, SchedulerClient};
pub use subscription::{Backoff, Incoming, Subscription};
