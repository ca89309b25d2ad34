//! Reads the endpoints all of whose orgs the caller reaches.

use jiff_sqlx::Timestamp as SqlTimestamp;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::{Endpoint, interest};
use crate::domain::keys::Reach;
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError, Urgency};

impl Store {
    pub async fn endpoint(&self, reach: &Reach, id: Uuid) -> Result<Option<Endpoint>, StoreError> {
        let mut tx = self.single_request("endpoint", Urgency::Ordinary).await?;
        Ok(load(&mut tx, reach, &[id]).await?.pop())
    }

    /// The kind of its signatures.
    pub async fn endpoint_secret(&self, reach: &Reach, id: Uuid) -> Result<Option<String>, StoreError> {
        let endpoint = self.endpoint(reach, id).await?;
        Ok(endpoint.map(|endpoint| endpoint.secret.expose_secret().to_owned()))
    }

    /// The registered ones, newest first, from before `before` on.
    pub async fn endpoints(
        &self,
        reach: &Reach,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Endpoint>, StoreError> {
        let mut tx = self.begin_request("endpoints").await?;
        let ids = sqlx::query_scalar!(
            "-- registered_endpoints
            select id from webhook_endpoints
            where purge_id is null and deleted_at is null and ($1::text[] is null or orgs <@ $1)
              and id < coalesce($2::uuid, $4)
            order by id desc
            limit $3",
            reach.orgs(),
            before,
            limit,
            Uuid::max()
        )
        .all(&mut tx)
        .await?;
        load(&mut tx, reach, &ids).await
    }
}

/// Those of the endpoints with these ids that are within the reach, newest first, whoever named them.
pub(super) async fn load(tx: &mut Tx, reach: &Reach, ids: &[Uuid]) -> Result<Vec<Endpoint>, StoreError> {
    let rows = sqlx::query!(
        r#"-- endpoints
        select e.id, e.url, e.description, e.events, e.orgs, e.purge_id, e.enabled, e.disabled_at, e.disabled_reason,
               e.secret, case when e.previous_until > clock_timestamp() then e.previous_until end
                   as "previous_until: SqlTimestamp",
               e.created_by, e.created_at, e.updated_at, coalesce(h.failures, 0) as "failures!",
               h.failing_since as "failing_since?",
               case when h.open_until > clock_timestamp() then h.open_until end as "resting_until: SqlTimestamp"
        from webhook_endpoints e
        left join endpoint_health h on h.endpoint = e.id::text
        where e.id = any($1) and e.deleted_at is null and ($2::text[] is null or e.orgs <@ $2)
        order by e.id desc"#,
        ids,
        reach.orgs()
    )
    .all(tx)
    .await?;
    let endpoints = rows.into_iter().map(|row| {
        Ok(Endpoint {
            id: row.id,
            url: row.url,
            description: row.description,
            interest: interest(row.events, row.orgs)?,
            purge: row.purge_id,
            enabled: row.enabled,
            disabled: row.disabled_at.map(|at| (at.to_jiff(), row.disabled_reason)),
            secret: SecretString::from(row.secret),
            previous_until: row.previous_until.map(SqlTimestamp::to_jiff),
            created_by: row.created_by,
            created_at: row.created_at.to_jiff(),
            updated_at: row.updated_at.to_jiff(),
            failures: row.failures,
            failing_since: row.failing_since.map(SqlTimestamp::to_jiff),
            resting_until: row.resting_until.map(SqlTimestamp::to_jiff),
        })
    });
    endpoints.collect()
}
