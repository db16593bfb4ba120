//! One request to the hub: asked again where that may help, bounded in time, ended when that is wanted.

use super::{Hub, HubError};
use std::time::{Duration, Instant};
use ureq::Body;
use ureq::config::RedirectAuthHeaders;
use ureq::http::Response;

/// Tries in a row without a byte before it is given up.
pub(super) const TRIES: u32 = 5;
/// Longest wait that the hub may ask for.
const LONGEST_WAIT: u64 = 120;

/// A request.
pub(super) struct Ask<'a> {
    /// What it is about, for errors.
    pub what: &'a str,
    pub url: &'a str,
    /// First byte.
    pub from: u64,
}

/// Asks once more where that may help. `stop` gets the seconds that remain to wait.
pub(super) fn ask(
    hub: &Hub,
    a: &Ask<'_>,
    stop: &mut dyn FnMut(Option<u64>) -> bool,
) -> Result<Response<Body>, HubError> {
    if !["https://", "http://"].iter().any(|scheme| hub.endpoint.starts_with(scheme)) {
        return Err(HubError::Endpoint(hub.endpoint.escape_debug().to_string()));
    }
    let mut tries = 0;
    loop {
        if stop(None) {
            return Err(HubError::Stopped);
        }
        let (error, wait) = match once(hub, a) {
            Ok(response) => match response.status().as_u16() {
                200 | 206 => return Ok(response),
                401 => return Err(HubError::Denied(a.what.to_owned(), "no valid token was given")),
                403 => return Err(HubError::Denied(a.what.to_owned(), "its licence has not been accepted")),
                404 => return Err(HubError::NotFound(a.what.to_owned())),
                status @ (408 | 429 | 500..=599) => {
                    let header = response.headers().get("retry-after").and_then(|v| v.to_str().ok());
                    let asked = header.and_then(|v| v.trim().parse::<u64>().ok()).filter(|s| *s <= LONGEST_WAIT);
                    (
                        if status == 429 { HubError::Busy } else { HubError::Status(status) },
                        asked.map(Duration::from_secs),
                    )
                }
                status => return Err(HubError::Status(status)),
            },
            Err(error) => (network(hub, &error), None),
        };
        tries += 1;
        if tries >= TRIES {
            return Err(error);
        }
        sleep(wait.unwrap_or(hub.pause * 2u32.pow(tries - 1)), stop)?;
    }
}

fn once(hub: &Hub, a: &Ask<'_>) -> Result<Response<Body>, ureq::Error> {
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(hub.patience.min(Duration::from_secs(15))))
        .timeout_recv_response(Some(hub.patience))
        .timeout_per_read(Some(hub.patience))
        // A token is for the hub alone, not for the servers that it sends us to.
        .redirect_auth_headers(RedirectAuthHeaders::SameHost)
        .user_agent(concat!("glossa/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent();
    let mut request = agent.get(a.url);
    if let Some(token) = &hub.token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    // Sizes and parts are those of the file itself.
    request = request.header("accept-encoding", "identity");
    if a.from > 0 {
        request = request.header("range", format!("bytes={}-", a.from));
    }
    request.call()
}

fn network(hub: &Hub, error: &ureq::Error) -> HubError {
    match error {
        // A local hub is asked without one.
        other if is_connecting(other) && !is_local(&hub.endpoint) && super::environment::proxy().is_some() => {
            let (proxy, variable) = super::environment::proxy().unwrap_or_default();
            HubError::Proxy { proxy, variable, why: other.to_string() }
        }
        ureq::Error::Timeout(_) => HubError::Stalled(hub.patience.as_secs()),
        other => HubError::Network(other.to_string()),
    }
}

/// Whether the connection was not even made.
fn is_connecting(error: &ureq::Error) -> bool {
    use ureq::{Error, Timeout};
    match error {
        Error::ConnectProxyFailed(_) | Error::HostNotFound | Error::ConnectionFailed => true,
        Error::Timeout(Timeout::Connect | Timeout::Resolve) => true,
        Error::Io(e) => matches!(e.kind(), std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::HostUnreachable),
        _ => false,
    }
}

fn is_local(endpoint: &str) -> bool {
    let host = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    ["127.", "localhost", "[::1]"].iter().any(|local| host.starts_with(local))
}

/// Waits, looking at `stop` all the while.
pub(super) fn sleep(wait: Duration, stop: &mut dyn FnMut(Option<u64>) -> bool) -> Result<(), HubError> {
    let until = Instant::now() + wait;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|l| !l.is_zero()) {
        if stop(Some(left.as_secs() + 1)) {
            return Err(HubError::Stopped);
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
    Ok(())
}
