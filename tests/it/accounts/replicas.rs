//! Two replicas on one Postgres: what ends at one ends at the other, and both share what a user may store.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use runboard::{
    accounts::{Accounts, ApiToken, Browser, NewGuestLink, NewToken, Scope, SignUpError, Token},
    base::{
        config::SignUp,
        ids::{ImportId, UserId},
        tasks::Tasks,
    },
    replicas::Replicas,
    store::{
        Store,
        quota::{Quota, Reservation},
        record::NewImport,
    },
};
use tempfile::TempDir;

use super::{EVERYWHERE, PASSWORD, password};
use crate::support::{database, import_row::import_row};

const DEADLINE: Duration = Duration::from_secs(60);

struct Replica {
    accounts: Arc<Accounts>,
    store: Store,
    replicas: Replicas,
    tasks: Tasks,
}

impl Replica {
    async fn join(folder: &TempDir, name: &str) -> Self {
        let url = database::on_postgres(folder.path());
        let (store, tasks) = (Store::open(&url).await.unwrap(), Tasks::on_this_runtime());
        let replicas = Replicas::join(&url, store.clone(), name, None, &tasks).await.unwrap();
        let accounts = Accounts::new(store.clone(), SignUp::First, EVERYWHERE.parse().unwrap());
        let accounts = Arc::new(accounts.with_replicas(&replicas));
        let (hearing, stopping) = (Arc::clone(&accounts).hear(), tasks.stopping().clone());
        tasks.spawn(async move { stopping.run_until_cancelled(hearing).await });
        replicas.bus().is_connected().wait_for(|is_connected| *is_connected).await.unwrap();
        Self { accounts, store, replicas, tasks }
    }

    /// As before the answer to a request.
    async fn flush(&self) {
        self.replicas.bus().flush().await;
    }

    async fn knows(&self, session: &Token) -> bool {
        self.accounts.session(session, None).await.unwrap().is_some()
    }

    async fn leave(self) {
        self.tasks.stop(DEADLINE).await;
        self.store.close().await;
    }
}

/// Two replicas, and an account with a session that both have in memory.
async fn two(folder: &TempDir) -> (Replica, Replica, UserId, Token) {
    let (here, there) = (Replica::join(folder, "a").await, Replica::join(folder, "b").await);
    let user = here.accounts.add("ada@example.org".parse().unwrap(), password(PASSWORD)).await.unwrap();
    let session = begin(&here, user).await;
    assert!(here.knows(&session).await && there.knows(&session).await);
    (here, there, user, session)
}

async fn begin(replica: &Replica, user: UserId) -> Token {
    replica.accounts.begin_session(user, None, &Browser::default()).await.unwrap().unwrap()
}

async fn import_of(replica: &Replica, owner: UserId) -> ImportId {
    let row = import_row(owner);
    replica.store.create_import(NewImport::new(&row)).await.unwrap();
    row.id
}

/// Far sooner than a replica would find out by itself.
async fn soon(what: &str, look: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !look().await {
        assert!(start.elapsed() < DEADLINE, "timed out waiting until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn who_signs_out_at_one_replica_is_signed_out_at_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there, user, session) = two(&folder).await;
    here.accounts.end_session(&session).await.unwrap();
    here.flush().await;
    soon("the session has ended", async || !there.knows(&session).await).await;

    // A new sign-in of the same browser ends its session; another one ends all others.
    let (old, kept) = (begin(&here, user).await, begin(&here, user).await);
    assert!(there.knows(&old).await && there.knows(&kept).await);
    let new = here.accounts.begin_session(user, Some(&old), &Browser::default()).await.unwrap().unwrap();
    soon("the old session has ended", async || !there.knows(&old).await).await;
    assert!(there.knows(&new).await);
    assert_eq!(here.accounts.end_other_sessions(user, &kept).await.unwrap(), 1);
    soon("the other session has ended", async || !there.knows(&new).await).await;
    assert!(there.knows(&kept).await && here.knows(&kept).await);
    here.leave().await;
    there.leave().await;
}

#[tokio::test]
async fn a_changed_password_and_a_changed_address_are_known_to_the_other_replica() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there, user, session) = two(&folder).await;
    let (old, new) = ("ada@example.org".parse().unwrap(), "ada@example.net".parse().unwrap());
    here.accounts.change_email((user, &old), PASSWORD.to_owned().into(), &new, None).await.unwrap();
    let email = async || there.accounts.session(&session, None).await.unwrap().unwrap().email;
    soon("the new address is known", async || email().await == new).await;
    let other = password("another horse");
    here.accounts.change_password((user, &new), PASSWORD.to_owned().into(), other, None).await.unwrap();
    soon("all sessions have ended", async || !there.knows(&session).await).await;
    here.leave().await;
    there.leave().await;
}

