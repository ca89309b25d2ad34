//! The pages without a browser: requests and answers of a client without scripts.

use genesys_purge::domain::keys::{Scope, format_key};
use genesys_purge::sandbox::Kind;
use reqwest::{Client, RequestBuilder, Response, StatusCode};

use super::setup;
use crate::support::TestService;

/// Somebody who has signed in.
pub struct Plain {
    pub client: Client,
    pub url: String,
    pub cookie: String,
}

impl Plain {
    /// Signs in.
    pub async fn sign_in(test: &TestService, key: &str) -> Self {
        let client = Client::builder().tls_certs_only([]).no_proxy();
        let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let form = client.post(format!("{}/admin/sign-in", test.url)).form(&[("key", key)]);
        let response = form.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "{}", response.text().await.unwrap());
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        for attribute in ["HttpOnly", "SameSite=Strict", "Path=/admin", "Max-Age=43200"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        assert!(!cookie.contains("Secure"), "a browser on this machine could not sign in: {cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Self { client, url: test.url.clone(), cookie }
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url)).header("cookie", &self.cookie)
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url)).header("cookie", &self.cookie)
    }

    /// A page, which must be there.
    pub async fn page(&self, path: &str) -> String {
        let (status, text) = self.any(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        text
    }

    /// Whatever is there.
    pub async fn any(&self, path: &str) -> (StatusCode, String) {
        let response = self.get(path).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    /// What the forms of this session carry.
    pub async fn token(&self) -> String {
        value(&self.page("/admin/conversations").await, "token")
    }
}

/// What a hidden field of a page holds.
pub fn value(page: &str, field: &str) -> String {
    let rest = page.split(&format!("name=\"{field}\" value=\"")).nth(1).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// A form with a file, as browsers send it.
pub fn multipart(request: RequestBuilder, fields: &[(&str, &str)], file: &str) -> RequestBuilder {
    const HEAD: &str = "--XX\r\nContent-Disposition: form-data; name=";
    let fields = fields.iter().map(|(name, value)| format!("{HEAD}\"{name}\"\r\n\r\n{value}\r\n"));
    let file =
        format!("{HEAD}\"file\"; filename=\"a.csv\"\r\nContent-Type: text/csv\r\n\r\n{file}\r\n--XX--\r\n");
    let body = [fields.collect::<Vec<_>>().concat(), file].concat();
    request.header("content-type", "multipart/form-data; boundary=XX").body(body)
}

fn location(response: &Response) -> &str {
    response.headers()["location"].to_str().unwrap()
}

#[tokio::test]
async fn a_purge_is_made_and_watched_without_any_script() {
    let test = setup().start().await;
    let plain = Plain::sign_in(&test, &test.key).await;
    let page = plain.page("/admin/purges/new").await;
    let (token, once) = (value(&page, "token"), value(&page, "once"));
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let csv = ids.iter().map(|id| format!("{id},x\r\n")).collect::<Vec<_>>().concat();
    let fields =
        [("token", token.as_str()), ("once", &once), ("org", "default"), ("reference", "plain"), ("ids", "")];
    let form = || multipart(plain.post("/admin/purges/new"), &fields, &format!("conversationId,y\r\n{csv}"));
    let response = form().send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SEE_OTHER, "{:?}", response.text().await);
    let dry = location(&response).to_owned();
    let again = form().send().await.unwrap();
    assert_eq!(location(&again), dry, "sent twice, it made two");
    let id = dry.rsplit('/').next().unwrap().parse().unwrap();
    let body = test.finished(id).await;
    assert_eq!((&body["dryRun"], &body["counts"]["would_purge"]), (&true.into(), &3.into()), "{body}");

    assert!(plain.page(&format!("{dry}/submit")).await.contains("3 conversations"));
    let submit = || plain.post(&format!("{dry}/submit")).form(&[("token", &token)]);
    let response = submit().send().await.unwrap();
    let real = location(&response).to_owned();
    assert_eq!(location(&submit().send().await.unwrap()), real, "sent twice, it made two");
    let body = test.finished(real.rsplit('/').next().unwrap().parse().unwrap()).await;
    assert_eq!(body["counts"]["purged"], 3, "{body}");
    assert_eq!(body["reference"], "plain", "{body}");
    assert!(plain.page(&real).await.contains("completed"));
    let report = plain.page(&format!("{real}/report.csv")).await;
    assert!(ids.iter().all(|id| report.contains(&format!("{id},purged"))), "{report}");
}

#[tokio::test]
async fn pasted_ids_and_a_file_are_refused_together_and_wrong_ids_are_named() {
    let test = setup().start().await;
    let plain = Plain::sign_in(&test, &test.key).await;
    let token = plain.token().await;
    let id = test.ids_of(Kind::Eligible)[0].to_string();
    for (pasted, file, told) in [
        (id.as_str(), id.as_str(), "either pasted ids or a file"),
        ("not-an-id", "", "has no column"),
        (format!("{id} another").as_str(), "", "line 2"),
        ("", "", "no conversation id"),
    ] {
        let fields = [("token", token.as_str()), ("org", "default"), ("ids", pasted)];
        let form = multipart(plain.post("/admin/purges/new"), &fields, file);
        let response = form.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{pasted:?} {file:?}");
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
        let text = response.text().await.unwrap();
        assert!(text.contains(told), "{told}: {text}");
    }
    assert_eq!(test.get("/purges").await["items"].as_array().unwrap().len(), 0);
}

/// Names of conversations that are nowhere: they stand before all others.
fn nowhere(many: u128) -> Vec<uuid::Uuid> {
    (1..=many).map(uuid::Uuid::from_u128).collect()
}

#[tokio::test]
async fn what_a_hold_came_too_late_for_is_the_first_thing_shown_and_found_among_many() {
    let test = setup().start().await;
    let plain = Plain::sign_in(&test, &test.key).await;
    let gone = test.ids_of(Kind::Eligible)[0];
    test.finished(test.purge(&[gone]).await).await;
    let token = plain.token().await;
    let ids = format!("{}\n{gone}", nowhere(1)[0]);
    let fields = [("token", token.as_str()), ("matter", "M"), ("ids", &ids)];
    let response = multipart(plain.post("/admin/holds/new"), &fields, "").send().await.unwrap();
    let hold = location(&response).strip_suffix("?late=true").expect("nothing was too late").to_owned();
    let late = plain.page(&format!("{hold}?late=true")).await;
    assert!(late.contains(&gone.to_string()) && !late.contains(&nowhere(1)[0].to_string()), "{late}");
    let all = plain.page(&hold).await;
    assert!(all.contains(&nowhere(1)[0].to_string()), "{all}");
    assert_eq!(all.matches(">too late<").count(), 1, "{all}");

    let named = [nowhere(2050), vec![gone]].concat();
    let wish = serde_json::json!({"matter": "Many", "conversationIds": named});
    let (status, many) = test.post("/holds", &wish).await;
    assert_eq!(status, StatusCode::CREATED, "{many}");
    let hold = format!("/admin/holds/{}", many["id"].as_str().unwrap());
    let first = plain.page(&format!("{hold}?late=true")).await;
    assert!(!first.contains(&gone.to_string()) && first.contains("2,000 conversations"), "{first}");
    let (_, next) = first.split_once("class=\"button\" href=\"").expect("there is no next page");
    let next = next.split_once('"').unwrap().0.replace("&amp;", "&");
    let second = plain.page(&next).await;
    assert!(second.contains(&gone.to_string()) && second.contains("51 conversations"), "{second}");
    assert!(!second.contains("Next page"), "{second}");
}

#[tokio::test]
async fn a_page_says_where_one_is_what_waits_and_whose_end_a_delivery_tells() {
    let test = setup().second_org().start().await;
    let plain = Plain::sign_in(&test, &test.key).await;
    let ids = test.ids_of(Kind::Eligible);
    let purge = test.purge_with(serde_json::json!({"conversationIds": ids[..1], "org": "default"})).await;
    test.finished(purge).await;
    let (status, _) = test.post("/orgs/eu/stop", &serde_json::json!({})).await;
    assert_eq!(status, StatusCode::OK);
    let wish = serde_json::json!({"conversationIds": ids[1..2], "org": "eu", "reference": "it waits"});
    let waiting = test.purge_with(wish).await;
    let overview = plain.page("/admin").await;
    assert!(overview.contains("it waits") && overview.contains("waiting: org stopped"), "{overview}");
    for (path, link) in [("/admin", "/admin"), (&format!("/admin/purges/{waiting}"), "/admin/purges")] {
        let page = plain.page(path).await;
        assert_eq!(page.matches("aria-current").count(), 1, "{page}");
        assert!(page.contains(&format!("href=\"{link}\" aria-current=\"true\"")), "{page}");
    }
    let deliveries = plain.page("/admin/webhooks/deliveries").await;
    assert!(deliveries.contains(&format!("href=\"/admin/purges/{purge}\"")), "{deliveries}");
    let page = plain.page(&format!("/admin/purges/{purge}")).await;
    for link in ["/conversations\"", "/report.csv\""] {
        assert!(page.contains(&format!("/admin/purges/{purge}{link}")), "{link}: {page}");
    }
    assert!(page.contains(&format!("/admin/webhooks/deliveries?purge={purge}")), "{page}");
}

#[tokio::test]
async fn a_key_of_one_org_sees_that_org_alone() {
    let test = setup().second_org().start().await;
    let id = test.ids_of(Kind::Eligible)[0];
    let purge = test.purge_with(serde_json::json!({"conversationIds": [id], "org": "default"})).await;
    test.finished(purge).await;
    let (status, hold) = test
        .post(
            "/holds",
            &serde_json::json!({"matter": "of default", "conversationIds": [id], "org": "default"}),
        )
        .await;
    assert_eq!(status, StatusCode::CREATED, "{hold}");
    let hold = hold["id"].as_str().unwrap();
    let plain = Plain::sign_in(&test, &test.make_key_of("of eu", Scope::ALL, Some(&["eu"])).await).await;
    let everything = Plain::sign_in(&test, &test.key).await;
    for path in [
        "/admin",
        "/admin/purges",
        "/admin/holds",
        "/admin/purges/new",
        "/admin/keys",
        "/admin/webhooks/deliveries",
    ] {
        let page = plain.page(path).await;
        for foreign in [purge.to_string(), hold.to_owned(), "tester".to_owned(), "Stop default".to_owned()] {
            assert!(!page.contains(&foreign), "{path} shows {foreign}: {page}");
        }
        assert!(!page.contains(">default<"), "{path}: {page}");
    }
    assert!(plain.page("/admin").await.contains("Stop eu"));
    assert!(plain.page(&format!("/admin/conversations/{id}")).await.contains("No purge and no hold"));
    assert!(everything.page(&format!("/admin/conversations/{id}")).await.contains("of default"));
    let token = plain.token().await;
    for path in [
        format!("/admin/purges/{purge}"),
        format!("/admin/purges/{purge}/cancel"),
        format!("/admin/purges/{purge}/conversations"),
        format!("/admin/purges/{purge}/report.csv"),
        format!("/admin/holds/{hold}"),
        format!("/admin/holds/{hold}/release"),
        "/admin/orgs/default/stop".to_owned(),
    ] {
        assert_eq!(plain.any(&path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    for path in [
        format!("/admin/purges/{purge}/cancel"),
        format!("/admin/purges/{purge}/submit"),
        format!("/admin/holds/{hold}/release"),
        "/admin/orgs/default/stop".to_owned(),
    ] {
        let response = plain.post(&path).form(&[("token", &token)]).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
    assert!(test.get("/orgs/default").await["stopped"].is_null());
}

#[tokio::test]
async fn a_key_may_on_the_pages_what_it_may_by_its_scopes() {
    let test = setup().start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..1]).await;
    let reader = Plain::sign_in(&test, &test.make_key(&[Scope::PurgesRead], None).await).await;
    let token = reader.token().await;
    for path in ["/admin", "/admin/purges", "/admin/holds", &format!("/admin/purges/{purge}")] {
        let page = reader.page(path).await;
        for act in
            ["New purge", "New hold", "Stop default", "id=\"cancel\"", "/admin/keys", "/admin/webhooks"]
        {
            assert!(!page.contains(act), "{path} offers {act}");
        }
    }
    for path in [
        "/admin/keys",
        "/admin/webhooks",
        "/admin/purges/new",
        "/admin/holds/new",
        "/admin/orgs/default/stop",
    ] {
        let (status, page) = reader.any(path).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        assert!(page.contains("does not have the scope"), "{path}: {page}");
    }
    for path in [
        format!("/admin/purges/{purge}/cancel"),
        "/admin/orgs/default/stop".to_owned(),
        "/admin/webhooks/new".to_owned(),
        "/admin/purges/new".to_owned(),
        "/admin/holds/new".to_owned(),
    ] {
        let response = reader.post(&path).form(&[("token", &token)]).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path}");
    }
    let sender = Plain::sign_in(&test, &test.make_key(&[Scope::WebhooksWrite], None).await).await;
    let response = sender.get("/admin").send().await.unwrap();
    assert_eq!(location(&response), "/admin/webhooks");
    assert!(sender.page("/admin/webhooks").await.contains("New endpoint"));
    assert_eq!(sender.any("/admin/purges").await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_revoked_key_ends_its_session() {
    let test = setup().start().await;
    let key = format_key(&[7; 32]);
    let store = test.store().await;
    let caller = genesys_purge::domain::keys::Caller {
        name: "to be revoked".to_owned(),
        scopes: Scope::ALL.to_vec(),
        reach: genesys_purge::domain::keys::Reach::all(),
    };
    let id = store.create_key(&key, &caller).await.unwrap();
    let plain = Plain::sign_in(&test, &key).await;
    let token = plain.token().await;
    assert!(store.revoke_key(id).await.unwrap());
    store.close().await;
    for request in
        [plain.get("/admin/keys"), plain.post("/admin/orgs/default/stop").form(&[("token", &token)])]
    {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert!(location(&response).starts_with("/admin/sign-in"), "{}", location(&response));
    }
    assert!(test.get("/orgs/default").await["stopped"].is_null());
}
