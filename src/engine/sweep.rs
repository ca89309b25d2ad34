//! Sweep: ends the remaining conversations of canceled purges, and restarts the failed ones of retried purges.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::OrgEngine;
use crate::store::StoreError;

/// How long a purge that could not be swept is skipped.
const PAUSE: Duration = Duration::from_mins(1);

/// Sweeps one org, and remembers purges that could not be swept.
#[derive(Debug, Default)]
pub(super) struct Sweeper {
    /// Purges, and since when.
    unswept: Vec<(Uuid, Instant)>,
}

impl Sweeper {
    /// Sweeps some more; returns whether there was anything to do.
    pub(super) async fn sweep(&mut self, org: &OrgEngine) -> Result<bool, StoreError> {
        let name = &org.terms.name;
        self.unswept.retain(|(_, since)| since.elapsed() < PAUSE);
        let except: Vec<Uuid> = self.unswept.iter().map(|(purge, _)| *purge).collect();
        let swept = org.store.sweep(name, &except).await?;
        for (purge, error) in swept.failed {
            tracing::error!(org = name, %purge, %error, "a canceled or retried purge could not be processed; retrying");
            self.unswept.push((purge, Instant::now()));
        }
        Ok(swept.has_swept)
    }
}
