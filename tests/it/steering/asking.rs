//! Whose turn it is for validation: a queue of its own, in which no purge waits behind millions of ids.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use genesys_purge::domain::facts::Presence;
use genesys_purge::store::orgs::block::Block;
use genesys_purge::store::orgs::hurdle::Hurdle;
use genesys_purge::store::orgs::limiter::Call;
use genesys_purge::store::slices::claim::{Claim, Question, Reach};
use uuid::Uuid;

use super::sweeping::{counts, ids, lane};
use crate::support::books::assert_books;

/// How many ids of each purge a question is about.
fn of_each(question: &Question) -> BTreeMap<Uuid, usize> {
    let mut asked = BTreeMap::new();
    for slice in &question.slices {
        *asked.entry(slice.slice.purge).or_default() += slice.conversations.len();
    }
    asked
}

#[tokio::test]
async fn ten_ids_are_not_asked_about_behind_forty_thousand_that_are_kept() {
    let (test, lane) = lane().await;
    let large = lane.accepted(&ids(0..40_000)).await;
    let first = lane.question(Reach::ForSlots).await;
    assert_eq!(of_each(&first), BTreeMap::from([(large, 500)]), "who is alone fills the call");
    let (small, middle) =
        (lane.accepted(&ids(50_000..50_010)).await, lane.accepted(&ids(60_000..60_600)).await);
    lane.answer_as(&first, Presence::Held).await;

    let next = lane.question(Reach::ForSlots).await;
    let asked = of_each(&next);
    assert_eq!(asked[&small], 10, "{asked:?}");
    assert!(asked[&middle] >= 166 && asked[&large] >= 166, "{asked:?}");
    assert_eq!(next.ids().len(), 499, "the call is full: one that was held is asked about along with it");
    lane.answer_as(&next, Presence::Held).await;
    for _ in 0..3 {
        let question = lane.question(Reach::ForSlots).await;
        assert_eq!(question.ids().len(), 499);
        lane.answer_as(&question, Presence::Held).await;
    }
    for purge in [small, middle] {
        assert_eq!(counts(&test, purge).await["pending"], 0);
        assert_eq!(test.get(&format!("/purges/{purge}")).await["state"], "completed");
    }
}

#[tokio::test]
async fn purges_of_three_ids_share_full_calls() {
    let (_test, lane) = lane().await;
    for number in 0..300 {
        lane.accepted(&ids(3 * number..3 * number + 3)).await;
    }
    let mut sizes = Vec::new();
    while let Claim::Claimed(question, _) =
        lane.engine.claim_slices(&lane.org, Reach::FirstAndDryRuns, lane.terms.lease, false).await.unwrap()
    {
        sizes.push(question.ids().len());
    }
    assert_eq!(sizes[0], 500);
    assert!(sizes.len() <= 3, "900 ids in {sizes:?}");
}

#[tokio::test]
async fn a_slice_is_asked_about_in_part_and_the_rest_is_due_at_once() {
    let (test, lane) = lane().await;
    let purges = [lane.accepted(&ids(0..500)).await, lane.accepted(&ids(500..1000)).await];
    let mut asked = BTreeSet::new();
    // Once something is known that stays, it has its place in the call.
    for shares in [[250, 250], [250, 249], [0, 1]] {
        let question = lane.question(Reach::ForSlots).await;
        let mut expected: BTreeMap<_, _> = purges.into_iter().zip(shares).collect();
        expected.retain(|_, share| *share > 0);
        assert_eq!(of_each(&question), expected);
        let asked_now = test.number("select sum(asked) from slices").await;
        assert_eq!(usize::try_from(asked_now).unwrap(), shares.iter().sum::<usize>());
        asked.extend(question.ids());
        lane.answer_as(&question, Presence::Held).await;
    }
    assert_eq!(asked.len(), 1000, "nothing is asked twice");
    assert_books(&test).await;
}

#[tokio::test]
async fn what_a_dead_worker_was_asking_stands_in_line_again() {
    let (test, lane) = lane().await;
    let purge = lane.accepted(&ids(0..3)).await;
    lane.question(Reach::ForSlots).await;
    let claim = lane.engine.claim_slices(&lane.org, Reach::ForSlots, Duration::ZERO, false).await;
    assert!(matches!(claim.unwrap(), Claim::Nothing), "all of it is being asked");
    test.sql("update slices set lease_until = now() - interval '1 minute'").await;
    assert_eq!(lane.engine.expire_slices(&lane.org.name).await.unwrap(), 1);
    let question = lane.question(Reach::ForSlots).await;
    lane.answer_as(&question, Presence::Held).await;
    assert_eq!(counts(&test, purge).await["on_hold"], 3);
    assert_books(&test).await;
}

#[tokio::test]
async fn an_id_stands_in_a_question_once_and_its_answer_is_everybodys() {
    let (test, lane) = lane().await;
    let mut purges = Vec::new();
    for _ in 0..100 {
        purges.push(lane.accepted(&ids(7..8)).await);
    }
    purges.push(lane.accepted(&ids(0..600)).await);
    let question = lane.question(Reach::FirstAndDryRuns).await;
    let asked = question.ids();
    assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), asked.len(), "an id is asked about twice");
    assert_eq!(asked.len(), 500, "what many purges brought takes room once");
    assert_eq!(question.slices.iter().filter(|slice| slice.conversations.len() == 1).count(), 100);
    lane.answer_as(&question, Presence::Held).await;
    for purge in &purges[..100] {
        assert_eq!(counts(&test, *purge).await["on_hold"], 1);
    }
    lane.answer_all(Reach::ForSlots, Presence::Held).await;
    assert_books(&test).await;
}

#[tokio::test]
async fn a_block_is_heeded_by_who_looked_before_it_was_put() {
    let (test, lane) = lane().await;
    lane.accepted(&ids(0..3)).await;
    let block = async |refused: Call| {
        let hurdle = Hurdle::Call(refused);
        let block = Block { hurdle, code: "forbidden".to_owned(), detail: String::new() };
        lane.engine.block_org(&lane.org.name, &block).await.unwrap();
    };
    let claims = async || {
        let reach = Reach::FirstAndDryRuns;
        let claim = lane.engine.claim_slices(&lane.org, reach, lane.terms.lease, false).await;
        matches!(claim.unwrap(), Claim::Claimed(..))
    };
    block(Call::Details).await;
    assert!(!claims().await);
    block(Call::Submit).await;
    // What the first claim had locked may be let go a moment after it said no.
    test.wait_until("it is asked", claims).await;
}