#[tokio::test]
async fn tokens_and_guest_links_end_at_both_replicas_one_by_one_and_with_their_account() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there, admin, _) = two(&folder).await;
    let user = here.accounts.add("eve@example.org".parse().unwrap(), password(PASSWORD)).await.unwrap();
    let import = import_of(&here, user).await;
    let token = || NewToken {
        name: "ci".parse().unwrap(),
        scopes: [Scope::Read].into(),
        lifetime: None,
        webhook: None,
    };
    let link =
        || NewGuestLink { owner: user, import, shows_rows: false, lifetime: Duration::from_secs(3_600) };
    let is_token = async |secret: &ApiToken| there.accounts.token_of(secret).await.unwrap().is_some();
    let is_link = async |token: &Token| there.accounts.opened_by(token).await.unwrap().is_some();

    let (secret, info) = here.accounts.make_token(user, token()).await.unwrap();
    let guest = here.accounts.make_guest_link(link()).await.unwrap();
    assert!(is_token(&secret).await && is_link(&guest).await);
    assert!(here.accounts.end_token(user, info.id).await.unwrap());
    soon("the token has ended", async || !is_token(&secret).await).await;
    let name = here.accounts.guest_links(import).await.unwrap()[0].name.clone();
    assert!(here.accounts.end_guest_link(import, &name).await.unwrap());
    soon("the link has ended", async || !is_link(&guest).await).await;

    let (secret, _) = here.accounts.make_token(user, token()).await.unwrap();
    let guest = here.accounts.make_guest_link(link()).await.unwrap();
    let (session, of_admin) = (begin(&here, user).await, begin(&here, admin).await);
    assert!(is_token(&secret).await && is_link(&guest).await && there.knows(&session).await);
    here.accounts.disable(user).await.unwrap();
    soon("all access has ended", async || {
        !is_token(&secret).await && !is_link(&guest).await && !there.knows(&session).await
    })
    .await;
    assert!(there.knows(&of_admin).await);
    here.leave().await;
    there.leave().await;
}

#[tokio::test]
async fn both_replicas_print_and_accept_one_link_for_the_first_account() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (Replica::join(&folder, "a").await, Replica::join(&folder, "b").await);
    let link = here.accounts.link_token().await.unwrap().unwrap();
    assert_eq!(there.accounts.link_token().await.unwrap().unwrap().expose(), link.expose());
    let sign_up = async |email: &str, link: Option<&Token>| {
        there.accounts.sign_up(email.parse().unwrap(), password(PASSWORD), link, None).await
    };
    assert!(matches!(sign_up("eve@example.org", None).await, Err(SignUpError::LinkNeeded)));
    sign_up("ada@example.org", Some(&link)).await.unwrap();
    assert!(here.accounts.link_token().await.unwrap().is_none());

    // Once there is no account again, the link that was used opens nothing.
    let pool = sqlx::AnyPool::connect(&database::on_postgres(folder.path())).await.unwrap();
    sqlx::query("DELETE FROM account").execute(&pool).await.unwrap();
    pool.close().await;
    assert!(matches!(sign_up("eve@example.org", Some(&link)).await, Err(SignUpError::LinkNeeded)));
    here.leave().await;
    there.leave().await;
}

