//! Word of a purge: the service's stream of it, by which `watch` knows when there is something new to read. Without one, of an
//! older service or behind a proxy that passes none on, it asks at intervals.

use std::time::Duration;

use reqwest::Response;
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use crate::cli::caller::Service;

/// What is shown is no older than this while nothing is told: why a purge waits changes without word.
const UNTOLD: Duration = Duration::from_secs(5);
/// What is told is read no more often than this.
const APART: Duration = Duration::from_millis(500);
/// A stream that could not be opened, or ended, is tried again so late.
const AGAIN: Duration = Duration::from_secs(30);

/// A stream, if there is one.
pub(super) struct Word {
    stream: Option<Response>,
    tried: Option<Instant>,
}

impl Word {
    pub(super) const fn none() -> Self {
        Self { stream: None, tried: None }
    }

    /// What was read at this time may be read again: something was told since then, or it is long ago. Where nothing can be
    /// told, `interval` after that time.
    pub(super) async fn awaited(&mut self, service: &Service, id: Uuid, read: Instant, interval: Duration) {
        if self.stream.is_none() && self.tried.is_none_or(|tried| tried.elapsed() >= AGAIN) {
            self.tried = Some(Instant::now());
            self.stream = service.stream(id).await;
        }
        let told = async {
            while let Some(stream) = &mut self.stream {
                match stream.chunk().await {
                    Ok(Some(chunk)) if chunk.starts_with(b":") => {}
                    Ok(Some(_)) => return,
                    Ok(None) | Err(_) => self.stream = None,
                }
            }
            sleep_until(read + interval).await;
        };
        let left = (read + UNTOLD).saturating_duration_since(Instant::now());
        // Either way it is time.
        let _ = timeout(left, told).await;
        sleep_until(read + APART).await;
    }
}
