//! Attempts, their pauses and their end, step by step at times that the test chooses.

use std::time::Duration;

use runboard::{
    base::{ids::UserId, time::UnixMillis},
    files::Address,
    inngest::{Run, RunStatus},
    store::deliveries::{AfterAttempt, AttemptResult},
    webhooks::{Attempt, DueStep},
};
use sqlx::AnyPool;
use tokio_util::sync::CancellationToken;

use super::{
    receiver::{OK, Receiver, Reply},
    steps::{Steps, add_owner},
};
use crate::support::{database, postgres::on_each_database};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn after_an_error_the_same_bytes_come_again_under_the_same_id() {
    on_each_database(async |url| {
        let receiver = Receiver::start(|before| match before {
            0 => Reply::Status("500 Internal Server Error", "", "out\x1b of order"),
            _ => OK,
        })
        .await;
        let steps = Steps::new(url, &receiver).await;
        let now = UnixMillis::now();
        assert_eq!(steps.idle(now).await, None);
        steps.end_import().await;
        let now = UnixMillis::now();
        let failed = steps.attempt(now).await;
        assert_eq!((failed.status, failed.answer.as_str()), (Some(500), "out\\u{1b} of order"));
        let AfterAttempt::RetryAt(due) = failed.then else { panic!("{failed:?}") };
        let pause = due.since(now);
        assert!(pause >= Duration::from_secs(5) && pause < Duration::from_secs(7), "{pause:?}");
        assert_eq!(steps.idle(now).await, Some(due));
        assert_eq!(steps.attempt(due).await.then, AfterAttempt::Delivered);
        assert_eq!(steps.idle(due.plus(DAY)).await, None);
        let [one, two] = receiver.received().try_into().unwrap();
        assert_eq!(one.header("webhook-id"), two.header("webhook-id"));
        assert_eq!(one.body, two.body);
        assert!(one.is_signed_with(&steps.secret) && two.is_signed_with(&steps.secret));
        let [listed] = steps.webhooks.deliveries(steps.owner).await.unwrap().try_into().unwrap();
        assert_eq!((listed.attempts, listed.status), (2, Some(204)));
    })
    .await;
}

