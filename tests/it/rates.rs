//! How often something may happen, counted in rows for several replicas.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use actix_web::http::header::HeaderMap;
use futures_util::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use runboard::{
    accounts::{Accounts, Email, Error as AccountError, Password, SignInError},
    base::{
        config::SignUp,
        ids::{TokenId, UserId},
        limits::{Allowance, Rate, RateLimiter},
    },
    http::api_rate::{ApiRate, CountedAs},
    replicas::{Rates, SharedLimiter},
    store::{self, Store},
};
use secrecy::SecretString;
use sqlx::AnyPool;
use tempfile::TempDir;

use crate::support::{database, postgres::Postgres};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Far longer than a test takes, so that its own time changes no answer.
const QUARTER: Duration = Duration::from_secs(15 * 60);

const RATE: Rate = Rate { burst: 10, every: HOUR };

const PASSWORD: &str = "correct horse";

/// A Postgres with the tables of today, as several replicas use it.
struct Shared {
    folder: TempDir,
    pool: AnyPool,
}

impl Shared {
    async fn new() -> Self {
        sqlx::any::install_default_drivers();
        let folder = tempfile::tempdir().unwrap();
        let pool = AnyPool::connect(&database::on_postgres(folder.path())).await.unwrap();
        Self { folder, pool }
    }

    async fn store(&self) -> Store {
        Store::open(&database::on_postgres(self.folder.path())).await.unwrap()
    }

    /// The limits of one more replica.
    async fn rates(&self) -> Rates {
        Rates::in_rows(self.store().await)
    }

    /// The accounts of one more replica.
    async fn accounts(&self) -> Accounts {
        let store = self.store().await;
        let rates = Rates::in_rows(store.clone());
        Accounts::new(store, SignUp::Open, ([127, 0, 0, 1], 0).into()).with_rates(&rates)
    }

    /// All rows become older by `time`, and so does what this process remembers of them, as if it had passed.
    async fn passes(&self, time: Duration) {
        let older = sqlx::query("UPDATE rate SET recovered_at = recovered_at - $1");
        older.bind(i64::try_from(time.as_nanos()).unwrap()).execute(&self.pool).await.unwrap();
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }

    /// All rows become younger by the time since `start`, as if it had not passed: it gives nobody a use back.
    async fn takes_back_since(&self, start: Instant) {
        let younger = sqlx::query("UPDATE rate SET recovered_at = recovered_at + $1");
        let passed = i64::try_from(start.elapsed().as_nanos()).unwrap();
        younger.bind(passed).execute(&self.pool).await.unwrap();
    }

    /// From now on the statements are counted that write a row which is there already.
    async fn count_writes(&self) {
        for statement in [
            "CREATE SEQUENCE writes",
            "CREATE FUNCTION count_write() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN PERFORM nextval('writes'); RETURN NEW; END $$",
            "CREATE TRIGGER count_write BEFORE UPDATE ON rate FOR EACH ROW EXECUTE FUNCTION count_write()",
        ] {
            sqlx::raw_sql(statement).execute(&self.pool).await.unwrap();
        }
    }

    async fn writes(&self) -> u64 {
        let writes = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM writes";
        self.number(writes).await.try_into().unwrap()
    }

    async fn number(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.pool).await.unwrap()
    }
}

type Taken = Result<Allowance, Duration>;

/// Whether the two answers are the same but for the time that the test took.
fn are_alike(in_memory: Taken, in_rows: Taken) -> bool {
    let is_little_less = |less: Duration, than: Duration| less <= than && than - less < QUARTER;
    match (in_memory, in_rows) {
        (Ok(one), Ok(other)) => one.uses == other.uses && is_little_less(other.whole_in, one.whole_in),
        (Err(one), Err(other)) => is_little_less(other, one),
        _ => false,
    }
}

