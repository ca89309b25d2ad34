//! The public API from the shell: each verb, its output for people and as JSON, and its exit code.

use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::{Kind, Shares};
use serde_json::{Value, json};
use uuid::Uuid;

use super::fake::Fake;
use super::shell::{Said, Shell};
use crate::support::{Setup, TestService};

fn json_of(said: &Said) -> Value {
    assert_eq!(said.code, Some(0), "{said:?}");
    serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"))
}

/// A service that takes purges and starts none.
async fn waiting() -> (TestService, Shell) {
    let test = Setup::new().env("PURGE__ENGINE__PAUSED", "true").start().await;
    let shell = Shell::of(&test);
    (test, shell)
}

#[tokio::test]
async fn a_purge_is_listed_shown_paused_resumed_and_canceled() {
    let (test, shell) = waiting().await;
    let ids = test.ids_of(Kind::Eligible);
    let order = json!({ "conversationIds": ids[..2], "reference": "R-1", "labels": { "team": "a" } });
    let first = test.post("/purges", &order).await.1["id"].as_str().unwrap().to_owned();
    let second = test.purge(&ids[2..5]).await.to_string();

    let said = shell.any(&["purge", "list"]).await;
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(said.code == Some(0) && lines.len() == 2, "{said:?}");
    assert!(lines[0].starts_with(&second) && lines[0].contains("  queued  0/3  default  "), "{said:?}");
    assert!(lines[1].starts_with(&first) && lines[1].ends_with("  R-1"), "{said:?}");
    for (filter, expected) in [
        (&["--label", "team:a"][..], vec![&first]),
        (&["--state", "completed"], vec![]),
        (&["--org", "nowhere"], vec![]),
        (&["--reference", "R-1"], vec![&first]),
        (&["--limit", "1"], vec![&second]),
    ] {
        let said = shell.any(&[&["purge", "list", "--json"][..], filter].concat()).await;
        assert_eq!(said.code, Some(0), "{said:?}");
        let found = said.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone());
        assert_eq!(json!(found.collect::<Vec<_>>()), json!(expected), "{filter:?}");
        assert_eq!(said.err.contains("--limit N lists more"), filter[0] == "--limit", "{said:?}");
    }
    assert_eq!(shell.any(&["purge", "list", "--state", "done"]).await.code, Some(2));

    let said = shell.any(&["purge", "show", &first]).await;
    said.assert(0, &[]);
    for told in ["state      queued\n", "org        default\n", "labels     team:a\n", "done       0 of 2\n"]
    {
        assert!(said.out.contains(told), "{told:?}: {said:?}");
    }
    assert_eq!(json_of(&shell.any(&["purge", "show", &first, "--json"]).await)["id"], json!(first));

    for (act, state) in [("pause", "paused"), ("resume", "queued"), ("cancel", "canceling")] {
        let said = shell.any(&["purge", act, &first]).await;
        assert_eq!((said.code, said.out.trim()), (Some(0), state), "{said:?}");
        assert_eq!(said.err.contains("leaves after 20"), act != "resume", "{said:?}");
    }
    shell.any(&["purge", "retry", &first]).await.assert(5, &["refused (409 wrong_state)"]);
    assert_eq!(json_of(&shell.any(&["purge", "pause", &second, "--json"]).await)["state"], "paused");
    let nobody = Uuid::from_u128(1).to_string();
    for arguments in
        [&["purge", "show", &nobody][..], &["purge", "cancel", &nobody], &["purge", "report", &nobody]]
    {
        shell.any(arguments).await.assert(5, &["refused (404 not_found)"]);
    }
}

#[tokio::test]
async fn a_report_is_whole_or_no_file_at_all_and_a_conversation_tells_its_history() {
    let shares = Shares { eligible: 0.5, held: 0.5, ..Shares::none() };
    let test = Setup::new().sandbox(|settings| settings.shares = shares).start().await;
    let shell = Shell::of(&test);
    let (gone, held) = (test.ids_of(Kind::Eligible)[0], test.ids_of(Kind::Held)[0]);
    let purge = test.purge(&[gone, held]).await;
    test.finished(purge).await;
    let purge = purge.to_string();
    let said = shell.any(&["purge", "report", &purge]).await;
    assert_eq!((said.code, said.out.lines().count()), (Some(0), 3), "{said:?}");
    let said = shell.any(&["purge", "report", &purge, "--format", "ndjson", "--outcome", "on_hold"]).await;
    assert_eq!(json_of(&said)["conversationId"], json!(held));
    let said = shell.any(&["purge", "report", &purge, "--output", "report.csv"]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""), "{said:?}");
    let file = std::fs::read_to_string(shell.folder.path().join("report.csv")).unwrap();
    assert_eq!(file.lines().count(), 3);
    let files = std::fs::read_dir(shell.folder.path()).unwrap().count();
    assert_eq!(files, 1, "nothing is left beside it");

    let said = shell.any(&["conversation", &gone.to_string()]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("outcome   purged\n") && said.out.contains(" -> purged"), "{said:?}");
    let told = json_of(&shell.any(&["conversation", &held.to_string(), "--json"]).await);
    assert_eq!(told["purges"][0]["outcome"], "on_hold");
    let nobody = Uuid::from_u128(1).to_string();
    shell.any(&["conversation", &nobody]).await.assert(5, &["refused (404 not_found)"]);
    test.end().await;
}

