//! Sight: did the answer show the control? If not, the ids that it leaves out count as unanswered.

use uuid::Uuid;

use super::OrgEngine;
use crate::domain::facts::Presence;
use crate::domain::pieces::Piece;
use crate::domain::sight::{Control, Shown, choose, is_blind};
use crate::genesys::Told;
use crate::store::StoreError;
use crate::store::orgs::hurdle::Hurdle;

/// The controls of one question.
pub(super) struct Controls<'a> {
    known: &'a [Control],
    /// An answer to this question lacked them.
    lacking: Vec<Uuid>,
    /// Upstream refused a call with one: it is spared the rest of the question.
    is_refused: bool,
}

/// The control of one call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Check {
    /// It asks about this one, too.
    Control(Control),
    /// None is known.
    Nothing,
    /// The call has no room for one.
    NoRoom,
    /// There is one, and upstream may refuse to be asked about it.
    Refused,
}

/// What an answer proves about the ids that it leaves out.
#[derive(Debug)]
pub(super) enum Proof {
    Whole,
    /// Nothing; and whether another control is left to ask with.
    Nothing {
        why: String,
        can_ask_otherwise: bool,
    },
}

impl<'a> Controls<'a> {
    /// How many ids a call may have to leave room for a control.
    pub(super) fn room(known: &[Control], details_batch: usize) -> usize {
        details_batch.saturating_sub(usize::from(!known.is_empty())).max(1)
    }

    pub(super) fn new(known: &'a [Control]) -> Self {
        Self { known, lacking: Vec::new(), is_refused: false }
    }

    /// Those that no answer of this query lacked; if none is left, all.
    fn usable(&self) -> Vec<Control> {
        let mut usable = self.known.to_vec();
        usable.retain(|control| !self.lacking.contains(&control.id));
        if usable.is_empty() { self.known.to_vec() } else { usable }
    }

    /// The control for these ids; a call has no more than `largest`.
    pub(super) fn check(&self, ids: &[Uuid], largest: usize) -> Check {
        if self.is_refused {
            return Check::Refused;
        }
        match choose(&self.usable(), ids, ids.len() < largest) {
            Some(control) => Check::Control(control),
            None if self.known.is_empty() => Check::Nothing,
            None => Check::NoRoom,
        }
    }

    /// One that was not missing before is left to be tried.
    fn has_another(&self) -> bool {
        self.known.iter().any(|control| control.missed == 0 && !self.lacking.contains(&control.id))
    }

    /// Some were missing before: that one is seen ends that.
    fn are_some_missing(&self) -> bool {
        !self.lacking.is_empty() || self.known.iter().any(|control| control.missed > 0)
    }
}

impl Check {
    /// The ids of the call, including the control.
    pub(super) fn named(self, ids: &[Uuid]) -> Vec<Uuid> {
        let mut named = ids.to_vec();
        if let Self::Control(control) = self {
            named.extend((!ids.contains(&control.id)).then_some(control.id));
        }
        named
    }
}

impl OrgEngine {
    /// Reads what an answer proves, takes from it what was not asked for, and notes how the control stands.
    pub(super) async fn proof(
        &self,
        controls: &mut Controls<'_>,
        check: Check,
        piece: &Piece<Uuid>,
        told: &mut Told,
    ) -> Result<Proof, StoreError> {
        let control = match check {
            // It says itself that it proves nothing: what it lacks says nothing either.
            _ if told.incomplete.is_some() => {
                told.facts.retain(|id, _| piece.ids.contains(id));
                return Ok(Proof::Whole);
            }
            Check::Nothing => {
                self.overcome(Hurdle::Sight).await?;
                return Ok(Proof::Whole);
            }
            Check::NoRoom => return Ok(Proof::Whole),
            Check::Refused => {
                let why = "Genesys refused the conversations that the answer is checked by".to_owned();
                return Ok(Proof::Nothing { why, can_ask_otherwise: false });
            }
            Check::Control(control) => control,
        };
        let shown = shown(control.id, told);
        if !piece.ids.contains(&control.id) {
            told.facts.remove(&control.id);
        }
        let has_news = shown != Shown::Present || controls.are_some_missing();
        let known = if has_news { self.note_control(control.id, shown).await? } else { Vec::new() };
        if shown.is_proof() {
            self.overcome(Hurdle::Sight).await?;
            return Ok(Proof::Whole);
        }
        controls.lacking.push(control.id);
        let why = format!("the answer lacks {}, which exists", control.id);
        if is_blind(shown, &known) {
            self.block(Hurdle::Sight, "blind", blindness(&self.terms.name, &known)).await?;
        }
        Ok(Proof::Nothing { why, can_ask_otherwise: controls.has_another() })
    }

