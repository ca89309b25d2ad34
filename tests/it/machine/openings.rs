//! How a walk begins: chance alone seldom leads into these corners, and goes on from there.

use proptest::prelude::*;

use super::steps::{Pass, Polled, Reply, Step, Told};

/// The purge of all ids that most openings are about.
const EVERYTHING: Step = Step::Accept { ids: u8::MAX, is_dry_run: false };

pub fn opening() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![
        2 => Just(Vec::new()),
        1 => any::<u8>().prop_map(left_out),
        1 => any::<u8>().prop_map(died),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(deletes, id)| given_up(deletes, id)),
    ]
}

/// The first answer leaves out what is there.
fn left_out(ids: u8) -> Vec<Step> {
    vec![EVERYTHING, Step::Ask { is_first: true }, Step::Answer { question: 0, told: Told::Hiding(ids) }]
}

/// Who called is dead, and the lease of the submit ends, while upstream may be at work for as long again.
fn died(deletes: u8) -> Vec<Step> {
    let reply = Reply::Died { is_made: true, deletes };
    let mut steps = submitted(reply);
    steps.extend([Step::Pass(Pass::Lease), Step::Expire]);
    steps.push(Step::Turn { reply, polled: Polled::Working });
    steps
}

/// Upstream runs the job for so long that what is there has failed, and deletes some of it after that.
fn given_up(deletes: u8, id: u8) -> Vec<Step> {
    let reply = Reply::Yes { deletes };
    let waits = || Step::Turn { reply, polled: Polled::Working };
    let mut steps = submitted(reply);
    steps.extend([Step::Pass(Pass::Deadline), waits(), waits()]);
    steps.push(Step::Delete { job: 0, id });
    steps
}

/// A job of some of the ids is submitted, and answered so.
fn submitted(reply: Reply) -> Vec<Step> {
    let turn = Step::Turn { reply, polled: Polled::Working };
    vec![EVERYTHING, turn.clone(), turn]
}
