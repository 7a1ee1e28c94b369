use super::{Home, NOW, SECOND, on_every_store, race};

on_every_store!(
    of_32_that_take_a_lease_one_wins,
    of_32_that_take_over_an_expired_lease_one_wins,
    a_lease_is_held_until_its_end,
    a_lease_from_before_the_clock_was_set_back_is_over,
    a_holder_prolongs_its_lease,
    a_lease_given_back_is_free,
    nobody_gives_back_the_lease_of_another,
    leases_of_other_names_are_apart,
);

async fn of_32_that_take_a_lease_one_wins(home: Home) {
    let (store, replica) = (home.store().await, home.store().await);
    let taken = race(&store, |store, number| {
        let store = if number % 2 == 0 { store } else { replica.clone() };
        async move { store.take_lease("lease", &number.to_string(), NOW.plus(SECOND), NOW).await.unwrap() }
    });
    assert_eq!(taken.await.into_iter().filter(|taken| *taken).count(), 1);
    assert!(!store.take_lease("lease", "late", NOW.plus(SECOND), NOW).await.unwrap());
}

async fn of_32_that_take_over_an_expired_lease_one_wins(home: Home) {
    let (store, replica) = (home.store().await, home.store().await);
    assert!(store.take_lease("lease", "dead", NOW, NOW.minus(SECOND)).await.unwrap());
    let taken = race(&store, |store, number| {
        let store = if number % 2 == 0 { store } else { replica.clone() };
        async move { store.take_lease("lease", &number.to_string(), NOW.plus(SECOND), NOW).await.unwrap() }
    });
    assert_eq!(taken.await.into_iter().filter(|taken| *taken).count(), 1);
    assert!(!store.take_lease("lease", "dead", NOW.plus(SECOND), NOW).await.unwrap());
}

async fn a_lease_is_held_until_its_end(home: Home) {
    let store = home.store().await;
    let end = NOW.plus(30 * SECOND);
    assert!(store.take_lease("lease", "first", end, NOW).await.unwrap());
    assert!(!store.take_lease("lease", "second", end.plus(SECOND), end.minus(SECOND)).await.unwrap());
    assert!(store.take_lease("lease", "second", end.plus(SECOND), end).await.unwrap());
    assert!(!store.take_lease("lease", "first", end.plus(SECOND), end).await.unwrap());
}

/// Clocks of replicas differ a little; one that ran hours ahead when its process was killed must not hold for hours.
async fn a_lease_from_before_the_clock_was_set_back_is_over(home: Home) {
    let (store, length) = (home.store().await, 30 * SECOND);
    let set_back = |by| (NOW.minus(by).plus(length), NOW.minus(by));
    assert!(store.take_lease("lease", "first", NOW.plus(length), NOW).await.unwrap());
    for by in [SECOND, length] {
        let (end, now) = set_back(by);
        assert!(!store.take_lease("lease", "second", end, now).await.unwrap(), "{by:?}");
    }
    for by in [length + SECOND / 1000, 10_000 * SECOND] {
        let (end, now) = set_back(by);
        assert!(store.take_lease("lease", "second", end, now).await.unwrap(), "{by:?}");
        store.release_lease("lease", "second").await.unwrap();
        assert!(store.take_lease("lease", "first", NOW.plus(length), NOW).await.unwrap());
    }
}

async fn a_holder_prolongs_its_lease(home: Home) {
    let store = home.store().await;
    let end = NOW.plus(30 * SECOND);
    assert!(store.take_lease("lease", "holder", end, NOW).await.unwrap());
    assert!(store.take_lease("lease", "holder", end.plus(SECOND), NOW).await.unwrap());
    assert!(!store.take_lease("lease", "other", end.plus(SECOND), end).await.unwrap());
    assert!(store.take_lease("lease", "other", end.plus(2 * SECOND), end.plus(SECOND)).await.unwrap());
}

async fn a_lease_given_back_is_free(home: Home) {
    let store = home.store().await;
    let end = NOW.plus(30 * SECOND);
    assert!(store.take_lease("lease", "first", end, NOW).await.unwrap());
    store.release_lease("lease", "first").await.unwrap();
    assert!(store.take_lease("lease", "second", end, NOW).await.unwrap());
}

/// A holder whose lease expired and was taken over must not end the work of the next one.
async fn nobody_gives_back_the_lease_of_another(home: Home) {
    let store = home.store().await;
    let end = NOW.plus(30 * SECOND);
    assert!(store.take_lease("lease", "slow", NOW, NOW.minus(SECOND)).await.unwrap());
    assert!(store.take_lease("lease", "next", end, NOW).await.unwrap());
    store.release_lease("lease", "slow").await.unwrap();
    store.release_lease("unknown", "next").await.unwrap();
    assert!(!store.take_lease("lease", "slow", end, NOW).await.unwrap());
}

async fn leases_of_other_names_are_apart(home: Home) {
    let store = home.store().await;
    let end = NOW.plus(30 * SECOND);
    assert!(store.take_lease("one", "holder", end, NOW).await.unwrap());
    assert!(store.take_lease("other", "holder", end, NOW).await.unwrap());
    store.release_lease("one", "holder").await.unwrap();
    assert!(!store.take_lease("other", "stranger", end, NOW).await.unwrap());
}
