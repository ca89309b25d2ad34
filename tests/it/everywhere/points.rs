//! Where it dies: on both sides of every transaction of engine, intake and steering, of every call and every delivery. A
//! new transaction without its points fails here.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

/// One side of one effect.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    pub effect: &'static str,
    pub side: &'static str,
}

impl Point {
    pub fn name(self) -> String {
        format!("{}:{}", self.effect, self.side)
    }

    /// What upstream does once, so that this is reached.
    pub fn fault(self) -> Option<Value> {
        let submit = |fault: Value| Some(json!({ "call": "submit", "times": 1, "fault": fault }));
        match self.effect {
            "record_lost" => submit(json!({ "reset": "after" })),
            "record_refused" | "close_limiter" | "note_success" => {
                submit(json!({ "status": 429, "retryAfter": "1" }))
            }
            "block_org" => Some(json!({ "call": "details", "times": 1, "fault": { "status": 403 } })),
            _ => None,
        }
    }
}

const EFFECTS: &[&str] = &[
    "accept_purge",
    "load_hold",
    "activate_hold",
    "release_hold",
    "steer_purge",
    "stop_org",
    "resume_org",
    "check_ground",
    "note_token",
    "claim_slices",
    "record_answers",
    "pack",
    "intend",
    "record_accepted",
    "record_refused",
    "record_lost",
    "close_limiter",
    "note_success",
    "block_org",
    "claim_poll",
    "record_poll",
    "claim_look",
    "record_look",
    "wake",
    "sweep_canceled",
    "claim_deliveries",
    "record_attempts",
    "token",
    "facts",
    "submit",
    "poll",
    "stamp_events",
    "deliver",
];

/// Transactions without points, and why.
const WITHOUT: &[(&str, &[&str])] = &[
    (
        "they only read",
        &[
            "caller_of_key",
            "check_ready",
            "check_session",
            "conversation",
            "conversations",
            "count_conflicts",
            "dead_deliveries",
            "delivery",
            "endpoint",
            "endpoints",
            "events_of",
            "feed",
            "feed_before",
            "feed_end",
            "find_caller",
            "find_repeat",
            "has_secret",
            "has_synchronous_standbys",
            "has_unstamped_events",
            "held_conversations",
            "hold",
            "holds",
            "holds_on",
            "hours_of_jobs",
            "hours_of_purges",
            "is_key_in_force",
            "is_known_repeat",
            "job",
            "jobs_of",
            "jobs_underway",
            "list_deliveries",
            "known_orgs",
            "list_keys",
            "list_purges",
            "look_at_ground",
            "look_at_purges",
            "may_not_ask",
            "missed_events",
            "missing_of",
            "oldest_open_purge",
            "open_purges_of",
            "ordinal_of",
            "org_conditions",
            "org_of_purge",
            "orgs",
            "protecting",
            "purge",
            "purges_to_sweep",
            "readings",
            "scan_conversations",
            "server_condition",
            "slices_to_read_again",
            "slices_to_wake",
            "some_purges_of_jobs",
            "survey",
            "too_late_for",
            "traceparents",
            "waiting_deliveries",
        ],
    ),
    (
        "of a start or a command: it is done again by the next",
        &[
            "create_key",
            "create_named_key",
            "enroll_org",
            "keep_secret",
            "know_org",
            "revoke_key",
            "rotate_secret",
            "try_at_once",
        ],
    ),
    (
        "one statement that nothing else hangs on: it is done again when it is due",
        &[
            "bring_back_times",
            "expire_slices",
            "expire_submits",
            "forget_repeats",
            "forget_worker",
            "note_worker",
            "give_back_deliveries",
            "give_back_job",
            "give_back_slices",
            "held_before",
            "unload_hold",
            "note_login_trouble",
            "note_answered",
            "note_control",
            "note_unanswered",
            "pause_purge",
            "postpone_job",
            "unblock_org",
            "write_key_uses",
        ],
    ),
    ("whoever asked looks whether it was done", &["change_endpoint", "create_endpoint"]),
    ("what is asked once more has the same sent once more", &["redeliver", "redeliver_dead"]),
    (
        "of what panicked, which poison.rs makes",
        &["park", "set_job_back", "set_slices_back", "slices_to_draw"],
    ),
    ("of slices that can't be read, which parked.rs makes", &["read_again", "set_aside"]),
    ("its sides are those of steer_purge and of the first sweep", &["sweep_retried"]),
    ("a permit that is lost is a call less", &["take_permit"]),
];

pub const POINTS: &[Point; 2 * EFFECTS.len()] = &{
    let mut points = [Point { effect: "", side: "before" }; 2 * EFFECTS.len()];
    let mut number = 0;
    while number < points.len() {
        let side = if number % 2 == (number / 2) % 2 { "before" } else { "after" };
        points[number] = Point { effect: EFFECTS[number / 2], side };
        number += 1;
    }
    points
};

/// How a transaction begins.
const BEGINS: &[&str] =
    &[".begin(", ".single(", ".begin_request(", ".single_request(", ".begin_protecting(", ".begin_look("];

/// The names of all transactions.
fn transactions() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/store"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            for rest in BEGINS.iter().flat_map(|begin| text.split(begin).skip(1)) {
                let name = rest.trim_start().strip_prefix('"').and_then(|name| name.split_once('"'));
                found.extend(name.map(|(name, _)| name.to_owned()));
            }
        }
    }
    found
}

#[test]
fn every_transaction_has_its_points_or_a_reason() {
    let known: Vec<&str> =
        EFFECTS.iter().chain(WITHOUT.iter().flat_map(|(_, names)| *names)).copied().collect();
    let transactions = transactions();
    let unknown: Vec<_> = transactions.iter().filter(|name| !known.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "without points: {unknown:?}");
    let calls = ["token", "facts", "submit", "poll", "deliver"];
    let gone: Vec<_> =
        known.iter().filter(|name| !transactions.contains(**name) && !calls.contains(*name)).collect();
    assert!(gone.is_empty(), "no transaction any more: {gone:?}");
}
