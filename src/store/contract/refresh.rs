use std::{sync::Arc, time::Duration};

use super::{DAY, GRACE, Home, NOW, SECOND, grant, is_live, keep_grant_with_tokens, on_every_store, race, tokens};
use crate::{
    clock::Timestamp,
    crypto::Digest,
    store::{ClientId, Grant, IssuedTokens, Rotation, Store},
};

on_every_store!(
    rotation_keeps_the_successors_and_marks_the_token,
    within_the_grace_window_the_first_rotation_is_repeated,
    a_clock_that_runs_behind_is_within_the_grace_window,
    reuse_after_the_grace_window_revokes_the_grant,
    without_a_grace_window_every_reuse_revokes,
    a_dead_token_rotates_nothing,
    another_clients_token_is_dead_and_stays_as_it_was,
    a_rotation_that_fails_changes_nothing,
    successors_rotate_in_turn,
    of_32_that_rotate_one_token_one_wins_and_all_get_the_same_pair,
    of_32_that_reuse_a_token_after_the_grace_window_none_gets_a_token,
    a_rotation_that_races_a_revocation_leaves_no_live_token,
);

async fn rotate(store: &Arc<dyn Store>, presented: &Digest, successors: &str, now: Timestamp) -> Rotation {
    rotate_as(store, "dcr:ada", presented, &tokens(successors, now), successors, now).await
}

async fn rotate_as(
    store: &Arc<dyn Store>,
    client: &str,
    presented: &Digest,
    successors: &IssuedTokens,
    sealed: &str,
    now: Timestamp,
) -> Rotation {
    let client = ClientId::new(client);
    store.rotate_refresh_token(presented, &client, successors, sealed.as_bytes(), GRACE, now).await.unwrap()
}

fn within_grace(sealed: &str) -> Rotation {
    Rotation::WithinGrace { sealed_successor: sealed.as_bytes().to_vec() }
}

async fn rotation_keeps_the_successors_and_marks_the_token(home: Home) {
    let store = home.store().await;
    let grant = grant("g");
    let first = keep_grant_with_tokens(&*store, &grant).await;
    let now = NOW.plus(60 * SECOND);
    assert_eq!(rotate(&store, &first.refresh, "second", now).await, Rotation::Rotated);
    let second = tokens("second", now);
    let access = store.access_token(&second.access, now).await.unwrap().unwrap();
    assert_eq!((access.grant, access.expires_at), (grant.clone(), second.access_expires_at));
    assert_eq!(store.refresh_token(&second.refresh, now).await.unwrap().unwrap().rotated_at, None);
    let rotated = store.refresh_token(&first.refresh, now).await.unwrap().unwrap();
    assert_eq!((rotated.grant, rotated.rotated_at), (grant, Some(now)));
    assert!(store.access_token(&first.access, now).await.unwrap().is_some(), "it ends by itself");
}

/// OAuth 2.1 section 4.3.1 asks for rotation; a client whose connection broke must not lose its login by it.
async fn within_the_grace_window_the_first_rotation_is_repeated(home: Home) {
    let store = home.store().await;
    let first = keep_grant_with_tokens(&*store, &grant("g")).await;
    assert_eq!(rotate(&store, &first.refresh, "second", NOW).await, Rotation::Rotated);
    let end = NOW.plus(GRACE);
    for now in [NOW, NOW.plus(SECOND), end.minus(Duration::from_millis(1))] {
        assert_eq!(rotate(&store, &first.refresh, "unwanted", now).await, within_grace("second"));
    }
    assert!(!is_live(&*store, &tokens("unwanted", NOW), NOW).await);
    assert!(is_live(&*store, &tokens("second", NOW), NOW).await);
}

async fn a_clock_that_runs_behind_is_within_the_grace_window(home: Home) {
    let store = home.store().await;
    let first = keep_grant_with_tokens(&*store, &grant("g")).await;
    assert_eq!(rotate(&store, &first.refresh, "second", NOW.plus(SECOND)).await, Rotation::Rotated);
    assert_eq!(rotate(&store, &first.refresh, "unwanted", NOW).await, within_grace("second"));
}