#[tokio::test]
async fn what_arrives_at_one_replica_counts_at_the_other_until_it_ends_or_the_replica_does() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there, owner, _) = two(&folder).await;
    let quota = |replica: &Replica| Quota::new(replica.store.clone(), Some(1_000));
    let (at_one, at_other) = (quota(&here), quota(&there));
    let reserve = async |quota: &Quota, bytes| quota.reserve(owner, bytes).await.unwrap();
    let is_free = async |bytes| fits(&at_other, owner, bytes).await;

    let first = reserve(&at_one, 600).await.unwrap();
    let refused = reserve(&at_other, 600).await.unwrap_err();
    assert_eq!((refused.used, refused.allowed), (600, 1_000));
    let second = reserve(&at_other, 400).await.unwrap();
    assert!(reserve(&at_one, 1).await.is_err());
    second.give_up();
    first.give_up();
    soon("the first reservation has ended", async || is_free(1_000).await).await;
    soon("the second reservation has ended", async || fits(&at_one, owner, 1_000).await).await;

    // It grows beyond what was reserved, and is told.
    let mut grows = reserve(&at_one, 0).await.unwrap();
    grows.take(800).unwrap();
    soon("it is told how much has arrived", async || !is_free(300).await).await;
    assert!(is_free(200).await);

    // The other one takes what is left, and then the first gets no more: not at once, because it may be out of date.
    let rest = reserve(&at_other, 200).await.unwrap();
    let (mut size, start) = (801, Instant::now());
    while grows.grow(size).is_ok() {
        size += 1;
        assert!(start.elapsed() < DEADLINE, "it grows without end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop((grows, rest));
    soon("both have ended", async || fits(&at_one, owner, 1_000).await).await;

    let left_behind = reserve(&at_one, 1_000).await.unwrap();
    assert!(!is_free(1).await);
    here.leave().await;
    soon("the replica counts no more", async || is_free(1_000).await).await;
    drop(left_behind);
    there.leave().await;
}

#[tokio::test]
async fn what_a_replica_has_reserved_counts_also_after_it_lost_its_row_and_joined_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there, owner, _) = two(&folder).await;
    let (at_one, at_other) =
        (Quota::new(here.store.clone(), Some(1_000)), Quota::new(there.store.clone(), Some(1_000)));
    let mut tenure = here.replicas.tenure();
    let id = tenure.borrow().id.clone();
    let before = at_one.reserve(owner, 300).await.unwrap().unwrap();
    let pool = sqlx::AnyPool::connect(&database::on_postgres(folder.path())).await.unwrap();
    sqlx::query("DELETE FROM replica WHERE id = $1").bind(id.as_deref()).execute(&pool).await.unwrap();
    pool.close().await;
    let is_back = tenure.wait_for(|tenure| tenure.id.is_some() && tenure.id != id);
    drop(tokio::time::timeout(DEADLINE, is_back).await.expect("it does not join again").unwrap());
    at_one.tell_again();
    soon("it is told again", async || !fits(&at_other, owner, 800).await).await;
    assert!(fits(&at_other, owner, 700).await);
    drop(before);
    here.leave().await;
    there.leave().await;
}

#[tokio::test]
async fn what_is_reserved_while_the_replica_has_no_row_is_told_once_it_has_one() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there, owner, _) = two(&folder).await;
    let (at_one, at_other) =
        (Quota::new(here.store.clone(), Some(1_000)), Quota::new(there.store.clone(), Some(1_000)));
    // As between the loss of the row and the next renewal.
    let id = here.replicas.tenure().borrow().id.clone();
    here.store.set_replica(Some("gone".into()));
    let reserved = at_one.reserve(owner, 300).await.unwrap().unwrap();
    assert!(fits(&at_other, owner, 1_000).await, "nobody is told");
    here.store.set_replica(id);
    soon("it is told", async || !fits(&at_other, owner, 800).await).await;
    drop(reserved);
    here.leave().await;
    there.leave().await;
}

/// Whether a file of that size fits at the moment.
async fn fits(quota: &Quota, owner: UserId, bytes: u64) -> bool {
    quota.reserve(owner, bytes).await.unwrap().map(Reservation::give_up).is_ok()
}
