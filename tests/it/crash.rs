//! The real program, killed repeatedly while it receives imports: nothing is lost, nothing is counted twice,
//! and no file is left over.
//!
//! `RUNBOARD_CRASH_KILLS` is the number of kills. `RUNBOARD_CRASH_SEED` repeats the choices of an earlier
//! test.

mod actor;
mod audit;
mod phase;
pub mod sample;
mod server;
mod world;

use std::{collections::BTreeMap, env, sync::Arc, time::Instant};

use rand::{SeedableRng, rngs::StdRng};

use self::{phase::Phase, sample::Sample, world::World};

const KILLS: u64 = 10;
/// How many kills one data folder survives before the next folder is used.
const KILLS_PER_WORLD: u64 = 10;
/// With at least this many kills, each phase must have been hit.
const MANY_KILLS: u64 = 200;

/// One step, one step, two and three steps: a step has at least 16 MiB.
const SAMPLE_BYTES: [usize; 4] = [100 << 10, 4 << 20, 24 << 20, 44 << 20];

#[tokio::test]
async fn killed_at_any_moment_every_record_is_there_once_and_in_order() {
    let number = |variable: &str| env::var(variable).ok().map(|value| value.parse::<u64>().unwrap());
    let kills = number("RUNBOARD_CRASH_KILLS").unwrap_or(KILLS);
    let seed = number("RUNBOARD_CRASH_SEED").unwrap_or_else(rand::random);
    println!("{kills} kills, RUNBOARD_CRASH_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let samples = SAMPLE_BYTES.iter().flat_map(|size| [*size; 2]);
    let samples: Arc<Vec<Sample>> = Arc::new(samples.map(|size| Sample::generate(size, &mut rng)).collect());

    let start = Instant::now();
    let mut hits: BTreeMap<Phase, u64> = Phase::ALL.map(|phase| (phase, 0)).into();
    let mut imports = 0;
    for first in (0..kills).step_by(usize::try_from(KILLS_PER_WORLD).unwrap()) {
        let mut world = World::new(Arc::clone(&samples)).await;
        for _ in first..kills.min(first + KILLS_PER_WORLD) {
            for phase in world.live_and_die(&mut rng).await {
                *hits.entry(phase).or_default() += 1;
            }
        }
        imports += world.asked.lock().unwrap().len();
        audit::audit(world).await;
        println!(
            "{:>4.0?} {imports} imports asked for, kills that hit each phase: {hits:?}",
            start.elapsed()
        );
    }
    let never: Vec<&Phase> = hits.iter().filter(|(_, hits)| **hits == 0).map(|(phase, _)| phase).collect();
    assert!(kills < MANY_KILLS || never.is_empty(), "no kill hit {never:?}");
}
