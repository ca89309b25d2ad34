//! `webhooks listen`: a receiver for trying things out. It verifies what arrives as every receiver should, prints it,
//! and says what is wrong with what it refuses.
//!
//! Invariant: what was not verified is printed as a reason alone, never as a payload.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;

use super::inbox::{Inbox, Taken};
use crate::cli::output;
use crate::cli::setting::Setting;
use crate::cli::signals::Signals;
use crate::webhooks::Verifier;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8090)]
    port: u16,
    /// A file with the secret, or `-` for standard input; one per line where several are good.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The public key of an endpoint that signs with a private one; it is not a secret.
    #[arg(long, value_name = "whpk_...", conflicts_with = "secret_file")]
    public_key: Vec<String>,
}

/// Listens until it is told to stop. Where no secret is named it is the one of RETENTION_WEBHOOK_URL, which `own` finds.
pub(super) async fn run<F>(setting: &Setting, args: Args, own: F) -> anyhow::Result<ExitCode>
where
    F: AsyncFnOnce() -> anyhow::Result<String>,
{
    let mut verifier = Verifier::default();
    for text in secrets(setting, &args, own).await? {
        verifier.add(&text)?;
    }
    let mut signals = Signals::listen()?;
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, args.port))).await?;
    output::line(format_args!("Listening on http://{}/hooks", listener.local_addr()?))?;
    let inbox = Arc::new(Inbox::new(verifier, setting.world.clock()));
    let router = Router::new().fallback(take).with_state(inbox);
    tokio::select! {
        served = axum::serve(listener, router) => served?,
        () = signals.told_to_stop() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// The secrets to check with: named ones, or those that are configured, or the one that `serve` made.
async fn secrets<F>(setting: &Setting, args: &Args, own: F) -> anyhow::Result<Vec<String>>
where
    F: AsyncFnOnce() -> anyhow::Result<String>,
{
    if !args.public_key.is_empty() {
        return Ok(args.public_key.clone());
    }
    let Some(file) = &args.secret_file else {
        let webhooks = setting.settings()?.webhooks;
        let configured: Vec<String> = [webhooks.secret, webhooks.previous_secret]
            .iter()
            .flatten()
            .map(|secret| secret.expose_secret().to_owned())
            .collect();
        return Ok(if configured.is_empty() { vec![own().await?] } else { configured });
    };
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("standard input")?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    }
    let secrets: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    anyhow::ensure!(!secrets.is_empty(), "{}: it contains no secret", file.display());
    Ok(secrets)
}

async fn take(State(inbox): State<Arc<Inbox>>, method: Method, headers: HeaderMap, body: Bytes) -> Response {
    match method {
        Method::POST => {}
        // `doctor` looks so whether somebody is there.
        Method::HEAD => return StatusCode::NO_CONTENT.into_response(),
        _ => return StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
    let arrived = inbox.take(&headers, &body);
    let (time, status) = (arrived.at.strftime("%H:%M:%S"), arrived.status());
    let (printed, answer) = match &arrived.told {
        Ok(Taken { id, event, payload, is_repeat }) => {
            let again = if *is_repeat { "  (again)" } else { "" };
            let line = format!("{time}  verified  {event}  {id}{again}\n{payload}\n");
            (line, status.into_response())
        }
        Err(refusal) => {
            let line = format!("{time}  refused {}  {refusal}\n", status.as_u16());
            (line, (status, format!("{refusal}\n")).into_response())
        }
    };
    match output::write(printed) {
        Ok(()) => answer,
        // Whoever sent it must not take for seen what nobody saw.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
