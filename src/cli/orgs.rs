//! `org list | show | stop | resume`: the orgs of a running service, and the emergency brake.

use std::process::ExitCode;

use serde_json::Value;

use super::caller::{
    EXIT_CODES, Fields, ListArgs, One, Service, Trouble, Why, ended, moment, print, print_list, text, width,
};
use super::output;
use super::setting::Setting;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// List the orgs: what runs, what waits, and why.
    #[command(after_help = EXIT_CODES)]
    List(ListArgs),
    /// Show an org: its limits in use, its token, and what is in its way.
    #[command(after_help = EXIT_CODES)]
    Show(One<Which>),
    /// Stop an org: nothing more is submitted until it is resumed.
    #[command(after_help = EXIT_CODES)]
    Stop(SteerArgs),
    /// Let a stopped org go on.
    #[command(after_help = EXIT_CODES)]
    Resume(SteerArgs),
}

/// An org.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The name of the org.
    org: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct SteerArgs {
    #[command(flatten)]
    one: One<Which>,
    #[command(flatten)]
    why: Why,
}

pub(super) async fn run(setting: &Setting, action: Action) -> anyhow::Result<ExitCode> {
    ended(match action {
        Action::List(args) => list(setting, &args).await,
        Action::Show(args) => show(setting, &args).await,
        Action::Stop(SteerArgs { one, why }) => steer(setting, &one, "stop", why.body().as_ref()).await,
        Action::Resume(SteerArgs { one, why }) => steer(setting, &one, "resume", why.body().as_ref()).await,
    })
}

async fn list(setting: &Setting, args: &ListArgs) -> Result<ExitCode, Trouble> {
    let service = Service::new(setting, &args.connection)?;
    let heads = &["org", "state", "purges", "jobs", "waiting", "calls/min"];
    let row = |org: &Value| {
        let told = ["/openPurges", "/liveJobs", "/waitingJobs", "/callsLastMinute"].map(|at| text(org, at));
        [text(org, "/name"), state(org)].into_iter().chain(told).collect()
    };
    print_list(&service, "/orgs", Vec::new(), args, heads, row).await
}

/// Whether its work goes on, in a word.
fn state(org: &Value) -> String {
    if !org["stopped"].is_null() {
        return "stopped".to_owned();
    }
    match text(org, "/blocked/code").as_str() {
        "-" if !org["paused"].is_null() => "paused".to_owned(),
        "-" => "ok".to_owned(),
        code => format!("blocked:{code}"),
    }
}

async fn show(setting: &Setting, args: &One<Which>) -> Result<ExitCode, Trouble> {
    let service = Service::new(setting, &args.connection)?;
    let answer = service.get(&path(&args.which.org), &[]).await?;
    print(&answer, args.json, shown)?;
    Ok(ExitCode::SUCCESS)
}

fn shown(org: &Value) -> String {
    let of = |used: &str, most: &str| match text(org, most).as_str() {
        "-" => text(org, used),
        most => format!("{} of {most}", text(org, used)),
    };
    let mut fields = Fields::default();
    fields.add("org", text(org, "/name"));
    fields.add("state", state(org));
    if !org["stopped"].is_null() {
        let stopped = [text(org, "/stopped/by"), moment(org, "/stopped/since")];
        fields.add("stopped", format!("by {} since {}", stopped[0], stopped[1]));
        fields.add("reason", text(org, "/stopped/reason"));
    }
    fields.add("blocked", text(org, "/blocked/detail"));
    fields.add("next try", moment(org, "/blocked/nextTryAt"));
    fields.add("silent until", moment(org, "/closedUntil"));
    fields.add("purges", format!("{} open", text(org, "/openPurges")));
    fields.add(
        "jobs",
        format!(
            "{} live, {} waiting",
            of("/liveJobs", "/limits/maxConcurrentJobs"),
            text(org, "/waitingJobs")
        ),
    );
    fields
        .add("calls", format!("{} in the last minute", of("/callsLastMinute", "/limits/requestsPerMinute")));
    let token = text(org, "/token/expiresInSeconds");
    fields.add("token", if token == "-" { "none yet".to_owned() } else { format!("expires in {token} s") });
    fields.add("batch", format!("at most {} conversations per job", text(org, "/limits/maxBatch")));
    fields.rendered(width())
}

async fn steer(
    setting: &Setting,
    args: &One<Which>,
    act: &str,
    body: Option<&Value>,
) -> Result<ExitCode, Trouble> {
    let service = Service::new(setting, &args.connection)?;
    let answer = service.post(&format!("{}/{act}", path(&args.which.org)), body).await?;
    print(&answer, args.json, |org| format!("{}\n", state(org)))?;
    let quiet_at = moment(&answer, "/quietAt");
    if quiet_at != "-" {
        output::note(format_args!("No call that deletes something leaves after {quiet_at}."));
    }
    Ok(ExitCode::SUCCESS)
}

/// A name may hold what a path may not.
fn path(org: &str) -> String {
    let escaped: String = form_urlencoded::byte_serialize(org.as_bytes()).collect();
    format!("/orgs/{}", escaped.replace('+', "%20"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_org_says_in_a_word_whether_it_goes_on() {
        for (org, expected) in [
            (json!({ "stopped": null, "blocked": null }), "ok"),
            (json!({ "stopped": null, "blocked": { "code": "forbidden" } }), "blocked:forbidden"),
            (json!({ "stopped": { "by": "x" }, "blocked": { "code": "forbidden" } }), "stopped"),
        ] {
            assert_eq!(state(&org), expected);
        }
        assert_eq!(path("eu west/1?"), "/orgs/eu%20west%2F1%3F");
    }
}
