//! `purge cancel | pause | resume | retry`.

use std::process::ExitCode;

use super::Which;
use super::display::Purge;
use crate::cli::caller::{Consent, DECLINED, One, Service, Trouble, moment, print, text};
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
pub(in crate::cli) struct RetryArgs {
    #[command(flatten)]
    one: One<Which>,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(setting: &Setting, args: &One<Which>, act: Act) -> Result<ExitCode, Trouble> {
    done(&Service::new(setting, &args.connection)?, args, act).await
}

/// Asks first: what failed is deleted after all.
pub(super) async fn retry(setting: &Setting, args: &RetryArgs) -> Result<ExitCode, Trouble> {
    let RetryArgs { one, consent } = args;
    let service = Service::new(setting, &one.connection)?;
    if consent.is_to_be_asked(false) {
        let answer = service.purge(one.which.id).await?;
        let purge = Purge::read(&answer)?;
        let question = [
            format!("Delete the {} conversations of org {}", purge.count("failed"), text(&answer, "/org")),
            "that failed, for good?".to_owned(),
        ];
        if purge.state == "failed" && !consent.asked(&question, false).await? {
            return Ok(ExitCode::from(DECLINED));
        }
    }
    done(&service, one, Act::Retry).await
}

async fn done(service: &Service, args: &One<Which>, act: Act) -> Result<ExitCode, Trouble> {
    let answer = service.post(&format!("/purges/{}/{}", args.which.id, act.word()), None).await?;
    print(&answer, args.json, |answer| format!("{}\n", text(answer, "/state")))?;
    let quiet_at = moment(&answer, "/quietAt");
    if quiet_at != "-" {
        output::note(format_args!("No call that deletes some of it leaves after {quiet_at}."));
    }
    Ok(ExitCode::SUCCESS)
}
