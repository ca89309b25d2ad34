//! A person at a terminal is asked before a deletion, and the output fits the terminal.

use genesys_purge::sandbox::Kind;
use serde_json::{Value, json};
use uuid::Uuid;

use super::shell::Shell;
use super::terminal::Terminal;
use crate::support::process::PROGRAM;
use crate::support::{Setup, TestService};

fn at(shell: &Shell, line: &str, columns: u16) -> Terminal {
    Terminal::run(&shell.command(&[]), &line.replace("genesys-purge ", &format!("{PROGRAM} ")), columns)
}

async fn purges(test: &TestService) -> i64 {
    test.number("select count(*) from purges").await
}

fn csv(ids: &[Uuid]) -> String {
    let rows = ids.iter().fold(String::new(), |rows, id| rows + &format!("{id},x\n"));
    format!("conversationId,name\n{rows}")
}

#[tokio::test]
async fn a_submit_from_a_terminal_names_how_many_and_where_and_deletes_nothing_without_a_yes() {
    let test = TestService::start().await;
    let shell = Shell::of(&test);
    let ids = test.ids_of(Kind::Eligible);
    let twice = [&ids[..3], &ids[..1]].concat();
    shell.file("ids.csv", &csv(&twice));
    shell.file("ids.json", &json!({ "conversationIds": ids[3..5], "reason": "x" }).to_string());
    for (file, answer) in [("ids.csv", "no"), ("ids.csv", ""), ("ids.json", "nyes")] {
        let mut terminal = at(&shell, &format!("genesys-purge purge submit {file}"), 46);
        terminal.until("Type yes to go on: ").await;
        terminal.enter(answer);
        let (code, screen) = terminal.ended().await;
        assert_eq!(code, Some(1), "{screen}");
        assert!(screen.contains("Nothing was done."), "{screen}");
        let count =
            if file == "ids.csv" { "3 conversations (1 repeats left out)" } else { "2 conversations" };
        assert!(screen.contains(&format!("Delete {count} of org default")), "{screen}");
        assert!(screen.contains(&test.url), "{screen}");
    }
    assert_eq!(purges(&test).await, 0);

    for (file, number) in [("ids.csv", 3), ("ids.json", 2)] {
        let mut terminal = at(&shell, &format!("genesys-purge purge submit {file}"), 46);
        terminal.until("Type yes to go on: ").await;
        terminal.enter("yes");
        let (code, screen) = terminal.ended().await;
        assert_eq!(code, Some(0), "{screen}");
        assert!(screen.contains(&format!("accepted, {number} conversations")), "{screen}");
    }
    assert_eq!(purges(&test).await, 2);
    test.end().await;
}

#[tokio::test]
async fn who_says_yes_beforehand_or_only_asks_what_would_go_is_not_asked() {
    let test = TestService::start().await;
    let shell = Shell::of(&test);
    let ids = test.ids_of(Kind::Eligible);
    shell.file("ids.csv", &csv(&ids[..3]));
    shell.file("dry.json", &json!({ "conversationIds": ids[..3], "dryRun": true }).to_string());
    for (line, told) in [
        ("submit ids.csv --dry-run", "dry run, nothing is deleted: accepted, 3 conversations"),
        ("submit dry.json", "dry run, nothing is deleted: accepted, 3 conversations"),
        ("submit ids.csv --yes", "accepted, 3 conversations"),
    ] {
        let (code, screen) = at(&shell, &format!("genesys-purge purge {line}"), 80).ended().await;
        assert_eq!(code, Some(0), "{screen}");
        assert!(screen.contains(told) && !screen.contains("Type yes"), "{line}: {screen}");
    }
    test.end().await;
}

#[tokio::test]
async fn ids_that_come_through_a_pipe_are_counted_and_asked_about_all_the_same() {
    let test = TestService::start().await;
    let shell = Shell::of(&test);
    shell.file("ids.csv", &csv(&test.ids_of(Kind::Eligible)[..4]));
    for (answer, expected) in [("no", 1), ("yes", 0)] {
        let mut terminal = at(&shell, "cat ids.csv | genesys-purge purge submit -", 80);
        terminal.until("Delete 4 conversations of org default").await;
        terminal.until("Type yes to go on: ").await;
        terminal.enter(answer);
        let (code, screen) = terminal.ended().await;
        assert_eq!(code, Some(expected), "{screen}");
    }
    assert_eq!(purges(&test).await, 1);
    let mut terminal = at(&shell, "bash -c 'genesys-purge purge submit <(cat ids.csv) --format csv'", 80);
    terminal.until("Delete 4 conversations of org default").await;
    terminal.enter("yes");
    assert_eq!(terminal.ended().await.0, Some(0), "what can be read once is sent all the same");
    assert_eq!(purges(&test).await, 2);
    shell.file("bad.csv", "not an id\n");
    let (code, screen) = at(&shell, "cat bad.csv | genesys-purge purge submit -", 80).ended().await;
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains("standard input: "), "{screen}");
    test.end().await;
}

