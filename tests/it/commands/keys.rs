//! `keys create | list | revoke`.

use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::Kind;
use nix::sys::signal::Signal;
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use sqlx::Executor as _;

use super::home::Home;
use super::shell::{Said, Shell};
use crate::admin::plain::Plain;
use crate::support::process::program;
use crate::support::{Setup, TestService};

#[tokio::test]
async fn keys_are_made_listed_and_revoked_beside_a_running_service() {
    let home = Home::with_jobs_of(50).await;
    let serving = home.serve().await;
    let made = home
        .say(&["keys", "create", "--name", "crm", "--scope", "purges:read", "--scope", "holds:write"])
        .await;
    let key = made.lines().last().unwrap();
    assert!(key.starts_with("gpk_") && key.len() == 47, "alone on the last line: {made:?}");
    assert_eq!(made.matches("gpk_").count(), 1, "{made:?}");
    let limited =
        home.say(&["keys", "create", "--name", "one", "--scope", "purges:read", "--org", "default"]).await;
    assert_eq!(serving.get(key, "/holds").await["items"], json!([]));
    let refused = serving.request(key, Method::POST, "/purges").send().await.unwrap();
    assert_eq!(refused.status(), 403, "it has the scopes that it was made with, and no others");

    let listed = home.say(&["keys", "list"]).await;
    let rows: Vec<&str> = listed.lines().collect();
    assert_eq!(rows.len(), 2, "{listed}");
    assert!(
        rows[0].contains(&key[..10]) && rows[0].contains("crm") && rows[0].contains("every org"),
        "{listed}"
    );
    assert!(rows[0].contains("purges:read,holds:write") && rows[0].ends_with("  in force"), "{listed}");
    assert!(rows[1].contains(&limited[..10]) && rows[1].contains("  default    20"), "{listed}");
    assert!(!listed.contains(key), "a key is told once");

    let id = rows[0].split_whitespace().next().unwrap();
    assert_eq!(home.say(&["keys", "revoke", id]).await, "revoked\n");
    assert_eq!(serving.request(key, Method::GET, "/holds").send().await.unwrap().status(), 401);
    assert!(home.say(&["keys", "list"]).await.lines().next().unwrap().contains("  revoked "));
    for unknown in [id, "1b4e28ba-2fa1-4d2b-883f-0016d3cca427"] {
        let again = home.run(&["keys", "revoke", unknown]).await;
        assert_eq!(again.status.code(), Some(1));
        assert!(String::from_utf8(again.stderr).unwrap().contains(unknown));
    }
    assert_eq!(serving.end(Signal::SIGTERM).await, Some(0));
}

/// `keys` beside this service, which must succeed.
async fn keys(test: &TestService, arguments: &[&str]) -> String {
    let said = any_keys(test, arguments).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    said.out
}

async fn any_keys(test: &TestService, arguments: &[&str]) -> Said {
    let shell = Shell::of(test);
    let variables = [
        ("DATABASE_URL".to_owned(), test.database.url()),
        ("GENESYS_BASE_URL".to_owned(), test.sandbox.url.clone()),
        ("GENESYS_CLIENT_ID".to_owned(), "it".to_owned()),
        ("GENESYS_CLIENT_SECRET".to_owned(), "it".to_owned()),
    ];
    let mut command = program(&variables, shell.folder.path());
    shell.said(&command.arg("keys").args(arguments).output().await.unwrap())
}

const CRM: [&str; 5] = ["create", "--name", "crm", "--scope", "purges:read"];

#[tokio::test]
async fn no_two_keys_in_force_have_one_name() {
    let test = Setup::new().start().await;
    let first = keys(&test, &CRM).await;
    any_keys(&test, &CRM).await.assert(1, &["a key in force has the name \"crm\"", "revoke that one first"]);
    let id = |listed: &str| {
        let row = listed.lines().find(|row| row.contains(&first[..10])).unwrap();
        row.split_whitespace().next().unwrap().to_owned()
    };
    keys(&test, &["revoke", &id(&keys(&test, &["list"]).await)]).await;
    keys(&test, &CRM).await;
    test.sql("update api_keys set expires_at = now() where name = 'crm'").await;
    keys(&test, &CRM).await;
    // Of many at once one is made.
    let created = ["create", "--name", "race", "--scope", "purges:read"];
    let all = futures_util::future::join_all((0..4).map(|_| any_keys(&test, &created))).await;
    assert_eq!(all.iter().filter(|said| said.code == Some(0)).count(), 1, "{all:?}");
}

#[tokio::test]
async fn an_org_that_nobody_knows_is_refused() {
    let test = Setup::new().start().await;
    let limited = [&CRM[..], &["--org", "defualt"]].concat();
    any_keys(&test, &limited).await.assert(1, &["--org defualt: ", "they know default"]);
    assert_eq!(test.number("select count(*) from api_keys where name = 'crm'").await, 0);
}

