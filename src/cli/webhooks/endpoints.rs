//! `webhooks endpoints`: the receivers that are told, as a caller of a running service.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::caller::{
    Connection, Consent, DECLINED, EXIT_CODES, Fields, ListArgs, One, Service, Trouble, moment, print,
    print_list, text, width,
};
use crate::cli::output;
use crate::cli::setting::Setting;
use crate::domain::endpoints::Told;

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Action {
    /// List the receivers.
    #[command(after_help = EXIT_CODES)]
    List(ListArgs),
    /// Show a receiver, and how it has taken what it was sent.
    #[command(after_help = EXIT_CODES)]
    Show(One<Which>),
    /// Register a receiver; its secret is printed once, alone on the last line.
    #[command(after_help = EXIT_CODES)]
    Create(CreateArgs),
    /// Send it a `ping` now.
    #[command(after_help = EXIT_CODES)]
    Test(One<Which>),
    /// Tell it again of what happens from now on.
    #[command(after_help = EXIT_CODES)]
    Enable(One<Which>),
    /// Tell it of nothing more; what waits for it is given up.
    #[command(after_help = EXIT_CODES)]
    Disable(One<Which>),
    /// Give it another secret, which is printed once, alone on the last line. The one before signs beside it for 24 hours.
    #[command(after_help = EXIT_CODES)]
    RotateSecret(One<Which>),
    /// Delete it; on a terminal it asks first.
    #[command(after_help = EXIT_CODES)]
    Delete(DeleteArgs),
}

/// A receiver.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Which {
    /// The id that `webhooks endpoints list` shows.
    id: Uuid,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CreateArgs {
    /// Where it takes webhooks.
    receiver: String,
    /// What it is told of; may be repeated. Left out: everything.
    #[arg(long = "event", value_name = "EVENT", value_parser = events())]
    events: Vec<String>,
    /// Of which org; may be repeated. Left out: of all that the key reaches.
    #[arg(long = "org", value_name = "ORG")]
    orgs: Vec<String>,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// What signs: a secret that both sides know (hmac), or a private key that stays with the service (ed25519).
    #[arg(long, value_parser = ["hmac", "ed25519"])]
    signing: Option<String>,
    /// Print the answer as JSON; it has the secret.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DeleteArgs {
    #[command(flatten)]
    one: One<Which>,
    #[command(flatten)]
    consent: Consent,
}

fn events() -> clap::builder::PossibleValuesParser {
    Told::ALL.iter().map(|told| told.as_str()).collect::<Vec<_>>().into()
}

pub(super) async fn run(setting: &Setting, action: Action) -> Result<ExitCode, Trouble> {
    match action {
        Action::List(args) => list(setting, &args).await,
        Action::Show(one) => on(setting, &one, Method::GET, "", None, shown).await,
        Action::Create(args) => create(setting, args).await,
        Action::Test(one) => test(setting, &one).await,
        Action::Enable(one) => change(setting, &one, true).await,
        Action::Disable(one) => change(setting, &one, false).await,
        Action::RotateSecret(one) => {
            on(setting, &one, Method::POST, "/rotate-secret", None, with_secret).await
        }
        Action::Delete(args) => delete(setting, &args).await,
    }
}

async fn list(setting: &Setting, args: &ListArgs) -> Result<ExitCode, Trouble> {
    let service = Service::new(setting, &args.connection)?;
    let heads = &["id", "state", "failures", "url", "events", "orgs", "by"];
    let row = |endpoint: &Value| {
        let told = ["/failures", "/url", "/events", "/orgs", "/createdBy"].map(|at| text(endpoint, at));
        [text(endpoint, "/id"), state(endpoint).to_owned()].into_iter().chain(told).collect()
    };
    print_list(&service, "/webhook-endpoints", Vec::new(), args, heads, row).await
}

fn state(endpoint: &Value) -> &'static str {
    match (endpoint["enabled"] == true, endpoint["failingSince"].is_null()) {
        (false, _) => "disabled",
        (true, true) => "enabled",
        (true, false) => "failing",
    }
}

