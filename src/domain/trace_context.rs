//! Which trace something belongs to, in the format of W3C Trace Context, level 1 (`traceparent`).

/// A place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext<'a> {
    /// The trace: 32 hexadecimal digits.
    pub trace_id: &'a str,
    /// The caller's part of it: 16 hexadecimal digits.
    pub parent_id: &'a str,
    /// The caller keeps what it records of this trace.
    pub is_sampled: bool,
}

impl<'a> TraceContext<'a> {
    /// Later versions may say more behind the four fields that are known, and nothing else may differ (3.2.4).
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut fields = text.splitn(5, '-');
        let version = hex(fields.next()?, 2)?;
        let trace_id = hex(fields.next()?, 32)?;
        let parent_id = hex(fields.next()?, 16)?;
        let flags = u8::from_str_radix(hex(fields.next()?, 2)?, 16).ok()?;
        let has_more = fields.next().is_some();
        let is_valid = version != "ff"
            && !(version == "00" && has_more)
            && [trace_id, parent_id].iter().all(|id| id.bytes().any(|digit| digit != b'0'));
        is_valid.then_some(Self { trace_id, parent_id, is_sampled: flags & 1 != 0 })
    }
}

/// As it is written; what later versions say more is left out.
impl std::fmt::Display for TraceContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id, self.parent_id, u8::from(self.is_sampled))
    }
}

fn hex(text: &str, length: usize) -> Option<&str> {
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (text.len() == length && is_hex).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    #[test]
    fn what_the_recommendation_calls_valid_is_read() {
        for (version, rest, is_sampled) in [
            ("00", "-01", true),
            ("00", "-00", false),
            ("00", "-ff", true),
            ("00", "-02", false),
            ("01", "-01", true),
            ("cc", "-01-what-the-future-brings", true),
            ("01", "-01-", true),
        ] {
            let text = format!("{version}-{TRACE}-{PARENT}{rest}");
            let expected = TraceContext { trace_id: TRACE, parent_id: PARENT, is_sampled };
            assert_eq!(TraceContext::parse(&text), Some(expected), "{text}");
            assert_eq!(TraceContext::parse(&expected.to_string()), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_none() {
        let zeros = "0".repeat(32);
        for text in [
            String::new(),
            "00".to_owned(),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("0-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}"),
            format!("00-{TRACE}-{PARENT}-"),
            format!("00-{TRACE}-{PARENT}-1"),
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("00-{TRACE}-{PARENT}-01-more"),
            format!("01-{TRACE}-{PARENT}-01.more"),
            format!("00-{zeros}-{PARENT}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{}-{PARENT}-01", &TRACE[1..]),
            format!("00-{TRACE}-{PARENT}0-01"),
            format!("00-{TRACE}-{PARENT}-0g"),
            format!(" 00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-01 "),
            format!("00_{TRACE}_{PARENT}_01"),
        ] {
            assert_eq!(TraceContext::parse(&text), None, "{text:?}");
        }
    }
}