    /// A call that asked about a control, too, was refused as wrong; it may be for that. The rest is asked without.
    pub(super) async fn spare(
        &self,
        controls: &mut Controls<'_>,
        control: Control,
    ) -> Result<(), StoreError> {
        controls.is_refused = true;
        self.note_control(control.id, Shown::Refused).await.map(drop)
    }

    async fn note_control(&self, control: Uuid, shown: Shown) -> Result<Vec<Control>, StoreError> {
        self.store.note_control(&self.terms.name, control, shown, self.engine.absence_gap).await
    }
}

fn shown(control: Uuid, told: &Told) -> Shown {
    match told.facts.get(&control).map(|facts| facts.presence) {
        Some(Presence::Present | Presence::Held) => Shown::Present,
        Some(Presence::Gone) => Shown::Gone,
        None => Shown::Missing {
            // What upstream calls deleted it shows as well.
            are_others_shown: !told.facts.is_empty(),
        },
    }
}

/// For the operator.
fn blindness(org: &str, controls: &[Control]) -> String {
    let ids: Vec<String> = controls.iter().map(|control| control.id.to_string()).collect();
    format!(
        "answers lack conversations that are known to exist ({}), and show no other: what they leave out proves nothing. \
         Check the divisions and roles of the OAuth client; the org goes on when a conversation is seen. If somebody else \
         deleted these, resume the org (POST /orgs/{org}/resume)",
        ids.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::domain::facts::{End, Facts};

    fn control(id: u128, missed: u32) -> Control {
        Control { id: Uuid::from_u128(id), missed, is_missed_alone: false }
    }

    #[test]
    fn one_that_an_answer_lacked_is_not_asked_with_again_while_another_is_left() {
        let known = [control(1, 0), control(2, 0)];
        let mut controls = Controls::new(&known);
        let mut chosen = Vec::new();
        for _ in 0..3 {
            let Check::Control(control) = controls.check(&[], 500) else { panic!("one is known") };
            chosen.push((control.id.as_u128(), controls.has_another()));
            controls.lacking.push(control.id);
        }
        assert_eq!(chosen, [(1, true), (2, true), (1, false)]);
        // One that was missing before is no reason to ask at once again.
        assert!(!Controls::new(&[control(1, 1)]).has_another());
    }

    #[test]
    fn what_an_answer_shows_is_seen_whatever_it_says_of_it() {
        let answer = |shown: &[(u128, Presence)]| Told {
            facts: shown
                .iter()
                .map(|&(id, presence)| (Uuid::from_u128(id), Facts { presence, end: End::NotYet }))
                .collect::<HashMap<_, _>>(),
            incomplete: None,
        };
        let missing = |are_others_shown| Shown::Missing { are_others_shown };
        let table = [
            (answer(&[(1, Presence::Present)]), Shown::Present),
            (answer(&[(1, Presence::Held)]), Shown::Present),
            (answer(&[(1, Presence::Gone), (2, Presence::Present)]), Shown::Gone),
            (answer(&[]), missing(false)),
            (answer(&[(2, Presence::Gone)]), missing(true)),
            (answer(&[(2, Presence::Held)]), missing(true)),
        ];
        for (told, expected) in table {
            assert_eq!(shown(Uuid::from_u128(1), &told), expected, "{told:?}");
        }
    }
}
