//! The output of many tasks at once: one reader for each agent, with a bounded number of requests on their way, however
//! many tasks run there. What is read goes to `printer`; when tasks begin and end is told by `run/watch`.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Arc,
    time::Duration,
};

use client::{Error, Options};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    follow::Lines,
    printer::{Printer, Stream},
    progress::Progress,
    sandbox::{AgentFiles, Piece, Place, Sandbox},
};

/// Requests to one agent that are on their way.
const IN_FLIGHT: usize = 4;
const FIRST_WAIT: Duration = Duration::from_millis(30);
const LONGEST_WAIT: Duration = Duration::from_millis(250);
/// With many files on one agent each is looked at less often: all of them together this often.
const WAIT_FOR_EACH: Duration = Duration::from_millis(4);
/// How long an agent may be away after a task's end before the rest of its output is given up.
const PATIENCE_AFTER_END: Duration = Duration::from_secs(10);

/// Readers by address of their agent.
pub struct Tails {
    options: Options,
    printer: Printer,
    progress: Progress,
    readers: BTreeMap<String, (UnboundedSender<Order>, JoinHandle<()>)>,
}

/// The output of one task, from here on.
#[derive(Debug)]
pub struct Tail {
    number: usize,
    orders: UnboundedSender<Order>,
}

impl Tail {
    /// The task has ended: what is there is read to its end, and nothing more is waited for.
    pub fn ended(&self) {
        let _ = self.orders.send(Order::Ended(self.number));
    }
}

enum Order {
    Follow { number: usize, place: Place, prefix: Option<String> },
    Ended(usize),
}

impl Tails {
    /// `options` say who asks.
    pub fn new(options: Options, printer: Printer, progress: Progress) -> Tails {
        Tails { options, printer, progress, readers: BTreeMap::new() }
    }

    /// Follows stdout and stderr of a task. `number` is unlike that of any other.
    pub fn follow(&mut self, number: usize, place: Place, prefix: Option<String>) -> Tail {
        let (orders, _) = self.readers.entry(place.address.clone()).or_insert_with(|| {
            let (orders, incoming) = unbounded_channel();
            let (options, printer, progress) = (self.options.clone(), self.printer.clone(), self.progress.clone());
            let reader = tokio::spawn(read_agent(place.address.clone(), options, printer, progress, incoming));
            (orders, reader)
        });
        let _ = orders.send(Order::Follow { number, place, prefix });
        Tail { number, orders: orders.clone() }
    }

    /// Waits until everything that ended is read. To be called once every tail has ended or is dropped.
    pub async fn finish(self) {
        let Tails { readers, printer, .. } = self;
        drop(printer);
        let readers: Vec<_> = readers.into_values().map(|(orders, reader)| (drop(orders), reader).1).collect();
        for reader in readers {
            let _ = reader.await;
        }
    }
}

async fn read_agent(
    address: String,
    options: Options,
    printer: Printer,
    progress: Progress,
    orders: UnboundedReceiver<Order>,
) {
    let sink = Terminal { printer, progress };
    let read = async {
        let files = open_agent(&address, &options).await?;
        Reader::new(move |place: &Place| files.sandbox(place)).run(orders, &sink).await
    };
    if let Err(error) = read.await {
        sink.progress.warn(&format!("cannot read what tasks print on {address}: {error}"));
    }
}

/// Where output goes.
trait Sink: Send + Sync {
    /// `single`: it is the output of the only task.
    fn print(&self, stream: Stream, text: Vec<u8>, single: bool) -> impl Future<Output = ()> + Send;
}

struct Terminal {
    printer: Printer,
    progress: Progress,
}

impl Sink for Terminal {
    async fn print(&self, stream: Stream, text: Vec<u8>, single: bool) {
        if single {
            // It takes the place of the spinner.
            self.progress.clear();
        }
        self.printer.print(stream, text).await;
    }
}

/// An agent that is away for a moment is asked again.
async fn open_agent(address: &str, options: &Options) -> Result<AgentFiles, Error> {
    let begun = Instant::now();
    loop {
        match AgentFiles::open(address, options.clone()).await {
            Err(error) if error.is_passing() && begun.elapsed() < PATIENCE_AFTER_END => sleep(LONGEST_WAIT).await,
            outcome => return outcome,
        }
    }
}

/// Files of one task.
trait Files: Send + Sync + 'static {
    fn read(&self, file: &str, offset: u64) -> impl Future<Output = Result<Option<Piece>, Error>> + Send;
}

impl Files for Sandbox {
    fn read(&self, file: &str, offset: u64) -> impl Future<Output = Result<Option<Piece>, Error>> + Send {
        Sandbox::read(self, file, offset)
    }
}

