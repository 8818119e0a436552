//! Reads a call of the operator API: its types, its body. An agent's calls may ask for streams of records, so there are
//! more headers to agree on than elsewhere.

use proto::{
    DecodeError,
    content::ContentType,
    v1::agent::{Call, call::Type},
};
use transport::{HeaderMap, Request, Response, StatusCode, header::ACCEPT, negotiate, refuse};

/// A call that makes sense by itself, and what to answer it in.
pub(super) struct Received {
    pub call: Call,
    pub answer: AnswerType,
}

/// How an answer is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AnswerType {
    /// Of the answer, or of each record.
    pub content: ContentType,
    /// The answer is to come as records that tell their own length.
    pub records: bool,
}

pub(super) fn read(request: &Request) -> Result<Received, Response> {
    let body = body_type(&request.headers)?;
    let answer = answer_type(&request.headers)?;
    let Some(body) = body else {
        // Only ATTACH_CONTAINER_INPUT comes as a stream.
        return Err(refuse::not_implemented(
            "The agent does not support the call ATTACH_CONTAINER_INPUT; give a command its input in its sandbox",
        ));
    };
    let call: Call = body.decode(&request.body).map_err(|error| refuse::bad_request(undecoded(&error)))?;
    model::parse::agent_call(&call)
        .map_err(|why| refuse::bad_request(format!("Failed to validate agent::Call: {why}")))?;
    if call.r#type() == Type::AttachContainerInput {
        let why = "Expecting 'Content-Type' to be application/recordio for ATTACH_CONTAINER_INPUT call";
        return Err(Response::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    if answer.records && !matches!(call.r#type(), Type::LaunchNestedContainerSession | Type::AttachContainerOutput) {
        let why = format!("Streaming response is not supported for {} call", call.r#type().as_str_name());
        return Err(Response::text(StatusCode::NOT_ACCEPTABLE, why));
    }
    Ok(Received { call, answer })
}

/// The type of the body; `None` for a stream of records.
fn body_type(headers: &HeaderMap) -> Result<Option<ContentType>, Response> {
    let wrong = |why: &'static str| Response::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
    let records = last(headers, "content-type") == Some(negotiate::RECORDIO);
    match last(headers, "message-content-type") {
        None if records => {
            Err(refuse::bad_request("Expecting 'Message-Content-Type' to be set for streaming requests"))
        }
        Some(negotiate::JSON | negotiate::PROTOBUF) if records => Ok(None),
        Some(_) if records => {
            Err(wrong("Expecting 'Message-Content-Type' of application/json or application/x-protobuf"))
        }
        Some(_) => Err(wrong("Expecting 'Message-Content-Type' to be not set for non-streaming requests")),
        None => match negotiate::content_type(headers) {
            Ok(content) => Ok(Some(content)),
            Err(negotiate::Mismatch::Missing) => Err(refuse::content_type_missing()),
            Err(_) => Err(wrong(
                "Expecting 'Content-Type' of application/json or application/x-protobuf or application/recordio",
            )),
        },
    }
}

fn answer_type(headers: &HeaderMap) -> Result<AnswerType, Response> {
    let wrong = |why: &'static str| Response::text(StatusCode::NOT_ACCEPTABLE, why);
    let message_accept = last(headers, "message-accept");
    if let Ok(content) = negotiate::accept(headers) {
        return match message_accept {
            None => Ok(AnswerType { content, records: false }),
            Some(_) => Err(wrong("Expecting 'Message-Accept' to be not set for non-streaming responses")),
        };
    }
    let ranges = last(headers, "accept").unwrap_or_default().split(',');
    if !ranges.into_iter().any(|range| range.split(';').next().unwrap_or_default().trim() == negotiate::RECORDIO) {
        return Err(wrong(
            "Expecting 'Accept' to allow application/json or application/x-protobuf or application/recordio",
        ));
    }
    let asked =
        message_accept.and_then(|value| value.parse().ok()).map(|value| HeaderMap::from_iter([(ACCEPT, value)]));
    let content = negotiate::accept(&asked.unwrap_or_default())
        .map_err(|_| wrong("Expecting 'Message-Accept' to allow application/json or application/x-protobuf"))?;
    Ok(AnswerType { content, records: true })
}

fn last<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get_all(name).iter().next_back().and_then(|value| value.to_str().ok())
}

/// An agent says what is wrong without saying what it tried, other than a master.
fn undecoded(error: &DecodeError) -> String {
    match error {
        DecodeError::Json(why) => format!("Failed to parse body into JSON: {why}"),
        DecodeError::Binary(_) => "Failed to parse body into a protobuf object".into(),
        DecodeError::Field(_) | DecodeError::MissingFields(_) | DecodeError::TooLarge { .. } => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use transport::Method;

    fn refused(headers: &[(&'static str, &'static str)], body: &'static str) -> u16 {
        let request = Request {
            method: Method::POST,
            uri: "/api/v1".parse().expect("a path"),
            headers: headers.iter().map(|(k, v)| (k.parse().expect("a name"), v.parse().expect("a value"))).collect(),
            body: body.into(),
            peer: ([127, 0, 0, 1], 1).into(),
            caller: Default::default(),
        };
        read(&request).map_or_else(|response| response.status.as_u16(), |_| 200)
    }

    #[test]
    fn types_are_agreed_on_before_the_body_is_read() {
        const JSON: (&str, &str) = ("content-type", "application/json");
        const STREAM: (&str, &str) = ("content-type", "application/recordio");
        let call = "{\"type\":\"GET_HEALTH\"}";
        for (headers, body, expected) in [
            (&[][..], call, 400),
            (&[JSON], call, 200),
            (&[JSON, ("accept", "text/html")], "{nope", 406),
            (&[JSON, ("accept", "application/recordio")], call, 406),
            (&[JSON, ("accept", "application/recordio, application/json")], call, 200),
            (&[JSON, ("message-accept", "application/json")], call, 406),
            (&[JSON, ("message-content-type", "application/json")], call, 415),
            (&[STREAM], call, 400),
            (&[STREAM, ("message-content-type", "text/html")], call, 415),
            (&[STREAM, ("message-content-type", "application/json")], call, 501),
            (&[JSON], "{nope", 400),
            (&[JSON], "{}", 400),
        ] {
            assert_eq!(refused(headers, body), expected, "{headers:?} {body}");
        }
    }
}
