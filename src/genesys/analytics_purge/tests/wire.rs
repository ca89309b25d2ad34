//! What goes over the wire when all is well, and what is read of it.

use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::domain::facts::{End, Facts, Presence};

fn well(seen: &Seen) -> Act {
    match seen.line.as_str() {
        DETAILS => {
            json_answer(200, &json!({"data": [{"conversationId": A, "conversationStatus": "deleted"}]}))
        }
        PURGE => json_answer(202, &json!({"jobId": "j-1"})),
        POLL => json_answer(200, &json!({"jobId": "j-1", "state": "Completed", "recordsProcessed": 2})),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_calls_are_those_of_the_contract() {
    let upstream = upstream(well).await;
    let driver = driver_with(&format!("{}/", upstream.url), PATIENT);
    driver.ready(Lane::Query).await.unwrap();
    let told = driver.facts(&[A, B], permit()).await.result.unwrap();
    let job = driver.submit(&[A, B], permit()).await.result.unwrap();
    let status = driver.poll("j-1", permit()).await.result.unwrap();

    let gone = Facts { presence: Presence::Gone, end: End::NotYet };
    assert_eq!(told, Told { facts: HashMap::from([(A, gone)]), incomplete: None });
    assert_eq!(job, UpstreamJobId("j-1".into()));
    let ended = JobStatus::Ended { succeeded: true, state: "Completed".into(), records_processed: Some(2) };
    assert_eq!(status, ended);

    let [token, details, purge, poll] = &upstream.seen()[..] else { panic!("four calls") };
    assert_eq!((token.line.as_str(), token.body.as_str()), (TOKEN, "grant_type=client_credentials"));
    assert_eq!(token.headers["authorization"], "Basic b3VyLWNsaWVudDpvdXItczNjcmV0");
    assert_eq!(token.headers["content-type"], "application/x-www-form-urlencoded");
    let query = r#"{"query":"conversationId IN (\"00000000-0000-0000-0000-00000000000a\",\"00000000-0000-0000-0000-00000000000b\")","view":"default"}"#;
    assert_eq!((details.line.as_str(), details.body.as_str()), (DETAILS, query));
    let body = r#"{"conversationIds":["00000000-0000-0000-0000-00000000000a","00000000-0000-0000-0000-00000000000b"],"permanentDelete":true}"#;
    assert_eq!((purge.line.as_str(), purge.body.as_str()), (PURGE, body));
    assert_eq!(poll.line, POLL);
    for call in [details, purge, poll] {
        assert_eq!(call.headers["authorization"], "Bearer t-0");
        assert_eq!(call.headers["user-agent"], concat!("genesys-purge/", env!("CARGO_PKG_VERSION")));
    }
    assert_eq!(driver.body_digest(&[A, B]), <[u8; 32]>::from(Sha256::digest(&purge.body)));
    assert_ne!(driver.body_digest(&[B, A]), driver.body_digest(&[A, B]));
}

#[tokio::test]
async fn what_an_answer_says_beside_its_result_is_observed() {
    let upstream = upstream(|seen| {
        let headers: &[(&str, &str)] = match seen.line.as_str() {
            DETAILS => &[("inin-ratelimit-allowed", "250"), ("date", "Sun, 01 Mar 2026 11:59:58 GMT")],
            _ => &[("inin-ratelimit-allowed", "0"), ("date", "today")],
        };
        Act::Answer(answer(503, headers, ""))
    })
    .await;
    let driver = driver(&upstream);
    let observed = driver.facts(&[A], permit()).await.observed;
    assert_eq!(observed.allowed_per_minute, Some(250));
    assert_eq!(observed.upstream_time, Some("2026-03-01T11:59:58Z".parse().unwrap()));
    assert!(observed.duration > Duration::ZERO);
    let observed = driver.submit(&[A], permit()).await.observed;
    assert_eq!((observed.allowed_per_minute, observed.upstream_time), (None, None));
}

#[tokio::test]
async fn a_jobs_name_leads_nowhere_else() {
    let upstream = upstream(|_| json_answer(200, &json!({"state": "pending"}))).await;
    let driver = driver(&upstream);
    driver.poll("../../x?y=#z/\r\n", permit()).await.result.unwrap();
    let line = &upstream.seen()[1].line;
    assert_eq!(
        line,
        "GET /api/v2/analytics/conversations/purge/..%2F..%2Fx%3Fy=%23z%2F%0D%0A"
            .replace("%0D%0A", "")
            .as_str()
    );
}

#[tokio::test]
async fn no_call_is_made_about_no_ids() {
    let upstream = upstream(well).await;
    let driver = driver(&upstream);
    let nothing = Told { facts: HashMap::new(), incomplete: None };
    assert_eq!(driver.facts(&[], permit()).await.result, Ok(nothing));
    assert!(matches!(driver.submit(&[], permit()).await.result, Err(Failure::NotSent(_))));
    assert!(upstream.seen().is_empty());
}

#[test]
fn an_address_that_can_be_no_upstream_is_refused_without_repeating_it() {
    for url in ["", "acme", "ftp://acme", "https://u:p4ss@acme", "https://acme?p4ss", "https://acme#p4ss"] {
        let Err(error) = AnalyticsPurge::new(settings(url), wall_clock()) else { panic!("{url}") };
        let line = error.to_string();
        assert!(line.starts_with("orgs.acme.base_url: "), "{line}");
        assert!(!line.contains("p4ss"), "{line}");
    }
}

#[derive(Clone, Default)]
struct Captured(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn traces_name_the_call_and_never_a_secret() {
    let upstream = upstream(|seen| {
        let echo = format!("{{\"message\": \"you sent {}\"}}", seen.headers["authorization"]);
        Act::Answer(answer(500, &[("ININ-Correlation-Id", "c-42")], &echo))
    })
    .await;
    let captured = Captured::default();
    // While there is but one subscriber, `tracing` asks about a place in the code only that of the thread which comes
    // there first, perhaps another test's, which has none. With a second one it asks both, whoever comes.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(captured.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let driver = driver(&upstream);
    let failure = driver.submit(&[A], permit()).await.result.unwrap_err();
    assert_eq!(failure.detail().message, "you sent Bearer [REDACTED]");
    assert_eq!(failure.detail().correlation_id.as_deref(), Some("c-42"));

    let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    for word in ["upstream_call", "org=\"acme\"", "call=\"submit\"", "status=500", "correlation_id=\"c-42\""]
    {
        assert!(text.contains(word), "{word} in {text}");
    }
    for secret in ["Bearer t-0", "our-s3cret", "b3VyLWNsaWVudDpvdXItczNjcmV0"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(!format!("{:?}", settings("http://acme")).contains("our-s3cret"));
}
