//! Which ends of imports are told.

use runboard::{
    accounts::{ENDED_WINDOW, EndedMail, MOST_ENDED, MailKind, MailOutcome},
    base::time::UnixMillis,
    inngest::RunStatus,
};

use super::{MINUTE, World, describe};
use crate::support::{mail_server::MailServer, postgres::on_each_database, reserved_port::ReservedPort};

#[tokio::test]
async fn each_end_of_an_import_is_told_once() {
    on_each_database(async |url| {
        let server = MailServer::start();
        let world = World::new(url, server.port).await;
        let mira = world.account("mira@example.org").await;
        let off = world.import(mira).await;
        let now = UnixMillis::now();
        assert!(world.store.finish_import(off, false, now).await.unwrap());
        assert_eq!(world.step(now).await, MailOutcome::Idle(None), "nothing is told before it is chosen");

        world.accounts.set_ended_mail(mira, EndedMail::Failures).await.unwrap();
        assert_eq!(world.accounts.ended_mail(mira).await.unwrap(), EndedMail::Failures);
        let import = world.import(mira).await;
        assert!(!world.store.finish_import(import, true, now).await.unwrap(), "refused");
        assert_eq!(world.step(now).await, MailOutcome::Idle(None));
        for _ in 0..2 {
            // That no function took it is a failure.
            assert!(world.store.finish_import(import, false, now).await.unwrap());
        }
        assert_eq!(world.step(now).await, MailOutcome::Sent(MailKind::Ended));
        assert!(world.store.finish_import(import, false, now).await.unwrap());
        assert_eq!(world.step(now).await, MailOutcome::Idle(None), "it was over");

        // It was watched again, and nothing new was found.
        assert!(world.store.reopen_import(import, None).await.unwrap());
        assert!(world.store.finish_import(import, false, now).await.unwrap());
        assert_eq!(world.step(now).await, MailOutcome::Idle(None));

        // A late run reopens it, and it ends again.
        world.end_again(import, "late", RunStatus::Failed, now).await;
        assert_eq!(world.step(now).await, MailOutcome::Sent(MailKind::Ended));
        // Two ends before the first is told are told as one.
        for run in ["later", "last"] {
            world.end_again(import, run, RunStatus::Failed, now).await;
        }
        assert_eq!(world.step(now).await, MailOutcome::Sent(MailKind::Ended));
        assert_eq!(world.step(now).await, MailOutcome::Idle(None));
        // A failure that is none any more before it is told.
        let taken_late = world.import(mira).await;
        assert!(world.store.finish_import(taken_late, false, now).await.unwrap());
        world.end_again(taken_late, "late", RunStatus::Completed, now).await;
        assert_eq!(world.step(now).await, MailOutcome::Idle(None));

        // Cancelled by its owner: no failure. An event that the engine refuses: one.
        let cancelled = world.import(mira).await;
        world.store.request_cancel(cancelled, now).await.unwrap();
        assert!(world.store.finish_import(cancelled, true, now).await.unwrap());
        assert_eq!(world.step(now).await, MailOutcome::Idle(None));

        // Nothing is said of an import while it runs again.
        world.accounts.set_ended_mail(mira, EndedMail::All).await.unwrap();
        let again = world.import(mira).await;
        assert!(world.store.finish_import(again, false, now).await.unwrap());
        let runs_again = async |_, _| Ok(None);
        let outcome = world.mailer.send_next(now, runs_again).await.unwrap();
        let MailOutcome::GoesOn(later) = outcome else { panic!("{outcome:?}") };
        assert_eq!(world.step(now).await, MailOutcome::Idle(Some(later)));
        // Nor is an earlier end told if it ends again while that is described.
        let ends_again = async |owner, import| {
            let earlier = describe(owner, import).await;
            world.end_again(import, "late", RunStatus::Failed, later).await;
            earlier
        };
        assert_eq!(world.mailer.send_next(later, ends_again).await.unwrap(), MailOutcome::Changed);
        assert_eq!(world.step(later).await, MailOutcome::Sent(MailKind::Ended));
        assert_eq!(world.step(later).await, MailOutcome::Idle(None));
        // Nor anything to somebody who has changed the setting meanwhile.
        let unwanted = world.import(mira).await;
        assert!(world.store.finish_import(unwanted, false, now).await.unwrap());
        world.accounts.set_ended_mail(mira, EndedMail::Off).await.unwrap();
        assert_eq!(world.step(now).await, MailOutcome::Void);
        assert_eq!(server.wait_for(4).await.len(), 4);
        world.store.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_end_that_the_server_did_not_get_is_told_once_with_the_next_one() {
    on_each_database(async |url| {
        let away = ReservedPort::new();
        let world = World::new(url, away.port).await;
        let mira = world.account("mira@example.org").await;
        world.accounts.set_ended_mail(mira, EndedMail::All).await.unwrap();
        let (import, now) = (world.import(mira).await, UnixMillis::now());
        assert!(world.store.finish_import(import, false, now).await.unwrap());
        let next = now.plus(MINUTE);
        assert_eq!(world.step(now).await, MailOutcome::Postponed(next));
        world.end_again(import, "late", RunStatus::Failed, now).await;
        let server = MailServer::start_on(&away);
        assert_eq!(world.step(now).await, MailOutcome::Sent(MailKind::Ended));
        assert_eq!(world.step(next).await, MailOutcome::Idle(None));
        server.only().await;
        world.store.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_end_whose_e_mail_was_taken_but_not_confirmed_is_not_told_again_after_the_next_one() {
    on_each_database(async |url| {
        let server = MailServer::start_with(0, |command| {
            command.arg("--unconfirmed");
        });
        let world = World::new(url, server.port).await;
        let mira = world.account("mira@example.org").await;
        world.accounts.set_ended_mail(mira, EndedMail::All).await.unwrap();
        let (import, now) = (world.import(mira).await, UnixMillis::now());
        assert!(world.store.finish_import(import, false, now).await.unwrap());
        // Broken off, as by a stop.
        tokio::select! {
            outcome = world.step(now) => panic!("{outcome:?}"),
            _ = server.wait_for(1) => {}
        }
        world.end_again(import, "late", RunStatus::Failed, now).await;
        assert_eq!(world.step(now).await, MailOutcome::Sent(MailKind::Ended));
        assert_eq!(world.step(now.plus(MINUTE)).await, MailOutcome::Idle(None));
        let [first, second] = server.wait_for(2).await.try_into().unwrap();
        assert_ne!(first.header("Message-ID"), second.header("Message-ID"));
        world.store.close().await;
    })
    .await;
}

#[tokio::test]
async fn after_twenty_e_mails_in_an_hour_further_ends_are_summed_up() {
    on_each_database(async |url| {
        let server = MailServer::start();
        let world = World::new(url, server.port).await;
        let (mira, eve) = (world.account("mira@example.org").await, world.account("eve@example.org").await);
        for user in [mira, eve] {
            world.accounts.set_ended_mail(user, EndedMail::All).await.unwrap();
        }
        let start = UnixMillis::now();
        let end_imports = async |owner, count: u64| {
            for _ in 0..count {
                let import = world.import(owner).await;
                world.store.finish_import(import, false, start).await.unwrap();
            }
        };
        end_imports(mira, MOST_ENDED + 37).await;
        for _ in 0..MOST_ENDED {
            assert_eq!(world.step(start).await, MailOutcome::Sent(MailKind::Ended));
        }
        let opens = start.plus(ENDED_WINDOW);
        assert_eq!(world.step(start).await, MailOutcome::SummedUp(opens));
        assert_eq!(world.step(start).await, MailOutcome::Idle(Some(opens)));
        // More of them, and those of another user.
        end_imports(mira, 2).await;
        end_imports(eve, 1).await;
        assert_eq!(world.step(start).await, MailOutcome::SummedUp(opens));
        assert_eq!(world.step(start).await, MailOutcome::Sent(MailKind::Ended));
        assert_eq!(world.step(start).await, MailOutcome::Idle(Some(opens)));

        assert_eq!(world.step(opens).await, MailOutcome::Sent(MailKind::MoreEnded));
        let taken = server.wait_for(22).await;
        assert_eq!(taken[20].to, ["eve@example.org"]);
        assert_eq!(taken[21].header("Subject"), "39 more imports ended");
        assert_eq!(taken[21].link("/imports"), "https://runboard.example.org/imports");
        end_imports(mira, 1).await;
        assert_eq!(world.step(opens).await, MailOutcome::Sent(MailKind::Ended), "a new hour");
        world.store.close().await;
    })
    .await;
}
