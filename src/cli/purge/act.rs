//! `purge cancel | pause | resume | retry`.

use std::process::ExitCode;

use super::Which;
use super::display::Purge;
use crate::cli::caller::{Consent, DECLINED, One, Service, Trouble, Why, moment, print, text};
use crate::cli::output;
use crate::cli::setting::Setting;

#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    Cancel,
    Pause,
    Resume,
    Retry,
}

impl Act {
    /// As the path has it.
    fn word(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Retry => "retry",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    one: One<Which>,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RetryArgs {
    #[command(flatten)]
    of: Args,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(setting: &Setting, args: &Args, act: Act) -> Result<ExitCode, Trouble> {
    done(&Service::new(setting, &args.one.connection)?, args, act).await
}

/// Asks first: what failed is deleted after all.
pub(super) async fn retry(setting: &Setting, args: &RetryArgs) -> Result<ExitCode, Trouble> {
    let RetryArgs { of, consent } = args;
    let service = Service::new(setting, &of.one.connection)?;
    if consent.is_to_be_asked(false) {
        let answer = service.purge(of.one.which.id).await?;
        let purge = Purge::read(&answer)?;
        let question = [
            format!("Delete the {} conversations of org {}", purge.count("failed"), text(&answer, "/org")),
            "that failed, for good?".to_owned(),
        ];
        if purge.state == "failed" && !consent.asked(&question, false).await? {
            return Ok(ExitCode::from(DECLINED));
        }
    }
    done(&service, of, Act::Retry).await
}

async fn done(service: &Service, args: &Args, act: Act) -> Result<ExitCode, Trouble> {
    let Args { one, why } = args;
    let path = format!("/purges/{}/{}", one.which.id, act.word());
    let answer = service.post(&path, why.body().as_ref()).await?;
    print(&answer, one.json, |answer| format!("{}\n", text(answer, "/state")))?;
    let quiet_at = moment(&answer, "/quietAt");
    if quiet_at != "-" {
        output::note(format_args!("No call that deletes some of it leaves after {quiet_at}."));
    }
    Ok(ExitCode::SUCCESS)
}
