//! The output of a session (LAUNCH_NESTED_CONTAINER_SESSION) as a stream of `ProcessIO` records. The session lives as
//! long as its reader.

use std::os::fd::OwnedFd;

use agent_core::{ConnectionId, ContainerId};
use bytes::Bytes;
use proto::{
    content::ContentType,
    recordio,
    v1::agent::{ProcessIo, process_io},
};
use tokio::io::{Interest, unix::AsyncFd};
use transport::{Response, header::HeaderName, negotiate, stream};

use super::{Endpoints, received::AnswerType};

const MESSAGE_CONTENT_TYPE: HeaderName = HeaderName::from_static("message-content-type");
const PIECE_BYTES: usize = 16 << 10;

impl Endpoints {
    /// Streams what the container writes, until both its outputs have ended or the reader leaves.
    pub(super) fn session(&self, conn: ConnectionId, container: &ContainerId, answer: AnswerType) -> Response {
        let accept = answer.content;
        let (writer, flow) = stream::flow(16);
        let output = self.world.take_output(container);
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            if let Some(output) = output {
                let out = copy(output.stdout, process_io::data::Type::Stdout, accept, writer.clone());
                let err = copy(output.stderr, process_io::data::Type::Stderr, accept, writer.clone());
                tokio::select! {
                    _ = async { tokio::join!(out, err) } => {}
                    () = writer.closed() => {}
                }
            }
            inbox.closed(conn);
        });
        if answer.records {
            return Response::flow(negotiate::RECORDIO, flow).header(MESSAGE_CONTENT_TYPE, negotiate::mime(accept));
        }
        Response::flow(negotiate::mime(accept), flow)
    }
}

async fn copy(pipe: Option<OwnedFd>, kind: process_io::data::Type, accept: ContentType, writer: stream::FlowWriter) {
    // SAFETY: an `OwnedFd` names the same open file until it is dropped.
    let register = |pipe| unsafe { AsyncFd::register_with_interest(pipe, Interest::READABLE) };
    let Some(Ok(pipe)) = pipe.map(register) else { return };
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = pipe.async_io(Interest::READABLE, |fd| Ok(nix::unistd::read(fd, &mut piece)?)).await;
        let Ok(count) = read else { return };
        let Some(data) = piece.get(..count).filter(|data| !data.is_empty()) else { return };
        let message = ProcessIo {
            r#type: Some(process_io::Type::Data as i32),
            data: Some(process_io::Data { r#type: Some(kind as i32), data: Some(Bytes::copy_from_slice(data)) }),
            control: None,
        };
        if !writer.write(recordio::encode(&accept.encode(&message))).await {
            return;
        }
    }
}
