//! The database: is there one, does it answer, can we work with it?

use std::fmt::Display;
use std::time::Instant;

use jiff::SignedDuration;

use super::finding::Finding;
use super::{LONGEST, Practice, asked, clock, too_long};
use crate::app::database::{archive, configured, place};
use crate::config::Settings;
use crate::postgres::{self, Binaries, default_cache};
use crate::store::views::condition::{OrgCondition, ServerCondition, reach};
use crate::store::{Place, SchemaAge, SessionCheck, Store, StoreError};

/// The oldest Postgres that the tests run on.
const OLDEST: i32 = 15;
/// One connection more than the pools have listens for notifications.
const LISTENERS: i64 = 1;

/// A database that answers.
pub(super) struct Connected {
    pub(super) store: Store,
    /// Its tables are the ones that this binary knows.
    pub(super) is_current: bool,
    /// The orgs that a service was started with.
    pub(super) orgs: Vec<OrgCondition>,
    /// By how much its clock is ahead of ours.
    pub(super) ahead: SignedDuration,
}

impl Connected {
    /// Whether it keeps a limiter of that org.
    pub(super) fn knows(&self, org: &str) -> bool {
        self.orgs.iter().any(|known| known.name == org)
    }
}

pub(super) async fn examine(
    practice: &Practice<'_>,
    settings: &Settings,
) -> (Vec<Finding>, Option<Connected>) {
    let (mut findings, place) = match find(practice, settings) {
        Ok((found, Some(place))) => (found, place),
        Ok((found, None)) => return (found, None),
        Err(finding) => return (vec![finding], None),
    };
    match connect(practice, settings, &place).await {
        Err(finding) => findings.push(finding),
        Ok((found, connected)) => {
            findings.extend(found);
            return (findings, Some(connected));
        }
    }
    (findings, None)
}

/// The configured one, or the one that `serve` runs on the data directory; none is made.
fn find(practice: &Practice<'_>, settings: &Settings) -> Result<(Vec<Finding>, Option<Place>), Finding> {
    if let Some(place) = configured(settings) {
        return Ok((Vec::new(), Some(place)));
    }
    let data_dir = practice.data_dir.display();
    let mut findings = vec![programs(practice, settings)];
    match postgres::running(practice.data_dir) {
        Ok(Some(address)) => Ok((findings, Some(place(&address)))),
        Ok(None) => {
            let detail = format!("none runs on {data_dir}; what needs one is not looked at");
            findings.push(Finding::warn(
                "database",
                detail,
                "`genesys-purge serve` starts one, or set DATABASE_URL",
            ));
            Ok((findings, None))
        }
        Err(error) => Err(Finding::fail(
            "database",
            error,
            "run doctor as the user that runs `serve`, with its --data-dir",
        )),
    }
}

/// Whether there is something to run the embedded server with; nothing is fetched for the sake of a look.
fn programs(practice: &Practice<'_>, settings: &Settings) -> Finding {
    let archive = match archive(&settings.database) {
        Ok(archive) => archive,
        Err(error) => return Finding::fail("postgres", error, "set it, or DATABASE_URL"),
    };
    match Binaries::at_hand(practice.environment().path(), archive.as_ref(), &default_cache()) {
        Ok(binaries) => Finding::ok("postgres", format_args!("programs in {}", binaries.best().display())),
        Err(error) => match archive {
            Some(archive) => Finding::warn(
                "postgres",
                format_args!("{error}; `serve` fetches one from {}", archive.host()),
                "or set DATABASE_URL",
            ),
            None => Finding::fail("postgres", error, "or set DATABASE_URL"),
        },
    }
}

