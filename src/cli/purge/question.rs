//! The question before a submit from a terminal: how many conversations, of which org.

use anyhow::Context as _;

use super::submit::{Fields, Upload};
use crate::cli::caller::{Consent, Counted, Format, Service, text};

/// Asks a person at a terminal; true where nobody is to be asked. What was agreed to is what is sent: the number goes along.
pub(super) async fn agreed(
    consent: &Consent,
    fields: &Fields,
    upload: &mut Upload<'_>,
) -> anyhow::Result<bool> {
    let reads_input = upload.input.is_piped();
    if !consent.is_to_be_asked(reads_input) {
        return Ok(true);
    }
    upload.input = upload.input.clone().kept().await?;
    let counted = Counted::of(upload.input.file()?, upload.format).await;
    let counted = counted.with_context(|| upload.input.name())?;
    if counted.is_dry_run {
        return Ok(true);
    }
    let org = match fields.org.as_deref().or(counted.org.as_deref()) {
        Some(org) => format!("org {org}"),
        None => {
            only_org(upload.service).await.map_or_else(|| "your org".to_owned(), |org| format!("org {org}"))
        }
    };
    if !consent.asked(&question(&counted, &org, &upload.service.address("")), reads_input).await? {
        return Ok(false);
    }
    if fields.expected_count.is_none() && upload.format != Format::Json {
        upload.query.push(("expectedCount", counted.sent.to_string()));
    }
    Ok(true)
}

fn question(counted: &Counted, org: &str, address: &str) -> Vec<String> {
    let repeats = match counted.repeats {
        0 => String::new(),
        number => format!(" ({number} repeats left out)"),
    };
    vec![
        format!("Delete {} conversations{repeats} of {org}", counted.sent - counted.repeats),
        format!("at {address} for good?"),
        "What is on hold or retained is kept.".to_owned(),
        "--dry-run shows first what would go.".to_owned(),
    ]
}

/// The one org that the key reaches, where it is one and the key may ask.
async fn only_org(service: &Service) -> Option<String> {
    let orgs = service.get("/orgs", &[("limit", "2".to_owned())]).await.ok()?;
    let items = orgs.get("items")?.as_array()?;
    (items.len() == 1).then(|| text(&items[0], "/name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_names_how_many_and_where_and_fits_forty_columns() {
        let counted = Counted { sent: 900, repeats: 1, org: None, is_dry_run: false };
        let lines = question(&counted, "org eu", "http://127.0.0.1:8080");
        assert_eq!(lines[0], "Delete 899 conversations (1 repeats left out) of org eu");
        let none = question(&Counted { repeats: 0, ..counted }, "org eu", "http://127.0.0.1:8080");
        assert_eq!(none[0], "Delete 900 conversations of org eu");
        assert!(none.iter().all(|line| line.len() <= 40), "{none:?}");
    }
}
