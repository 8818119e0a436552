//! The calls of the v1 operator API that any server answers by itself: about the process, and its files. A master's and
//! an agent's messages for them differ in their names only, so one text serves both. Calls about what a server does are
//! its own.

use std::time::Duration;

use bytes::Bytes;
use observe::{
    files::{Files, Page},
    metrics::Snapshot,
};
use proto::{
    Message,
    content::ContentType,
    v1::{FileInfo, Flag, Metric, VersionInfo},
};
use transport::Response;

use crate::{Common, files, logging, v1};

/// A call of the operator API.
pub trait OperatorCall {
    type Answer: Message;

    /// What it asks of any server; `None` for all other calls.
    fn asked(&self) -> Option<Asked<'_>>;
    fn answer(&self, told: Told) -> Self::Answer;
}

#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    Health,
    LoggingLevel,
    SetLoggingLevel { level: u32, duration: Duration },
    Flags,
    Version,
    Metrics,
    Files { path: &'a str },
    File { path: &'a str, offset: u64, length: Option<u64> },
}

#[derive(Clone, Debug)]
pub enum Told {
    Health(bool),
    LoggingLevel(u32),
    Flags(Vec<Flag>),
    Version(VersionInfo),
    Metrics(Vec<Metric>),
    Files(Vec<FileInfo>),
    File { size: u64, data: Bytes },
}

impl Common {
    /// Answers a call about the process or its files; `None` for all others. `add` puts the server's own numbers into a
    /// snapshot of metrics.
    pub async fn answer_call<C: OperatorCall>(
        &self,
        call: &C,
        accept: ContentType,
        add: impl AsyncFnOnce(&mut Snapshot),
    ) -> Option<Response> {
        let told = match call.asked()? {
            Asked::Health => Ok(Told::Health(true)),
            Asked::LoggingLevel => Ok(Told::LoggingLevel(logging::level())),
            Asked::SetLoggingLevel { level, duration } => {
                logging::set(level, duration);
                return Some(Response::ok());
            }
            Asked::Flags => Ok(Told::Flags(self.flags())),
            Asked::Version => Ok(Told::Version(self.version())),
            Asked::Metrics => Ok(Told::Metrics(self.metrics(add).await)),
            Asked::Files { path } => return Some(self.list(call, accept, path.to_owned()).await),
            Asked::File { path, offset, length } => {
                let path = path.to_owned();
                let read = self.with_files(move |files: &Files| files.read(&path, offset, length)).await;
                read.map(|(size, data)| Told::File { size, data: data.into() })
            }
        };
        Some(told.map_or_else(|refused| refused, |told| Response::message(accept, &call.answer(told))))
    }

    /// What is left of a directory with very many entries can be browsed: the `Link` says where.
    async fn list<C: OperatorCall>(&self, call: &C, accept: ContentType, path: String) -> Response {
        let (of, page) = (path.clone(), Page::default());
        let limit = page.limit;
        match self.with_files(move |files: &Files| files::list(files, &of, &page)).await {
            Ok(listing) => {
                let told = Told::Files(listing.entries.into_iter().map(v1::file_info).collect());
                let answer = Response::message(accept, &call.answer(told));
                files::with_next(answer, &path, listing.more_after.as_deref(), limit)
            }
            Err(refused) => refused,
        }
    }
}

macro_rules! operator_call {
    ($api:ident) => {
        impl OperatorCall for proto::v1::$api::Call {
            type Answer = proto::v1::$api::Response;

            fn asked(&self) -> Option<Asked<'_>> {
                use proto::v1::$api::call::Type;
                Some(match self.r#type() {
                    Type::GetHealth => Asked::Health,
                    Type::GetLoggingLevel => Asked::LoggingLevel,
                    Type::SetLoggingLevel => {
                        let set = self.set_logging_level.as_ref()?;
                        let nanos = u64::try_from(set.duration.nanoseconds).unwrap_or_default();
                        Asked::SetLoggingLevel { level: set.level, duration: Duration::from_nanos(nanos) }
                    }
                    Type::GetFlags => Asked::Flags,
                    Type::GetVersion => Asked::Version,
                    Type::GetMetrics => Asked::Metrics,
                    Type::ListFiles => Asked::Files { path: &self.list_files.as_ref()?.path },
                    Type::ReadFile => {
                        let read = self.read_file.as_ref()?;
                        Asked::File { path: &read.path, offset: read.offset, length: read.length }
                    }
                    _ => return None,
                })
            }

            fn answer(&self, told: Told) -> Self::Answer {
                use proto::v1::$api::response::*;
                // Calls and their answers share names and, but for a few, numbers.
                let kind = Type::from_str_name(self.r#type().as_str_name()).unwrap_or_default();
                let mut answer = Self::Answer { r#type: Some(kind as i32), ..Default::default() };
                match told {
                    Told::Health(healthy) => answer.get_health = Some(GetHealth { healthy }),
                    Told::LoggingLevel(level) => answer.get_logging_level = Some(GetLoggingLevel { level }),
                    Told::Flags(flags) => answer.get_flags = Some(GetFlags { flags }),
                    Told::Version(version_info) => answer.get_version = Some(GetVersion { version_info }),
                    Told::Metrics(metrics) => answer.get_metrics = Some(GetMetrics { metrics }),
                    Told::Files(file_infos) => answer.list_files = Some(ListFiles { file_infos }),
                    Told::File { size, data } => answer.read_file = Some(ReadFile { size, data }),
                }
                answer
            }
        }
    };
}

operator_call!(master);
operator_call!(agent);