/// OAuth 2.1 section 4.3.1: a rotated refresh token that comes again means that it leaked.
async fn reuse_after_the_grace_window_revokes_the_grant(home: Home) {
    let store = home.store().await;
    let first = keep_grant_with_tokens(&*store, &grant("g")).await;
    let bystander = keep_grant_with_tokens(&*store, &grant("other")).await;
    assert_eq!(rotate(&store, &first.refresh, "second", NOW).await, Rotation::Rotated);
    let late = NOW.plus(GRACE);
    assert_eq!(rotate(&store, &first.refresh, "third", late).await, Rotation::Reused);
    for (name, now) in [("g", NOW), ("second", NOW), ("third", late)] {
        assert!(!is_live(&*store, &tokens(name, now), late).await, "{name}");
    }
    assert_eq!(rotate(&store, &tokens("second", NOW).refresh, "fourth", late).await, Rotation::Dead);
    assert_eq!(rotate(&store, &first.refresh, "fifth", late).await, Rotation::Dead);
    assert!(is_live(&*store, &bystander, late).await);
}

async fn without_a_grace_window_every_reuse_revokes(home: Home) {
    let store = home.store().await;
    let first = keep_grant_with_tokens(&*store, &grant("g")).await;
    let client = ClientId::new("dcr:ada");
    for (name, expected) in [("second", Rotation::Rotated), ("third", Rotation::Reused)] {
        let (presented, successors) = (&first.refresh, tokens(name, NOW));
        let outcome = store.rotate_refresh_token(presented, &client, &successors, b"sealed", Duration::ZERO, NOW);
        assert_eq!(outcome.await.unwrap(), expected);
    }
    assert!(!is_live(&*store, &tokens("second", NOW), NOW).await);
}

async fn a_dead_token_rotates_nothing(home: Home) {
    let store = home.store().await;
    let revoked = keep_grant_with_tokens(&*store, &grant("revoked")).await;
    store.revoke_grant(&grant("revoked").id, NOW).await.unwrap();
    let end = NOW.plus(DAY);
    let expired = keep_grant_with_tokens(&*store, &Grant { expires_at: end, ..grant("expired") }).await;
    for (digest, now) in [(revoked.refresh, NOW), (expired.refresh, end), (Digest::of("unknown"), NOW)] {
        assert_eq!(rotate(&store, &digest, "successor", now).await, Rotation::Dead);
        assert_eq!(store.refresh_token(&digest, now).await.unwrap(), None);
    }
    assert_eq!(rotate(&store, &expired.access, "successor", NOW).await, Rotation::Dead, "not a refresh token");
    assert!(!is_live(&*store, &tokens("successor", NOW), NOW).await);
    assert!(store.refresh_token(&expired.refresh, end.minus(SECOND)).await.unwrap().is_some());
}

/// RFC 6749 section 10.4: a refresh token is good for the client it was issued to only.
async fn another_clients_token_is_dead_and_stays_as_it_was(home: Home) {
    let store = home.store().await;
    let first = keep_grant_with_tokens(&*store, &grant("g")).await;
    let stolen = tokens("stolen", NOW);
    assert_eq!(rotate_as(&store, "dcr:eve", &first.refresh, &stolen, "x", NOW).await, Rotation::Dead);
    assert_eq!(rotate(&store, &first.refresh, "second", NOW).await, Rotation::Rotated);
    assert_eq!(rotate_as(&store, "dcr:eve", &first.refresh, &stolen, "x", NOW).await, Rotation::Dead);
    let late = NOW.plus(DAY);
    assert_eq!(rotate_as(&store, "dcr:eve", &first.refresh, &stolen, "x", late).await, Rotation::Dead);
    assert!(is_live(&*store, &tokens("second", NOW), NOW).await, "a stranger cannot revoke either");
    assert!(!is_live(&*store, &stolen, NOW).await);
}