#[tokio::test]
async fn a_report_that_breaks_off_is_told_and_leaves_no_file() {
    let fake = Fake::start([(0, json!("conversationId"))]).await;
    let shell = Shell::new(&fake.url, "gpk_test");
    let id = Uuid::from_u128(1).to_string();
    shell.any(&["purge", "report", &id, "--output", "report.csv"]).await.assert(6, &[]);
    assert_eq!(std::fs::read_dir(shell.folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn holds_are_added_from_ids_and_files_listed_shown_and_released() {
    let (test, shell) = waiting().await;
    let ids = test.ids_of(Kind::Eligible);
    let (one, two) = (ids[0].to_string(), ids[1].to_string());
    let said =
        shell.any(&["holds", "add", "--matter", "M-1", "--id", &one, "--id", &two, "--org", "default"]).await;
    said.assert(0, &["in force for 2 conversations of default; no call that deletes one leaves after 20"]);
    let first = said.id().to_string();
    let file = shell.file("ids.csv", &format!("conversationId\n{one}\n{}\n", ids[2]));
    let arguments =
        ["holds", "add", file.to_str().unwrap(), "--matter", "M-2", "--external-id", "X", "--json"];
    let second = json_of(&shell.any(&arguments).await);
    assert_eq!((&second["conversations"], &second["externalId"]), (&json!(2), &json!("X")));
    assert_eq!(json_of(&shell.any(&arguments).await)["id"], second["id"], "the same under its name");
    let said = shell.any(&["holds", "list"]).await;
    assert_eq!(said.out.lines().count(), 2, "{said:?}");
    assert!(
        said.out.contains(&first) && said.out.contains("  active  2  default  tester  M-1\n"),
        "{said:?}"
    );
    let said = shell.any(&["holds", "show", &first]).await;
    assert!(said.code == Some(0) && said.out.contains("matter         M-1\n"), "{said:?}");
    let said = shell.any(&["holds", "release", &first, "--reason", "the matter is closed"]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "released\n"), "{said:?}");
    let said = shell.any(&["holds", "show", &first]).await;
    assert!(said.out.contains("release reason  the matter is closed\n"), "{said:?}");
    shell.any(&["holds", "release", &first]).await.assert(5, &["refused (409 already_released)"]);
    shell.file("bad.csv", "nothing\n");
    shell.any(&["holds", "add", "bad.csv", "--matter", "M"]).await.assert(1, &["bad.csv: "]);
    for wrong in [&["holds", "add", "--matter", "M"][..], &["holds", "add", "ids.csv"]] {
        assert_eq!(shell.any(wrong).await.code, Some(2), "{wrong:?}");
    }
    let reader = Shell::new(&test.url, &test.make_key(&[Scope::PurgesRead], None).await);
    let arguments = ["holds", "add", "--matter", "M", "--id", &one];
    reader.any(&arguments).await.assert(5, &["refused (403 missing_scope)", "holds:write"]);
}

#[tokio::test]
async fn a_hold_that_came_too_late_for_some_names_them() {
    let test = TestService::start().await;
    let shell = Shell::of(&test);
    let gone = test.ids_of(Kind::Eligible)[0];
    test.finished(test.purge(&[gone]).await).await;
    let said = shell.any(&["holds", "add", "--matter", "M", "--id", &gone.to_string()]).await;
    said.assert(0, &["too late for 1: gone, or in a job\n", &format!("\n  {gone}\n")]);
    let shown = shell.any(&["holds", "show", &said.id().to_string()]).await;
    assert!(shown.out.contains(&format!("too late for 1: gone, or in a job\n  {gone}\n")), "{shown:?}");
    test.end().await;
}

#[tokio::test]
async fn an_org_is_listed_shown_stopped_with_a_reason_and_resumed() {
    let (test, shell) = waiting().await;
    let said = shell.any(&["org", "list"]).await;
    assert!(said.code == Some(0) && said.out.starts_with("default  paused  "), "{said:?}");
    let said = shell.any(&["org", "stop", "default", "--reason", "an incident"]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "stopped\n"), "{said:?}");
    assert!(said.err.contains("leaves after 20"), "{said:?}");
    let said = shell.any(&["org", "show", "default"]).await;
    assert!(
        said.out.contains("state    stopped\n") && said.out.contains("reason   an incident\n"),
        "{said:?}"
    );
    assert_eq!(test.get("/orgs/default").await["stopped"]["reason"], "an incident");
    let said = shell.any(&["org", "resume", "default", "--reason", "it is over"]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "paused\n"), "{said:?}");
    assert_eq!(json_of(&shell.any(&["org", "show", "default", "--json"]).await)["name"], "default");
    shell.any(&["org", "stop", "a b/c?"]).await.assert(5, &["refused (404 not_found)"]);
}

