//! `migrate`: the schema, brought up to date.

use std::process::ExitCode;

use super::output;
use super::setting::Setting;
use crate::app::{Database, connect};

pub(super) async fn run(setting: &Setting) -> anyhow::Result<ExitCode> {
    let settings = setting.settings()?;
    let database = Database::find(&settings, &setting.environment, &setting.data_dir).await?;
    let store = connect(&settings, &setting.world, &database.place).await?;
    store.migrate().await?;
    store.close().await;
    database.stop().await?;
    output::line("the schema is current")?;
    Ok(ExitCode::SUCCESS)
}
