//! A key that is limited to an org learns nothing of the others.

use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::Kind;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::Setup;
use crate::support::problem::refused;
use crate::support::service::read;

#[tokio::test]
async fn a_key_of_one_org_sees_nothing_of_the_others() {
    let test = Setup::new().second_org().start().await;
    let ids = test.ids_of(Kind::Eligible);
    let eu = test.make_key(Scope::ALL, Some(&["eu"])).await;
    let as_eu = |method: Method, path: &str| test.request_as(&eu, method, path);
    let get = async |path: &str| {
        let (status, body) = read(as_eu(Method::GET, path).send().await.unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    };
    let foreign = test.purge_with(json!({ "conversationIds": &ids[..2], "org": "default" })).await;
    let own = test.purge_with(json!({ "conversationIds": &ids[2..4], "org": "eu" })).await;
    for purge in [foreign, own] {
        assert_eq!(test.finished(purge).await["state"], "completed");
    }
    let hold = async |matter: &str, org: Option<&str>| {
        let body = json!({ "matter": matter, "conversationIds": [ids[0], ids[2]], "org": org });
        let (status, body) = test.post("/holds", &body).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        body["id"].as_str().unwrap().to_owned()
    };
    let foreign_hold = hold("theirs", Some("default")).await;
    let shared_hold = hold("everywhere", None).await;
    let own_hold = hold("ours", Some("eu")).await;

    for path in [
        format!("/purges/{foreign}"),
        format!("/purges/{foreign}?wait=1"),
        format!("/purges/{foreign}/conversations"),
        format!("/purges/{foreign}/jobs"),
        format!("/holds/{foreign_hold}"),
        format!("/conversations/{}", ids[1]),
    ] {
        refused(as_eu(Method::GET, &path), 404, "not_found").await;
        assert_eq!(test.request(Method::GET, &path).send().await.unwrap().status(), StatusCode::OK, "{path}");
    }
    for hold in [&foreign_hold, &shared_hold] {
        refused(as_eu(Method::POST, &format!("/holds/{hold}/release")), 404, "not_found").await;
        assert_eq!(test.get(&format!("/holds/{hold}")).await["active"], true);
    }
    for path in
        [format!("/purges/{own}"), format!("/purges/{own}/conversations"), format!("/purges/{own}/jobs")]
    {
        get(&path).await;
    }
    let listed = get("/holds").await;
    let listed: Vec<&Value> = listed["items"].as_array().unwrap().iter().map(|hold| &hold["id"]).collect();
    assert_eq!(listed, [&json!(own_hold), &json!(shared_hold)]);
    // The history of an id that both orgs know: the holds that reach this org, and no name of another.
    for path in [format!("/conversations/{}", ids[2]), format!("/conversations/{}", ids[0])] {
        let told = get(&path).await;
        assert_eq!(told["holds"].as_array().unwrap().len(), 2, "{told}");
        assert!(!told.to_string().contains("default") && !told.to_string().contains("theirs"), "{told}");
    }
    let shared = get(&format!("/holds/{shared_hold}")).await;
    assert_eq!(shared["orgs"], json!(["eu"]), "which other orgs there are is nobody's business");
    assert_eq!(test.get(&format!("/holds/{shared_hold}")).await["orgs"], json!(["default", "eu"]));
}