async fn connect(
    practice: &Practice<'_>,
    settings: &Settings,
    place: &Place,
) -> Result<(Vec<Finding>, Connected), Finding> {
    match tokio::time::timeout(LONGEST, reach(place)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(out_of_reach(practice, place, &error)),
        Err(_) => return Err(out_of_reach(practice, place, &too_long())),
    }
    // Two connections are plenty, and no receiver is told of anything.
    let store = asked("database", Store::connect(place, 2, practice.world.new_id(), false)).await?;
    let clock = practice.world.clock();
    asked("database", store.server_condition()).await?;
    let (before, began) = (clock(), Instant::now());
    let server = asked("database", store.server_condition()).await?;
    let took = began.elapsed();
    let half = SignedDuration::try_from(took / 2).unwrap_or_default();
    let own = before.checked_add(half).unwrap_or(before);
    let (schema, is_current) = schema(place, asked_schema(&store).await);
    let mut findings = vec![
        version(&server, took.as_secs_f64() * 1000.0),
        connections(&server, settings.database.max_connections),
    ];
    findings.extend(match asked("session", store.check_session()).await {
        Ok(check) => vec![session(&check), durability(&check)],
        Err(failed) => vec![failed],
    });
    findings.push(notifications(hears(&store).await));
    findings.extend([clock::compare("database clock", ("this machine's", own), server.now, half), schema]);
    let orgs = if is_current { asked("orgs", store.org_conditions()).await } else { Ok(Vec::new()) };
    let orgs = orgs.unwrap_or_else(|failed| {
        findings.push(failed);
        Vec::new()
    });
    Ok((findings, Connected { store, is_current, orgs, ahead: server.now.duration_since(own) }))
}

/// Names the server and the setting that leads there.
fn out_of_reach(practice: &Practice<'_>, place: &Place, why: &dyn Display) -> Finding {
    let server = place.whereabouts();
    let detail = format!("can't reach Postgres at {server}: {why}");
    let remedy = match place {
        Place::Url(_) | Place::Pooled(_) => format!(
            "check database.url (DATABASE_URL), that the server runs at {server}, and that it lets this machine in"
        ),
        Place::Socket { .. } => format!("look at {}/postgres.log", practice.data_dir.display()),
    };
    Finding::fail("database", detail, remedy)
}

fn version(server: &ServerCondition, millis: f64) -> Finding {
    let told = format!("PostgreSQL {}, answers in {millis:.1} ms", server.version);
    if server.major < OLDEST {
        return Finding::warn(
            "database",
            told,
            format_args!("the tests run on {OLDEST} and newer: upgrade it"),
        );
    }
    Finding::ok("database", told)
}

/// What runs here now may be our own service, so what is taken says little: the limit itself must be wide enough.
fn connections(server: &ServerCondition, ours: u32) -> Finding {
    let ours = i64::from(ours) + LISTENERS;
    let (allowed, taken) = (server.allowed, server.taken);
    let told = format!("a process takes {ours} at most, the server allows {allowed}; {taken} are taken now");
    let remedy = "lower database.max_connections, or raise max_connections of the server";
    if ours > allowed {
        Finding::fail("connections", told, remedy)
    } else if ours > allowed - taken && taken > ours {
        Finding::warn("connections", told, remedy)
    } else {
        Finding::ok("connections", told)
    }
}

/// Whether sessions have what they were asked to begin with.
fn session(check: &SessionCheck) -> Finding {
    let remedy = |settings: &[String]| {
        let named = settings.iter().filter_map(|told| told.split(' ').next()).collect::<Vec<_>>().join(", ");
        format!("connect without the pooler, or set {named} for the role (alter role ... set ...)")
    };
    let (bad, odd) = (&check.unsafe_settings, &check.odd_settings);
    if !bad.is_empty() {
        return Finding::fail(
            "session",
            format_args!("{}: no service starts on it", bad.join("; ")),
            remedy(bad),
        );
    }
    if !odd.is_empty() {
        return Finding::warn("session", odd.join("; "), remedy(odd));
    }
    Finding::ok("session", "its settings are those that were asked for")
}

/// Without either, what was committed may be gone after a crash, and with it a legal hold or an intent whose call has left.
fn durability(check: &SessionCheck) -> Finding {
    let is_off = |name: &str| check.lossy_settings.iter().any(|lossy| lossy == name);
    if is_off("fsync") {
        let told = "fsync is off: a crash of the server's machine loses what was committed, or all of it";
        return Finding::fail("durability", told, "set fsync = on, and synchronous_commit too");
    }
    if is_off("full_page_writes") {
        let told = "full_page_writes is off: a crash of the server's machine can leave half-written pages";
        return Finding::warn(
            "durability",
            told,
            "set full_page_writes = on, unless the file system never tears pages",
        );
    }
    Finding::ok("durability", "what is committed survives a crash of the server's machine")
}

/// Whether this process would hear of the work that others make; nothing where it could not be looked at.
async fn hears(store: &Store) -> Result<Option<bool>, Finding> {
    if !store.may_hear() {
        return Ok(None);
    }
    let mut listener = asked("notifications", store.listen()).await?;
    asked("notifications", listener.hears()).await.map(Some)
}

