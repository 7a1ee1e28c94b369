use serde_json::json;

use super::{DAY, Home, NOW, SECOND, on_every_store, race, session};
use crate::{
    crypto::Digest,
    store::{BrowserSession, User},
};

on_every_store!(
    a_kept_session_comes_back_with_its_user,
    a_session_is_over_at_its_end,
    a_session_ends_once,
    a_later_login_updates_what_is_known_of_the_user,
    a_session_ends_the_one_that_it_replaces,
    a_session_that_cannot_be_kept_ends_nothing,
    many_sessions_of_one_user_open_at_once,
);

async fn a_kept_session_comes_back_with_its_user(home: Home) {
    let store = home.store().await;
    let ada = session("cookie").user;
    let claims = json!({"groups": ["a", "ü", "\u{0}", "'; --"], "nested": {"n": 1.5, "x": null}});
    let session = BrowserSession {
        user: User { claims: claims.as_object().unwrap().clone(), email: None, name: None, ..ada },
        ..session("cookie")
    };
    store.open_session(&session, None).await.unwrap();
    assert_eq!(store.session(&session.digest, NOW).await.unwrap(), Some(session));
    assert_eq!(store.session(&Digest::of("another"), NOW).await.unwrap(), None);
}

async fn a_session_is_over_at_its_end(home: Home) {
    let store = home.store().await;
    let session = session("cookie");
    store.open_session(&session, None).await.unwrap();
    assert!(store.session(&session.digest, NOW.plus(DAY).minus(SECOND)).await.unwrap().is_some());
    assert!(store.session(&session.digest, NOW.plus(DAY)).await.unwrap().is_none());
}

async fn a_session_ends_once(home: Home) {
    let store = home.store().await;
    let session = session("cookie");
    store.open_session(&session, None).await.unwrap();
    let ended = race(&store, move |store, _| async move { store.end_session(&session.digest).await.unwrap() }).await;
    assert_eq!(ended.into_iter().filter(|ended| *ended).count(), 1);
    assert_eq!(store.session(&session.digest, NOW).await.unwrap(), None);
}

async fn a_later_login_updates_what_is_known_of_the_user(home: Home) {
    let store = home.store().await;
    let first = session("cookie 1");
    store.open_session(&first, None).await.unwrap();
    let renamed = User { name: Some("Ada King".to_owned()), email: None, ..first.user.clone() };
    let second = BrowserSession { user: renamed.clone(), ..session("cookie 2") };
    store.open_session(&second, None).await.unwrap();
    assert_eq!(store.session(&first.digest, NOW).await.unwrap().unwrap().user, renamed);
}

async fn a_session_ends_the_one_that_it_replaces(home: Home) {
    let store = home.store().await;
    let (old, other, new) = (session("old"), session("other"), session("new"));
    store.open_session(&old, None).await.unwrap();
    store.open_session(&other, None).await.unwrap();
    store.open_session(&new, Some(&old.digest)).await.unwrap();
    assert!(store.session(&old.digest, NOW).await.unwrap().is_none());
    assert!(store.session(&other.digest, NOW).await.unwrap().is_some());
    assert!(store.session(&new.digest, NOW).await.unwrap().is_some());
}

async fn a_session_that_cannot_be_kept_ends_nothing(home: Home) {
    let store = home.store().await;
    let (old, taken) = (session("old"), session("taken"));
    store.open_session(&old, None).await.unwrap();
    store.open_session(&taken, None).await.unwrap();
    let renamed = BrowserSession { user: User { name: None, ..taken.user.clone() }, ..taken.clone() };
    store.open_session(&renamed, Some(&old.digest)).await.unwrap_err();
    assert_eq!(store.session(&old.digest, NOW).await.unwrap(), Some(old));
    assert_eq!(store.session(&taken.digest, NOW).await.unwrap(), Some(taken));
}

async fn many_sessions_of_one_user_open_at_once(home: Home) {
    let store = home.store().await;
    race(&store, |store, number| async move {
        store.open_session(&session(&format!("cookie {number}")), None).await.unwrap();
    })
    .await;
    assert_eq!(home.number("SELECT count(*) FROM users").await, 1);
    assert!(store.session(&Digest::of("cookie 31"), NOW).await.unwrap().is_some());
}