#[tokio::test]
async fn taking_up_what_failed_releasing_a_hold_and_deleting_a_receiver_ask_first() {
    let setup = Setup::new()
        .sandbox(|settings| settings.failed_share = 1.0)
        .env("PURGE__ENGINE__VERIFY_TIMEOUT", "200ms")
        .env("PURGE__ENGINE__MAX_ATTEMPTS", "1");
    let test = setup.start().await;
    let shell = Shell::of(&test);
    let ids = test.ids_of(Kind::Eligible);
    let purge = test.purge(&ids[..2]).await;
    assert_eq!(test.finished(purge).await["state"], "failed");
    let hold = json!({ "matter": "Smith v. Jones", "conversationIds": ids[2..5] });
    let hold = test.post("/holds", &hold).await.1["id"].as_str().unwrap().to_owned();
    let endpoint = json!({ "url": "https://receiver.example/hooks" });
    let endpoint = test.post("/webhook-endpoints", &endpoint).await.1["id"].as_str().unwrap().to_owned();
    let table = [
        (format!("purge retry {purge}"), "Delete the 2 conversations of org default"),
        (format!("holds release {hold}"), "Release the hold \"Smith v. Jones\"?"),
        (format!("webhooks endpoints delete {endpoint}"), "https://receiver.example/hooks?"),
    ];
    for (answer, expected) in [("n", 1), ("y", 0)] {
        for (line, question) in &table {
            let mut terminal = at(&shell, &format!("genesys-purge {line}"), 80);
            terminal.until(question).await;
            terminal.until("Type yes to go on: ").await;
            terminal.enter(answer);
            let (code, screen) = terminal.ended().await;
            assert_eq!(code, Some(expected), "{screen}");
        }
        let standing = [
            test.get(&format!("/purges/{purge}")).await["run"] == 2,
            test.get(&format!("/holds/{hold}")).await["active"] == false,
            test.get("/webhook-endpoints").await["items"] == json!([]),
        ];
        assert_eq!(standing, [expected == 0; 3], "after {answer}");
    }
    test.finished(purge).await;
}

#[tokio::test]
async fn what_is_shown_fits_the_terminal_and_is_a_table_where_there_is_room() {
    let test = TestService::start().await;
    let shell = Shell::of(&test);
    let ids = test.ids_of(Kind::Eligible);
    let order = json!({
        "conversationIds": ids[..2], "reference": "R-2026-11", "reason": "the retention period of these has expired",
    });
    let purge = test.post("/purges", &order).await.1["id"].as_str().unwrap().to_owned();
    test.finished(purge.parse().unwrap()).await;
    let hold = json!({ "matter": "Smith v. Jones", "conversationIds": ids[..1] });
    let hold = test.post("/holds", &hold).await.1["id"].as_str().unwrap().to_owned();
    let database = format!("DATABASE_URL='{}' ", test.database.url());
    for (line, wide) in [
        ("purge list".to_owned(), "ID                                    CREATED"),
        (format!("purge show {purge}"), "reason     the retention period of these has expired"),
        (format!("conversation {}", ids[0]), "outcome   purged"),
        ("holds list".to_owned(), "ID                                    CREATED"),
        (format!("holds show {hold}"), "matter         Smith v. Jones"),
        ("org list".to_owned(), "ORG      STATE  PURGES  JOBS  WAITING  CALLS/MIN"),
        ("org show default".to_owned(), "state   ok"),
        ("webhooks list".to_owned(), "ID                                    CREATED"),
        (format!("{database}keys list"), "IN FORCE"),
    ] {
        let line = match line.strip_prefix(&database) {
            Some(rest) => format!("{database}genesys-purge {rest}"),
            None => format!("genesys-purge {line}"),
        };
        for columns in [40, 46, 160] {
            let (code, screen) = at(&shell, &line, columns).ended().await;
            assert_eq!(code, Some(0), "{line}: {screen}");
            let longest = screen.lines().map(|line| line.chars().count()).max().unwrap_or_default();
            assert!(longest <= usize::from(columns), "{line} at {columns}: {longest}\n{screen}");
            assert!(screen.contains(&test.key[..8]) == line.contains("keys"), "{screen}");
            let shown = screen.to_lowercase();
            assert!(columns < 160 || shown.contains(&wide.to_lowercase()), "{line}: {screen}");
        }
    }
    let _: Value = test.get("/health/ready").await;
    test.end().await;
}
