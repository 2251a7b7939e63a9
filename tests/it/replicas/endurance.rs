//! `make replicas`: many imports of several users while replicas are killed, stopped and cut off.
//!
//! `RUNBOARD_REPLICAS_KILLS` is the number of kills. `RUNBOARD_REPLICAS_SEED` repeats the choices of an earlier test.

use std::{
    env,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use rand::{SeedableRng, rngs::StdRng};
use tokio::{sync::watch, task::JoinSet};

use super::{
    actor::{Actor, Shared},
    audit::audit,
    chaos::disturb,
    cluster::Cluster,
};
use crate::{crash::sample::Sample, support::visitor::Visitor};

const KILLS: u64 = 100;
const USERS: usize = 5;
/// Imports that begin at once.
const FIRST: usize = 50;
/// How many of those who began go on with further imports.
const GO_ON: usize = 12;

/// How many files there are of each size. A step has at least 16 MiB, so the last one has two.
const SAMPLES: [(usize, usize); 4] = [(10, 20 << 10), (8, 300 << 10), (5, 1 << 20), (1, 20 << 20)];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "takes minutes: make replicas"]
async fn killed_stopped_and_cut_off_at_any_moment_every_record_is_there_once_and_in_order() {
    let number = |variable: &str| env::var(variable).ok().map(|value| value.parse::<u64>().unwrap());
    let kills = usize::try_from(number("RUNBOARD_REPLICAS_KILLS").unwrap_or(KILLS)).unwrap();
    let seed = number("RUNBOARD_REPLICAS_SEED").unwrap_or_else(rand::random);
    println!("{kills} kills, RUNBOARD_REPLICAS_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let sizes = SAMPLES.iter().flat_map(|(count, size)| vec![*size; *count]);
    let samples = sizes.map(|size| Sample::generate(size, &mut rng)).collect();

    let mut cluster = Cluster::start().await;
    let mut users: Vec<Visitor> = Vec::new();
    for user in 0..USERS {
        users.push(cluster.signed_in(&format!("user{user}@example.org")).await);
    }
    let (asked, ended, outages) = (Mutex::default(), AtomicUsize::default(), AtomicUsize::default());
    let shared = Arc::new(Shared { samples, users, asked, ended, outages });
    let (over, is_over) = watch::channel(false);
    let (start, mut at_work) = (Instant::now(), JoinSet::new());
    for place in 0..FIRST {
        let rng = StdRng::from_rng(&mut rng);
        let mut actor = Actor { user: place % USERS, shared: Arc::clone(&shared), rng };
        let is_over = is_over.clone();
        at_work.spawn(
            async move { if place < GO_ON { actor.act(is_over).await } else { actor.import().await } },
        );
    }
    let suffered = {
        let mut disturbing = pin!(disturb(&mut cluster, kills, &mut rng));
        loop {
            tokio::select! {
                suffered = &mut disturbing => break suffered,
                // Fails as soon as an actor has failed.
                Some(ended) = at_work.join_next() => ended.unwrap(),
            }
        }
    };
    over.send_replace(true);
    at_work.join_all().await;

    let (took, ended) = (start.elapsed(), shared.ended.load(Ordering::Relaxed));
    println!("{:?}", suffered.deeds);
    println!(
        "{ended} imports ended in {took:.0?}, {:.2} a second; {} requests had no answer, or that of an outage",
        ended as f64 / took.as_secs_f64(),
        shared.outages.load(Ordering::Relaxed)
    );
    println!(
        "{} replicas led or watched when they were killed; all of it was taken over after {:?} at most",
        suffered.takeovers.len(),
        suffered.takeovers.iter().max()
    );
    audit(&mut cluster, &shared).await;
    println!("every record is there once and in order");
}
