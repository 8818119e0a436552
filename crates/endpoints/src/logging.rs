//! What is logged, changed while the server runs: `/logging/toggle` and the calls of the operator API. A change lasts
//! for the time it names; the last one wins.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use transport::{Request, Response, StatusCode, refuse, web};

/// The present verbosity, and the number of the change that made it so.
static PRESENT: Mutex<(u32, u64)> = Mutex::new((0, 0));

fn present<R>(with: impl FnOnce(&mut (u32, u64)) -> R) -> R {
    with(&mut PRESENT.lock().unwrap_or_else(PoisonError::into_inner))
}

/// 0 unless somebody asked for more.
pub(crate) fn level() -> u32 {
    present(|(level, _)| *level)
}

/// Logs with that verbosity for `duration`, and then as the server was started.
pub(crate) fn set(level: u32, duration: Duration) {
    let change = present(|(now, change)| {
        (*now, *change) = (level, *change + 1);
        *change
    });
    apply(level);
    if level == 0 {
        return;
    }
    tokio::spawn(async move {
        tokio::time::sleep(duration).await;
        let is_last = present(|(now, last)| {
            let is_last = *last == change;
            if is_last {
                *now = 0;
            }
            is_last
        });
        if is_last {
            apply(0);
        }
    });
}

fn apply(level: u32) {
    tracing::info!(level, "the verbosity of the log changes");
    // Without a log of its own a program has nothing to set.
    if let Some(log) = observe::logging::running()
        && let Err(error) = log.set_verbosity(level)
    {
        tracing::warn!(%error, level, "cannot change what is logged");
    }
}

/// `?level=1&duration=10mins`; without both it tells the present level.
pub(crate) fn toggle(request: &Request) -> Response {
    let (level, duration) = (request.query_value("level"), request.query_value("duration"));
    let (level, duration) = match (level, duration) {
        (None, None) => return Response::text(StatusCode::OK, format!("{}\n", self::level())),
        (None, Some(_)) => return refuse::bad_request("Expecting 'level=value' in query.\n"),
        (Some(_), None) => return refuse::bad_request("Expecting 'duration=value' in query.\n"),
        (Some(level), Some(duration)) => (level, duration),
    };
    // Any method changes it, and a page of any site can have a browser GET something.
    if web::is_from_browser(&request.headers) && request.method != transport::Method::POST {
        return refuse::forbidden("A web page may change what is logged by POST only");
    }
    let Ok(number) = level.trim().parse::<i64>() else {
        return refuse::bad_request(format!("Failed to convert '{level}' to number.\n"));
    };
    let Ok(level) = u32::try_from(number) else {
        return refuse::bad_request(format!("Invalid level '{level}'.\n"));
    };
    match stdx::units::parse_duration(&duration) {
        Ok(duration) => {
            set(level, duration);
            Response::ok()
        }
        Err(why) => refuse::bad_request(format!("Invalid duration '{duration}': {why}.\n")),
    }
}

#[cfg(test)]
mod tests {
    use transport::{HeaderMap, Method, header};

    use super::*;

    fn ask(query: &str, headers: &[(header::HeaderName, &'static str)]) -> StatusCode {
        let request = Request {
            method: Method::GET,
            uri: format!("/logging/toggle{query}").parse().unwrap(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.clone(), header::HeaderValue::from_static(value)))
                .collect::<HeaderMap>(),
            body: Default::default(),
            peer: ([127, 0, 0, 1], 1).into(),
            caller: Default::default(),
        };
        toggle(&request).status
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_lasts_for_its_time_and_the_last_one_wins() {
        assert_eq!((ask("", &[]), level()), (StatusCode::OK, 0));
        for wrong in [
            "?level=1",
            "?duration=5secs",
            "?level=x&duration=1secs",
            "?level=-1&duration=1secs",
            "?level=1&duration=x",
        ] {
            assert_eq!((ask(wrong, &[]), level()), (StatusCode::BAD_REQUEST, 0), "{wrong}");
        }
        assert_eq!(ask("?level=3&duration=5mins", &[(header::REFERER, "http://a/")]), StatusCode::FORBIDDEN);
        assert_eq!((ask("?level=3&duration=10secs", &[]), level()), (StatusCode::OK, 3));
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert_eq!((ask("?level=2&duration=10secs", &[]), level()), (StatusCode::OK, 2));
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert_eq!(level(), 2, "the end of the first change is not that of the second");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(level(), 0);
    }
}
