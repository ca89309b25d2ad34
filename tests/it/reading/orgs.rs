//! A key that is limited to an org learns nothing about the others.

use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::Kind;
use reqwest::header::{CONTENT_TYPE, DATE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::Setup;
use crate::support::calls::{DocumentedCall, NOBODY, calls};
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

/// One of each thing that a path may name.
struct Names {
    purge: String,
    hold: String,
    delivery: String,
    endpoint: String,
    conversation: String,
    jobs: Vec<String>,
    org: &'static str,
    tag: &'static str,
}

impl Names {
    /// The paths that a template stands for, and how what they name is written.
    fn paths(&self, template: &str) -> Vec<(String, String)> {
        let named = match template {
            _ if template.starts_with("/purges/{id}") => vec![self.purge.clone()],
            _ if template.starts_with("/holds/{id}") => vec![self.hold.clone()],
            "/jobs/{id}" => self.jobs.clone(),
            _ if template.starts_with("/webhook-deliveries/{id}") => vec![self.delivery.clone()],
            _ if template.starts_with("/webhook-endpoints/{id}") => vec![self.endpoint.clone()],
            "/conversations/{conversationId}" => vec![self.conversation.clone()],
            _ if template.starts_with("/orgs/{org}") => vec![self.org.to_owned()],
            "/events"
            | "/purges"
            | "/holds"
            | "/orgs"
            | "/webhook-deliveries"
            | "/webhook-deliveries/redeliver"
            | "/webhook-endpoints" => {
                vec![self.org.to_owned()]
            }
            _ => panic!("say here what {template} names"),
        };
        let fill = |named: String| {
            let path = ["{id}", "{conversationId}", "{org}"]
                .iter()
                .fold(template.to_owned(), |path, parameter| path.replace(parameter, &named));
            (path, named)
        };
        named.into_iter().map(fill).collect()
    }

    /// Query strings of every kind, right and wrong.
    fn queries(&self) -> Vec<String> {
        let queries =
            ["", "?limit=1", "?limit=0", "?cursor=junk", "?outcome=purged", "?wait=1", "?surprise=1"];
        let named = [
            format!("?cursor={}", self.conversation),
            format!("?org={}", self.org),
            format!("?purge={}", self.purge),
            format!("?reference={}", self.tag),
            format!("?label=team:{}", self.tag),
            format!("?label=team:{}&reference={}&state=completed", self.tag, self.tag),
        ];
        queries.into_iter().map(str::to_owned).chain(named).collect()
    }

    /// Bodies of every kind, right and wrong; the first is none.
    fn bodies(&self) -> Vec<Option<String>> {
        let bodies = [
            json!(null),
            json!({}),
            json!([]),
            json!({ "reason": "r" }),
            json!({ "org": self.org, "matter": "M", "conversationIds": [NOBODY] }),
            json!({ "org": self.org, "conversationIds": [NOBODY] }),
            json!({ "since": "2020-01-01T00:00:00Z", "state": "dead" }),
        ];
        [None].into_iter().chain(bodies.map(|body| Some(body.to_string()))).collect()
    }
}

#[tokio::test]
async fn what_is_of_another_org_is_answered_by_every_call_exactly_as_what_there_is_not() {
    let test = Setup::new().second_org().start().await;
    let ids = test.ids_of(Kind::Eligible);
    let purge = json!({ "conversationIds": &ids[..2], "org": "default", "reference": "t", "labels": { "team": "t" } });
    let purge = test.purge_with(purge).await;
    test.finished(purge).await;
    let hold = json!({ "matter": "theirs", "conversationIds": [ids[0]], "org": "default" });
    let (_, hold) = test.post("/holds", &hold).await;
    let job = &test.jobs(purge).await[0];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let deliveries = test.get("/webhook-deliveries").await;
    let theirs = json!({ "url": "https://receiver.example/theirs", "orgs": ["default"] });
    let (_, endpoint) = test.post("/webhook-endpoints", &theirs).await;
    // Dead, so that a call that reached it would change it.
    test.receiver.wait_for(2, |_| true).await;
    test.sql("update deliveries set state = 'dead', delivered_at = null").await;
    let foreign = Names {
        purge: purge.to_string(),
        hold: text(&hold["id"]),
        delivery: text(&deliveries["items"][0]["id"]),
        endpoint: text(&endpoint["id"]),
        conversation: ids[0].to_string(),
        jobs: vec![text(&job["id"]), text(&job["jobId"])],
        org: "default",
        tag: "t",
    };
    let nobody = || NOBODY.to_owned();
    let nothing = Names {
        purge: nobody(),
        hold: nobody(),
        delivery: nobody(),
        endpoint: nobody(),
        conversation: nobody(),
        jobs: vec![nobody(), nobody()],
        org: "nowhere",
        tag: "x",
    };
    let eu = test.make_key(Scope::ALL, Some(&["eu"])).await;
    // The whole answer, but for what differs between any two requests, and for the name that was asked for.
    let answer = async |method: &Method, path: &str, named: &str, body: Option<&String>| {
        let request = test.request_as(&eu, method.clone(), path).header("X-Request-Id", "same");
        let request = body.iter().fold(request, |request, body| {
            request.header(CONTENT_TYPE, "application/json").body((*body).clone())
        });
        let mut response = request.send().await.unwrap();
        response.headers_mut().remove(DATE);
        let told = format!("{} {:?}", response.status(), response.headers());
        (response.status(), format!("{told}\n{}", response.text().await.unwrap()).replace(named, "NAMED"))
    };
    let mut asked = 0;
    for DocumentedCall { method, template, is_open, .. } in calls() {
        // The metrics are for keys of every org, or for everybody.
        if is_open || template == "/metrics" {
            continue;
        }
        let paths = foreign.paths(&template).into_iter().zip(nothing.paths(&template));
        for ((of_another, theirs), (of_none, none)) in paths {
            let bodies = if method == Method::GET { 1 } else { foreign.bodies().len() };
            for (number, query) in foreign.queries().iter().enumerate() {
                for body in 0..bodies {
                    let path = format!("{of_another}{query}");
                    let other_path = format!("{of_none}{}", nothing.queries()[number]);
                    let (status, told) =
                        answer(&method, &path, &theirs, foreign.bodies()[body].as_ref()).await;
                    let expected = answer(&method, &other_path, &none, nothing.bodies()[body].as_ref()).await;
                    assert_eq!((status, told.as_str()), (expected.0, expected.1.as_str()), "{method} {path}");
                    assert!(
                        !told.contains("theirs") && !told.contains(&foreign.purge),
                        "{method} {path}: {told}"
                    );
                    if template.contains('{') {
                        assert!(status.is_client_error(), "{method} {path}: {told}");
                    }
                    if template.contains('{') && query.is_empty() && body == 0 {
                        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}: {told}");
                    }
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 500, "{asked}");
    assert_eq!(test.get(&format!("/holds/{}", foreign.hold)).await["active"], true);
    assert_eq!(test.get("/orgs/default").await["stopped"], Value::Null);
    assert_eq!(test.number("select count(*) from deliveries where state = 'dead'").await, 2);
    assert_eq!(test.get(&format!("/webhook-endpoints/{}", foreign.endpoint)).await["enabled"], true);
    assert_eq!(test.get("/purges").await["items"].as_array().unwrap().len(), 1, "nothing was accepted");
}
