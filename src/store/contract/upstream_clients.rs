use super::{Home, NOW, SECOND, on_every_store, race};
use crate::store::UpstreamClient;

on_every_store!(
    a_registration_comes_back_as_it_was_kept,
    the_first_registration_is_kept,
    of_32_registrations_at_once_all_go_on_with_the_same,
    registrations_are_apart_by_issuer_and_redirect_uri,
    only_the_named_registration_is_removed,
    of_32_that_lost_the_same_registration_none_removes_the_new_one,
);

const ISSUER: &str = "https://login.upstream.example.com";
const REDIRECT_URI: &str = "https://gateway.example.com/auth/connections/linear/callback";

fn registration(client_id: &str) -> UpstreamClient {
    UpstreamClient {
        issuer: ISSUER.to_owned(),
        redirect_uri: REDIRECT_URI.to_owned(),
        client_id: client_id.to_owned(),
        sealed_details: client_id.bytes().chain(0..=255).collect(),
        registered_at: NOW,
    }
}

async fn a_registration_comes_back_as_it_was_kept(home: Home) {
    let store = home.store().await;
    assert_eq!(store.upstream_client(ISSUER, REDIRECT_URI).await.unwrap(), None);
    let registration = registration("ours");
    assert_eq!(store.save_upstream_client(&registration).await.unwrap(), registration);
    assert_eq!(store.upstream_client(ISSUER, REDIRECT_URI).await.unwrap(), Some(registration));
}

async fn the_first_registration_is_kept(home: Home) {
    let store = home.store().await;
    let first = registration("first");
    let second = UpstreamClient { registered_at: NOW.plus(SECOND), ..registration("second") };
    store.save_upstream_client(&first).await.unwrap();
    assert_eq!(store.save_upstream_client(&second).await.unwrap(), first);
    assert_eq!(store.upstream_client(ISSUER, REDIRECT_URI).await.unwrap(), Some(first));
}

async fn of_32_registrations_at_once_all_go_on_with_the_same(home: Home) {
    let (store, replica) = (home.store().await, home.store().await);
    let seen = race(&store, |store, number| {
        let store = if number % 2 == 0 { store } else { replica.clone() };
        async move { store.save_upstream_client(&registration(&number.to_string())).await.unwrap() }
    })
    .await;
    let kept = store.upstream_client(ISSUER, REDIRECT_URI).await.unwrap().unwrap();
    assert!(seen.iter().all(|seen| *seen == kept), "{seen:?}");
    assert_eq!(kept, registration(&kept.client_id), "what is kept is of one caller, not of several");
}

/// RFC 9700 section 4.4: the credentials for one authorization server never go to another.
async fn registrations_are_apart_by_issuer_and_redirect_uri(home: Home) {
    let store = home.store().await;
    let other_issuer = UpstreamClient { issuer: "https://other.example.com".to_owned(), ..registration("issuer") };
    let other_uri = UpstreamClient { redirect_uri: format!("{REDIRECT_URI}/other"), ..registration("uri") };
    for registration in [registration("ours"), other_issuer, other_uri] {
        assert_eq!(store.save_upstream_client(&registration).await.unwrap(), registration);
        let kept = store.upstream_client(&registration.issuer, &registration.redirect_uri).await.unwrap();
        assert_eq!(kept, Some(registration));
    }
    assert_eq!(
        store.upstream_client("https://other.example.com", &format!("{REDIRECT_URI}/other")).await.unwrap(),
        None
    );
}

async fn only_the_named_registration_is_removed(home: Home) {
    let store = home.store().await;
    let ours = registration("ours");
    store.save_upstream_client(&ours).await.unwrap();
    for (issuer, redirect_uri, client_id) in [
        (ISSUER, REDIRECT_URI, "theirs"),
        ("https://other.example.com", REDIRECT_URI, "ours"),
        (ISSUER, "https://gateway.example.com/other", "ours"),
    ] {
        store.remove_upstream_client(issuer, redirect_uri, client_id).await.unwrap();
        assert_eq!(store.upstream_client(ISSUER, REDIRECT_URI).await.unwrap().as_ref(), Some(&ours));
    }
    store.remove_upstream_client(ISSUER, REDIRECT_URI, "ours").await.unwrap();
    assert_eq!(store.upstream_client(ISSUER, REDIRECT_URI).await.unwrap(), None);
    let again = registration("again");
    assert_eq!(store.save_upstream_client(&again).await.unwrap(), again);
}

async fn of_32_that_lost_the_same_registration_none_removes_the_new_one(home: Home) {
    let store = home.store().await;
    store.save_upstream_client(&registration("lost")).await.unwrap();
    let seen = race(&store, |store, number| async move {
        store.remove_upstream_client(ISSUER, REDIRECT_URI, "lost").await.unwrap();
        store.save_upstream_client(&registration(&number.to_string())).await.unwrap()
    })
    .await;
    let kept = store.upstream_client(ISSUER, REDIRECT_URI).await.unwrap().unwrap();
    assert!(seen.iter().all(|seen| *seen == kept), "{seen:?}");
}
