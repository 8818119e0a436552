//! A framework in one page: runs a command a few times, wherever there is room, and ends when all of them have.
//!
//! `cargo run -p client --example framework -- 127.0.0.1:5050`

use client::{Error, Incoming, Masters, SchedulerClient, Subscription};
use proto::v1::{self, TaskState};

const TASKS: usize = 5;
const CPUS: f64 = 0.1;
const MEM: f64 = 32.0;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let master = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5050".to_owned());
    let scheduler = SchedulerClient::new(master.parse::<Masters>()?);
    let info = v1::FrameworkInfo {
        user: std::env::var("USER").unwrap_or_else(|_| "root".to_owned()),
        name: "example".to_owned(),
        // How long the master keeps our tasks when we are away.
        failover_timeout: Some(60.0),
        ..Default::default()
    };
    // It subscribes again by itself when the master was away.
    let mut subscription = Subscription::new(scheduler.clone(), info);
    let (mut launched, mut ended) = (0, 0);
    while ended < TASKS {
        match subscription.next().await? {
            Incoming::Subscribed { framework_id, again } => {
                println!("subscribed as {}", framework_id.value);
                if again {
                    // What happened meanwhile comes as updates.
                    scheduler.reconcile(Vec::new()).await?;
                }
            }
            Incoming::Lost(why) => println!("the master is away: {why}"),
            Incoming::Event(event) => {
                for offer in event.offers.map(|offers| offers.offers).unwrap_or_default() {
                    // An offer is answered once: with tasks for a part of it, or with none.
                    let wanted = (TASKS - launched).min(room(&offer));
                    let tasks = (launched..launched + wanted).map(|number| task(number, &offer)).collect();
                    launched += wanted;
                    scheduler.launch(vec![offer.id], tasks).await?;
                }
                if let Some(update) = event.update {
                    let status = update.status;
                    println!("{}: {}", status.task_id.value, status.state().as_str_name());
                    // An update that is not acknowledged comes again.
                    scheduler.acknowledge(&status).await?;
                    match status.state() {
                        TaskState::TaskFinished => ended += 1,
                        TaskState::TaskStaging | TaskState::TaskStarting | TaskState::TaskRunning => {}
                        other => {
                            println!("gave up: {} is {}", status.task_id.value, other.as_str_name());
                            break;
                        }
                    }
                }
            }
        }
    }
    scheduler.teardown().await
}

/// How many of our tasks fit into an offer.
fn room(offer: &v1::Offer) -> usize {
    let amount = |name: &str| -> f64 {
        let named = offer.resources.iter().filter(|resource| resource.name == name);
        named.filter_map(|resource| resource.scalar.as_ref()).map(|scalar| scalar.value).sum()
    };
    (amount("cpus") / CPUS).min(amount("mem") / MEM) as usize
}

fn task(number: usize, offer: &v1::Offer) -> v1::TaskInfo {
    let scalar = |name: &str, value: f64| v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        // What is offered to a role is used by it.
        allocation_info: offer.allocation_info.clone(),
        ..Default::default()
    };
    let name = format!("hello-{number}");
    v1::TaskInfo {
        name: name.clone(),
        task_id: v1::TaskId { value: name },
        agent_id: offer.agent_id.clone(),
        resources: vec![scalar("cpus", CPUS), scalar("mem", MEM)],
        command: Some(v1::CommandInfo { value: Some(format!("echo hello from task {number}")), ..Default::default() }),
        ..Default::default()
    }
}
