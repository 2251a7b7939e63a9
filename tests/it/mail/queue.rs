//! The sender, step by step, with a clock of the test's.

mod ends;

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use runboard::{
    accounts::{Accounts, EndedImport, EndedMail, MailKind, MailOutcome, Mailer, NextForgotten, Password},
    base::{
        config::{MailConfig, SignUp},
        ids::{ImportId, UserId},
        time::UnixMillis,
    },
    inngest::{Run, RunStatus},
    store::{self, Store, mail::NewMail, record::NewImport},
};
use secrecy::SecretString;

use super::PASSWORD;
use crate::support::{
    database,
    import_row::import_row,
    mail_server::{MailServer, config_for},
    postgres::on_each_database,
    reserved_port::ReservedPort,
};

const MINUTE: Duration = Duration::from_secs(60);

struct World {
    store: Store,
    accounts: Accounts,
    mailer: Mailer,
}

impl World {
    async fn new(url: &str, port: u16) -> Self {
        Self::with(url, &config_for(port)).await
    }

    async fn with(url: &str, config: &MailConfig) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = Store::open(url).await.unwrap();
        let origin = "https://runboard.example.org".parse().unwrap();
        let mailer = Mailer::new(store.clone(), config, origin).unwrap();
        let accounts = Accounts::new(store.clone(), SignUp::Open, ([127, 0, 0, 1], 0).into())
            .with_mail(Some(mailer.outlet()));
        Self { store, accounts, mailer }
    }

    async fn account(&self, email: &str) -> UserId {
        let password = Password::try_from(SecretString::from(PASSWORD)).unwrap();
        self.accounts.add(email.parse().unwrap(), password).await.unwrap()
    }

    async fn step(&self, now: UnixMillis) -> MailOutcome {
        self.mailer.send_next(now, describe).await.unwrap()
    }

    /// The same for forgotten passwords.
    async fn step_forgotten(&self, now: UnixMillis) -> MailOutcome {
        match self.mailer.take_forgotten(now).await.unwrap() {
            NextForgotten::Due(mail) => self.mailer.send_forgotten(&mail, now).await.unwrap(),
            NextForgotten::Idle(at) => MailOutcome::Idle(at),
        }
    }

    /// A late run reopens an import and ends.
    async fn end_again(&self, import: ImportId, run: &str, status: RunStatus, now: UnixMillis) {
        assert!(self.store.reopen_import(import, None).await.unwrap());
        let run = Run {
            run_id: format!("{import}-{run}").into(),
            function_id: "f".to_owned(),
            function_name: None,
            event_id: import.to_string().into(),
            status,
            run_started_at: now,
            ended_at: Some(now),
            output: None,
        };
        assert!(self.store.record_run(import, &run, None, now).await.unwrap());
        assert!(self.store.finish_import(import, false, now).await.unwrap());
    }

    /// A new import that no function takes.
    async fn import(&self, owner: UserId) -> ImportId {
        let row = import_row(owner);
        let id = row.id;
        self.store.create_import(NewImport::new(&row)).await.unwrap();
        self.store.event_sent(id, &row.event_id, UnixMillis(3)).await.unwrap();
        id
    }
}

async fn describe(_: UserId, _: ImportId) -> store::Result<Option<EndedImport>> {
    Ok(Some(EndedImport {
        file_name: "a.csv".to_owned(),
        headline: "nobody took it".to_owned(),
        text: "No function has started.".to_owned(),
        facts: Vec::new(),
    }))
}

