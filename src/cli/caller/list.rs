//! Lists of the service: read a page at a time, up to as many rows as were asked for.

use std::process::ExitCode;

use serde::Deserialize;
use serde_json::Value;

use super::problem::Trouble;
use super::service::{Service, understood};
use super::show::{Table, width};
use super::{Connection, output};

/// The most rows that the service puts on a page.
const PAGE: usize = 1000;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// How many to list at most.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print each as JSON, one a line.
    #[arg(long)]
    pub(in crate::cli) json: bool,
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
}

/// A page, as far as it is read here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    items: Vec<Value>,
    next_cursor: Option<String>,
}

/// The pages of a list.
pub(in crate::cli) struct Pages<'a> {
    service: &'a Service,
    path: &'a str,
    filters: Vec<(&'static str, String)>,
    cursor: Option<String>,
    /// So many rows are still wanted; none: all of them.
    left: Option<usize>,
    has_more: bool,
}

impl<'a> Pages<'a> {
    pub(in crate::cli) fn new(
        service: &'a Service,
        path: &'a str,
        filters: Vec<(&'static str, Option<String>)>,
        most: Option<u32>,
    ) -> Self {
        let filters = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let left = most.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
        Self { service, path, filters, cursor: None, left, has_more: true }
    }

    /// The next rows; none where there are no more, or no more are wanted.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<Vec<Value>>, Trouble> {
        if !self.has_more || self.left == Some(0) {
            return Ok(None);
        }
        let mut query = self.filters.clone();
        query.extend(self.left.map(|left| ("limit", left.min(PAGE).to_string())));
        query.extend(self.cursor.take().map(|cursor| ("cursor", cursor)));
        let page: Page = understood(&self.service.get(self.path, &query).await?)?;
        self.has_more = page.next_cursor.is_some();
        self.cursor = page.next_cursor;
        self.left = self.left.map(|left| left.saturating_sub(page.items.len()));
        Ok(Some(page.items))
    }

    /// More rows are there than were wanted.
    pub(in crate::cli) const fn has_more(&self) -> bool {
        self.has_more
    }
}

/// Prints a list, as JSON or a row each.
pub(in crate::cli) async fn print_list(
    service: &Service,
    path: &str,
    filters: Vec<(&'static str, Option<String>)>,
    args: &ListArgs,
    heads: &'static [&'static str],
    row: impl Fn(&Value) -> Vec<String>,
) -> Result<ExitCode, Trouble> {
    let mut pages = Pages::new(service, path, filters, Some(args.limit));
    let mut rows = Vec::new();
    while let Some(items) = pages.next().await? {
        for item in items {
            if args.json {
                output::line(item)?;
            } else {
                rows.push(row(&item));
            }
        }
    }
    if !rows.is_empty() {
        output::write(Table::new(heads, rows).rendered(width()))?;
    } else if !args.json {
        output::note("none");
    }
    if pages.has_more() {
        output::note(format_args!("These are the first {}; --limit N lists more.", args.limit));
    }
    Ok(ExitCode::SUCCESS)
}
