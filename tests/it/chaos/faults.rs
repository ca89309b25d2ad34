//! A fourth of all calls fails, in every way that the simulated Genesys supports and that does not block the whole org
//! for a minute, as a 403 or a 404 of a submit would.

use std::collections::BTreeMap;

use genesys_purge::sandbox::Sandbox;
use serde_json::{Value, json};

/// The share of calls of each kind that go wrong.
const SHARE: f64 = 0.25;

/// What goes wrong, and how often beside the others of its call.
fn kinds(call: &str) -> Vec<(f64, Value)> {
    let status = |status: u16| json!({ "status": status });
    let garbage = |kind: &str| json!({ "garbage": kind });
    let mut kinds = vec![
        (2.0, status(503)),
        (1.0, status(500)),
        (2.0, json!({ "reset": "before" })),
        (2.0, json!({ "reset": "after" })),
        (1.0, garbage("html")),
        (1.0, garbage("cutJson")),
        (1.0, garbage("cutBody")),
        (1.0, garbage("empty")),
        (1.0, json!({ "status": 504, "delayMs": 300 })),
    ];
    if call != "token" {
        kinds.push((1.0, garbage("wrongShape")));
        // The whole org is silent then, so they are few.
        kinds.push((0.4, json!({ "retryAfter": "1" })));
        kinds.push((0.1, json!({ "retryAfter": "3" })));
    }
    match call {
        "submit" => kinds.extend([(1.0, status(408)), (0.5, status(422))]),
        "details" => kinds.extend([(2.0, garbage("incomplete")), (0.5, status(413))]),
        "poll" => kinds.push((1.0, status(404))),
        _ => {}
    }
    kinds
}

/// Orders them all.
pub fn break_loose(sandbox: &Sandbox) {
    let order = |rule: Value| sandbox.add_fault(serde_json::from_value(rule).unwrap()).unwrap();
    for call in ["details", "submit", "poll"] {
        // One call of each kind that is never answered, though it is worked on.
        order(json!({ "call": call, "after": 20, "times": 1, "when": "after", "fault": { "hang": true } }));
    }
    for call in ["token", "details", "submit", "poll"] {
        let kinds = kinds(call);
        let all: f64 = kinds.iter().map(|(weight, _)| weight).sum();
        // A rule sees only what those before it let pass.
        let mut left = 1.0;
        for (weight, fault) in kinds {
            let wanted = SHARE * weight / all;
            let mut rule = json!({ "call": call, "share": wanted / left, "fault": fault });
            // The worst of a timeout: the work is done, late calls are never worked on late.
            if rule["fault"]["delayMs"].is_number() {
                rule["when"] = json!("after");
            }
            order(rule);
            left -= wanted;
        }
    }
}

/// How often each went wrong, by call and fault.
pub fn struck(sandbox: &Sandbox) -> BTreeMap<String, u32> {
    let mut struck = BTreeMap::new();
    for standing in sandbox.faults() {
        let rule = serde_json::to_value(&standing.rule).unwrap();
        let fault = rule["fault"].to_string().replace(['"', '{', '}'], "");
        *struck.entry(format!("{} {fault}", rule["call"].as_str().unwrap())).or_default() += standing.struck;
    }
    struck.retain(|_, times| *times > 0);
    struck
}
