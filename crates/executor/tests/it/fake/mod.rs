//! A scripted agent: it hands every call to the test and answers as the test says, over real sockets.

use std::{
    cell::RefCell,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use proto::v1::{self, agent, executor};

/// Nothing in these tests takes as long; it only keeps a broken one from hanging.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Agent {
    pub address: SocketAddr,
    heard: Receiver<Heard>,
    stash: RefCell<Vec<Heard>>,
}

pub enum Heard {
    Subscribe(executor::call::Subscribe, Stream),
    Update(Box<v1::TaskStatus>),
    Container(Box<agent::Call>, Answer),
}

/// The response to a SUBSCRIBE.
pub struct Stream(TcpStream);

/// The way to answer a container call.
#[allow(dead_code)]
pub struct Answer(Sender<(u16, Vec<u8>)>);

impl Answer {
    #[allow(dead_code)]
    pub fn give(self, status: u16, body: &[u8]) {
        self.0.send((status, body.to_vec())).expect("the connection waits for the answer");
    }
}

impl Agent {
    pub fn start() -> Agent {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (say, heard) = channel();
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let say = say.clone();
                thread::spawn(move || serve(socket, &say));
            }
        });
        Agent { address, heard, stash: RefCell::default() }
    }

    /// The next call in the order of arrival, among those not taken yet.
    #[allow(dead_code)]
    pub fn next(&self) -> Heard {
        self.take(|_| true)
    }

    pub fn subscribe(&self) -> (executor::call::Subscribe, Stream) {
        match self.take(|heard| matches!(heard, Heard::Subscribe(..))) {
            Heard::Subscribe(subscribe, stream) => (subscribe, stream),
            _ => unreachable!(),
        }
    }

    pub fn update(&self) -> v1::TaskStatus {
        match self.take(|heard| matches!(heard, Heard::Update(_))) {
            Heard::Update(status) => *status,
            _ => unreachable!(),
        }
    }

    /// The first call that `wanted` wants; the others wait, for calls come on several connections.
    fn take(&self, wanted: impl Fn(&Heard) -> bool) -> Heard {
        let mut stash = self.stash.borrow_mut();
        if let Some(index) = stash.iter().position(&wanted) {
            return stash.remove(index);
        }
        loop {
            let heard = self.heard.recv_timeout(PATIENCE).expect("the executor says what is expected");
            if wanted(&heard) {
                return heard;
            }
            stash.push(heard);
        }
    }

    /// The next update, which must have this state, acknowledged.
    pub fn expect(&self, stream: &mut Stream, state: v1::TaskState) -> v1::TaskStatus {
        let status = self.update();
        assert_eq!(status.state(), state, "{status:?}");
        stream.acknowledge(&status);
        status
    }

    #[allow(dead_code)]
    pub fn container(&self) -> (agent::Call, Answer) {
        match self.take(|heard| matches!(heard, Heard::Container(..))) {
            Heard::Container(call, answer) => (*call, answer),
            _ => unreachable!(),
        }
    }
}

impl Stream {
    pub fn accept(&mut self) {
        self.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/x-protobuf\r\n\r\n");
    }

    #[allow(dead_code)]
    pub fn refuse(mut self, status: u16) {
        self.raw(format!("HTTP/1.1 {status} No\r\nContent-Length: 3\r\n\r\nno!").as_bytes());
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the executor reads");
    }

    pub fn record(&mut self, record: &[u8]) {
        let record = proto::recordio::encode(record);
        self.raw(&[format!("{:x}\r\n", record.len()).as_bytes(), &record, b"\r\n"].concat());
    }

    pub fn send(&mut self, event: &executor::Event) {
        self.record(&proto::wire::encode(event));
    }

    pub fn subscribed(&mut self, framework: v1::FrameworkInfo) {
        self.send(&executor::Event {
            r#type: Some(executor::event::Type::Subscribed as i32),
            subscribed: Some(Box::new(executor::event::Subscribed {
                framework_info: framework,
                container_id: Some(v1::ContainerId { value: "root".into(), parent: None }),
                ..Default::default()
            })),
            ..Default::default()
        });
    }

    #[allow(dead_code)]
    pub fn launch(&mut self, task: v1::TaskInfo) {
        self.send(&executor::Event {
            r#type: Some(executor::event::Type::Launch as i32),
            launch: Some(executor::event::Launch { task }),
            ..Default::default()
        });
    }

    #[allow(dead_code)]
    pub fn launch_group(&mut self, tasks: Vec<v1::TaskInfo>) {
        self.send(&executor::Event {
            r#type: Some(executor::event::Type::LaunchGroup as i32),
            launch_group: Some(Box::new(executor::event::LaunchGroup { task_group: v1::TaskGroupInfo { tasks } })),
            ..Default::default()
        });
    }

