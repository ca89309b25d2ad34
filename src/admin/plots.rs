//! The last 24 hours as bars, drawn here: what upstream did, and what became of the purges that came in.
//!
//! An hour that is long over changes no more: its jobs are summed up once in each process, and only the last hours are read again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp, Unit};
use maud::{Markup, PreEscaped, html};
use plotters::prelude::*;
use uuid::Uuid;

use super::Desk;
use super::parts::{number, time};
use crate::api::Problem;
use crate::domain::keys::Reach;
use crate::store::views::overview::NEWEST;

const HOURS: i64 = 24;
/// A job that ended may still get another result for so long.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_hours(2);

/// The conversations in jobs of an org that ended within an hour: in those that went through, and in others.
type Ended = (i64, i64);

/// Hours that were summed up, by org; all clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Hours(Arc<Mutex<BTreeMap<(String, Timestamp), Ended>>>);

/// Hours, and what stands in each of them for each series.
#[derive(Debug)]
struct Plot {
    /// What the numbers are.
    title: &'static str,
    hint: String,
    series: &'static [(&'static str, &'static str, RGBColor)],
    hours: Vec<(Timestamp, Vec<i64>)>,
}

// The style gives each the color that it has in light and in dark; these say only which is which.
const GOOD: RGBColor = RGBColor(1, 0, 0);
const GONE: RGBColor = RGBColor(2, 0, 0);
const HELD: RGBColor = RGBColor(3, 0, 0);
const BAD: RGBColor = RGBColor(4, 0, 0);
const OFF: RGBColor = RGBColor(5, 0, 0);
const OPEN: RGBColor = RGBColor(6, 0, 0);

/// Both plots, for whom this is the reach.
pub(super) async fn both(desk: &Desk, reach: &Reach) -> Result<Markup, Problem> {
    let now = (desk.api.hooks.clock)();
    let this_hour = now.round(jiff::TimestampRound::new().smallest(Unit::Hour).mode(jiff::RoundMode::Floor));
    let this_hour = this_hour.map_err(|_| Problem::internal())?;
    let hour = |back: i64| this_hour - SignedDuration::from_hours(back);
    let hours: Vec<Timestamp> = (0..HOURS).rev().map(hour).collect();
    let (throughput, outcomes) =
        (throughput(desk, reach, &hours, now).await?, outcomes(desk, reach, &hours).await?);
    Ok(html! { div.plots { (throughput.show()?) (outcomes.show()?) } })
}

async fn throughput(
    desk: &Desk,
    reach: &Reach,
    hours: &[Timestamp],
    now: Timestamp,
) -> Result<Plot, Problem> {
    let mut sums: BTreeMap<Timestamp, Ended> = BTreeMap::new();
    for org in desk.api.orgs.iter().filter(|org| reach.covers(&org.name)) {
        for (hour, (completed, others)) in ended(desk, reach, &org.name, hours, now).await? {
            let sum = sums.entry(hour).or_default();
            *sum = (sum.0 + completed, sum.1 + others);
        }
    }
    let of = |hour: &Timestamp| sums.get(hour).copied().unwrap_or_default();
    Ok(Plot {
        title: "Conversations in upstream jobs that ended, per hour",
        hint: "By the hour in which the job ended.".to_owned(),
        series: &[("in jobs that completed", "good", GOOD), ("in other jobs", "bad", BAD)],
        hours: hours.iter().map(|hour| (*hour, vec![of(hour).0, of(hour).1])).collect(),
    })
}

/// The sums of one org: those that are known, and the rest from the database.
async fn ended(
    desk: &Desk,
    reach: &Reach,
    org: &str,
    hours: &[Timestamp],
    now: Timestamp,
) -> Result<BTreeMap<Timestamp, Ended>, Problem> {
    let mut sums: BTreeMap<Timestamp, Ended> = {
        let known = desk.hours.0.lock().unwrap_or_else(PoisonError::into_inner);
        hours.iter().filter_map(|hour| Some((*hour, *known.get(&(org.to_owned(), *hour))?))).collect()
    };
    let Some(first) = hours.iter().find(|hour| !sums.contains_key(hour)) else { return Ok(sums) };
    let read = desk.api.store.hours_of_jobs(reach, org, *first, now + SignedDuration::from_hours(1)).await?;
    for hour in hours.iter().filter(|hour| *hour >= first) {
        sums.insert(*hour, (0, 0));
    }
    sums.extend(read.into_iter().map(|row| (row.hour, (row.completed, row.others))));
    let mut known = desk.hours.0.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|(_, hour), _| hours.first().is_some_and(|first| hour >= first));
    let is_settled = |hour: &Timestamp| now.duration_since(*hour) > SETTLED_AFTER;
    let settled = sums.iter().filter(|(hour, _)| is_settled(hour));
    known.extend(settled.map(|(hour, sum)| ((org.to_owned(), *hour), *sum)));
    Ok(sums)
}

async fn outcomes(desk: &Desk, reach: &Reach, hours: &[Timestamp]) -> Result<Plot, Problem> {
    let first = hours.first().copied().unwrap_or_default();
    // The ids of purges begin with the moment at which they were made.
    let millis = u128::try_from(first.as_millisecond()).unwrap_or_default();
    let rows = desk.api.store.hours_of_purges(reach, Uuid::from_u128(millis << 80)).await?;
    let of = |hour: &Timestamp| {
        let row = rows.iter().find(|row| row.hour == *hour);
        row.map_or_else(
            || vec![0; 6],
            |row| vec![row.purged, row.already_purged, row.protected, row.failed, row.others, row.open],
        )
    };
    Ok(Plot {
        title: "Outcomes of purges, per hour",
        hint: format!(
            "By the hour in which the purge was accepted; the newest {} of each org and state, without dry runs.",
            number(NEWEST)
        ),
        series: &[
            ("purged", "good", GOOD),
            ("already purged", "gone", GONE),
            ("on hold or retained", "held", HELD),
            ("failed", "bad", BAD),
            ("other", "off", OFF),
            ("open", "open", OPEN),
        ],
        hours: hours.iter().map(|hour| (*hour, of(hour))).collect(),
    })
}

