//! The client against the server.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpListener};
use transport::{
    Method, StatusCode,
    client::{Call, Client, ClientConfig, ClientError, Opened},
};

use super::harness::{Site, soon, until};

#[tokio::test]
async fn a_connection_is_used_again() {
    let site = Site::start().await;
    let client = Client::default();
    for i in 0..10 {
        let call = Call::post(site.authority(), "/echo", "application/json", format!("{i}"));
        let reply = soon("an answer", client.send(call)).await.unwrap();
        assert_eq!((reply.status, reply.body), (StatusCode::OK, format!("{i}").into()));
    }
    assert_eq!(site.running.counters().accepted.load(Ordering::Relaxed), 1);
    let reply = client.send(Call::get(site.authority(), "/nope")).await.unwrap();
    assert_eq!((reply.status, &reply.body[..]), (StatusCode::NOT_FOUND, &b"404 Not Found."[..]));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
}

#[tokio::test]
async fn a_restarted_server_is_reached_again() {
    let site = Site::start().await;
    let (address, client) = (site.address, Client::default());
    client.send(Call::get(address.to_string(), "/json")).await.unwrap();
    soon("the shutdown", site.running.shutdown(Duration::ZERO)).await;
    let _again = Site::at(address, transport::Limits::default()).await;
    let reply = soon("an answer", client.send(Call::get(address.to_string(), "/json"))).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn events_are_read_one_by_one() {
    let site = Site::start().await;
    let client = Client::default();
    let call = Call::post(site.authority(), "/events", "application/json", "{}");
    let Opened::Stream { headers, mut records } = soon("the stream", client.open(call)).await.unwrap() else {
        panic!("refused")
    };
    assert_eq!(headers["mesos-stream-id"], "the-stream");
    let outbox = site.world.take_outbox();
    for event in ["first", "", "third"] {
        outbox.send(event.to_owned()).unwrap();
        assert_eq!(soon("a record", records.next()).await.unwrap().unwrap(), event);
    }
    drop(outbox);
    assert!(soon("the end", records.next()).await.unwrap().is_none());
    let Opened::Refused(reply) = client.open(Call::get(site.authority(), "/nope")).await.unwrap() else {
        panic!("open")
    };
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn dropped_records_close_the_stream() {
    let site = Site::start().await;
    let opened = Client::default().open(Call::post(site.authority(), "/events", "application/json", "")).await.unwrap();
    let outbox = site.world.take_outbox();
    drop(opened);
    soon("the end", outbox.closed()).await;
    until("the end", || site.connections() == 0).await;
}

#[tokio::test]
async fn a_body_can_be_sent_while_it_is_made() {
    let site = Site::start().await;
    let call = Call::new(Method::POST, site.authority(), "/echo");
    let upload = Client::default().upload(call, 1).await.unwrap();
    for piece in ["one ", "two ", "three"] {
        assert!(upload.body.write(piece.into()).await);
    }
    let reply = soon("the answer", upload.finish()).await.unwrap();
    assert_eq!(&reply.body[..], b"one two three");
}

#[tokio::test]
async fn each_failure_has_its_name() {
    let site = Site::start().await;
    let config = ClientConfig { answer_timeout: Duration::from_millis(20), answer: 1000, ..ClientConfig::default() };
    let client = Client::new(config);
    let error = client.send(Call::get(site.authority(), "/wait")).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
    let patient = Client::new(ClientConfig { answer: 1000, ..ClientConfig::default() });
    let error = patient.send(Call::get(site.authority(), "/big")).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { limit: 1000, .. }), "{error}");
    let error = patient.send(Call::get(site.authority(), "no path")).await.unwrap_err();
    assert!(matches!(error, ClientError::Request { .. }), "{error}");
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = patient.send(Call::get(gone.to_string(), "/")).await.unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error}");
}

#[tokio::test]
async fn answers_that_are_no_http_or_no_records_are_errors() {
    for (answer, whole) in [
        ("no http\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx\nabc", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n9\nab", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n99999\n", true),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.write_all(answer.as_bytes()).await.unwrap();
            socket.shutdown().await.unwrap();
            std::future::pending::<()>().await;
        });
        let client = Client::new(ClientConfig { answer: 1000, ..ClientConfig::default() });
        let failed = match soon("an answer", client.open(Call::get(authority, "/"))).await {
            Ok(Opened::Stream { mut records, .. }) => soon("a record", records.next()).await.is_err(),
            Ok(Opened::Refused(_)) => false,
            Err(_) => !whole,
        };
        assert!(failed, "{answer:?}");
        server.abort();
    }
}
