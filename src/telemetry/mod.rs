//! Logs: one subscriber for the whole process, to standard error, as text for people or JSON lines for machines.
//!
//! Invariant: telemetry reads no environment (the filter is handed in) and never writes to standard output, which
//! belongs to the answers of commands.

use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::LogFormat;

/// What is written where nobody asks for more or less: sqlx hands on every notice of Postgres at `info`.
const DEFAULT_FILTER: &str = "info,sqlx=warn";

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter can't be read.
    #[error("RUST_LOG: {filter:?} is not a log filter, expected something like \"info,genesys_purge=debug\"")]
    Filter {
        /// The filter as it was given.
        filter: String,
        /// What the parser says of it.
        source: ParseError,
    },
    /// Somebody else of this process took the logs before.
    #[error("logging is set up already")]
    Taken(#[source] TryInitError),
}

/// Sets up logging for the whole process.
///
/// `filter` is written as in `RUST_LOG`; none means `info,sqlx=warn`. A second call in the same process is an error and
/// changes nothing.
pub fn init(format: LogFormat, filter: Option<&str>) -> Result<(), TelemetryError> {
    let colours = std::io::stderr().is_terminal();
    subscriber(format, filter, colours, std::io::stderr)?.try_init().map_err(TelemetryError::Taken)
}

/// The subscriber, with any writer, so that tests read what would be written.
fn subscriber<W>(
    format: LogFormat,
    filter: Option<&str>,
    colours: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = filter.unwrap_or(DEFAULT_FILTER);
    let filter = EnvFilter::builder()
        .parse(filter)
        .map_err(|source| TelemetryError::Filter { filter: filter.to_owned(), source })?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    Ok(match format {
        // `with_ansi(true)` would overrule NO_COLOR, which the layer honours by itself.
        LogFormat::Text if colours => Box::new(registry.with(layer)),
        LogFormat::Text => Box::new(registry.with(layer.with_ansi(false))),
        LogFormat::Json => Box::new(registry.with(layer.json().flatten_event(true).with_span_list(false))),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(format: LogFormat, filter: Option<&str>, log: impl FnOnce()) -> Vec<String> {
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = subscriber(format, filter, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = captured.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_json_line_is_one_flat_object_with_its_span() {
        let lines = lines(LogFormat::Json, None, || {
            let span = tracing::info_span!("call", org = "eu");
            let _in = span.enter();
            tracing::info!(status = 503, "refused\nfor now");
        });
        let [line] = lines.as_slice() else { panic!("expected one line, got {lines:?}") };
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(json["status"], 503);
        assert_eq!(json["message"], "refused\nfor now");
        assert_eq!(json["level"], "INFO");
        assert_eq!(json["span"]["org"], "eu");
        assert!(json["timestamp"].is_string());
        assert_eq!(json.get("spans"), None);
    }

    #[test]
    fn a_text_line_has_no_colours_where_nobody_sees_them() {
        let lines = lines(LogFormat::Text, None, || tracing::warn!(org = "eu", "blocked"));
        let [line] = lines.as_slice() else { panic!("expected one line, got {lines:?}") };
        assert!(line.contains("WARN") && line.contains("blocked") && line.contains("org=\"eu\""), "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }

    #[test]
    fn the_filter_says_what_is_written() {
        let log = || {
            tracing::debug!("mine, debug");
            tracing::info!("mine, info");
            tracing::info!(target: "sqlx::query", "statement, info");
            tracing::warn!(target: "sqlx::query", "statement, warn");
        };
        for (filter, expected) in [
            (None, ["mine, info", "statement, warn"].as_slice()),
            (Some("debug"), &["mine, debug", "mine, info", "statement, info", "statement, warn"]),
            (Some("error"), &[]),
            (Some("sqlx=info"), &["statement, info", "statement, warn"]),
        ] {
            let lines = lines(LogFormat::Text, filter, log);
            assert_eq!(lines.len(), expected.len(), "{filter:?}: {lines:?}");
            for (line, expected) in lines.iter().zip(expected) {
                assert!(line.ends_with(expected), "{filter:?}: {line}");
            }
        }
    }

    #[test]
    fn a_bad_filter_is_an_error_that_names_it() {
        let error = init(LogFormat::Text, Some("info,genesys_purge=loud")).unwrap_err();
        assert!(error.to_string().contains("info,genesys_purge=loud"), "{error}");
    }

    #[test]
    fn a_second_init_is_an_error_and_no_panic() {
        // Whether the first one here wins depends on nobody else of this test process having been first.
        let first = init(LogFormat::Json, Some("off"));
        let second = init(LogFormat::Json, Some("off"));
        assert!(matches!(second, Err(TelemetryError::Taken(_))), "{first:?}, {second:?}");
    }
}
