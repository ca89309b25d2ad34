//! `retention`: puts looser retention rules in force, which no start does by itself.

use std::process::ExitCode;

use clap::Subcommand;

use super::output;
use super::setting::Setting;
use crate::app::policy;
use crate::store::orgs::enroll::Enroller;

/// What to do about retention rules.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Put the configured rules in force for all configured orgs, even looser ones.
    Adopt,
}

/// Who does what is done on the command line.
const OPERATOR: &str = "command line";

pub(super) async fn run(setting: &Setting, action: Action) -> anyhow::Result<ExitCode> {
    let Action::Adopt = action;
    let settings = setting.settings()?;
    let (database, store) = setting.database(&settings).await?;
    let configured = policy(&settings);
    for org in settings.orgs.keys() {
        let enrolled = store.enroll_org(org, &configured, Enroller::Operator(OPERATOR)).await?;
        output::line(&match enrolled.replaced {
            Some(before) => format!("{org}: {before} -> {}", enrolled.in_force),
            None => format!("{org}: {} (as before)", enrolled.in_force),
        })?;
    }
    store.close().await;
    database.stop().await?;
    Ok(ExitCode::SUCCESS)
}
