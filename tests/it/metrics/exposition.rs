//! The text format of Prometheus, read more strictly than Prometheus does.

use std::collections::{BTreeMap, BTreeSet};

/// One metric of a page.
#[derive(Debug, Default)]
pub struct Family {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// Labels and number of each series; of a histogram, those of its counts.
    pub series: Vec<(BTreeMap<String, String>, f64)>,
}

/// Everything on a page, by name.
#[derive(Debug)]
pub struct Page(pub BTreeMap<String, Family>);

impl Page {
    /// Reads a page; panics at anything that is not as it should be.
    pub fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends, too");
        let (mut families, mut helped, mut seen) =
            (BTreeMap::<String, Family>::new(), BTreeSet::new(), BTreeSet::new());
        let mut current = String::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                assert!(!help.trim().is_empty(), "{line}");
                assert!(helped.insert(name), "told twice: {line}");
                continue;
            }
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(helped.contains(name), "no help before {line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(is_name(name), "{line}");
                let family = Family { kind: kind.to_owned(), series: Vec::new() };
                assert!(families.insert(name.to_owned(), family).is_none(), "typed twice: {line}");
                name.clone_into(&mut current);
                continue;
            }
            assert!(!line.starts_with('#'), "a comment that says nothing: {line}");
            let (series, number) = line.rsplit_once(' ').unwrap();
            assert!(seen.insert(series), "twice: {line}");
            let number: f64 = number.parse().unwrap();
            assert!(number.is_finite() && number >= 0.0, "{line}");
            let (name, labels) = read_series(series);
            let family = families.get_mut(&current).unwrap();
            let suffix =
                name.strip_prefix(current.as_str()).unwrap_or_else(|| panic!("out of place: {line}"));
            match (family.kind.as_str(), suffix) {
                ("counter" | "gauge", "") | ("histogram", "_count") => family.series.push((labels, number)),
                ("histogram", "_bucket") => assert!(labels.contains_key("le"), "{line}"),
                ("histogram", "_sum") => {}
                _ => panic!("{line} is no series of {current}"),
            }
        }
        assert!(families.values().all(|family| !family.series.is_empty()), "{families:#?}");
        Self(families)
    }

    /// The sum over the series with these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let family = self.0.get(name).unwrap_or_else(|| panic!("{name} is not there"));
        let matches = |series: &BTreeMap<String, String>| {
            labels.iter().all(|(label, value)| series.get(*label).map(String::as_str) == Some(*value))
        };
        family.series.iter().filter(|(series, _)| matches(series)).fold(0.0, |sum, (_, number)| sum + number)
    }

    /// The same for what is counted in whole numbers.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let sum = self.sum(name, labels);
        sum.to_string().parse().unwrap_or_else(|_| panic!("{name} {labels:?} is no whole number: {sum}"))
    }

    /// The values that a label has.
    pub fn values(&self, name: &str, label: &str) -> BTreeSet<&str> {
        let series = self.0[name].series.iter();
        series.filter_map(|(labels, _)| labels.get(label).map(String::as_str)).collect()
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn read_series(series: &str) -> (&str, BTreeMap<String, String>) {
    let Some((name, rest)) = series.split_once('{') else {
        assert!(is_name(series), "{series}");
        return (series, BTreeMap::new());
    };
    assert!(is_name(name), "{series}");
    let mut rest = rest.strip_suffix('}').unwrap();
    let mut labels = BTreeMap::new();
    loop {
        let (label, value) = rest.split_once("=\"").unwrap();
        assert!(is_name(label), "{series}");
        let (value, after) = value.split_once('"').unwrap();
        assert!(!value.is_empty() && !value.contains('\\'), "no label here needs an escape: {series}");
        assert!(labels.insert(label.to_owned(), value.to_owned()).is_none(), "{series}");
        let Some(next) = after.strip_prefix(',') else {
            assert_eq!(after, "", "{series}");
            return (name, labels);
        };
        rest = next;
    }
}
