//! `purge watch`: until the purge is final, whatever the service goes through meanwhile.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use super::display::Purge;
use super::progress::Progress;
use super::word::Word;
use crate::cli::caller::{Service, Trouble, width_of_notes};
use crate::cli::output;
use crate::cli::signals::Signals;

/// Where nothing is told, the next question follows so much later.
const INTERVAL: Duration = Duration::from_secs(1);
/// Tries to reach a service that is away are never further apart.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// What a shell expects of a command that Ctrl-C ended.
pub(super) const INTERRUPTED: u8 = 130;

/// How a purge is watched.
pub(super) struct Watch<'a> {
    pub(super) service: &'a Service,
    pub(super) give_up_after: Duration,
    pub(super) prints_json: bool,
    /// Of the jitter: many watchers of one service must not come back together.
    pub(super) seed: u64,
}

impl Watch<'_> {
    /// Watches until it is final; the exit code tells how it ended. The signals are those of the whole command, so that
    /// one that came before this is not lost.
    pub(super) async fn until_final(&self, id: Uuid, signals: &mut Signals) -> Result<ExitCode, Trouble> {
        let mut progress = Progress::new();
        let seen = tokio::select! {
            seen = self.look(id, &mut progress) => Some(seen),
            () = signals.told_to_stop() => None,
        };
        progress.clear();
        let Some(seen) = seen else {
            let again = self.service.watch_command(id);
            output::note(format_args!("interrupted; the purge goes on. Watch it again: {again}"));
            return Ok(ExitCode::from(INTERRUPTED));
        };
        let (answer, purge) = seen?;
        for line in purge.summary(self.service.options(), width_of_notes()) {
            output::note(line);
        }
        if self.prints_json {
            output::line(&answer)?;
        }
        Ok(ExitCode::from(match purge.state.as_str() {
            "completed" => 0,
            "failed" => 3,
            _ => 4,
        }))
    }

    async fn look(&self, id: Uuid, progress: &mut Progress) -> Result<(Value, Purge), Trouble> {
        let (mut away, mut word): (Option<Away>, _) = (None, Word::none());
        loop {
            let asked = Instant::now();
            match self.service.purge(id).await {
                Ok(answer) => {
                    if away.take().is_some_and(|away| away.is_told) {
                        progress.note("the service is back");
                    }
                    let purge = Purge::read(&answer)?;
                    progress.show(&purge);
                    if purge.is_final() {
                        return Ok((answer, purge));
                    }
                    word.awaited(self.service, id, asked, INTERVAL).await;
                }
                Err(trouble) if trouble.may_pass() => {
                    let away = away.get_or_insert_with(|| Away::since(asked));
                    away.pause(self, trouble, progress).await?;
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }
}

/// A service that is not there, or is busy.
struct Away {
    since: Instant,
    tries: u32,
    is_told: bool,
}

impl Away {
    fn since(since: Instant) -> Self {
        Self { since, tries: 0, is_told: false }
    }

    /// Waits before the next try, unless it has been away for too long.
    async fn pause(
        &mut self,
        watch: &Watch<'_>,
        trouble: Trouble,
        progress: &Progress,
    ) -> Result<(), Trouble> {
        let left = (self.since + watch.give_up_after).saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(trouble);
        }
        // One that only asks for patience is there.
        let asks_for_patience = matches!(&trouble, Trouble::NotNow(refusal, _) if refusal.status == 429);
        if !self.is_told && !asks_for_patience {
            self.is_told = true;
            for line in trouble.lines() {
                progress.note(&line);
            }
            progress.note("trying on; the purge goes on without this command");
        }
        let pause = trouble.wait().unwrap_or_else(|| pause(self.tries, watch.seed));
        self.tries += 1;
        tokio::time::sleep(pause.min(left)).await;
        Ok(())
    }
}

/// 1 s, 2 s, 4 s, ... 10 s, spread over the upper half.
pub(super) fn pause(tries: u32, seed: u64) -> Duration {
    let full = Duration::from_secs(1).saturating_mul(1 << tries.min(10)).min(LONGEST_PAUSE);
    let share = u32::try_from(seed.rotate_left(tries.wrapping_mul(7)) % 1000).unwrap_or_default();
    full / 2 + full * share / 2000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_come_apart_up_to_ten_seconds_and_are_never_at_once() {
        for (tries, longest) in [(0, 1), (1, 2), (3, 8), (4, 10), (40, 10), (u32::MAX / 8, 10)] {
            for seed in [0, 1, 999, u64::MAX] {
                let pause = pause(tries, seed);
                let longest = Duration::from_secs(longest);
                assert!(pause >= longest / 2 && pause <= longest, "{tries} {seed}: {pause:?}");
            }
        }
    }
}
