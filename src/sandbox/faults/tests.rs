//! Faults match the calls that they name, as often as they say.

use rand::SeedableRng;
use serde_json::{Value, json};

use super::*;

fn add(faults: &mut Faults, json: Value) -> Result<u64, String> {
    let rule: FaultRule = serde_json::from_value(json).map_err(|error| error.to_string())?;
    faults.add(rule).map_err(|error| error.to_string())
}

fn struck(rule: Value, calls: usize) -> Vec<usize> {
    let (mut faults, mut chance) = (Faults::default(), StdRng::seed_from_u64(1));
    add(&mut faults, rule).unwrap();
    (1..=calls).filter(|_| faults.strike(Call::Submit, &mut chance).is_some()).collect()
}

#[test]
fn counting_rules_strike_exactly_the_calls_that_they_name() {
    let status = json!({"status": 503});
    for (rule, expected) in [
        (json!({"call": "submit", "fault": status}), vec![1, 2, 3, 4, 5, 6, 7]),
        (json!({"call": "submit", "times": 2, "fault": status}), vec![1, 2]),
        (json!({"call": "submit", "after": 3, "times": 2, "fault": status}), vec![4, 5]),
        (json!({"call": "submit", "every": 3, "fault": status}), vec![3, 6]),
        (json!({"call": "submit", "after": 1, "every": 3, "times": 1, "fault": status}), vec![4]),
        (json!({"call": "submit", "share": 0.0, "fault": status}), vec![]),
        (json!({"call": "poll", "fault": status}), vec![]),
    ] {
        assert_eq!(struck(rule.clone(), 7), expected, "{rule}");
    }
    let some = struck(json!({"call": "submit", "share": 0.1, "fault": status}), 1000).len();
    assert!((60..140).contains(&some), "{some} of 1000 at a share of 0.1");
}

#[test]
fn the_oldest_rule_that_fits_strikes_and_the_next_takes_over() {
    let (mut faults, mut chance) = (Faults::default(), StdRng::seed_from_u64(1));
    let first = add(&mut faults, json!({"call": "poll", "times": 1, "fault": {"hang": true}})).unwrap();
    add(&mut faults, json!({"call": "poll", "fault": {"reset": "after"}})).unwrap();
    let mut next = || faults.strike(Call::Poll, &mut chance).map(|strike| (strike.effect, strike.when));
    assert_eq!(next(), Some((Effect::Hang, When::Before)));
    assert_eq!(next(), Some((Effect::Reset, When::After)));
    assert!(faults.remove(first) && !faults.remove(first));
    assert_eq!(faults.list().len(), 1);
    assert_eq!((faults.list()[0].seen, faults.list()[0].struck), (2, 1));
    faults.clear();
    assert!(faults.list().is_empty());
}

#[test]
fn a_retry_after_goes_out_raw_even_twice() {
    let mut faults = Faults::default();
    add(&mut faults, json!({"call": "submit", "fault": {"retryAfter": ["-1", "soon"], "body": "x"}}))
        .unwrap();
    let strike = faults.strike(Call::Submit, &mut StdRng::seed_from_u64(1)).unwrap();
    let Effect::Answer { status, headers, body } = strike.effect else { panic!("{strike:?}") };
    assert_eq!((status.as_u16(), body.as_deref()), (429, Some("x")));
    assert_eq!(headers.get_all("retry-after").iter().collect::<Vec<_>>(), ["-1", "soon"]);
}

#[test]
fn rules_that_make_no_sense_are_refused() {
    for (fault, rest, why) in [
        (json!({}), json!({}), "says nothing"),
        (json!({"status": 503, "reset": "after"}), json!({}), "only one"),
        (json!({"hang": true, "garbage": "html"}), json!({}), "only one"),
        (json!({"body": "x", "delayMs": 1}), json!({}), "need a status"),
        (json!({"status": 42}), json!({}), "not the status"),
        (json!({"status": 503, "headers": {"a b": "c"}}), json!({}), "header name"),
        (json!({"status": 503, "headers": {"a": "\n"}}), json!({}), "value of a header"),
        (json!({"status": 503, "headers": {"Content-Length": "1"}}), json!({}), "belongs to the connection"),
        (json!({"stauts": 503}), json!({}), "unknown field"),
        (json!({"status": 503}), json!({"every": 0}), "every"),
        (json!({"status": 503}), json!({"share": 1.1}), "share"),
        (json!({"status": 503}), json!({"often": 1}), "unknown field"),
        (json!({"reset": "after"}), json!({"when": "before"}), "says itself"),
        (json!({"garbage": "empty"}), json!({"when": "before"}), "real answer"),
    ] {
        let mut rule = json!({"call": "details", "fault": fault});
        rule.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let error = add(&mut Faults::default(), rule.clone()).unwrap_err();
        assert!(error.contains(why), "{rule}: {error}");
    }
}

#[test]
fn a_rule_is_shown_as_it_was_ordered() {
    let mut faults = Faults::default();
    let rule = json!({"call": "token", "after": 0, "times": 3, "when": "after", "fault": {"status": 500, "delayMs": 5}});
    add(&mut faults, rule.clone()).unwrap();
    let mut shown = serde_json::to_value(faults.list()).unwrap()[0].clone();
    for extra in ["id", "seen", "struck"] {
        shown.as_object_mut().unwrap().remove(extra).unwrap();
    }
    assert_eq!(shown, rule);
}