#[tokio::test]
async fn a_server_that_is_away_gets_the_e_mail_later() {
    on_each_database(async |url| {
        let away = ReservedPort::new();
        let world = World::new(url, away.port).await;
        let mira = world.account("mira@example.org").await;
        let mut now = UnixMillis::now();
        assert_eq!(world.step(now).await, MailOutcome::Idle(None));
        world.accounts.send_test_mail(mira).await.unwrap();
        now = now.plus(MINUTE);
        for minutes in [1, 5, 30, 120, 240] {
            let next = now.plus(MINUTE * minutes);
            assert_eq!(world.step(now).await, MailOutcome::Postponed(next));
            assert_eq!(world.step(now).await, MailOutcome::Idle(Some(next)), "not before its time");
            now = next;
        }
        let server = MailServer::start_on(&away);
        assert_eq!(world.step(now).await, MailOutcome::Sent(MailKind::Test));
        assert_eq!(world.step(now).await, MailOutcome::Idle(None));
        assert_eq!(server.only().await.to, ["mira@example.org"]);
        world.store.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left_after_a_while() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = database::url(folder.path());
    let sends_within = Duration::from_millis(300);
    let config = MailConfig { sends_within, ..config_for(silent.local_addr().unwrap().port()) };
    let world = World::with(&url, &config).await;
    let mira = world.account("mira@example.org").await;
    world.accounts.send_test_mail(mira).await.unwrap();
    let start = Instant::now();
    assert!(matches!(world.step(UnixMillis::now()).await, MailOutcome::Postponed(_)));
    assert!(start.elapsed() >= sends_within, "{:?}", start.elapsed());
    world.store.close().await;
}

#[tokio::test]
async fn an_e_mail_is_given_up_after_a_day_and_a_reset_after_an_hour() {
    on_each_database(async |url| {
        let away = ReservedPort::new();
        let world = World::new(url, away.port).await;
        let mira = world.account("mira@example.org").await;
        let start = UnixMillis::now();
        world.accounts.send_test_mail(mira).await.unwrap();
        world.accounts.send_reset_link(&"mira@example.org".parse().unwrap(), None).await.unwrap();
        let mut now = start.plus(MINUTE);
        loop {
            match world.step_forgotten(now).await {
                MailOutcome::Idle(Some(next)) => now = next,
                MailOutcome::Idle(None) => break,
                other => assert!(matches!(other, MailOutcome::Postponed(_)), "{other:?}"),
            }
        }
        assert_eq!(now.since(start).as_secs() / 3600, 1);
        loop {
            match world.step(now).await {
                MailOutcome::Idle(Some(next)) => now = next,
                MailOutcome::Expired => break,
                other => assert!(matches!(other, MailOutcome::Postponed(_)), "{other:?}"),
            }
        }
        assert_eq!(now.since(start).as_secs() / 3600, 24);
        assert_eq!(world.step(now).await, MailOutcome::Idle(None));
        world.store.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_refused_recipient_is_dropped_and_a_busy_server_asked_again() {
    on_each_database(async |url| {
        let server = MailServer::start();
        let world = World::new(url, server.port).await;
        let outcome = async |email: &str| {
            let user = world.account(email).await;
            world.accounts.send_test_mail(user).await.unwrap();
            world.step(UnixMillis::now()).await
        };
        // A wrong setting can have the same answer, so only the third one counts.
        for email in ["550-gone@example.org", "553-gone@example.org"] {
            let user = world.account(email).await;
            world.accounts.send_test_mail(user).await.unwrap();
            let mut now = UnixMillis::now();
            for minutes in [1, 5] {
                let next = now.plus(MINUTE * minutes);
                assert_eq!(world.step(now).await, MailOutcome::Postponed(next), "{email}");
                now = next;
            }
            assert_eq!(world.step(now).await, MailOutcome::Refused, "{email}");
            assert_eq!(world.step(now).await, MailOutcome::Idle(None), "dropped");
        }
        let MailOutcome::Postponed(at) = outcome("451-busy@example.org").await else {
            panic!("not postponed")
        };
        // The operator can correct the login, so this is no refusal of the recipient.
        assert!(matches!(outcome("535-login@example.org").await, MailOutcome::Postponed(_)));
        assert_eq!(outcome("zoë@bücher.example").await, MailOutcome::Sent(MailKind::Test));
        assert_eq!(server.only().await.to, ["zoë@xn--bcher-kva.example"]);
        assert_eq!(outcome("mira@bücher.example").await, MailOutcome::Sent(MailKind::Test));
        assert_eq!(server.wait_for(2).await[1].to, ["mira@xn--bcher-kva.example"]);
        assert!(matches!(world.step(UnixMillis::now()).await, MailOutcome::Idle(Some(next)) if next == at));
        world.store.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_link_that_has_ended_is_not_sent() {
    on_each_database(async |url| {
        let away = ReservedPort::new();
        let world = World::new(url, away.port).await;
        let admin = world.account("mira@example.org").await;
        let now = UnixMillis::now().plus(MINUTE);
        let eve = "eve@example.org".parse().unwrap();
        let invitation = world.accounts.invite(admin, "", Some(&eve)).await.unwrap().unwrap();
        let reset = world.accounts.make_reset_link(admin, admin).await.unwrap().unwrap();
        assert!(world.accounts.mail_link(&reset, None).await.unwrap());
        for _ in 0..2 {
            assert!(matches!(world.step(now).await, MailOutcome::Postponed(_)));
        }
        let [open] = world.accounts.invitations().await.unwrap().try_into().unwrap();
        world.accounts.end_invitation(&open.name).await.unwrap();
        assert!(!world.accounts.mail_link(&invitation, Some(&eve)).await.unwrap(), "it is over");
        let password = Password::try_from(SecretString::from("battery staple")).unwrap();
        world.accounts.use_reset_link(&reset, password, None).await.unwrap().unwrap();
        for _ in 0..2 {
            assert_eq!(world.step(now.plus(MINUTE * 2)).await, MailOutcome::Void);
        }
        assert_eq!(world.step(now).await, MailOutcome::Idle(None));
        world.store.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_e_mail_that_cannot_be_written_or_read_delays_no_other() {
    on_each_database(async |url| {
        let server = MailServer::start();
        let world = World::new(url, server.port).await;
        let mira = world.account("mira@example.org").await;
        world.accounts.set_ended_mail(mira, EndedMail::All).await.unwrap();
        let now = UnixMillis::now();
        for at in [now, now.plus(Duration::from_secs(1))] {
            let import = world.import(mira).await;
            assert!(world.store.finish_import(import, false, at).await.unwrap());
        }
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(url).await.unwrap();
        let strange = "INSERT INTO mail (id, kind, created_at, expires_at, next_attempt_at) \
                       VALUES ('another', 'of-another-version', 1, 9000000000000, 1)";
        sqlx::query(strange).execute(&pool).await.unwrap();
        pool.close().await;

        let now = now.plus(Duration::from_secs(1));
        let fails = async |_, _| Err(store::Error::NoAnswer);
        let next = now.plus(MINUTE);
        assert_eq!(world.mailer.send_next(now, fails).await.unwrap(), MailOutcome::Postponed(next));
        assert_eq!(world.step(now).await, MailOutcome::Sent(MailKind::Ended));
        assert_eq!(world.step(now).await, MailOutcome::Idle(Some(next)));
        assert_eq!(world.step(next).await, MailOutcome::Sent(MailKind::Ended));
        assert_eq!(world.step(next).await, MailOutcome::Idle(None));
        world.store.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_was_set_back_delays_no_e_mail() {
    on_each_database(async |url| {
        let server = MailServer::start();
        let world = World::new(url, server.port).await;
        let (mira, now) = (world.account("mira@example.org").await, UnixMillis::now());
        let queue = async |hours: u32| {
            let created_at = now.plus(MINUTE * 60 * hours);
            let expires_at = created_at.plus(MINUTE);
            let mail =
                NewMail { kind: MailKind::Test, account: Some(mira), address: None, created_at, expires_at };
            assert!(world.store.queue_mail(&mail).await.unwrap());
            created_at
        };
        queue(24).await;
        assert_eq!(world.step(now).await, MailOutcome::Sent(MailKind::Test));
        let soon = queue(1).await;
        assert_eq!(world.step(now).await, MailOutcome::Idle(Some(soon)));
        world.mailer.resume(now).await.unwrap();
        assert_eq!(world.step(now).await, MailOutcome::Sent(MailKind::Test));
        world.store.close().await;
    })
    .await;
}
