//! Networks and ports, as lists of a setting.
//!
//! Invariant: an item that is not exactly one network or one range is refused, not repaired.

use std::fmt;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Networks such as `10.0.0.0/8`: a TOML list, or text with commas between.
pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let network =
        |text: &str| text.parse::<IpNet>().ok().filter(|network| network.addr() == network.network());
    let networks = items(deserializer)?.iter().map(|item| network(item)).collect::<Option<Vec<_>>>();
    networks.ok_or_else(|| D::Error::custom("expected networks such as \"10.0.0.0/8\" or \"fd12::/16\""))
}

/// Ports and ranges of them, such as `443` and `8000-8999`: a TOML list, or text with commas between.
pub(super) fn ports<'de, D>(deserializer: D) -> Result<Vec<RangeInclusive<u16>>, D::Error>
where
    D: Deserializer<'de>,
{
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?);
        (0 < first && first <= last).then_some(first..=last)
    };
    let ranges = items(deserializer)?.iter().map(|item| range(item)).collect::<Option<Vec<_>>>();
    ranges.ok_or_else(|| D::Error::custom("expected ports such as 443 and \"8000-8999\""))
}

/// The items of a list; empty text is an empty list.
fn items<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Items;

    impl<'de> Visitor<'de> for Items {
        type Value = Vec<String>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list, or text with commas between its items")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
            #[derive(Deserialize)]
            #[serde(untagged, expecting = "expected a text or a whole number")]
            enum Item {
                Text(String),
                Number(u64),
            }

            let mut texts = Vec::new();
            while let Some(item) = items.next_element()? {
                texts.push(match item {
                    Item::Text(text) => text,
                    Item::Number(number) => number.to_string(),
                });
            }
            Ok(texts)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<String>, E> {
            if text.trim().is_empty() {
                return Ok(Vec::new());
            }
            Ok(text.split(',').map(|item| item.trim().to_owned()).collect())
        }
    }

    deserializer.deserialize_any(Items)
}
