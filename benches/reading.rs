//! `GET /purges/{id}` and the engine's next step (survey and claim), with a thousand and with ten million conversations
//! in the tables: the cost must be the same.
//!
//! `cargo bench --bench reading`

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use genesys_purge::app::World;
use genesys_purge::domain::search::ConflictLimit;
use genesys_purge::domain::terms::OrgTerms;
use genesys_purge::store::Store;
use genesys_purge::store::slices::claim::{Claim, Reach};

use support::{Process, quantiles};

const READS: usize = 500;
const CLAIMS: usize = 50;

#[tokio::main]
async fn main() {
    let variables = [("PURGE__ENGINE__PAUSED", "true"), ("PURGE__INTAKE__MAX_IDS", "20000000")];
    let process = Process::start("http://127.0.0.1:9", &variables);
    let store = Store::connect(&process.place(), 4, World::machine().new_id(), false).await.unwrap();
    let store = Arc::new(store);
    let (_, small) = process.accept(1, 1000).await;
    let few = reads(&process, &small).await;
    let few_surveys = surveys(&store).await;
    println!("among 1,000: GET p50 {:.2} ms, p99 {:.2} ms; survey p50 {:.2} ms", few.0, few.1, few_surveys.0);
    let (took, large) = process.accept(2, 10_000_000).await;
    println!("accepted 10,000,000 in {took:.1} s, highest resident memory {:.1} MiB", process.memory().1);
    for (name, purge) in [("the small one", &small), ("the large one", &large)] {
        let many = reads(&process, purge).await;
        println!(
            "among 10,000,000: GET {name} p50 {:.2} ms, p99 {:.2} ms, ratio of p50 {:.2}",
            many.0,
            many.1,
            many.0 / few.0
        );
    }
    let many = surveys(&store).await;
    println!(
        "among 10,000,000: survey p50 {:.2} ms, p99 {:.2} ms, ratio of p50 {:.2}",
        many.0,
        many.1,
        many.0 / few_surveys.0
    );
    // Both tables are asked about the same: a claim of 500 conversations.
    let many = claims(&store).await;
    println!("among 10,000,000: claim of a call's worth p50 {:.2} ms, p99 {:.2} ms", many.0, many.1);
    drop(process);
    let process = Process::start("http://127.0.0.1:9", &variables);
    let store = Store::connect(&process.place(), 4, World::machine().new_id(), false).await.unwrap();
    process.accept(3, CLAIMS * 500).await;
    let few = claims(&store).await;
    println!(
        "among {}: claim of a call's worth p50 {:.2} ms, p99 {:.2} ms; ratio of p50 {:.2}",
        CLAIMS * 500,
        few.0,
        few.1,
        many.0 / few.0
    );
}

async fn reads(process: &Process, purge: &str) -> (f64, f64) {
    let mut figures = Vec::new();
    for _ in 0..READS {
        let began = Instant::now();
        let request = process.client.get(format!("{}/purges/{purge}", process.url)).bearer_auth(&process.key);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap();
        figures.push(began.elapsed().as_secs_f64());
    }
    quantiles(figures)
}

fn org() -> OrgTerms {
    OrgTerms {
        name: "default".to_owned(),
        max_batch: 500,
        details_batch: 500,
        slots: 5,
        per_minute: 0,
        mixes_purges: true,
        conflict_limit: ConflictLimit { percent: 100, jobs: 1 },
    }
}

async fn surveys(store: &Store) -> (f64, f64) {
    let mut figures = Vec::new();
    for _ in 0..READS {
        let began = Instant::now();
        store.survey(&org(), Duration::from_secs(2)).await.unwrap();
        figures.push(began.elapsed().as_secs_f64());
    }
    quantiles(figures)
}

async fn claims(store: &Store) -> (f64, f64) {
    let mut figures = Vec::new();
    for _ in 0..CLAIMS {
        let began = Instant::now();
        let claim = store.claim_slices(&org(), Reach::ForSlots, Duration::from_mins(1), false).await.unwrap();
        assert!(matches!(claim, Claim::Claimed(..)));
        figures.push(began.elapsed().as_secs_f64());
    }
    quantiles(figures)
}