#[tokio::test]
async fn rows_and_memory_answer_the_same_calls_alike() {
    let shared = Shared::new().await;
    let rates = shared.rates().await;
    let mut rng = StdRng::seed_from_u64(33);
    for (name, rate) in [
        ("one", Rate { burst: 1, every: HOUR }),
        ("three", Rate { burst: 3, every: QUARTER }),
        ("ten", RATE),
        ("ten of days", Rate { burst: 10, every: HOUR * 24 }),
    ] {
        let in_memory = RateLimiter::<u32>::new(rate);
        let in_rows: SharedLimiter<u32> = rates.limiter(name, rate);
        let mut now = Instant::now();
        let mut calls = Vec::new();
        for _ in 0..120 {
            let (key, call) = (rng.random_range(0..2), rng.random_range(0..10));
            match call {
                0 => {
                    calls.push(format!("give back {key}"));
                    in_memory.give_back(&key);
                    in_rows.give_back(&key).await.unwrap();
                }
                1 if rng.random_range(0..4) == 0 => {
                    calls.push(format!("forget {key}"));
                    in_memory.forget(&key);
                    in_rows.forget(&key).await.unwrap();
                }
                1 | 2 => {
                    let time = QUARTER * rng.random_range(1..=16);
                    calls.push(format!("{time:?} pass"));
                    now += time;
                    shared.passes(time).await;
                }
                3 if rng.random_range(0..4) == 0 => {
                    calls.push("sweep".to_owned());
                    rates.sweep().await.unwrap();
                }
                _ => {
                    calls.push(format!("take {key}"));
                    let (one, other) = (in_memory.count(&key, now), in_rows.take(&key).await.unwrap());
                    assert!(are_alike(one, other), "{rate:?}: {one:?}, {other:?} after {calls:#?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn fifty_at_once_on_two_replicas_get_exactly_the_burst() {
    let shared = Shared::new().await;
    let (one, other) = (shared.rates().await, shared.rates().await);
    let limiters: [SharedLimiter<u32>; 2] = [one.limiter("same", RATE), other.limiter("same", RATE)];
    let takes = (0..50).map(|call| limiters[call % 2].take(&7));
    let taken = join_all(takes).await.into_iter().map(Result::unwrap);
    let mut left: Vec<u32> = taken.filter_map(Result::ok).map(|allowance| allowance.uses).collect();
    left.sort_unstable();
    assert_eq!(left, (0..10).collect::<Vec<_>>(), "each is told what it left");
    let others: SharedLimiter<u32> = one.limiter("another", RATE);
    assert!(others.take(&7).await.unwrap().is_ok(), "another limit counts by itself");
    assert!(limiters[1].take(&8).await.unwrap().is_ok(), "so does another key");
}

#[tokio::test]
async fn a_flood_of_refused_requests_costs_the_database_one_statement_a_second() {
    let shared = Shared::new().await;
    shared.count_writes().await;
    let limiter: SharedLimiter<u32> = shared.rates().await.limiter("flood", RATE);
    let start = Instant::now();
    let taken: Vec<Taken> =
        join_all((0..500).map(|_| limiter.take(&7))).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 10);
    for _ in 0..500 {
        let refused = limiter.take(&7).await.unwrap();
        let wait = refused.expect_err("all of them are used");
        assert!(wait <= HOUR && HOUR - wait < QUARTER, "{wait:?}");
    }
    // The first use makes the row, the other nine write it, and then each refusal that is not remembered any more.
    let most = 9 + 1 + start.elapsed().as_secs();
    let writes = shared.writes().await;
    assert!((10..=most).contains(&writes), "{writes} writes, {most} at most");
    assert!(limiter.take(&8).await.unwrap().is_ok(), "another key is not refused");
}

#[tokio::test]
async fn what_is_given_back_after_a_refusal_is_had_again_here_at_once_and_at_others_soon() {
    let shared = Shared::new().await;
    let (one, other) = (shared.rates().await, shared.rates().await);
    let [here, there]: [SharedLimiter<u32>; 2] = [one.limiter("back", RATE), other.limiter("back", RATE)];
    let used_up = async || {
        while here.take(&1).await.unwrap().is_ok() {}
    };
    used_up().await;
    here.give_back(&1).await.unwrap();
    assert_eq!(here.take(&1).await.unwrap().unwrap().uses, 0);
    used_up().await;
    here.forget(&1).await.unwrap();
    assert_eq!(here.take(&1).await.unwrap().unwrap().uses, 9);

    used_up().await;
    there.forget(&1).await.unwrap();
    let deadline = Instant::now() + QUARTER;
    while here.take(&1).await.unwrap().is_err() {
        assert!(Instant::now() < deadline, "it is refused, although all of it is back");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_sweep_deletes_what_has_recovered_and_nothing_else() {
    let shared = Shared::new().await;
    let rates = shared.rates().await;
    let limiter: SharedLimiter<u32> = rates.limiter("swept", RATE);
    limiter.take(&1).await.unwrap().unwrap();
    for _ in 0..2 {
        limiter.take(&2).await.unwrap().unwrap();
    }
    shared.passes(HOUR + QUARTER).await;
    assert_eq!(rates.sweep().await.unwrap(), 1);
    assert_eq!(shared.number("SELECT COUNT(*) FROM rate").await, 1);
    assert_eq!(limiter.take(&2).await.unwrap().unwrap().uses, 8, "its second use is not back yet");
    assert_eq!(limiter.take(&1).await.unwrap().unwrap().uses, 9);
}

#[tokio::test]
async fn a_clock_that_was_set_back_locks_nobody_out() {
    let shared = Shared::new().await;
    let limiter: SharedLimiter<u32> = shared.rates().await.limiter("clock", RATE);
    limiter.take(&1).await.unwrap().unwrap();
    sqlx::query("UPDATE rate SET recovered_at = recovered_at + 86400000000000")
        .execute(&shared.pool)
        .await
        .unwrap();
    assert_eq!(limiter.take(&1).await.unwrap().unwrap().uses, 9);
}

async fn sign_in(
    accounts: &Accounts,
    email: &str,
    password: &str,
    from: &str,
) -> Result<UserId, SignInError> {
    let email: Email = email.parse().unwrap();
    accounts.sign_in(&email, password.to_owned().into(), Some(from.parse().unwrap())).await
}

/// Wrong passwords, each of which is checked.
async fn guess(accounts: &Accounts, email: &str, from: &str, count: usize) {
    for guess in 0..count {
        let wrong = sign_in(accounts, email, &format!("guess {guess}"), from).await;
        assert!(matches!(wrong, Err(SignInError::WrongCredentials)), "{wrong:?}");
    }
}

#[tokio::test]
async fn guesses_at_several_replicas_count_together_and_a_right_password_clears_them() {
    let shared = Shared::new().await;
    let (one, other) = (shared.accounts().await, shared.accounts().await);
    for email in ["ada@example.org", "mira@example.org"] {
        let password = Password::try_from(SecretString::from(PASSWORD)).unwrap();
        one.add(email.parse().unwrap(), password).await.unwrap();
    }
    guess(&one, "ada@example.org", "203.0.113.9", 1).await;
    let start = Instant::now();
    guess(&one, "ada@example.org", "203.0.113.9", 5).await;
    guess(&other, "ada@example.org", "203.0.113.9", 4).await;
    // One comes back each minute, and the passwords may take long.
    shared.takes_back_since(start).await;
    for accounts in [&one, &other] {
        let refused = sign_in(accounts, "ada@example.org", PASSWORD, "203.0.113.9").await;
        assert!(matches!(refused, Err(SignInError::TooMany { .. })), "{refused:?}");
    }
    sign_in(&other, "ada@example.org", PASSWORD, "192.0.2.1").await.expect("the owner, elsewhere");

    guess(&one, "mira@example.org", "203.0.113.10", 9).await;
    sign_in(&other, "mira@example.org", PASSWORD, "203.0.113.10").await.expect("the tenth");
    guess(&one, "mira@example.org", "203.0.113.10", 10).await;

    // A network may sign in 30 times at once, for any account, and once more every two seconds.
    let start = Instant::now();
    let mut passed = 0;
    loop {
        let accounts = if passed % 2 == 0 { &one } else { &other };
        match sign_in(accounts, &format!("nobody{passed}@example.org"), "guess", "198.51.100.1").await {
            Err(SignInError::WrongCredentials) => passed += 1,
            Err(SignInError::TooMany { .. }) => break,
            unexpected => panic!("{unexpected:?}"),
        }
    }
    let came_back = start.elapsed().as_secs() / 2 + 1;
    assert!((30..=30 + came_back).contains(&passed), "{passed} passed, and {came_back} came back meanwhile");

    let hashes: Vec<String> =
        sqlx::query_scalar("SELECT key_hash FROM rate").fetch_all(&shared.pool).await.unwrap();
    assert!(hashes.len() > 30, "{hashes:?}");
    let is_hash = |hash: &String| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(hashes.iter().all(is_hash), "no address is stored: {hashes:?}");
}

#[tokio::test]
async fn one_mailbox_gets_three_links_whichever_replicas_are_asked() {
    let shared = Shared::new().await;
    let (one, other) = (shared.accounts().await, shared.accounts().await);
    let email: Email = "ada@example.org".parse().unwrap();
    for network in 1..=6 {
        let accounts = if network % 2 == 0 { &one } else { &other };
        let from = IpAddr::from([198, 51, 100, network]);
        accounts.send_reset_link(&email, Some(from)).await.expect("no refusal says that it has links");
    }
    assert_eq!(shared.number("SELECT COUNT(*) FROM mail").await, 3);
}

#[tokio::test]
async fn calls_of_the_api_at_several_replicas_count_together_and_say_what_is_left() {
    let shared = Shared::new().await;
    let one = ApiRate::new(2, &shared.rates().await);
    let other = ApiRate::new(2, &shared.rates().await);
    let token = CountedAs::Token(TokenId::generate());
    // One comes back each half minute.
    let start = Instant::now();
    let told = async |rate: &ApiRate| {
        let counted = rate.count(token).await.unwrap();
        let mut headers = HeaderMap::new();
        rate.tell(counted, &mut headers);
        let header = |name| headers.get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(header("ratelimit-policy"), "\"requests\";q=2;w=60");
        (counted.is_ok(), header("ratelimit"))
    };
    let (first, second, third) = (told(&one).await, told(&other).await, told(&one).await);
    assert!(start.elapsed() < HOUR / 120, "three statements took half a minute");
    for ((is_let_through, left), (was_to_be, begins)) in [first, second, third].into_iter().zip([
        (true, "\"requests\";r=1;t="),
        (true, "\"requests\";r=0;t="),
        (false, "\"requests\";r=0;t="),
    ]) {
        assert_eq!(is_let_through, was_to_be, "{left}");
        let seconds: u64 = left.strip_prefix(begins).unwrap_or_else(|| panic!("{left}")).parse().unwrap();
        assert!((1..=60).contains(&seconds), "{left}");
    }
    assert!(other.count(CountedAs::User(UserId::generate())).await.unwrap().is_ok());
}

#[tokio::test]
async fn while_the_database_hangs_nothing_passes() {
    let postgres = Postgres::start();
    let store = Store::open(&postgres.url).await.unwrap();
    let rates = Rates::in_rows(store.clone());
    let limiter: SharedLimiter<u32> = rates.limiter("hangs", RATE);
    let accounts = Accounts::new(store, SignUp::Open, ([127, 0, 0, 1], 0).into()).with_rates(&rates);
    limiter.take(&1).await.unwrap().unwrap();
    let hung = postgres.hang();
    let patience = Duration::from_millis(200);
    let taken = store::within(patience, limiter.take(&1)).await;
    assert!(taken.as_ref().is_err_and(|error| store::is_away(error)), "{taken:?}");
    let signed_in =
        store::within(patience, sign_in(&accounts, "ada@example.org", PASSWORD, "192.0.2.1")).await;
    let Err(SignInError::Failed(AccountError::Store(error))) = &signed_in else { panic!("{signed_in:?}") };
    assert!(store::is_away(error), "{error}");
    drop(hung);
    assert!(limiter.take(&1).await.unwrap().is_ok(), "it goes on after that");
}
