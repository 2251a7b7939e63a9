//! Kills, pauses and cuts at random moments.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rand::{RngExt, rngs::StdRng, seq::SliceRandom};
use tokio::{
    task::{JoinSet, block_in_place},
    time::sleep,
};

use super::{
    cluster::{Cluster, Partner},
    link::Cut,
    rows::Rows,
};

/// How long a killed replica stays away at most.
const AWAY: Duration = Duration::from_secs(2);
/// The longest time between two disturbances.
const QUIET: Duration = Duration::from_millis(1_200);
/// The leases of what is stopped for so long are over.
const STOPPED: std::ops::Range<Duration> = Duration::from_millis(5_500)..Duration::from_secs(9);
/// Shorter and longer than a lease.
const CUT_OFF: std::ops::Range<Duration> = Duration::from_millis(300)..Duration::from_secs(7);
/// Whatever a killed replica had must be another's by then.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(60);

/// What the replicas have suffered.
#[derive(Default)]
pub struct Suffered {
    /// How often, by kind.
    pub deeds: BTreeMap<&'static str, usize>,
    /// How long it took until nothing was left to a killed replica that had led, or watched an import.
    pub takeovers: Vec<Duration>,
}

/// Disturbs the replicas, each time one or two of them, until `kills` were killed. All run at the end.
pub async fn disturb(cluster: &mut Cluster, kills: usize, rng: &mut StdRng) -> Suffered {
    let (mut suffered, mut taken_over) = (Suffered::default(), JoinSet::new());
    let (start, mut killed) = (Instant::now(), 0);
    while killed < kills {
        let mut numbers: Vec<usize> = (0..cluster.len()).collect();
        numbers.shuffle(rng);
        let deed = match rng.random_range(0..100) {
            0..72 => {
                let victims = &numbers[..if rng.random_ratio(1, 5) { 2 } else { 1 }];
                for victim in victims {
                    for id in cluster.kill(*victim).await {
                        taken_over.spawn(until_taken_over(cluster.rows.clone(), id));
                    }
                }
                sleep(rng.random_range(Duration::ZERO..AWAY)).await;
                for victim in victims {
                    let is_fresh = rng.random_ratio(1, 10);
                    block_in_place(|| {
                        if is_fresh { cluster.restart_fresh(*victim) } else { cluster.restart(*victim) }
                    });
                }
                killed += victims.len();
                if victims.len() == 1 { "killed" } else { "two killed at once" }
            }
            72..84 => {
                cluster.pause(numbers[0]);
                sleep(rng.random_range(STOPPED)).await;
                cluster.resume(numbers[0]);
                "stopped for longer than a lease"
            }
            _ => {
                let partner = if rng.random() { Partner::Postgres } else { Partner::S3 };
                let cut = if rng.random() { Cut::Closed } else { Cut::Silent };
                cluster.cut(numbers[0], partner, cut);
                sleep(rng.random_range(CUT_OFF)).await;
                cluster.cut(numbers[0], partner, Cut::No);
                match partner {
                    Partner::Postgres => "cut off from Postgres",
                    Partner::S3 => "cut off from the bucket",
                }
            }
        };
        *suffered.deeds.entry(deed).or_default() += 1;
        println!("{:>5.1?} {deed} ({killed} of {kills} kills)", start.elapsed());
        sleep(rng.random_range(Duration::ZERO..QUIET)).await;
    }
    suffered.takeovers = taken_over.join_all().await.into_iter().flatten().collect();
    suffered
}

/// How long it takes until the killed replica `id` leads no more and watches no unfinished import. None if it did
/// neither.
pub async fn until_taken_over(rows: Rows, id: String) -> Option<Duration> {
    let start = Instant::now();
    if rows.leased_by(&id).await == 0 {
        return None;
    }
    loop {
        let left = rows.leased_by(&id).await;
        if left == 0 {
            return Some(start.elapsed());
        }
        assert!(start.elapsed() < TAKEN_OVER_WITHIN, "{left} leases of the killed replica {id} are left");
        sleep(Duration::from_millis(50)).await;
    }
}
