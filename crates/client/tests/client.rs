//! The clients against scripted masters, over real sockets.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use client::{
    AgentClient, Backoff, ContentType, Credential, Error, ExecutorClient, Incoming, MasterClient, Masters, Options,
    SchedulerClient, Subscription,
};
use proto::v1::{
    self,
    scheduler::{Call, Event, call, event},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use transport::{
    Handler, Limits, Outbox, Request, Response, Running, Server, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
    stream::{self, Capacity},
};

/// A server whose every answer the test writes.
struct Scripted {
    answers: Mutex<Box<dyn FnMut(Request) -> Response + Send>>,
}

impl Handler for Scripted {
    async fn handle(&self, request: Request) -> Response {
        (self.answers.lock().expect("no test panics in here"))(request)
    }
}

async fn serve(answers: impl FnMut(Request) -> Response + Send + 'static) -> (SocketAddr, Running) {
    let server = Server::bind("127.0.0.1:0", Limits::default()).await.expect("a free port");
    let address = server.local_addr().expect("bound");
    (address, server.serve(Arc::new(Scripted { answers: Mutex::new(Box::new(answers)) })))
}

/// A master that knows one thing to do: take subscriptions and tell of calls.
struct Master {
    address: SocketAddr,
    subscriptions: UnboundedReceiver<(Call, Outbox<Box<Event>>)>,
    calls: UnboundedReceiver<(Option<String>, Call)>,
    _running: Running,
}

fn content_type(request: &Request) -> ContentType {
    ContentType::from_mime(request.header(CONTENT_TYPE).expect("set")).expect("known")
}

fn scheduler(
    subscriptions: UnboundedSender<(Call, Outbox<Box<Event>>)>,
    calls: UnboundedSender<(Option<String>, Call)>,
) -> impl FnMut(Request) -> Response {
    move |request| {
        let content_type = content_type(&request);
        let call: Call = content_type.decode(&request.body).expect("a call");
        if call.subscribe.is_some() {
            let (outbox, events) = stream::messages::<Event>(Capacity::events(16), content_type);
            subscriptions.send((call, outbox)).expect("the test listens");
            return Response::events(content_type.mime(), events).stream_id("stream-1");
        }
        calls.send((request.header("Mesos-Stream-Id").map(str::to_owned), call)).expect("the test listens");
        Response::accepted()
    }
}

async fn master() -> Master {
    let (say_subscription, subscriptions) = unbounded_channel();
    let (say_call, calls) = unbounded_channel();
    let (address, running) = serve(scheduler(say_subscription, say_call)).await;
    Master { address, subscriptions, calls, _running: running }
}

fn masters(addresses: &[SocketAddr]) -> Masters {
    let texts: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    texts.join(",").parse().expect("addresses")
}

fn framework() -> v1::FrameworkInfo {
    v1::FrameworkInfo { user: "root".into(), name: "test".into(), ..Default::default() }
}

fn subscribed(id: &str) -> Event {
    Event {
        r#type: Some(event::Type::Subscribed as i32),
        subscribed: Some(Box::new(event::Subscribed {
            framework_id: v1::FrameworkId { value: id.into() },
            heartbeat_interval_seconds: Some(15.0),
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn heartbeat() -> Event {
    Event { r#type: Some(event::Type::Heartbeat as i32), ..Default::default() }
}

fn rescind(offer: &str) -> Event {
    Event {
        r#type: Some(event::Type::Rescind as i32),
        rescind: Some(event::Rescind { offer_id: v1::OfferId { value: offer.into() } }),
        ..Default::default()
    }
}

fn error(message: &str) -> Event {
    Event {
        r#type: Some(event::Type::Error as i32),
        error: Some(event::Error { message: message.into() }),
        ..Default::default()
    }
}

#[tokio::test]
async fn calls_carry_the_framework_and_the_stream_in_both_encodings() {
    for content_type in [ContentType::Json, ContentType::Protobuf] {
        let mut master = master().await;
        let options = Options { content_type, ..Default::default() };
        let client = SchedulerClient::with_options(masters(&[master.address]), options);
        assert!(matches!(client.revive(vec![]).await, Err(Error::NotSubscribed)));
        let subscribe = call::Subscribe { framework_info: framework(), ..Default::default() };
        let mut events = client.subscribe(subscribe).await.expect("subscribed");
        let (call, outbox) = master.subscriptions.recv().await.expect("one");
        assert_eq!(call.framework_id, None);
        outbox.send(Box::new(subscribed("f-1"))).expect("open");
        let event = events.next().await.expect("an event");
        assert_eq!(event.r#type(), event::Type::Subscribed);
        assert_eq!(client.framework_id().expect("told").value, "f-1");
        client.suppress(vec!["role".into()]).await.expect("accepted");
        let (stream_id, call) = master.calls.recv().await.expect("one");
        assert_eq!(stream_id.as_deref(), Some("stream-1"));
        assert_eq!(call.framework_id.expect("filled in").value, "f-1");
        assert_eq!(call.suppress.expect("set").roles, ["role"]);
        let status = v1::TaskStatus { task_id: v1::TaskId { value: "t".into() }, ..Default::default() };
        client.acknowledge(&status).await.expect("nothing to do");
        let with_uuid = v1::TaskStatus {
            uuid: Some("0123456789abcdef".into()),
            agent_id: Some(v1::AgentId { value: "a".into() }),
            ..status
        };
        client.acknowledge(&with_uuid).await.expect("accepted");
        let (_, call) = master.calls.recv().await.expect("one");
        assert_eq!(call.acknowledge.expect("set").uuid, "0123456789abcdef");
    }
}

#[tokio::test]
async fn a_subscription_follows_the_leader_and_comes_back_with_its_id() {
    let mut leader = master().await;
    let at = leader.address.to_string();
    let (follower, _running) = serve(move |request| Response::redirect(&at, request.path())).await;
    let (starting, _also) = serve(|_| Response::text(StatusCode::SERVICE_UNAVAILABLE, "recovering")).await;
    let client = SchedulerClient::new(masters(&[starting, follower]));
    let quick = Backoff::new(Duration::from_millis(1), Duration::from_millis(2));
    let subscribe = call::Subscribe { framework_info: framework(), ..Default::default() };
    let mut subscription = Subscription::with(client.clone(), subscribe, quick);

    let outbox = take_subscription(&mut subscription, &mut leader, None).await;
    assert_eq!(client.master(), Some(leader.address.to_string()));
    outbox.send(Box::new(heartbeat())).expect("open");
    drop(outbox);
    assert!(matches!(subscription.next().await, Ok(Incoming::Lost(Error::Ended(_)))));
    let outbox = take_subscription(&mut subscription, &mut leader, Some("f-1")).await;
    outbox.send(Box::new(error("Framework failed over"))).expect("open");
    match subscription.next().await {
        Err(Error::Framework(message)) => assert_eq!(message, "Framework failed over"),
        other => panic!("{other:?}"),
    }
}

async fn take_subscription(
    subscription: &mut Subscription,
    master: &mut Master,
    id: Option<&str>,
) -> Outbox<Box<Event>> {
    let answer = async {
        let (call, outbox) = master.subscriptions.recv().await.expect("one");
        assert_eq!(call.framework_id.as_ref().map(|id| id.value.as_str()), id);
        outbox.send(Box::new(subscribed("f-1"))).expect("open");
        outbox
    };
    let (incoming, outbox) = tokio::join!(subscription.next(), answer);
    match incoming {
        Ok(Incoming::Subscribed { framework_id, again }) => {
            assert_eq!((framework_id.value.as_str(), again), ("f-1", id.is_some()));
        }
        other => panic!("{other:?}"),
    }
    outbox
}

/// The next news, by calls that are each dropped at the first await that is not ready; counts these.
async fn next_in_pieces(subscription: &mut Subscription, dropped: &mut usize) -> Incoming {
    loop {
        tokio::select! {
            biased;
            incoming = subscription.next() => return incoming.expect("no refusal"),
            () = tokio::task::yield_now() => *dropped += 1,
        }
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_at_any_await_loses_nothing_and_subscribes_once() {
    let mut master = master().await;
    let client = SchedulerClient::new(masters(&[master.address]));
    let quick = Backoff::new(Duration::from_millis(1), Duration::from_millis(2));
    let subscribe = call::Subscribe { framework_info: framework(), ..Default::default() };
    let mut subscription = Subscription::with(client, subscribe, quick);
    for again in [false, true] {
        let mut dropped = 0;
        let answer = async {
            let (call, outbox) = master.subscriptions.recv().await.expect("one");
            assert_eq!(call.framework_id.is_some(), again);
            for event in [subscribed("f-1"), heartbeat(), rescind("o-1"), rescind("o-2")] {
                tokio::task::yield_now().await;
                outbox.send(Box::new(event)).expect("open");
            }
        };
        let read = async {
            let first = next_in_pieces(&mut subscription, &mut dropped).await;
            assert!(matches!(first, Incoming::Subscribed { again: told, .. } if told == again), "{first:?}");
            for offer in ["o-1", "o-2"] {
                let Incoming::Event(event) = next_in_pieces(&mut subscription, &mut dropped).await else {
                    panic!("an event")
                };
                assert_eq!(event.rescind.expect("set").offer_id.value, offer);
            }
            assert!(matches!(next_in_pieces(&mut subscription, &mut dropped).await, Incoming::Lost(_)));
        };
        tokio::join!(answer, read);
        assert!(dropped > 3, "connecting, the answer, an event, the end: {dropped}");
    }
    assert!(master.subscriptions.try_recv().is_err(), "one SUBSCRIBE for each stream");
}

#[tokio::test]
async fn silence_is_noticed_by_calls_that_are_dropped() {
    let mut master = master().await;
    let mut subscription = Subscription::new(SchedulerClient::new(masters(&[master.address])), framework());
    let answer = async {
        let (_, outbox) = master.subscriptions.recv().await.expect("one");
        let mut hasty = subscribed("f-1");
        hasty.subscribed.as_mut().expect("set").heartbeat_interval_seconds = Some(0.02);
        outbox.send(Box::new(hasty)).expect("open");
        outbox
    };
    let (first, _outbox) = tokio::join!(subscription.next(), answer);
    assert!(matches!(first, Ok(Incoming::Subscribed { .. })), "{first:?}");
    // Each call is dropped long before a master would be given up.
    let incoming = loop {
        if let Ok(incoming) = tokio::time::timeout(Duration::from_millis(5), subscription.next()).await {
            break incoming;
        }
    };
    assert!(matches!(incoming, Ok(Incoming::Lost(Error::Ended(_)))), "{incoming:?}");
}

#[tokio::test]
async fn a_refusal_is_final_and_tells_why() {
    let (address, _running) = serve(|_| Response::text(StatusCode::BAD_REQUEST, "no user")).await;
    let mut subscription = Subscription::new(SchedulerClient::new(masters(&[address])), framework());
    let error = subscription.next().await.expect_err("refused");
    assert_eq!(error.to_string(), "400 Bad Request: no user");
}

#[tokio::test]
async fn masters_that_send_each_other_round_in_circles_do_not_hold_us() {
    let (address, _running) = serve(|request| {
        let host = request.header("Host").expect("set").to_owned();
        Response::redirect(&host, request.path())
    })
    .await;
    let error = MasterClient::new(masters(&[address])).get_version().await.expect_err("no leader");
    assert!(error.is_passing(), "{error}");
}

#[tokio::test]
async fn operators_ask_masters_and_agents() {
    let (address, _running) = serve(|request| {
        let content_type = content_type(&request);
        assert_eq!(request.header(AUTHORIZATION), Some("Basic b3A6c2VjcmV0"));
        let call: v1::master::Call = content_type.decode(&request.body).expect("a call");
        match call.r#type() {
            v1::master::call::Type::Teardown => Response::accepted(),
            v1::master::call::Type::GetWeights => {
                let response = v1::master::Response {
                    r#type: Some(v1::master::response::Type::GetWeights as i32),
                    ..Default::default()
                };
                Response::typed(StatusCode::OK, content_type.mime(), content_type.encode(&response))
            }
            v1::master::call::Type::ReadFile => {
                let read_file = call.read_file.expect("set");
                let response = v1::master::Response {
                    read_file: Some(v1::master::response::ReadFile {
                        size: read_file.offset + 4,
                        data: read_file.path.into(),
                    }),
                    ..Default::default()
                };
                Response::typed(StatusCode::OK, content_type.mime(), content_type.encode(&response))
            }
            _ => Response::text(StatusCode::NOT_IMPLEMENTED, "later"),
        }
    })
    .await;
    let credential = Some(Credential { principal: "op".into(), secret: "secret".into() });
    for content_type in [ContentType::Json, ContentType::Protobuf] {
        let options = Options { content_type, credential: credential.clone(), ..Default::default() };
        let master = MasterClient::with_options(masters(&[address]), options);
        assert!(master.get_weights().await.expect("empty").weight_infos.is_empty());
        let file = master.read_file("/log", 3, None).await.expect("a part");
        assert_eq!((file.size, &file.data[..]), (7, &b"/log"[..]));
        master.teardown(v1::FrameworkId { value: "f".into() }).await.expect("accepted");
        match master.get_quota().await {
            Err(Error::Refused { status, message }) => assert_eq!((status.as_u16(), message.as_str()), (501, "later")),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn agents_answer_calls_and_older_endpoints() {
    let (address, _running) = serve(|request| match request.path() {
        "/state" => Response::json("{}"),
        _ => Response::typed(StatusCode::OK, ContentType::Protobuf.mime(), &b"\xff"[..]),
    })
    .await;
    let agent = AgentClient::new(&address.to_string()).expect("an address");
    assert_eq!(agent.get("/state").await.expect("there"), "{}");
    assert_eq!(agent.server(), Some(address.to_string()));
    assert!(matches!(agent.get_state().await, Err(Error::Malformed(_))));
}

#[tokio::test]
async fn a_master_that_is_not_there_is_passing() {
    let (address, running) = serve(|_| Response::ok()).await;
    running.shutdown(Duration::ZERO).await;
    let error = MasterClient::new(masters(&[address])).get_health().await.expect_err("gone");
    assert!(error.is_passing(), "{error}");
}

#[tokio::test]
async fn an_executor_lists_what_its_agent_has_not_acknowledged() {
    use proto::v1::executor;
    let (say, mut calls) = unbounded_channel();
    let (address, _running) = serve(move |request| {
        let content_type = content_type(&request);
        let call: executor::Call = content_type.decode(&request.body).expect("a call");
        let subscribes = call.subscribe.is_some();
        let (outbox, events) = stream::messages::<executor::Event>(Capacity::events(16), content_type);
        say.send((call, outbox)).expect("the test listens");
        if subscribes { Response::events(content_type.mime(), events) } else { Response::accepted() }
    })
    .await;
    let framework_id = v1::FrameworkId { value: "f".into() };
    let executor_id = v1::ExecutorId { value: "e".into() };
    let client = ExecutorClient::new(&address.to_string(), framework_id, executor_id, Options::default());
    let client = client.expect("an address");
    let mut events = client.subscribe().await.expect("subscribed");
    let (_, outbox) = calls.recv().await.expect("SUBSCRIBE");
    for state in [v1::TaskState::TaskStarting, v1::TaskState::TaskRunning] {
        let task_id = v1::TaskId { value: "t".into() };
        client.update(v1::TaskStatus { task_id, state: state as i32, ..Default::default() }).await.expect("taken");
    }
    let (starting, _) = calls.recv().await.expect("UPDATE");
    let (running, _) = calls.recv().await.expect("UPDATE");
    let acknowledged = executor::Event {
        r#type: Some(executor::event::Type::Acknowledged as i32),
        acknowledged: starting.update.map(|update| executor::event::Acknowledged {
            task_id: update.status.task_id,
            uuid: update.status.uuid.expect("filled in"),
        }),
        ..Default::default()
    };
    outbox.send(Box::new(acknowledged)).expect("open");
    drop(outbox);
    events.next().await.expect("the acknowledgement");
    assert!(matches!(events.next().await, Err(Error::Ended(_))));
    let _events = client.subscribe().await.expect("subscribed");
    let (again, _) = calls.recv().await.expect("SUBSCRIBE");
    assert_eq!(again.subscribe.expect("set").unacknowledged_updates, [running.update.expect("set")]);
}
