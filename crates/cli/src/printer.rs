//! One thread that writes what tasks print. Who fills it waits while the terminal or the pipe is slow, and nothing else
//! does; when nobody reads any more, `broken` tells.

use std::{
    io::{self, Write},
    sync::Arc,
    thread,
};

use tokio::sync::{Notify, mpsc, oneshot};

use crate::progress::Progress;

const QUEUE: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

#[derive(Clone, Debug)]
pub struct Printer {
    pieces: mpsc::Sender<(Stream, Vec<u8>)>,
    broken: Arc<Notify>,
}

/// Done when everything is written.
pub type Written = oneshot::Receiver<()>;

impl Printer {
    /// Text goes out between the redraws of `progress`.
    pub fn start(progress: Progress) -> (Printer, Written) {
        let (pieces, mut queue) = mpsc::channel::<(Stream, Vec<u8>)>(QUEUE);
        let (done, written) = oneshot::channel();
        let broken = Arc::new(Notify::new());
        let breaks = broken.clone();
        thread::spawn(move || {
            while let Some((stream, text)) = queue.blocking_recv() {
                if let Err(error) = progress.around(|| write(stream, &text)) {
                    if error.kind() != io::ErrorKind::BrokenPipe {
                        progress.warn(&format!("cannot write the output: {error}"));
                    }
                    breaks.notify_one();
                    return;
                }
            }
            let _ = done.send(());
        });
        (Printer { pieces, broken }, written)
    }

    /// Waits until something could not be written: nothing more will be.
    pub async fn broken(&self) {
        self.broken.notified().await;
    }

    pub async fn print(&self, stream: Stream, text: Vec<u8>) {
        if !text.is_empty() {
            let _ = self.pieces.send((stream, text)).await;
        }
    }
}

fn write(stream: Stream, text: &[u8]) -> io::Result<()> {
    match stream {
        Stream::Stdout => {
            let mut out = io::stdout().lock();
            out.write_all(text).and_then(|()| out.flush())
        }
        Stream::Stderr => io::stderr().lock().write_all(text),
    }
}
