use super::{Home, NOW, SECOND, on_every_store, race};
use crate::crypto::Digest;

on_every_store!(
    of_32_that_spend_a_ticket_one_wins,
    a_spent_ticket_is_remembered_until_it_expires,
    an_expired_ticket_is_worth_nothing_even_when_it_is_forgotten,
    tickets_are_spent_one_by_one,
);

async fn of_32_that_spend_a_ticket_one_wins(home: Home) {
    let (store, replica) = (home.store().await, home.store().await);
    let ticket = Digest::of("ticket");
    let spent = race(&store, |store, number| {
        let store = if number % 2 == 0 { store } else { replica.clone() };
        async move { store.spend_ticket(&ticket, NOW.plus(600 * SECOND), NOW).await.unwrap() }
    });
    assert_eq!(spent.await.into_iter().filter(|spent| *spent).count(), 1);
    assert!(!store.spend_ticket(&ticket, NOW.plus(600 * SECOND), NOW).await.unwrap());
}

async fn a_spent_ticket_is_remembered_until_it_expires(home: Home) {
    let store = home.store().await;
    let (ticket, end) = (Digest::of("ticket"), NOW.plus(600 * SECOND));
    assert!(store.spend_ticket(&ticket, end, NOW).await.unwrap());
    let last = end.minus(SECOND);
    store.remove_expired(last, NOW).await.unwrap();
    assert!(!store.spend_ticket(&ticket, end, last).await.unwrap());
}

async fn an_expired_ticket_is_worth_nothing_even_when_it_is_forgotten(home: Home) {
    let store = home.store().await;
    let (ticket, end) = (Digest::of("ticket"), NOW.plus(600 * SECOND));
    assert!(!store.spend_ticket(&Digest::of("never spent"), end, end).await.unwrap());
    assert!(store.spend_ticket(&ticket, end, NOW).await.unwrap());
    assert!(!store.spend_ticket(&ticket, end, end).await.unwrap());
    assert_eq!(store.remove_expired(end, NOW).await.unwrap(), 1);
    assert!(!store.spend_ticket(&ticket, end, end).await.unwrap());
}

async fn tickets_are_spent_one_by_one(home: Home) {
    let store = home.store().await;
    for name in ["first", "second"] {
        assert!(store.spend_ticket(&Digest::of(name), NOW.plus(SECOND), NOW).await.unwrap(), "{name}");
    }
}