#[tokio::test]
async fn a_delivery_is_given_up_after_a_day_and_sent_again_on_request() {
    on_each_database(async |url| {
        let receiver = Receiver::start(|before| match before {
            11 => OK,
            _ => Reply::Status("503 Service Unavailable", "", ""),
        })
        .await;
        let steps = Steps::new(url, &receiver).await;
        steps.end_import().await;
        let began = UnixMillis::now();
        let (mut now, mut attempts) = (began, 1);
        while let AfterAttempt::RetryAt(due) = steps.attempt(now).await.then {
            (now, attempts) = (due, attempts + 1);
        }
        assert_eq!(attempts, 11);
        let whole = now.since(began);
        assert!(whole > DAY * 9 / 10 && whole < DAY * 12 / 10, "{whole:?}");
        assert_eq!(steps.idle(now.plus(DAY)).await, None);
        let [given_up] = steps.webhooks.deliveries(steps.owner).await.unwrap().try_into().unwrap();
        assert_eq!((given_up.delivered_at, given_up.next_attempt_at), (None, None));
        assert!(steps.webhooks.send_again(steps.owner, given_up.id).await.unwrap());
        assert!(!steps.webhooks.send_again(UserId::generate(), given_up.id).await.unwrap(), "another's");
        assert_eq!(steps.attempt(UnixMillis::now()).await.then, AfterAttempt::Delivered);
        let ids: std::collections::BTreeSet<String> =
            receiver.received().iter().map(|message| message.header("webhook-id").to_owned()).collect();
        assert_eq!((ids.len(), receiver.received().len()), (1, 12));
        // A week later it is forgotten.
        let week = UnixMillis::now().plus(DAY * 7);
        assert_eq!(steps.webhooks.prune(week.minus(MINUTE)).await.unwrap(), 0);
        assert_eq!(steps.webhooks.prune(week.plus(MINUTE)).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_receiver_says_when_to_come_again_and_that_it_is_gone() {
    on_each_database(async |url| {
        let receiver = Receiver::start(|before| match before {
            0 => Reply::Status("429 Too Many Requests", "Retry-After: 600\r\n", ""),
            1 => Reply::Status("503 Service Unavailable", "Retry-After: 99999999\r\n", ""),
            2 => Reply::Status("410 Gone", "", "moved away"),
            _ => OK,
        })
        .await;
        let steps = Steps::new(url, &receiver).await;
        steps.end_import().await;
        let other = UnixMillis::now();
        let mut now = other;
        for asked in [MINUTE * 10, MINUTE * 60] {
            let AfterAttempt::RetryAt(due) = steps.attempt(now).await.then else { panic!("it is retried") };
            let pause = due.since(now);
            assert!(pause >= asked && pause < asked + MINUTE, "{pause:?}");
            now = due;
        }
        // Another delivery ends with the webhook.
        steps.end_import().await;
        assert_eq!(steps.attempt(now).await.then, AfterAttempt::Gone);
        assert_eq!(steps.idle(now.plus(DAY)).await, None);
        let own = async || steps.webhooks.settings(steps.owner).await.unwrap().own.unwrap();
        assert!(own().await.gone_at.is_some());
        // What ends now is not told.
        steps.end_import().await;
        assert_eq!(steps.idle(UnixMillis::now().plus(DAY)).await, None);
        // Saved again, it is on.
        let address = steps.webhooks.address(&receiver.url()).await.unwrap();
        assert_eq!(steps.webhooks.save(steps.owner, &address).await.unwrap(), None, "with the same secret");
        assert_eq!(own().await.gone_at, None);
        steps.end_import().await;
        assert_eq!(steps.attempt(UnixMillis::now()).await.then, AfterAttempt::Delivered);
    })
    .await;
}

#[tokio::test]
async fn what_a_gone_receiver_has_refused_goes_to_the_address_that_was_saved_meanwhile() {
    on_each_database(async |url| {
        let receiver = Receiver::that_takes_all().await;
        let steps = Steps::new(url, &receiver).await;
        let own = async || steps.webhooks.settings(steps.owner).await.unwrap().own.unwrap();
        let other: Address = "https://example.org/".parse().unwrap();
        steps.webhooks.save(steps.owner, &other).await.unwrap();
        steps.end_import().await;
        let now = UnixMillis::now();
        let delivery = steps.store.next_delivery(steps.owner).await.unwrap().unwrap();
        assert!(steps.store.begin_attempt(&delivery, "{}", now, now.plus(MINUTE)).await.unwrap());
        let address = steps.webhooks.address(&receiver.url()).await.unwrap();
        steps.webhooks.save(steps.owner, &address).await.unwrap();
        let gone = AttemptResult { status: Some(410), answer: String::new(), then: AfterAttempt::Gone };
        steps.store.end_attempt(&delivery, &gone, now).await.unwrap();
        assert_eq!(own().await.gone_at, None);
        assert_eq!(steps.attempt(now).await.then, AfterAttempt::Delivered);
        assert_eq!(steps.idle(now.plus(DAY)).await, None);
        assert_eq!(receiver.received().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_sent_while_the_account_cannot_be_used() {
    on_each_database(async |url| {
        let receiver = Receiver::that_takes_all().await;
        let steps = Steps::new(url, &receiver).await;
        let pool = AnyPool::connect(url).await.unwrap();
        let set = async |column: &str, at: &str| {
            let change = format!("UPDATE account SET {column} = {at}");
            sqlx::query(sqlx::AssertSqlSafe(change)).execute(&pool).await.unwrap();
        };
        steps.end_import().await;
        for column in ["disabled_at", "deleting_at"] {
            set(column, "1").await;
            assert_eq!(steps.idle(UnixMillis::now()).await, None, "{column}");
            assert!(steps.store.next_delivery(steps.owner).await.unwrap().is_none(), "{column}");
            set(column, "NULL").await;
        }
        assert_eq!(steps.attempt(UnixMillis::now()).await.then, AfterAttempt::Delivered);
        // One that waits is not kept for ever.
        steps.end_import().await;
        let week = UnixMillis::now().plus(DAY * 7);
        assert_eq!(steps.webhooks.prune(week.plus(MINUTE)).await.unwrap(), 2);
        pool.close().await;
    })
    .await;
}

/// By webhook and by e-mail alike.
#[tokio::test]
async fn the_ends_of_an_import_are_told_once_each() {
    on_each_database(async |url| {
        let receiver = Receiver::that_takes_all().await;
        let steps = Steps::new(url, &receiver).await;
        let pool = AnyPool::connect(url).await.unwrap();
        let import = steps.watched_import(steps.owner).await;
        let record = async |name: &str, ended: bool| {
            let now = UnixMillis::now();
            let run = Run {
                run_id: name.to_owned().into(),
                function_id: "f".to_owned(),
                function_name: None,
                event_id: import.to_string().into(),
                status: if ended { RunStatus::Completed } else { RunStatus::Running },
                run_started_at: now,
                ended_at: ended.then_some(now),
                output: None,
            };
            assert!(steps.store.record_run(import, &run, None, now).await.unwrap());
        };
        let finish =
            async || assert!(steps.store.finish_import(import, false, UnixMillis::now()).await.unwrap());
        let reopen = async || assert!(steps.store.reopen_import(import, None).await.unwrap());
        // So many deliveries, and so many e-mails.
        let told = async |count: usize| {
            assert_eq!(steps.webhooks.deliveries(steps.owner).await.unwrap().len(), count);
            let mails: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM mail").fetch_one(&pool).await.unwrap();
            assert_eq!(mails, i64::try_from(count).unwrap());
        };
        let send = async || {
            assert_eq!(steps.attempt(UnixMillis::now()).await.then, AfterAttempt::Delivered);
            sqlx::query("UPDATE mail SET attempts = 1, sent_at = 1").execute(&pool).await.unwrap();
        };
        // A second function that is listed late is part of the same end.
        told(0).await;
        record("second", true).await;
        told(0).await;
        finish().await;
        told(1).await;
        // It goes on before its end was told: nothing is told until it ends again, and then one end.
        reopen().await;
        record("third", false).await;
        let now = UnixMillis::now();
        assert_eq!(steps.webhooks.step(now).await.unwrap(), DueStep::Done(Attempt::Withdrawn));
        assert!(steps.idle(now).await.is_some_and(|at| at > now));
        record("third", true).await;
        finish().await;
        told(1).await;
        send().await;
        // The end of a watch that has found nothing new is not another end.
        finish().await;
        reopen().await;
        finish().await;
        told(1).await;
        assert_eq!(steps.idle(UnixMillis::now().plus(DAY)).await, None);
        // A late run after the end was told is one.
        reopen().await;
        record("fourth", true).await;
        told(1).await;
        finish().await;
        told(2).await;
        send().await;
        assert_eq!(steps.idle(UnixMillis::now().plus(DAY)).await, None);
        let ids: Vec<String> =
            receiver.received().iter().map(|message| message.header("webhook-id").to_owned()).collect();
        assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
        pool.close().await;
    })
    .await;
}

#[tokio::test]
async fn receivers_that_never_answer_delay_no_other_user() {
    const SILENT: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let url = database::url(folder.path());
    let silent = Receiver::start(|_| Reply::Silence).await;
    let alive = Receiver::that_takes_all().await;
    let steps = Steps::with(&url, &[&silent, &alive]).await;
    let mut owners = vec![steps.owner];
    for _ in 1..SILENT {
        owners.push(add_owner(&url, &steps.webhooks, &silent).await.0);
    }
    owners.push(add_owner(&url, &steps.webhooks, &alive).await.0);
    for owner in &owners {
        steps.end_import_of(*owner).await;
    }
    let stopping = CancellationToken::new();
    let sender = tokio::spawn(steps.webhooks.clone().run(stopping.clone()));
    silent.wait_for(SILENT).await;
    alive.wait_for(1).await;
    // They were posted to side by side: no attempt has ended by the time limit.
    for owner in &owners[..SILENT] {
        let [waits] = steps.webhooks.deliveries(*owner).await.unwrap().try_into().unwrap();
        assert_eq!((waits.attempts, waits.answer), (1, None));
    }
    stopping.cancel();
    sender.await.unwrap();
}

#[tokio::test]
async fn a_changed_secret_signs_beside_the_one_before_for_a_day() {
    on_each_database(async |url| {
        let receiver = Receiver::that_takes_all().await;
        let steps = Steps::new(url, &receiver).await;
        let present = async || steps.webhooks.settings(steps.owner).await.unwrap().secrets[0].id.clone();
        let (first, shown) = (steps.secret.clone(), present().await);
        let (change, second) = steps.webhooks.change_secret(steps.owner, Some(&shown)).await.unwrap();
        assert_eq!(change, runboard::store::webhooks::SecretChange::Done);
        // The same form sent again makes no third one.
        let (change, _) = steps.webhooks.change_secret(steps.owner, Some(&shown)).await.unwrap();
        assert_eq!(change, runboard::store::webhooks::SecretChange::ChangedBefore);
        steps.end_import().await;
        steps.attempt(UnixMillis::now()).await;
        let message = receiver.received().pop().unwrap();
        assert_eq!(message.header("webhook-signature").split(' ').count(), 2);
        assert!(message.is_signed_with(&first) && message.is_signed_with(&second));
        // A day later only the new one signs.
        let pool = AnyPool::connect(url).await.unwrap();
        let past = UnixMillis::wall().minus(MINUTE).0;
        sqlx::query("UPDATE webhook_secret SET ends_at = $1 WHERE ends_at IS NOT NULL")
            .bind(past)
            .execute(&pool)
            .await
            .unwrap();
        pool.close().await;
        steps.end_import().await;
        steps.attempt(UnixMillis::now()).await;
        let message = receiver.received().pop().unwrap();
        assert_eq!(message.header("webhook-signature").split(' ').count(), 1);
        assert!(!message.is_signed_with(&first) && message.is_signed_with(&second));
    })
    .await;
}