    #[allow(dead_code)]
    pub fn kill(&mut self, task: &str, grace: Option<Duration>) {
        let grace_period = grace.map(|grace| v1::DurationInfo { nanoseconds: grace.as_nanos() as i64 });
        self.send(&executor::Event {
            r#type: Some(executor::event::Type::Kill as i32),
            kill: Some(executor::event::Kill {
                task_id: v1::TaskId { value: task.into() },
                kill_policy: grace_period.map(|grace| v1::KillPolicy { grace_period: Some(grace) }),
            }),
            ..Default::default()
        });
    }

    #[allow(dead_code)]
    pub fn shutdown(&mut self) {
        self.send(&executor::Event { r#type: Some(executor::event::Type::Shutdown as i32), ..Default::default() });
    }

    pub fn acknowledge(&mut self, status: &v1::TaskStatus) {
        self.send(&executor::Event {
            r#type: Some(executor::event::Type::Acknowledged as i32),
            acknowledged: Some(executor::event::Acknowledged {
                task_id: status.task_id.clone(),
                uuid: status.uuid.clone().expect("every update has a uuid"),
            }),
            ..Default::default()
        });
    }

    /// Ends the stream and waits until the executor has noticed.
    pub fn close(mut self) {
        self.0.shutdown(std::net::Shutdown::Write).expect("open");
        let _ = self.0.read(&mut [0]);
    }
}

/// An executor under test, in a directory of its own; ended with the test.
pub struct Executor {
    child: Child,
    pub directory: std::path::PathBuf,
}

impl Executor {
    pub fn start(kind: &str, agent: SocketAddr, more: &[(&str, &str)]) -> Executor {
        Executor::start_under(&[], kind, agent, more)
    }

    /// Started by another program, `wrapper`.
    pub fn start_under(wrapper: &[&str], kind: &str, agent: SocketAddr, more: &[(&str, &str)]) -> Executor {
        let name = format!("meseta-executor-{}-{}", std::process::id(), agent.port());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).expect("a sandbox");
        let stderr = std::fs::File::create(directory.join("stderr")).expect("a file");
        let words = [wrapper, &[env!("CARGO_BIN_EXE_executor_alone"), kind]].concat();
        let child = Command::new(words[0])
            .args(&words[1..])
            .current_dir(&directory)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("MESOS_FRAMEWORK_ID", "framework")
            .env("MESOS_EXECUTOR_ID", "executor")
            .env("MESOS_AGENT_ENDPOINT", agent.to_string())
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("the executor starts");
        Executor { child, directory }
    }

    #[allow(dead_code)]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit code, once there is one.
    pub fn exit_code(&mut self) -> i32 {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status.code().unwrap_or(-1);
            }
            assert!(started.elapsed() < PATIENCE, "the executor does not end: {}", self.stderr());
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.directory.join("stderr")).unwrap_or_default()
    }

    /// The text of a file in the sandbox, once the task has written a line.
    #[allow(dead_code)]
    pub fn line(&self, name: &str) -> String {
        let started = Instant::now();
        loop {
            match std::fs::read_to_string(self.directory.join(name)) {
                Ok(text) if text.ends_with('\n') => return text.trim_end().to_owned(),
                _ => assert!(started.elapsed() < PATIENCE, "no {name}"),
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A shell task.
pub fn task(id: &str, script: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        name: id.into(),
        task_id: v1::TaskId { value: id.into() },
        agent_id: v1::AgentId { value: "agent".into() },
        command: Some(v1::CommandInfo { value: Some(script.into()), ..Default::default() }),
        ..Default::default()
    }
}

fn serve(mut socket: TcpStream, say: &Sender<Heard>) -> Option<()> {
    let mut held = Vec::new();
    loop {
        let (path, body) = request(&mut socket, &mut held)?;
        if path == "/api/v1/executor" {
            let call: executor::Call = proto::wire::decode(&body).expect("an executor call");
            if let Some(subscribe) = call.subscribe {
                say.send(Heard::Subscribe(subscribe, Stream(socket))).ok()?;
                return None;
            }
            socket.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").ok()?;
            say.send(Heard::Update(Box::new(call.update?.status))).ok()?;
        } else {
            let call: agent::Call = proto::wire::decode(&body).expect("an agent call");
            let (give, take) = channel();
            say.send(Heard::Container(Box::new(call), Answer(give))).ok()?;
            let (status, body) = take.recv().ok()?;
            let head = format!("HTTP/1.1 {status} Some\r\nContent-Length: {}\r\n\r\n", body.len());
            socket.write_all(&[head.as_bytes(), &body].concat()).ok()?;
        }
    }
}

fn request(socket: &mut TcpStream, held: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        if let httparse::Status::Complete(head) = request.parse(held).expect("a request") {
            let path = request.path.expect("a path").to_owned();
            let length = request.headers.iter().find(|header| header.name == "Content-Length").expect("a length");
            let length: usize = std::str::from_utf8(length.value).expect("text").parse().expect("a number");
            if held.len() >= head + length {
                let body = held[head..head + length].to_vec();
                held.drain(..head + length);
                return Some((path, body));
            }
        }
        let mut space = [0; 4096];
        let count = socket.read(&mut space).ok().filter(|&count| count > 0)?;
        held.extend_from_slice(&space[..count]);
    }
}
