//! By which names the sandbox answers. It has no protection but its address, which is of this machine alone: a page in
//! somebody's browser could reach it all the same, by a name of its own that it has led to this machine meanwhile.

use std::net::IpAddr;

use axum::Router;
use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};

use super::error::Refusal;

/// Answers whoever calls it by an address, or `localhost`.
pub(super) fn guard(router: Router) -> Router {
    router.layer(from_fn(check))
}

async fn check(request: Request, next: Next) -> Response {
    if is_known(request.headers(), request.uri()) {
        return next.run(request).await;
    }
    let why =
        "The sandbox answers by an address or as localhost; --allow-remote lets it answer by other names.";
    Refusal::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", why).into_response()
}

fn is_known(headers: &HeaderMap, uri: &Uri) -> bool {
    let mut told = headers.get_all(HOST).iter();
    let authority = match (told.next(), told.next()) {
        (Some(host), None) => host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
        (None, _) => uri.authority().cloned(),
        (Some(_), Some(_)) => None,
    };
    let Some(authority) = authority else { return false };
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_name_that_somebody_else_may_lead_here_is_refused() {
        let table: &[(&[&str], bool)] = &[
            (&["127.0.0.1:9090"], true),
            (&["localhost:9090"], true),
            (&["LOCALHOST"], true),
            (&["[::1]:9090"], true),
            (&["192.168.1.7"], true),
            (&["evil.example:9090"], false),
            (&["localhost.evil.example"], false),
            (&["127.0.0.1.evil.example"], false),
            (&["127.0.0.1:9090", "evil.example"], false),
            (&[""], false),
            (&[], false),
        ];
        for (hosts, expected) in table {
            let headers: HeaderMap =
                hosts.iter().map(|host| (HOST, HeaderValue::from_str(host).unwrap())).collect();
            assert_eq!(is_known(&headers, &Uri::from_static("/")), *expected, "{hosts:?}");
        }
        let by_address = Uri::from_static("http://127.0.0.1:9090/sandbox/truth");
        assert!(is_known(&HeaderMap::new(), &by_address), "as HTTP/2 tells it");
    }
}