#[tokio::test]
async fn a_receiver_is_registered_tested_disabled_and_deleted_and_a_delivery_is_shown() {
    let setup = Setup::new().env("PURGE__WEBHOOKS__ALLOWED_NETWORKS", "127.0.0.0/8");
    let test = setup.env("PURGE__WEBHOOKS__ALLOWED_PORTS", "1-65535").start().await;
    let shell = Shell::of(&test);
    let endpoints =
        async |arguments: &[&str]| shell.any(&[&["webhooks", "endpoints"][..], arguments].concat()).await;
    let made =
        endpoints(&["create", &test.receiver.url, "--event", "purge_completed", "--description", "crm"])
            .await;
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.out.lines().last().unwrap().starts_with("whsec_"), "{made:?}");
    assert!(
        made.out.contains("events      purge_completed\n")
            || made.out.contains("events    purge_completed\n"),
        "{made:?}"
    );
    let listed = endpoints(&["list"]).await;
    let id = listed.out.split("  ").next().unwrap();
    assert!(listed.out.contains("  enabled  0  "), "{listed:?}");
    let said = endpoints(&["test", id]).await;
    assert!(said.code == Some(0) && said.out.contains("ping    delivered"), "{said:?}");
    let fresh = endpoints(&["rotate-secret", id]).await;
    assert!(fresh.out.lines().last().unwrap().starts_with("whsec_"), "{fresh:?}");
    assert_ne!(fresh.out.lines().last(), made.out.lines().last());
    assert_eq!(endpoints(&["disable", id]).await.out, "disabled\n");
    assert_eq!(endpoints(&["enable", id]).await.out, "enabled\n");
    assert_eq!(json_of(&endpoints(&["show", id, "--json"]).await)["description"], "crm");
    assert_eq!(endpoints(&["delete", id]).await.out, "deleted\n");
    endpoints(&["show", id]).await.assert(5, &["refused (404 not_found)"]);
    let nobody = json_of(&endpoints(&["create", "http://127.0.0.1:1/hooks", "--json"]).await);
    let said = endpoints(&["test", nobody["id"].as_str().unwrap()]).await;
    assert!(said.code == Some(1) && said.out.contains("ping   not delivered"), "{said:?}");
    endpoints(&["create", "ftp://x"]).await.assert(5, &["refused (422 invalid_request)", "/url"]);
    assert_eq!(endpoints(&["create", "https://x", "--event", "nothing"]).await.code, Some(2));

    test.finished(test.purge(&test.ids_of(Kind::Eligible)[..1]).await).await;
    test.receiver.wait_for(2, |hook| hook.is_verified).await;
    let listed = shell.any(&["webhooks", "list"]).await;
    let id = listed.out.split("  ").next().unwrap();
    let said = shell.any(&["webhooks", "show", id]).await;
    assert!(said.code == Some(0) && said.out.contains("attempt "), "{said:?}");
}

#[tokio::test]
async fn shells_and_man_learn_every_command_without_a_service() {
    let shell = Shell::new("http://127.0.0.1:1", "gpk_test");
    for kind in ["bash", "zsh", "fish"] {
        let said = shell.any(&["completions", kind]).await;
        assert_eq!(said.code, Some(0), "{said:?}");
        for word in ["dev", "holds", "rotate-secret", "give-up-after"] {
            assert!(said.out.contains(word), "{kind} does not know {word}");
        }
    }
    let said = shell.any(&["man"]).await;
    assert!(said.code == Some(0) && said.out.contains(".TH genesys-purge 1"), "{said:?}");
    let folder = shell.folder.path().to_str().unwrap();
    assert_eq!(shell.any(&["man", "--out", folder]).await.code, Some(0));
    for page in
        ["genesys-purge.1", "genesys-purge-purge-submit.1", "genesys-purge-webhooks-endpoints-create.1"]
    {
        let text = std::fs::read_to_string(shell.folder.path().join(page)).unwrap();
        assert!(text.contains(".SH OPTIONS"), "{page}: {text}");
    }
    shell.any(&["man", "--out", "nowhere"]).await.assert(1, &["nowhere"]);
}
