//! The ground on which the database stands: looked at again and again, since a database may go back in time under a running
//! process.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::rewind::Promotion;
use crate::domain::terms::EngineTerms;
use crate::meters::Meters;
use crate::store::{Rewound, Store, StoreError};

/// What was committed since the last look is what a restored dump or a promoted standby is said to lack.
const EVERY: Duration = Duration::from_secs(5);

/// Looks, until it is told to stop.
pub async fn run(
    store: Store,
    promotion: Promotion,
    terms: EngineTerms,
    meters: Meters,
    stop: CancellationToken,
) {
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        // While the database is away nothing is begun, and others tell of it.
        if let Err(error) = check(&store, promotion, &terms, &meters).await
            && !error.is_outage()
        {
            tracing::error!(%error, "where the database stands can't be told");
        }
    }
}

/// Looks once, and tells whoever reads logs and meters what was found.
pub async fn check(
    store: &Store,
    promotion: Promotion,
    terms: &EngineTerms,
    meters: &Meters,
) -> Result<(), StoreError> {
    if let Some(Rewound { kind, missing_since, stopped }) = store.check_ground(promotion, terms).await? {
        meters.database_rewound(kind);
        tracing::error!(
            kind = kind.as_str(),
            missing_since = missing_since.map(tracing::field::display),
            stopped = stopped.join(", "),
            "{}: commits may be missing, and every org is stopped; make the holds of that time again, then resume the orgs \
             (docs/operations.md, \"After a restore or a promotion\")",
            kind.says()
        );
    }
    Ok(())
}