/// Which file: the task's number, and whether it is its stderr.
type Key = (usize, bool);

struct File<F> {
    files: Arc<F>,
    offset: u64,
    wait: Duration,
    ended: bool,
    give_up: Option<Instant>,
    /// Nothing if this is the only task: then what is read goes out as it is.
    lines: Option<Lines>,
    /// When it is to be read next; nothing while it is being read.
    due: Option<Instant>,
}

/// How long a file that says nothing is left alone, at most.
fn longest_wait(files: usize) -> Duration {
    LONGEST_WAIT.max(WAIT_FOR_EACH.saturating_mul(u32::try_from(files).unwrap_or(u32::MAX)))
}

struct Reader<F, Open> {
    open: Open,
    files: BTreeMap<Key, File<F>>,
    /// Ended ones are read first.
    due: BTreeSet<(Instant, Key)>,
    reads: JoinSet<(Key, bool, Result<Option<Piece>, Error>)>,
}

impl<F: Files, Open: Fn(&Place) -> F + Send> Reader<F, Open> {
    fn new(open: Open) -> Reader<F, Open> {
        Reader { open, files: BTreeMap::new(), due: BTreeSet::new(), reads: JoinSet::new() }
    }

    /// Reads until nothing is left and nobody can order more. The first failure of a file is returned at the end.
    async fn run(mut self, mut orders: UnboundedReceiver<Order>, sink: &impl Sink) -> Result<(), Error> {
        let (mut open, mut failure) = (true, None);
        loop {
            self.start_reads();
            if !open && self.files.is_empty() {
                return failure.map_or(Ok(()), Err);
            }
            let next = self.due.first().map(|(due, _)| *due).filter(|_| self.reads.len() < IN_FLIGHT);
            tokio::select! {
                order = orders.recv(), if open => match order {
                    Some(order) => self.on_order(order),
                    None => {
                        open = false;
                        // Who was not told to have ended never will be.
                        let keys: Vec<Key> = self.files.keys().copied().collect();
                        keys.into_iter().for_each(|key| self.end(key));
                    }
                },
                Some(read) = self.reads.join_next() => {
                    // A read that panicked would have told by that.
                    let Ok((key, over, outcome)) = read else { continue };
                    if let Err(error) = self.on_read(key, over, outcome, sink).await {
                        failure.get_or_insert(error);
                    }
                }
                () = async { sleep_until(next.unwrap_or_else(Instant::now)).await }, if next.is_some() => {}
            }
        }
    }

    fn on_order(&mut self, order: Order) {
        match order {
            Order::Follow { number, place, prefix } => {
                let files = Arc::new((self.open)(&place));
                let now = Instant::now();
                for stderr in [false, true] {
                    let file = File {
                        files: files.clone(),
                        offset: 0,
                        wait: FIRST_WAIT,
                        ended: false,
                        give_up: None,
                        lines: prefix.as_deref().map(Lines::new),
                        due: Some(now),
                    };
                    self.files.insert((number, stderr), file);
                    self.due.insert((now, (number, stderr)));
                }
            }
            Order::Ended(number) => {
                self.end((number, false));
                self.end((number, true));
            }
        }
    }

    fn end(&mut self, key: Key) {
        let Some(file) = self.files.get_mut(&key) else { return };
        file.ended = true;
        if let Some(due) = file.due {
            self.due.remove(&(due, key));
            self.schedule(key, Duration::ZERO);
        }
    }

    fn schedule(&mut self, key: Key, wait: Duration) {
        if let Some(file) = self.files.get_mut(&key) {
            let due = Instant::now() + wait;
            file.due = Some(due);
            self.due.insert((due, key));
        }
    }

    fn start_reads(&mut self) {
        while self.reads.len() < IN_FLIGHT {
            let Some(&(due, key)) = self.due.first().filter(|(due, _)| *due <= Instant::now()) else { return };
            self.due.remove(&(due, key));
            let Some(file) = self.files.get_mut(&key) else { continue };
            file.due = None;
            // What was written before the end is surely read by a request that is sent after it.
            let (files, offset, over) = (file.files.clone(), file.offset, file.ended);
            let name = if key.1 { "stderr" } else { "stdout" };
            self.reads.spawn(async move { (key, over, files.read(name, offset).await) });
        }
    }

