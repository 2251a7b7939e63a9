//! What is measured of replicas and their database.

use std::{
    fs,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::cluster::Cluster;

/// Postgres tells what it has done about once a second.
const TOLD_AFTER: Duration = Duration::from_millis(1_500);

/// The clock ticks of a second in `/proc`.
const TICKS: f64 = 100.0;

/// What was used so far.
#[derive(Clone, Copy)]
pub struct Used {
    at: Instant,
    commits: f64,
    /// The processor time of each replica together, in seconds.
    cpu: f64,
}

/// What was used from one moment to another.
#[derive(Clone, Copy)]
pub struct Spent {
    pub seconds: f64,
    pub commits: f64,
    pub cpu: f64,
}

impl Used {
    /// Until now. Waits until Postgres has told it.
    pub async fn so_far(cluster: &mut Cluster) -> Self {
        let cpu = (0..cluster.len()).map(|number| processor_seconds(cluster.process(number).id())).sum();
        let at = Instant::now();
        sleep(TOLD_AFTER).await;
        Self { at, commits: cluster.rows.commits().await as f64, cpu }
    }

    pub fn until(self, later: Self) -> Spent {
        Spent {
            seconds: (later.at - self.at).as_secs_f64(),
            commits: later.commits - self.commits,
            cpu: later.cpu - self.cpu,
        }
    }
}

impl Spent {
    /// While nothing is done but what each replica always does.
    pub async fn idle(cluster: &mut Cluster, window: Duration) -> Self {
        let before = Used::so_far(cluster).await;
        sleep(window).await;
        before.until(Used::so_far(cluster).await)
    }

    /// Without what would have been used in the same time.
    pub fn without(self, idle: Self) -> Self {
        let share = self.seconds / idle.seconds;
        Self {
            seconds: self.seconds,
            commits: self.commits - idle.commits * share,
            cpu: self.cpu - idle.cpu * share,
        }
    }
}

/// The processor time of a process so far.
fn processor_seconds(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name, in parentheses, may contain spaces.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().unwrap()).sum();
    ticks / TICKS
}

/// Prints a row of the table in docs/SCALE.md.
pub fn print(what: &str, value: f64, digits: usize) {
    println!("| {what} | {value:.digits$} |");
}
