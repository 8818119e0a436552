//! What every store must pass: `run` takes a way to open the same store again and again.

use std::sync::mpsc::{Receiver, channel};

use proto::v1;
use registry::{Operation, Registry};

use stdx::Ticket;

use crate::{Outcome, Registrar, Store};

/// Runs every law against the store that `open` opens; each law gets its own name, so that it can have its own store.
pub fn run(open: &dyn Fn(&str) -> Box<dyn Store>) {
    an_empty_store_gives_an_empty_document(open);
    what_was_stored_is_there_after_reopening(open);
    a_refused_ticket_changes_nothing(open);
    tickets_are_reported_in_order(open);
    a_deleted_part_stays_deleted(open);
}

fn an_empty_store_gives_an_empty_document(open: &dyn Fn(&str) -> Box<dyn Store>) {
    assert_eq!(open("empty").load().expect("load"), Registry::default());
}

fn what_was_stored_is_there_after_reopening(open: &dyn Fn(&str) -> Box<dyn Store>) {
    let (registrar, registry, outcomes) = start(open("durable"));
    assert_eq!(registry, Registry::default());
    for n in 0..200 {
        registrar.persist(Some(Ticket(n)), vec![admit(n)]).expect("queue");
    }
    assert!(outcomes.iter().take(200).all(|(_, outcome)| outcome == Outcome::Stored));
    drop(registrar);
    let (_, again, _) = start(open("durable"));
    assert_eq!(again, document(0..200));
}

fn a_refused_ticket_changes_nothing(open: &dyn Fn(&str) -> Box<dyn Store>) {
    let (registrar, _, outcomes) = start(open("refused"));
    registrar.persist(Some(Ticket(1)), vec![admit(1)]).expect("queue");
    registrar.persist(Some(Ticket(2)), vec![admit(2), admit(1)]).expect("queue");
    let outcomes: Vec<_> = outcomes.iter().take(2).collect();
    assert_eq!(outcomes[0], (Ticket(1), Outcome::Stored));
    assert!(matches!(outcomes[1], (Ticket(2), Outcome::Refused(_))), "{outcomes:?}");
    drop(registrar);
    assert_eq!(start(open("refused")).1, document(1..2));
}

fn tickets_are_reported_in_order(open: &dyn Fn(&str) -> Box<dyn Store>) {
    let (registrar, _, outcomes) = start(open("order"));
    (0..1_000).for_each(|n| registrar.persist(Some(Ticket(n)), vec![admit(n)]).expect("queue"));
    let tickets: Vec<Ticket> = outcomes.iter().take(1_000).map(|(ticket, _)| ticket).collect();
    assert_eq!(tickets, (0..1_000).map(Ticket).collect::<Vec<_>>());
}

fn a_deleted_part_stays_deleted(open: &dyn Fn(&str) -> Box<dyn Store>) {
    let (registrar, _, outcomes) = start(open("deleted"));
    registrar.persist(Some(Ticket(1)), vec![admit(1)]).expect("queue");
    registrar.persist(Some(Ticket(2)), vec![admit(2)]).expect("queue");
    registrar.persist(Some(Ticket(3)), vec![Operation::RemoveAgent("agent-1".into())]).expect("queue");
    assert_eq!(outcomes.iter().take(3).filter(|(_, outcome)| *outcome == Outcome::Stored).count(), 3);
    drop(registrar);
    assert_eq!(start(open("deleted")).1, document(2..3));
}

fn start(store: Box<dyn Store>) -> (Registrar, Registry, Receiver<(Ticket, Outcome)>) {
    let (sender, outcomes) = channel();
    let on_outcome = Box::new(move |ticket, outcome| drop(sender.send((ticket, outcome))));
    let (registrar, registry) = Registrar::start(store, on_outcome).expect("start");
    (registrar, registry, outcomes)
}

fn admit(n: u64) -> Operation {
    let id = Some(v1::AgentId { value: format!("agent-{n}") });
    Operation::AdmitAgent(Box::new(v1::AgentInfo { id, hostname: format!("host-{n}"), ..Default::default() }))
}

fn document(agents: std::ops::Range<u64>) -> Registry {
    let mut registry = Registry::default();
    for n in agents {
        registry::apply(&mut registry, &admit(n)).expect("apply");
    }
    registry
}