fn shown(endpoint: &Value) -> String {
    let or_all = |place: &str| match text(endpoint, place).as_str() {
        "-" => "all".to_owned(),
        told => told.replace(',', ", "),
    };
    let mut fields = Fields::default();
    fields.add("endpoint", text(endpoint, "/id"));
    fields.add("url", text(endpoint, "/url"));
    fields.add("for", text(endpoint, "/description"));
    fields.add("state", state(endpoint));
    fields.add("disabled", text(endpoint, "/disabledReason"));
    fields.add("failing", moment(endpoint, "/failingSince"));
    fields.add("failures", text(endpoint, "/failures"));
    fields.add("events", or_all("/events"));
    fields.add("orgs", or_all("/orgs"));
    fields.add("purge", text(endpoint, "/purgeId"));
    fields.add("signing", text(endpoint, "/signing"));
    fields.add("public key", text(endpoint, "/publicKey"));
    fields.add("by", text(endpoint, "/createdBy"));
    fields.add("created", moment(endpoint, "/createdAt"));
    fields.rendered(width())
}

/// What its receiver checks with stands alone on the last line.
fn with_secret(endpoint: &Value) -> String {
    let secret = match text(endpoint, "/secret").as_str() {
        "-" => text(endpoint, "/publicKey"),
        secret => secret.to_owned(),
    };
    format!("{}{secret}\n", shown(endpoint))
}

async fn create(setting: &Setting, args: CreateArgs) -> Result<ExitCode, Trouble> {
    let service = Service::new(setting, &args.connection)?;
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    let order = json!({
        "url": args.receiver, "description": args.description, "events": some(args.events), "orgs": some(args.orgs),
        "signing": args.signing,
    });
    let answer = service.post("/webhook-endpoints", Some(&order)).await?;
    print(&answer, args.json, with_secret)?;
    Ok(ExitCode::SUCCESS)
}

/// One that was not delivered is no success.
async fn test(setting: &Setting, one: &One<Which>) -> Result<ExitCode, Trouble> {
    let service = Service::new(setting, &one.connection)?;
    let answer = service.post(&format!("/webhook-endpoints/{}/test", one.which.id), None).await?;
    let is_delivered = answer["delivered"] == true;
    print(&answer, one.json, |sent| {
        let mut fields = Fields::default();
        fields.add("ping", if is_delivered { "delivered" } else { "not delivered" });
        fields.add("status", text(sent, "/status"));
        fields.add("error", text(sent, "/error"));
        fields.add("answer", text(sent, "/response"));
        fields.rendered(width())
    })?;
    Ok(if is_delivered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn change(setting: &Setting, one: &One<Which>, enabled: bool) -> Result<ExitCode, Trouble> {
    let body = json!({ "enabled": enabled });
    let shown = |endpoint: &Value| format!("{}\n", state(endpoint));
    on(setting, one, Method::PATCH, "", Some(&body), shown).await
}

async fn delete(setting: &Setting, args: &DeleteArgs) -> Result<ExitCode, Trouble> {
    let DeleteArgs { one, consent } = args;
    if consent.is_to_be_asked(false) {
        let service = Service::new(setting, &one.connection)?;
        let endpoint = service.get(&format!("/webhook-endpoints/{}", one.which.id), &[]).await?;
        let question = ["Delete the receiver".to_owned(), format!("{}?", text(&endpoint, "/url"))];
        if !consent.asked(&question, false).await? {
            return Ok(ExitCode::from(DECLINED));
        }
    }
    let service = Service::new(setting, &one.connection)?;
    service.send(Method::DELETE, &format!("/webhook-endpoints/{}", one.which.id), None).await?;
    output::line(if one.json { "{}" } else { "deleted" })?;
    Ok(ExitCode::SUCCESS)
}

async fn on(
    setting: &Setting,
    one: &One<Which>,
    method: Method,
    act: &str,
    body: Option<&Value>,
    shown: impl FnOnce(&Value) -> String,
) -> Result<ExitCode, Trouble> {
    let service = Service::new(setting, &one.connection)?;
    let answer = service.send(method, &format!("/webhook-endpoints/{}{act}", one.which.id), body).await?;
    print(&answer, one.json, shown)?;
    Ok(ExitCode::SUCCESS)
}