#[tokio::test]
async fn without_a_data_directory_there_is_an_error_and_no_new_database() {
    let home = Home::with_jobs_of(50).await;
    for arguments in [&["keys", "list"][..], &["webhooks", "secret"], &["retention", "adopt"]] {
        let output = home.run(arguments).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        let data_dir = home.data_dir().display().to_string();
        assert!(said.contains("DATABASE_URL is not set") && said.contains(&data_dir), "{said}");
        assert!(said.contains("--data-dir") && !home.data_dir().exists(), "{said}");
    }
}

#[tokio::test]
async fn a_key_that_expired_is_refused_like_a_revoked_one_and_told_why() {
    let test = Setup::new().start().await;
    let soon = [&CRM[..], &["--expires", "30d"]].concat();
    let key = keys(&test, &soon).await.trim().to_owned();
    let ask = || test.request_as(&key, Method::GET, "/holds").send();
    assert_eq!(ask().await.unwrap().status(), StatusCode::OK);
    let listed = keys(&test, &["list"]).await;
    assert!(listed.contains("  in force until 20"), "{listed}");
    test.sql("update api_keys set expires_at = '2026-01-02T03:04:05Z' where name = 'crm'").await;

    let refused = ask().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers()[WWW_AUTHENTICATE], "Bearer");
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], "no_key");
    assert!(
        problem["detail"].as_str().unwrap().starts_with("this API key expired at 2026-01-02T03:04:05Z; ")
    );
    let shell = Shell::new(&test.url, &key);
    shell.any(&["purge", "list"]).await.assert(5, &["this API key expired at 2026-01-02T03:04:05Z"]);
    let client = Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
    let form =
        client.post(format!("{}/admin/sign-in", test.url)).form(&[("key", &key)]).send().await.unwrap();
    assert_eq!(form.status(), StatusCode::UNAUTHORIZED);
    assert!(form.text().await.unwrap().contains("This key expired at 2026-01-02T03:04:05Z."));
    let listed = keys(&test, &["list"]).await;
    assert!(listed.contains("  expired 2026-01-02T03:04:05Z\n"), "{listed}");

    for (time, told) in [("soon", 2), ("2020-01-01", 1), ("-1d", 2), ("0d", 2)] {
        let wrong =
            any_keys(&test, &["create", "--name", "x", "--scope", "admin", &format!("--expires={time}")])
                .await;
        wrong.assert(told, &["--expires"]);
    }
}

#[tokio::test]
async fn a_key_that_expires_while_it_waits_does_nothing_more() {
    let test = Setup::new().env("PURGE__ENGINE__PAUSED", "true").start().await;
    let key = test.make_key_of("waiter", &[Scope::PurgesRead, Scope::PurgesWrite], None).await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..1]).await;
    let mut lock = test.database.connect().await;
    lock.execute("begin; select from orgs where name = 'default' for no key update").await.unwrap();
    let cancel = test.request_as(&key, Method::POST, &format!("/purges/{purge}/cancel"));
    let cancel = tokio::spawn(cancel.send());
    test.until_waiting(1).await;
    test.sql("update api_keys set expires_at = now() where name = 'waiter'").await;
    lock.execute("rollback").await.unwrap();
    let status = cancel.await.unwrap().unwrap().status();
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(test.get(&format!("/purges/{purge}")).await["state"], "queued");
}

#[tokio::test]
async fn when_a_key_was_used_last_is_known_and_costs_a_write_a_minute() {
    let mut test = Setup::new().start().await;
    let key = test.make_key_of("crm", &[Scope::PurgesRead, Scope::Admin], None).await;
    let row = async |test: &TestService| -> Value {
        let listed = keys(test, &["list", "--json"]).await;
        let rows = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.into_iter().find(|row| row["name"] == "crm").unwrap()
    };
    let fresh = row(&test).await;
    assert_eq!(fresh["lastUsedAt"], Value::Null);
    assert_eq!(fresh["scopes"], json!(["purges:read", "admin"]));
    let used = async |test: &TestService| {
        let answer = test.request_as(&key, Method::GET, "/holds").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    };
    used(&test).await;
    let written =
        "select count(*) from api_keys where name = 'crm' and last_used_at > now() - interval '1 hour'";
    test.wait_until("it is written beside the request", async || test.number(written).await == 1).await;
    let first = row(&test).await["lastUsedAt"].clone();
    // However much is asked, and whatever is left when the service ends: nothing more within the minute.
    for _ in 0..20 {
        used(&test).await;
    }
    test.stop_service().await;
    assert_eq!(row(&test).await["lastUsedAt"], first);
    test.start_service().await;
    // Another process has not seen it, and writes what it sees.
    used(&test).await;
    test.wait_until("it is written anew", async || row(&test).await["lastUsedAt"] != first).await;
    let plain = Plain::sign_in(&test, &key).await;
    let page = plain.page("/admin/keys").await;
    assert!(page.contains("Last used") && page.contains("data-name=\"Last used\"><time"), "{page}");
}
