//! A caller like any other: it knows a URL and a key, and nothing of what is behind.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::{Client, RequestBuilder, header};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::stage::Stage;

/// A purge that was submitted, and what it must come to.
pub(super) struct Submitted {
    pub(super) id: Uuid,
    pub(super) name: &'static str,
    pub(super) expected: BTreeMap<String, u64>,
    pub(super) last: Option<Purge>,
}

/// What the caller reads of a purge.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Purge {
    pub(super) state: String,
    pub(super) counts: BTreeMap<String, u64>,
}

impl Purge {
    pub(super) fn is_final(&self) -> bool {
        matches!(self.state.as_str(), "completed" | "failed" | "canceled")
    }

    pub(super) fn count(&self, outcome: &str) -> u64 {
        self.counts.get(outcome).copied().unwrap_or_default()
    }
}

pub(super) struct Caller {
    client: Client,
    url: String,
    key: String,
}

impl Caller {
    pub(super) fn new(stage: &Stage) -> anyhow::Result<Self> {
        // It speaks to loopback alone, so a machine without CA certificates will do.
        let client =
            Client::builder().tls_certs_only([]).timeout(Duration::from_mins(1)).no_proxy().build()?;
        Ok(Self { client, url: stage.url.clone(), key: stage.key.clone() })
    }

    /// The large purge as CSV, three small ones beside it.
    pub(super) async fn submit_all(&self, stage: &Stage) -> anyhow::Result<Vec<Submitted>> {
        let small: HashSet<Uuid> = stage.small.iter().copied().collect();
        let large: Vec<Uuid> = stage.sandbox.sandbox().ids().filter(|id| !small.contains(id)).collect();
        let csv = std::iter::once("conversationId,source\r\n".to_owned())
            .chain(large.iter().map(|id| format!("{id},export\r\n")))
            .collect::<String>();
        let query =
            [("reason", "demo: retention expired"), ("reference", "DEMO-1"), ("label", "team:retention")];
        let request = self.post("/purges").query(&query).header(header::CONTENT_TYPE, "text/csv").body(csv);
        let mut purges = vec![self.submit(stage, "the large one, by CSV", request, &large, false).await?];
        let triples: Vec<&[Uuid]> = stage.small.chunks_exact(3).collect();
        let json = |is_dry_run: bool, ids: &[Uuid]| serde_json::json!({ "conversationIds": ids, "reason": "demo", "dryRun": is_dry_run });
        let [first, second, third] = triples[..] else {
            anyhow::bail!("too few eligible conversations; use another --seed")
        };
        let request = self.post("/purges").json(&json(false, first));
        purges.push(self.submit(stage, "3 by JSON", request, first, false).await?);
        let lines: Vec<String> =
            second.iter().map(|id| format!("{{\"conversationId\": \"{id}\"}}")).collect();
        let request =
            self.post("/purges").header(header::CONTENT_TYPE, "application/x-ndjson").body(lines.join("\n"));
        purges.push(self.submit(stage, "3 by NDJSON", request, second, false).await?);
        let request = self.post("/purges").json(&json(true, third));
        purges.push(self.submit(stage, "3, dry run", request, third, true).await?);
        Ok(purges)
    }

    async fn submit(
        &self,
        stage: &Stage,
        name: &'static str,
        request: RequestBuilder,
        ids: &[Uuid],
        is_dry_run: bool,
    ) -> anyhow::Result<Submitted> {
        let response = request.send().await.context("POST /purges")?;
        let status = response.status();
        let body: Value = response.json().await?;
        ensure!(status == 202, "POST /purges answered {status}: {body}");
        let id = body.get("id").and_then(Value::as_str).context("the answer has no id")?.parse()?;
        let mut expected = BTreeMap::<String, u64>::new();
        for id in ids {
            let outcome = stage
                .sandbox
                .sandbox()
                .expected_outcome(*id)
                .context("an id that the sandbox does not know")?;
            let outcome =
                if is_dry_run && outcome.name() == "purged" { "would_purge" } else { outcome.name() };
            *expected.entry(outcome.to_owned()).or_default() += 1;
        }
        Ok(Submitted { id, name, expected, last: None })
    }

    pub(super) async fn read(&self, id: Uuid) -> anyhow::Result<Purge> {
        Ok(self.get(&format!("/purges/{id}")).send().await?.error_for_status()?.json().await?)
    }

    /// The first conversation of a purge with this outcome.
    pub(super) async fn find(&self, id: Uuid, outcome: &str) -> anyhow::Result<Option<String>> {
        let path = format!("/purges/{id}/conversations?outcome={outcome}&limit=1");
        let page: Value = self.get(&path).send().await?.error_for_status()?.json().await?;
        Ok(page.pointer("/items/0/conversationId").and_then(Value::as_str).map(str::to_owned))
    }

    /// How many conversations of the purge each of its jobs carries.
    pub(super) async fn job_sizes(&self, id: Uuid) -> anyhow::Result<Vec<u64>> {
        let page: Value = self
            .get(&format!("/purges/{id}/jobs?limit=1000"))
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        let jobs = page.get("items").and_then(Value::as_array).context("the answer has no items")?;
        Ok(jobs
            .iter()
            .filter(|job| job["jobId"].is_string())
            .filter_map(|job| job["conversations"].as_u64())
            .collect())
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.key)
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url)).bearer_auth(&self.key)
    }
}
