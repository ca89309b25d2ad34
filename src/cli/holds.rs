//! `holds add | list | show | release`: legal holds, as a caller of a running service.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};
use uuid::Uuid;

use super::caller::{
    Connection, Consent, DECLINED, EXIT_CODES, Fields, Format, ListArgs, One, Service, Trouble, Why,
    conversations, ended, in_file, kept, moment, print, print_list, text, width,
};
use super::output;
use super::setting::Setting;

/// So many ids are told for which a hold came too late; `holds show --json` tells all.
const TOLD: usize = 20;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Protect conversations from now on; the id of the hold is all that is printed to standard output.
    #[command(after_help = EXIT_CODES)]
    Add(AddArgs),
    /// List holds, newest first.
    #[command(after_help = EXIT_CODES)]
    List(ListArgs),
    /// Show a hold, and for which conversations it came too late.
    #[command(after_help = EXIT_CODES)]
    Show(One<Which>),
    /// Release a hold: what it protected can be deleted by a new purge. On a terminal it asks first.
    #[command(after_help = EXIT_CODES)]
    Release(ReleaseArgs),
}

/// A hold.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The id of the hold.
    id: Uuid,
}

#[derive(Debug, clap::Args)]
pub(super) struct AddArgs {
    /// The file with the ids; `-` is standard input. CSV has a header with a column `conversationId`, or one id a line.
    #[arg(required_unless_present = "ids")]
    file: Option<PathBuf>,
    /// What the file is. Left out: by its name, else CSV.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// A conversation; may be repeated.
    #[arg(long = "id", value_name = "ID", conflicts_with = "file")]
    ids: Vec<Uuid>,
    /// The matter that protects.
    #[arg(long)]
    matter: String,
    /// Your own name for it: sent again while it is in force, it makes no second hold.
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// In which org. Left out: in every org that the key reaches.
    #[arg(long)]
    org: Option<String>,
    #[command(flatten)]
    why: Why,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct ReleaseArgs {
    #[command(flatten)]
    one: One<Which>,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(setting: &Setting, action: Action) -> anyhow::Result<ExitCode> {
    ended(match action {
        Action::Add(args) => add(setting, args).await,
        Action::List(args) => list(setting, &args).await,
        Action::Show(args) => show(setting, &args).await,
        Action::Release(args) => release(setting, &args).await,
    })
}

async fn add(setting: &Setting, args: AddArgs) -> Result<ExitCode, Trouble> {
    let service = Service::new(setting, &args.connection)?;
    let ids = match &args.file {
        Some(file) => {
            let format = args.format.or_else(|| Format::of(file)).unwrap_or(Format::Csv);
            read(file, format).await.with_context(|| file.display().to_string())?
        }
        None => args.ids,
    };
    let order = json!({
        "matter": args.matter, "conversationIds": ids, "externalId": args.external_id, "org": args.org,
        "reason": args.why.reason,
    });
    let answer = service.post("/holds", Some(&order)).await?;
    print(&answer, args.json, |answer| format!("{}\n", text(answer, "/id")))?;
    output::note(format_args!(
        "in force for {} of {}; no call that deletes one leaves after {}",
        conversations(text(&answer, "/conversations")),
        text(&answer, "/orgs"),
        moment(&answer, "/quietAt")
    ));
    for line in too_late(&answer) {
        output::note(line);
    }
    Ok(ExitCode::SUCCESS)
}

async fn read(file: &Path, format: Format) -> anyhow::Result<Vec<Uuid>> {
    let source = if file == Path::new("-") {
        kept(Box::new(std::io::stdin())).await?
    } else {
        std::fs::File::open(file)?
    };
    let spooled = in_file(source, format).await?;
    let pages: Result<Vec<_>, _> = spooled.ids(1000).collect();
    Ok(pages?.concat())
}

/// What a hold can't protect any more.
fn too_late(answer: &Value) -> Vec<String> {
    let ids = answer["tooLate"].as_array().map(Vec::as_slice).unwrap_or_default();
    if ids.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!("too late for {}: gone, or in a job", ids.len())];
    lines.extend(ids.iter().take(TOLD).map(|id| format!("  {}", text(id, ""))));
    if ids.len() > TOLD {
        lines.push(format!("  and {} more", ids.len() - TOLD));
    }
    lines
}

async fn list(setting: &Setting, args: &ListArgs) -> Result<ExitCode, Trouble> {
    let service = Service::new(setting, &args.connection)?;
    let heads = &["id", "created", "state", "conversations", "orgs", "by", "matter"];
    let row = |hold: &Value| {
        let state = if hold["active"] == true { "active" } else { "released" };
        let told = ["/conversations", "/orgs", "/createdBy", "/matter"].map(|place| text(hold, place));
        let first = [text(hold, "/id"), moment(hold, "/createdAt"), state.to_owned()];
        first.into_iter().chain(told).collect()
    };
    print_list(&service, "/holds", Vec::new(), args, heads, row).await
}

async fn show(setting: &Setting, args: &One<Which>) -> Result<ExitCode, Trouble> {
    let service = Service::new(setting, &args.connection)?;
    let answer = service.get(&format!("/holds/{}", args.which.id), &[]).await?;
    print(&answer, args.json, |hold| {
        let mut fields = Fields::default();
        fields.add("hold", text(hold, "/id"));
        fields.add("state", if hold["active"] == true { "active" } else { "released" });
        for (name, place) in [
            ("matter", "/matter"),
            ("reason", "/reason"),
            ("external id", "/externalId"),
            ("conversations", "/conversations"),
            ("orgs", "/orgs"),
            ("by", "/createdBy"),
        ] {
            fields.add(name, text(hold, place));
        }
        fields.add("created", moment(hold, "/createdAt"));
        fields.add("released", moment(hold, "/releasedAt"));
        fields.add("released by", text(hold, "/releasedBy"));
        fields.add("release reason", text(hold, "/releaseReason"));
        let late = too_late(hold).join("\n");
        fields.rendered(width()) + &late + if late.is_empty() { "" } else { "\n" }
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn release(setting: &Setting, args: &ReleaseArgs) -> Result<ExitCode, Trouble> {
    let ReleaseArgs { one, why, consent } = args;
    let service = Service::new(setting, &one.connection)?;
    let path = format!("/holds/{}", one.which.id);
    if consent.is_to_be_asked(false) {
        let hold = service.get(&path, &[]).await?;
        let question = [
            format!("Release the hold \"{}\"?", text(&hold, "/matter")),
            format!("Its {} can be", conversations(text(&hold, "/conversations"))),
            "deleted by a new purge then.".to_owned(),
        ];
        if hold["active"] == true && !consent.asked(&question, false).await? {
            return Ok(ExitCode::from(DECLINED));
        }
    }
    let answer = service.post(&format!("{path}/release"), why.body().as_ref()).await?;
    print(&answer, one.json, |_| "released\n".to_owned())?;
    Ok(ExitCode::SUCCESS)
}
