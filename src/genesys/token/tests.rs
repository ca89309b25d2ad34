//! When a token is renewed, and what a failed renewal leaves.

use super::*;

#[test]
fn a_token_is_renewed_a_margin_before_its_end_but_never_before_half_its_life() {
    let cases = [(86_400, 86_100), (900, 600), (600, 300), (300, 150), (10, 5), (1, 0)];
    for (life, expected) in cases {
        assert_eq!(renew_after(Duration::from_secs(life)).as_secs(), expected, "{life}");
    }
}

fn token(asked_at: Instant, life: u64, replaced_refused: bool) -> Token {
    let grant = Grant {
        secrets: Secrets::default(),
        authorization: HeaderValue::from_static("Bearer t"),
        life: Duration::from_secs(life),
        scopes: vec![],
    };
    Token::new(grant, asked_at, replaced_refused)
}

fn busy(wait: Option<u64>) -> LoginFailure {
    let failure = Failure::NotSent(Detail::new("token", "busy").into());
    LoginFailure { failure, wait: wait.map(Duration::from_secs) }
}

const WALL_TIME: Timestamp = Timestamp::UNIX_EPOCH;

#[test]
fn a_token_whose_renewal_failed_is_used_on_until_it_expires() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut in_hand = InHand { token: Some(Arc::new(token(start, 900, false))), ..InHand::default() };
    in_hand.not_renewed(busy(Some(60)), at(601), WALL_TIME);
    // (age, is used on, is renewed)
    for (age, is_used, is_renewed) in
        [(601, true, false), (660, true, false), (661, true, true), (899, true, true), (900, false, true)]
    {
        let found = (matches!(in_hand.next(at(age)), Next::Use(_)), in_hand.wants_renewal(at(age)));
        assert_eq!(found, (is_used, is_renewed), "{age}");
    }
}

#[test]
fn a_login_that_fails_is_asked_again_after_a_wait_that_doubles() {
    let start = Instant::now();
    let mut in_hand = InHand::default();
    assert!(in_hand.wants_renewal(start));
    let mut now = start;
    for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
        in_hand.is_renewing = true;
        assert!(!in_hand.wants_renewal(now) && matches!(in_hand.next(now), Next::Wait));
        in_hand.not_renewed(busy(None), now, WALL_TIME);
        let Next::Fail(NotReady { again_in, .. }) = in_hand.next(now) else {
            panic!("the failure is shared")
        };
        assert_eq!(again_in.as_secs(), expected);
        let soon = now + again_in - Duration::from_millis(1);
        assert!(!in_hand.wants_renewal(soon) && matches!(in_hand.next(soon), Next::Fail(_)));
        now += again_in;
        assert!(in_hand.wants_renewal(now));
    }
    in_hand.not_renewed(busy(Some(300)), now, WALL_TIME);
    assert!(!in_hand.wants_renewal(now + Duration::from_secs(299)), "the login said when");

    let grant = Grant {
        secrets: Secrets::default(),
        authorization: HeaderValue::from_static("Bearer t"),
        life: Duration::from_mins(15),
        scopes: vec![],
    };
    in_hand.renewed(grant, now);
    assert!(in_hand.failed.is_none() && !in_hand.is_renewing);
    in_hand.token = None;
    in_hand.not_renewed(busy(None), now, WALL_TIME);
    assert!(in_hand.wants_renewal(now + Duration::from_secs(1)), "a success ends the row");
}

#[test]
fn a_replacement_is_judged_for_each_call_alone() {
    let first = token(Instant::now(), 900, false);
    assert!(!first.is_pointless_to_renew(Call::Submit));
    let replacement = token(Instant::now(), 900, true);
    assert!(replacement.is_pointless_to_renew(Call::Submit));
    replacement.was_accepted(Call::Poll);
    assert!(!replacement.is_pointless_to_renew(Call::Poll));
    assert!(replacement.is_pointless_to_renew(Call::Submit));
}
