//! How many of an org's last jobs conflicted.

use crate::domain::search::Conflicts;
use crate::store::tx::Rows as _;
use crate::store::{Store, StoreError};

impl Store {
    /// Of the last jobs that packing made and upstream answered, so many at most; none from before the last block for
    /// conflicts was lifted.
    pub async fn count_conflicts(&self, org: &str, jobs: usize) -> Result<Conflicts, StoreError> {
        let row = sqlx::query!(
            r#"-- count_conflicts
            select count(*) as "jobs!", count(*) filter (where conflicted) as "conflicted!"
            from (
                select conflicted
                from jobs
                where org = $1 and parent is null and (conflicted or submitted_at is not null)
                  and created_at > coalesce((select conflicts_since from orgs where name = $1), '-infinity')
                order by created_at desc
                limit $2
            ) last"#,
            org,
            i64::try_from(jobs).unwrap_or(i64::MAX)
        )
        .one(&mut self.single("count_conflicts").await?)
        .await?;
        let count = |number: i64| usize::try_from(number).unwrap_or_default();
        Ok(Conflicts { jobs: count(row.jobs), conflicted: count(row.conflicted) })
    }
}
