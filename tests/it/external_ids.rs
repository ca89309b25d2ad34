//! A hold with an `externalId` may be sent repeatedly.

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::Kind;
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::problem::refused;
use crate::support::{Setup, TestService};

fn time_in(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_hold_with_a_name_of_its_callers_is_made_once_as_long_as_it_is_in_force() {
    let test = TestService::start().await;
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let named = json!({ "matter": "M", "externalId": "case-1", "conversationIds": ids });
    let sent = futures_util::future::join_all((0..8).map(|_| test.post("/holds", &named))).await;
    let created: Vec<&Value> =
        sent.iter().filter(|(status, _)| *status == StatusCode::CREATED).map(|(_, body)| body).collect();
    let [created] = created[..] else { panic!("one made it: {sent:?}") };
    for (status, body) in &sent {
        assert!([StatusCode::OK, StatusCode::CREATED].contains(status), "{body}");
        assert_eq!((&body["id"], &body["externalId"]), (&created["id"], &json!("case-1")));
        assert!(time_in(&body["quietAt"]) >= time_in(&body["createdAt"]), "{body}");
    }
    assert_eq!(test.number("select count(*) from holds where active").await, 1);
    assert_eq!(test.number("select count(*) from holds").await, 1, "what others had loaded is gone");

    for other in [
        json!({ "matter": "M", "externalId": "case-1", "conversationIds": ids[..2] }),
        json!({ "matter": "N", "externalId": "case-1", "conversationIds": ids }),
    ] {
        let (status, body) = test.post("/holds", &other).await;
        assert_eq!((status, &body["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("external_id_reused")));
        assert!(body["detail"].as_str().unwrap().contains(created["id"].as_str().unwrap()), "{body}");
    }
    let key = test.make_key_of("other", &[Scope::HoldsWrite], None).await;
    let others = test.request_as(&key, Method::POST, "/holds").json(&named).send().await.unwrap();
    assert_eq!(others.status(), StatusCode::CREATED, "names are of a key");

    let release = format!("/holds/{}/release", created["id"].as_str().unwrap());
    assert_eq!(test.post(&release, &json!({})).await.0, StatusCode::OK);
    let (status, anew) = test.post("/holds", &named).await;
    assert_eq!(status, StatusCode::CREATED, "what is released protects nobody: {anew}");
    assert_ne!(anew["id"], created["id"]);
}

/// Found in an attack: who sent a hold while somebody released it was told of one that protects nobody.
#[tokio::test]
async fn what_is_told_to_be_in_force_is_so_however_often_it_is_released() {
    let test = TestService::start().await;
    let named =
        json!({ "matter": "M", "externalId": "case", "conversationIds": &test.ids_of(Kind::Eligible)[..2] });
    for _ in 0..20 {
        let sent = futures_util::future::join_all((0..6).map(async |number| {
            let (status, body) = test.post("/holds", &named).await;
            assert!(status.is_success() || status == StatusCode::SERVICE_UNAVAILABLE, "{status} {body}");
            let is_told = status.is_success() && body["active"] == true;
            let released = body["releasedAt"].as_str().map(|_| time_in(&body["releasedAt"]));
            assert!(!status.is_success() || is_told || released > Some(time_in(&body["quietAt"])), "{body}");
            if number == 0 && status.is_success() {
                let release = format!("/holds/{}/release", body["id"].as_str().unwrap());
                test.post(&release, &json!({})).await;
            }
        }));
        sent.await;
    }
    let left = "select count(*) from holds where not active and released_at is null";
    assert_eq!(test.number(left).await, 0);
}

#[tokio::test]
async fn a_name_that_would_look_like_another_is_refused() {
    let test = Setup::new().role(Role::Api).start().await;
    let named =
        |name: &str| json!({ "matter": "M", "externalId": name, "conversationIds": [Uuid::from_u128(1)] });
    let longest = "x".repeat(200);
    for (name, told) in [
        ("", "blank"),
        (" ", "blank"),
        ("\u{a0}\u{3000}", "blank"),
        (" case", "white space"),
        ("case\u{2003}", "white space"),
        ("case\n", "white space"),
        ("ca\tse", "control"),
        ("ca\u{85}se", "control"),
        ("\0", "control"),
        (&format!("{longest}x"), "200 characters"),
    ] {
        let problem =
            refused(test.request(Method::POST, "/holds").json(&named(name)), 422, "invalid_request").await;
        assert_eq!(problem["errors"][0]["pointer"], "/externalId", "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(told), "{name:?}: {problem}");
    }
    assert_eq!(test.number("select count(*) from holds").await, 0);
    for name in ["c", "Case 4711 / ä", &longest] {
        assert_eq!(test.post("/holds", &named(name)).await.0, StatusCode::CREATED, "{name}");
    }
}
