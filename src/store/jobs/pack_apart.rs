//! Packs after packing has failed: each purge by itself, and if one fails, each of its slices, until something can be
//! packed. Then the failing slices are parked. If nothing at all can be packed, the slices are not the cause.

use super::pack::{Packed, Source};
use crate::domain::terms::OrgTerms;
use crate::store::slices::SliceKey;
use crate::store::{Store, StoreError};

impl Store {
    /// Packs the first job that can be packed, and parks the slices before it that can't be.
    pub(super) async fn pack_apart(&self, org: &OrgTerms, failed: StoreError) -> Result<Packed, StoreError> {
        tracing::error!(org = org.name, error = %failed, "packing failed; each purge is packed by itself");
        let slices = self.slices_to_draw(org).await?;
        let mut failing = Vec::new();
        for of_purge in slices.chunk_by(|one, next| one.purge == next.purge) {
            if let Some(packed) = self.pack_of(org, of_purge, &mut failing).await? {
                for slice in failing {
                    self.park(slice).await?;
                }
                return Ok(packed);
            }
        }
        if failing.is_empty() { Ok(Packed::Nothing) } else { Err(failed) }
    }

    /// Packs as much of a purge as possible; returns the slices for which it fails.
    async fn pack_of(
        &self,
        org: &OrgTerms,
        slices: &[SliceKey],
        failing: &mut Vec<SliceKey>,
    ) -> Result<Option<Packed>, StoreError> {
        let Some(first) = slices.first() else { return Ok(None) };
        match self.pack_from(org, Source::Purge(first.purge)).await {
            Ok(Packed::Nothing) => return Ok(None),
            Err(error) if !error.is_outage() => {}
            done => return done.map(Some),
        }
        for &slice in slices {
            match self.pack_from(org, Source::Slice(slice)).await {
                Ok(Packed::Nothing) => {}
                Err(error) if !error.is_outage() => failing.push(slice),
                done => return done.map(Some),
            }
        }
        Ok(None)
    }
}