    async fn on_read(
        &mut self,
        key: Key,
        over: bool,
        outcome: Result<Option<Piece>, Error>,
        sink: &impl Sink,
    ) -> Result<(), Error> {
        let longest = longest_wait(self.files.len());
        let Some(file) = self.files.get_mut(&key) else { return Ok(()) };
        let stream = if key.1 { Stream::Stderr } else { Stream::Stdout };
        let failure = match outcome {
            Ok(Some(piece)) if !piece.data.is_empty() => {
                file.offset += piece.data.len() as u64;
                (file.wait, file.give_up) = (FIRST_WAIT, None);
                let text = match &mut file.lines {
                    Some(lines) => lines.push(&piece.data),
                    None => piece.data.to_vec(),
                };
                sink.print(stream, text, file.lines.is_none()).await;
                // A short file that has ended needs no second look: its size tells that this was all.
                if !(over && piece.size <= file.offset) {
                    self.schedule(key, Duration::ZERO);
                    return Ok(());
                }
                None
            }
            Err(error) if !error.is_passing() => Some(error),
            Err(error) if over => {
                if Instant::now() < *file.give_up.get_or_insert_with(|| Instant::now() + PATIENCE_AFTER_END) {
                    self.schedule(key, LONGEST_WAIT);
                    return Ok(());
                }
                Some(error)
            }
            Ok(_) if over => None,
            Ok(_) | Err(_) => {
                let wait = if file.ended { Duration::ZERO } else { file.wait };
                file.wait = (file.wait * 2).min(longest);
                self.schedule(key, wait);
                return Ok(());
            }
        };
        let last = file.lines.as_mut().map(Lines::finish).unwrap_or_default();
        if !last.is_empty() {
            sink.print(stream, last, false).await;
        }
        self.files.remove(&key);
        failure.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use bytes::Bytes;

    use super::*;

    /// An agent whose tasks print their number, and what it was asked.
    #[derive(Default)]
    struct Agent {
        requests: AtomicUsize,
        now: AtomicUsize,
        most: AtomicUsize,
    }

    struct TaskFiles(Arc<Agent>, String);

    impl Files for TaskFiles {
        async fn read(&self, file: &str, offset: u64) -> Result<Option<Piece>, Error> {
            let TaskFiles(agent, text) = self;
            agent.requests.fetch_add(1, Ordering::SeqCst);
            let now = agent.now.fetch_add(1, Ordering::SeqCst) + 1;
            agent.most.fetch_max(now, Ordering::SeqCst);
            sleep(Duration::from_millis(2)).await;
            agent.now.fetch_sub(1, Ordering::SeqCst);
            let text = if file == "stdout" { text.as_bytes() } else { b"" };
            let data = text.get(offset as usize..).unwrap_or_default();
            Ok(Some(Piece { size: text.len() as u64, data: Bytes::copy_from_slice(data) }))
        }
    }

    #[derive(Default)]
    struct Seen(Mutex<Vec<u8>>);

    impl Sink for Seen {
        async fn print(&self, _: Stream, text: Vec<u8>, _: bool) {
            self.0.lock().expect("alone").extend(text);
        }
    }

    #[tokio::test]
    async fn many_tasks_of_one_agent_are_read_by_few_requests_at_a_time() {
        const TASKS: usize = 500;
        let (orders, incoming) = unbounded_channel();
        for number in 0..TASKS {
            let place = Place {
                address: "a".into(),
                agent_id: "A".into(),
                framework_id: "F".into(),
                executor_id: number.to_string(),
                container: None,
            };
            orders.send(Order::Follow { number, place, prefix: Some(format!("[{number}] ")) }).expect("open");
            orders.send(Order::Ended(number)).expect("open");
        }
        drop(orders);
        let agent = Arc::new(Agent::default());
        let seen = Seen::default();
        let reader = Reader::new(|place: &Place| TaskFiles(agent.clone(), format!("text of {}", place.executor_id)));
        reader.run(incoming, &seen).await.expect("readable");
        let text = String::from_utf8(seen.0.into_inner().expect("alone")).expect("text");
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        let mut expected: Vec<String> = (0..TASKS).map(|number| format!("[{number}] text of {number}")).collect();
        expected.sort();
        assert_eq!(lines, expected);
        assert!(agent.most.load(Ordering::SeqCst) <= IN_FLIGHT);
        let requests = agent.requests.load(Ordering::SeqCst);
        assert!(requests <= 2 * TASKS + IN_FLIGHT, "{requests} requests for {TASKS} tasks that had ended");
    }

    #[test]
    fn tasks_that_say_nothing_are_asked_less_often_the_more_there_are() {
        assert_eq!(longest_wait(2), LONGEST_WAIT);
        assert_eq!(longest_wait(2000), Duration::from_secs(8));
    }
}
