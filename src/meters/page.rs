//! The page in the text format of Prometheus: recorded metrics first, then those computed at the scrape.

use std::fmt::{self, Write as _};

use super::Meter;

/// A page that is being written.
#[derive(Debug)]
pub struct Page(String);

impl Page {
    /// The media type of the page.
    pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    pub(super) fn new(recorded: String) -> Self {
        Self(recorded)
    }

    /// Writes a metric with all its series: the values of its labels, in the order of the table, and the number. A
    /// label without a value is left out, as Prometheus takes the two for the same.
    pub fn write<'a, const N: usize>(
        &mut self,
        meter: &Meter,
        series: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) {
        debug_assert_eq!(meter.labels.len(), N, "{}", meter.name);
        let Meter { name, kind, help, .. } = meter;
        let text = &mut self.0;
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return;
        }
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {}\n", kind.as_str());
        for (values, number) in series {
            text.push_str(name);
            let labels = meter.labels.iter().zip(values).filter(|(_, value)| !value.is_empty());
            for (number, (label, value)) in labels.clone().enumerate() {
                let before = if number == 0 { '{' } else { ',' };
                let _ = write!(text, "{before}{label}=\"{}\"", Escaped(value));
            }
            if labels.count() > 0 {
                text.push('}');
            }
            let _ = writeln!(text, " {number}");
        }
        text.push('\n');
    }

    /// Writes a metric that has one series.
    pub fn write_one(&mut self, meter: &Meter, number: f64) {
        self.write(meter, [([], number)]);
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value of a label, fit to stand between quotation marks.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meters::{BUILD_INFO, DATABASE_UP, ORG_BLOCKED};

    #[test]
    fn a_metric_is_its_head_and_its_series() {
        let mut page = Page::new(String::new());
        page.write(&ORG_BLOCKED, [(["eu", "forbidden"], 1.0), (["us", ""], 0.0)]);
        page.write_one(&DATABASE_UP, 1.0);
        page.write(&BUILD_INFO, [(["a\"b\\c\nd"], 1.5)]);
        page.write::<2>(&ORG_BLOCKED, []);
        let head = |meter: &Meter| format!("# HELP {0} {1}\n# TYPE {0} gauge\n", meter.name, meter.help);
        let expected = format!(
            "{}genesys_purge_org_blocked{{org=\"eu\",code=\"forbidden\"}} 1\n\
             genesys_purge_org_blocked{{org=\"us\"}} 0\n\n\
             {}genesys_purge_database_up 1\n\n\
             {}genesys_purge_build_info{{version=\"a\\\"b\\\\c\\nd\"}} 1.5\n\n",
            head(&ORG_BLOCKED),
            head(&DATABASE_UP),
            head(&BUILD_INFO),
        );
        assert_eq!(page.to_string(), expected);
    }
}