fn notifications(heard: Result<Option<bool>, Finding>) -> Finding {
    let looks = "work of other processes is found by polling, four times a second";
    match heard {
        Ok(Some(true)) => Finding::ok("notifications", "what processes tell each other comes through"),
        Ok(None) => Finding::ok("notifications", format_args!("database.pooler passes none on: {looks}")),
        Ok(Some(false)) => Finding::warn(
            "notifications",
            format_args!("something before the database passes none on: {looks}"),
            "connect without it, or set database.pooler if it is a pooler in transaction mode",
        ),
        Err(failed) => failed,
    }
}

async fn asked_schema(store: &Store) -> Result<SchemaAge, StoreError> {
    let timed_out = StoreError::Unreadable { what: "the schema", detail: too_long() };
    tokio::time::timeout(LONGEST, store.check_ready()).await.unwrap_or(Err(timed_out))
}

fn schema(place: &Place, checked: Result<SchemaAge, StoreError>) -> (Finding, bool) {
    let finding = match checked {
        Ok(SchemaAge::Same) => return (Finding::ok("schema", "up to date"), true),
        Ok(SchemaAge::Newer { found, needed }) => {
            let detail = format!("it is at {found}, this binary brings {needed} and may work on");
            return (Finding::warn("schema", detail, "run the newer version, everywhere"), true);
        }
        Err(StoreError::Outgrown { found, needed, .. }) => {
            let detail = format!("it is at {found}, and no binary may work on it that brings {needed}");
            Finding::fail("schema", detail, "run the newer version of this program")
        }
        Err(StoreError::Schema { found, needed }) => {
            let detail = format!("it is at {}, and this binary needs {needed}", found.unwrap_or(0));
            let remedy = match place {
                Place::Url(_) | Place::Pooled(_) => "run `genesys-purge migrate`",
                Place::Socket { .. } => "run `genesys-purge migrate`, or start `serve` again",
            };
            Finding::fail("schema", detail, remedy)
        }
        Err(error) => Finding::fail(
            "schema",
            error,
            "does the role of database.url (DATABASE_URL) have the rights of docs/operations.md?",
        ),
    };
    (finding, false)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::app::doctor::Verdict;

    #[test]
    fn settings_that_lose_what_was_committed_fail_and_those_that_cost_time_warn() {
        let told = |setting: &str| vec![format!("{setting} is \"x\" instead of \"y\"")];
        let lossy =
            |name: &str| SessionCheck { lossy_settings: vec![name.to_owned()], ..SessionCheck::default() };
        let unsafe_one =
            SessionCheck { unsafe_settings: told("synchronous_commit"), ..SessionCheck::default() };
        let odd = SessionCheck { odd_settings: told("statement_timeout"), ..SessionCheck::default() };
        for (finding, verdict, remedy) in [
            (session(&unsafe_one), Verdict::Fail, "set synchronous_commit for the role"),
            (session(&odd), Verdict::Warn, "set statement_timeout for the role"),
            (session(&lossy("fsync")), Verdict::Ok, ""),
            (durability(&lossy("fsync")), Verdict::Fail, "fsync = on"),
            (durability(&lossy("full_page_writes")), Verdict::Warn, "full_page_writes = on"),
            (durability(&unsafe_one), Verdict::Ok, ""),
        ] {
            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert!(finding.remedy.as_deref().unwrap_or_default().contains(remedy), "{finding:?}");
        }
    }

    #[test]
    fn an_old_server_and_one_with_too_few_connections_are_told() {
        let server = |major: i32, allowed, taken| ServerCondition {
            version: major.to_string(),
            major,
            allowed,
            taken,
            now: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(version(&server(15, 97, 1), 1.0).verdict, Verdict::Ok);
        assert_eq!(version(&server(14, 97, 1), 1.0).verdict, Verdict::Warn);
        for (allowed, taken, expected) in [
            (97, 1, Verdict::Ok),
            (97, 11, Verdict::Ok),
            (11, 11, Verdict::Ok),
            (97, 90, Verdict::Warn),
            (10, 1, Verdict::Fail),
        ] {
            assert_eq!(connections(&server(15, allowed, taken), 10).verdict, expected, "{allowed} {taken}");
        }
    }
}