impl Plot {
    fn show(&self) -> Result<Markup, Problem> {
        let drawn = self.draw().map_err(|error| {
            tracing::error!(%error, "a plot could not be drawn");
            Problem::internal()
        })?;
        let sums = |place: usize| self.hours.iter().filter_map(|(_, values)| values.get(place)).sum::<i64>();
        let label = format!("{}, the last {HOURS} hours; the table below has the numbers", self.title);
        let drawn = drawn.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{label}\" "), 1);
        Ok(html! {
            figure.plot.card {
                figcaption { (self.title) }
                (PreEscaped(drawn))
                ul.legend {
                    @for (place, (name, color, _)) in self.series.iter().enumerate() {
                        li { span.dot.(color) {} (name) " " strong { (number(sums(place))) } }
                    }
                }
                p.hint { (self.hint) }
                details {
                    summary { "Numbers" }
                    div.scroll tabindex="0" role="region" aria-label=(self.title) { (self.table()) }
                }
            }
        })
    }

    fn table(&self) -> Markup {
        html! {
            table {
                thead { tr { th scope="col" { "Hour" } @for (name, ..) in self.series { th.number scope="col" { (name) } } } }
                tbody {
                    @for (hour, values) in &self.hours {
                        tr {
                            th scope="row" { (time(*hour)) }
                            @for value in values { td.number { (number(*value)) } }
                        }
                    }
                }
            }
        }
    }

    /// The bars as SVG.
    fn draw(&self) -> Result<String, DrawingAreaErrorKind<std::io::Error>> {
        let highest = self.hours.iter().map(|(_, values)| values.iter().sum::<i64>()).max().unwrap_or(0);
        let top = nice(highest);
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (480, 200)).into_drawing_area();
            let mut chart = ChartBuilder::on(&area)
                .margin(8)
                .margin_top(16)
                .x_label_area_size(26)
                .y_label_area_size(60)
                .build_cartesian_2d(0..HOURS, 0..top)?;
            let hour = |place: &i64| {
                let at = usize::try_from(*place).ok().and_then(|place| self.hours.get(place));
                at.map_or_else(String::new, |(hour, _)| hour.strftime("%H:00").to_string())
            };
            let font = ("sans-serif", 15).into_font();
            chart
                .configure_mesh()
                .disable_x_mesh()
                .x_labels(7)
                .y_labels(4)
                .x_label_formatter(&hour)
                .y_label_formatter(&|value| short(*value))
                .label_style(font)
                .light_line_style(TRANSPARENT)
                .draw()?;
            for (place, (_, values)) in (0..).zip(&self.hours) {
                let mut told = 0;
                for (value, (_, _, color)) in values.iter().zip(self.series).filter(|(value, _)| **value > 0)
                {
                    let mut piece =
                        Rectangle::new([(place, told), (place + 1, told + value)], color.filled());
                    piece.set_margin(0, 0, 1, 1);
                    chart.draw_series(std::iter::once(piece))?;
                    told += value;
                }
            }
            area.present()?;
        }
        Ok(svg)
    }
}

/// A round number as an axis has room for: thousands and millions are letters.
fn short(number: i64) -> String {
    for (size, letter) in [(1_000_000, "M"), (1000, "k")] {
        if number >= size {
            let tenths = number * 10 / size;
            let rest = if tenths % 10 > 0 { format!(".{}", tenths % 10) } else { String::new() };
            return format!("{}{rest}{letter}", tenths / 10);
        }
    }
    number.to_string()
}

/// A round number that is no smaller: 1, 2 or 5 and zeros.
fn nice(highest: i64) -> i64 {
    let mut step = 1;
    loop {
        for times in [1, 2, 5] {
            let candidate: i64 = step * times;
            if candidate >= highest && candidate >= 4 {
                return candidate;
            }
        }
        step *= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number() {
        for (highest, top) in [(0, 5), (4, 5), (5, 5), (6, 10), (11, 20), (1_000_001, 2_000_000)] {
            assert_eq!(nice(highest), top, "{highest}");
        }
    }

    #[test]
    fn numbers_of_an_axis_are_short() {
        let table =
            [(0, "0"), (500, "500"), (1000, "1k"), (2500, "2.5k"), (200_000, "200k"), (5_000_000, "5M")];
        for (number, text) in table {
            assert_eq!(short(number), text);
        }
    }

    #[test]
    fn each_hour_with_something_has_its_bar() {
        let hours = (0..HOURS).map(|hour| {
            let at = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hour);
            (at, vec![if hour == 3 { 700 } else { 0 }, i64::from(hour == 3)])
        });
        let series = &[("a", "good", GOOD), ("b", "bad", BAD)];
        let plot = Plot { title: "t", hint: String::new(), series, hours: hours.collect() };
        let svg = plot.draw().unwrap();
        assert_eq!(svg.matches("fill=\"#010000\"").count(), 1, "{svg}");
        assert_eq!(svg.matches("fill=\"#040000\"").count(), 1, "{svg}");
        assert!(svg.contains("1k") && svg.contains("00:00") && !svg.contains("style="), "{svg}");
    }
}