async fn a_rotation_that_fails_changes_nothing(home: Home) {
    let store = home.store().await;
    let taken = keep_grant_with_tokens(&*store, &grant("other")).await;
    let first = keep_grant_with_tokens(&*store, &grant("g")).await;
    let colliding = IssuedTokens { refresh: taken.refresh, ..tokens("second", NOW) };
    let client = ClientId::new("dcr:ada");
    store.rotate_refresh_token(&first.refresh, &client, &colliding, b"sealed", GRACE, NOW).await.unwrap_err();
    assert_eq!(store.refresh_token(&first.refresh, NOW).await.unwrap().unwrap().rotated_at, None);
    assert!(store.access_token(&colliding.access, NOW).await.unwrap().is_none());
    assert_eq!(rotate(&store, &first.refresh, "second", NOW).await, Rotation::Rotated);
}

async fn successors_rotate_in_turn(home: Home) {
    let store = home.store().await;
    let mut newest = keep_grant_with_tokens(&*store, &grant("g")).await;
    for hour in 1..=10 {
        let now = NOW.plus(Duration::from_hours(hour));
        let successors = tokens(&hour.to_string(), now);
        assert_eq!(rotate(&store, &newest.refresh, &hour.to_string(), now).await, Rotation::Rotated);
        assert!(is_live(&*store, &successors, now).await);
        newest = successors;
    }
}

async fn of_32_that_rotate_one_token_one_wins_and_all_get_the_same_pair(home: Home) {
    let store = home.store().await;
    let first = keep_grant_with_tokens(&*store, &grant("g")).await;
    let outcomes = race(&store, move |store, number| async move {
        (number.to_string(), rotate(&store, &first.refresh, &number.to_string(), NOW).await)
    })
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|(_, outcome)| *outcome == Rotation::Rotated);
    let [(winner, _)] = won.as_slice() else { panic!("{} won", won.len()) };
    for (loser, outcome) in lost {
        assert_eq!(outcome, within_grace(winner));
        assert!(!is_live(&*store, &tokens(&loser, NOW), NOW).await);
    }
    assert!(is_live(&*store, &tokens(winner, NOW), NOW).await);
}

async fn of_32_that_reuse_a_token_after_the_grace_window_none_gets_a_token(home: Home) {
    let store = home.store().await;
    let first = keep_grant_with_tokens(&*store, &grant("g")).await;
    assert_eq!(rotate(&store, &first.refresh, "second", NOW).await, Rotation::Rotated);
    let late = NOW.plus(GRACE);
    let outcomes =
        race(
            &store,
            move |store, number| async move { rotate(&store, &first.refresh, &number.to_string(), late).await },
        )
        .await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Rotation::Reused).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Rotation::Dead).count(), 31);
    assert_eq!(home.number("SELECT count(*) FROM refresh_tokens").await, 2);
    assert!(!is_live(&*store, &tokens("second", NOW), late).await);
}

async fn a_rotation_that_races_a_revocation_leaves_no_live_token(home: Home) {
    let store = home.store().await;
    for round in 0..16 {
        let grant = grant(&round.to_string());
        let first = keep_grant_with_tokens(&*store, &grant).await;
        let name = format!("successor {round}");
        let revoke = async {
            if round % 2 == 0 {
                store.revoke_grant(&grant.id, NOW).await.unwrap();
            } else {
                store.revoke_token(&first.refresh, &grant.client_id, NOW).await.unwrap();
            }
        };
        let (rotated, ()) = tokio::join!(rotate(&store, &first.refresh, &name, NOW), revoke);
        assert!(matches!(rotated, Rotation::Rotated | Rotation::Dead));
        assert!(!is_live(&*store, &first, NOW).await);
        assert!(!is_live(&*store, &tokens(&name, NOW), NOW).await);
    }
}
