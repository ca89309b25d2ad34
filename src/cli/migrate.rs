//! `migrate`: the schema, brought up to date.

use std::process::ExitCode;

use super::output;
use super::setting::Setting;
use crate::app::{Database, connect};
use crate::store::{Migrated, SchemaAge};

pub(super) async fn run(setting: &Setting) -> anyhow::Result<ExitCode> {
    let settings = setting.settings()?;
    let database = Database::find(&settings, &setting.environment, &setting.data_dir).await?;
    let store = connect(&settings, &setting.world, &database.place).await?;
    let migrated = store.migrate().await?;
    store.close().await;
    database.stop().await?;
    output::line(told(migrated))?;
    Ok(ExitCode::SUCCESS)
}

fn told(Migrated { applied, age }: Migrated) -> String {
    match (age, applied) {
        (SchemaAge::Newer { found, needed }, _) => format!(
            "applied no migration: the schema is at {found}, and this binary brings {needed}; run the newer version"
        ),
        (SchemaAge::Same, 0) => "applied no migration: the schema is current".to_owned(),
        (SchemaAge::Same, 1) => "applied 1 migration: the schema is current".to_owned(),
        (SchemaAge::Same, applied) => format!("applied {applied} migrations: the schema is current"),
    }
}
