//! Checks at intervals whether the database went back in time under the running process.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::rules::Rules;
use crate::domain::rewind::Promotion;
use crate::domain::terms::EngineTerms;
use crate::meters::Meters;
use crate::store::{Rewound, Store, StoreError};

/// A restored dump or a promoted standby is assumed to lack everything committed since the last check.
const EVERY: Duration = Duration::from_secs(5);

/// The inputs of a check.
#[derive(Debug)]
pub struct Watch {
    store: Store,
    promotion: Promotion,
    terms: EngineTerms,
    meters: Meters,
    rules: Rules,
}

impl Watch {
    pub const fn new(
        store: Store,
        promotion: Promotion,
        terms: EngineTerms,
        meters: Meters,
        rules: Rules,
    ) -> Self {
        Self { store, promotion, terms, meters, rules }
    }

    /// Checks until the stop.
    pub async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            // While the database is down no work starts, and other parts report it.
            if let Err(error) = self.look().await
                && !error.is_outage()
            {
                tracing::error!(%error, "the position of the database could not be read");
            }
        }
    }

    /// Checks once, and reports the result in log and metrics. A database that went back in time may have forgotten
    /// the rules of this process, and even its orgs.
    pub async fn look(&self) -> Result<(), StoreError> {
        let Some(rewound) = self.store.check_ground(self.promotion, &self.terms).await? else {
            return Ok(());
        };
        let Rewound { kind, missing_since, stopped } = rewound;
        self.meters.database_rewound(kind);
        tracing::error!(
            kind = kind.as_str(),
            missing_since = missing_since.map(tracing::field::display),
            stopped = stopped.join(", "),
            "{}: commits may be missing, and every org is stopped; make the holds of that time again, then resume the orgs \
             (docs/operations.md, \"After a restore or a promotion\")",
            kind.says()
        );
        self.rules.bring(&self.store).await
    }
}
