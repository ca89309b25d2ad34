//! Reading the answers of `analytics_purge`.
//!
//! Invariant: pure functions. An answer is read as a whole or not at all: an error says why it can't be relied on.
//! Doubt about one conversation counts against deleting that one, and affects no other.

mod details;
mod whole;

use serde::Deserialize;
use serde_json::value::RawValue;

pub(super) use details::{Details, details};

use crate::genesys::{
    failure::name,
    json::{Object, number},
    upstream::{JobStatus, UpstreamJobId},
};

/// A name of a job longer than this is none: it has to fit into an address and a row.
const MAX_JOB_ID: usize = 200;

/// The job in the answer to a submit.
pub(super) fn job_id(body: &[u8]) -> Result<UpstreamJobId, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Submitted {
        job_id: String,
    }
    let Object(Submitted { job_id }) = serde_json::from_slice(body).map_err(|error| shape(&error))?;
    let is_name = !matches!(job_id.as_str(), "" | "." | "..")
        && job_id.len() <= MAX_JOB_ID
        && !job_id.chars().any(|c| c.is_control() || c.is_whitespace());
    if is_name { Ok(UpstreamJobId(job_id)) } else { Err("the jobId is not a valid id".into()) }
}

/// How far the job is that was asked about.
pub(super) fn job_status(body: &[u8], asked: &str) -> Result<JobStatus, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Polled<'a> {
        job_id: Option<String>,
        state: String,
        #[serde(borrow)]
        records_processed: Option<&'a RawValue>,
    }
    let Object::<Polled<'_>>(polled) = serde_json::from_slice(body).map_err(|error| shape(&error))?;
    if polled.job_id.is_some_and(|id| id != asked) {
        return Err("the answer is about another job".into());
    }
    let state = name(&polled.state).ok_or("the answer has an empty state")?;
    // A count that can't be read keeps no job from ending: what was deleted is found out by asking.
    let records_processed = polled.records_processed.and_then(number);
    let ended = |succeeded, state| JobStatus::Ended { succeeded, state, records_processed };
    Ok(match state.to_ascii_lowercase().as_str() {
        "completed" => ended(true, state),
        "failed" => ended(false, state),
        _ => JobStatus::Working { state, records_processed },
    })
}

/// What is wrong with the shape of an answer. Of serde's words only those are kept that name our own fields: the
/// others show values, and an answer may hold anything.
fn shape(error: &serde_json::Error) -> String {
    if error.classify() != serde_json::error::Category::Data {
        return "the answer is not complete JSON".into();
    }
    let said = error.to_string();
    let names_a_field = ["missing field", "duplicate field"].iter().any(|start| said.starts_with(start));
    let what =
        if names_a_field { said } else { format!("a value of another type at column {}", error.column()) };
    format!("the answer does not have the expected shape: {what}")
}

#[cfg(test)]
mod tests;
