//! `keys create | list | revoke`.

use std::process::ExitCode;

use uuid::Uuid;

use super::output;
use super::setting::Setting;
use crate::domain::keys::{Caller, Reach, SERVICE, Scope, format_key};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Create a key; it is printed once, alone on the last line.
    Create {
        /// Who will use it: the actor in every event.
        #[arg(long, value_parser = name)]
        name: String,
        /// A scope of the key; may be repeated.
        #[arg(long = "scope", required = true, value_parser = scope)]
        scopes: Vec<Scope>,
        /// An org that the key is limited to; may be repeated. Default: every org.
        #[arg(long = "org")]
        orgs: Vec<String>,
    },
    List,
    /// Revoke a key, permanently.
    Revoke {
        /// The id that `keys list` shows.
        id: Uuid,
    },
}

fn name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it must not be empty".to_owned()),
        _ if text.contains(char::is_control) => Err("it must not hold control characters".to_owned()),
        told if told.eq_ignore_ascii_case(SERVICE) => {
            Err(format!("{SERVICE:?} is the name of the service itself in every event; choose another"))
        }
        _ => Ok(text.to_owned()),
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    text.parse().map_err(|_| {
        let known: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        format!("expected one of {}", known.join(", "))
    })
}

pub(super) async fn run(setting: &Setting, action: Action) -> anyhow::Result<ExitCode> {
    let settings = setting.settings()?;
    let (database, store) = setting.database(&settings).await?;
    let done = match action {
        Action::Create { name, mut scopes, orgs } => {
            scopes.sort_unstable();
            scopes.dedup();
            let key = format_key(&setting.world.random_bytes());
            let reach = if orgs.is_empty() { Reach::all() } else { Reach::of(orgs) };
            let caller = Caller { name, scopes, reach };
            store.create_key(&key, &caller).await?;
            output::line(key)
        }
        Action::List => list(&store.list_keys().await?),
        Action::Revoke { id } if store.revoke_key(id).await? => output::line("revoked"),
        Action::Revoke { id } => {
            Err(anyhow::anyhow!("no key in force has the id {id}; `keys list` shows all"))
        }
    };
    store.close().await;
    database.stop().await?;
    done.map(|()| ExitCode::SUCCESS)
}

fn list(keys: &[crate::store::keys::KeyRow]) -> anyhow::Result<()> {
    for key in keys {
        let scopes: Vec<&str> = key.caller.scopes.iter().map(|scope| scope.as_str()).collect();
        let orgs = key.caller.reach.orgs().map_or_else(|| "every org".to_owned(), |orgs| orgs.join(","));
        let state = key.revoked_at.map_or_else(|| "in force".to_owned(), |at| format!("revoked {at}"));
        output::line(format_args!(
            "{}  {}...  {}  {}  {orgs}  made {}  {state}",
            key.id,
            key.prefix,
            key.caller.name,
            scopes.join(","),
            key.created_at
        ))?;
    }
    Ok(())
}
