use super::{DAY, Home, NOW, SECOND, bound_interaction, code, grant, interaction, on_every_store, race, session};
use crate::{
    crypto::Digest,
    store::{Interaction, InteractionId},
};

on_every_store!(
    a_kept_interaction_comes_back_as_it_was,
    an_interaction_is_over_at_its_end,
    an_interaction_is_bound_to_one_session,
    approval_ends_the_interaction_and_keeps_grant_and_code,
    an_interaction_is_approved_once,
    only_the_bound_session_approves,
    a_session_that_is_over_approves_nothing,
    an_approval_that_fails_changes_nothing,
    only_the_bound_session_cancels,
    of_32_approvals_and_cancellations_one_wins,
);

async fn a_kept_interaction_comes_back_as_it_was(home: Home) {
    let store = home.store().await;
    let refused = Interaction {
        state: None,
        code_challenge: String::new(),
        error: Some("invalid_scope".to_owned()),
        session: Some(Digest::of("cookie")),
        ..interaction("refused")
    };
    for interaction in [interaction("fine"), refused] {
        store.create_interaction(&interaction).await.unwrap();
        assert_eq!(store.interaction(&interaction.id, NOW).await.unwrap(), Some(interaction));
    }
    assert_eq!(store.interaction(&InteractionId("unknown".to_owned()), NOW).await.unwrap(), None);
}

async fn an_interaction_is_over_at_its_end(home: Home) {
    let store = home.store().await;
    let (id, session) = bound_interaction(&*store, "i").await;
    let end = interaction("i").expires_at;
    assert!(store.interaction(&id, end.minus(SECOND)).await.unwrap().is_some());
    assert!(store.interaction(&id, end).await.unwrap().is_none());
    assert!(!store.bind_interaction(&id, &session, end).await.unwrap());
    assert!(!store.approve_interaction(&id, &session, &grant("g"), &code("c"), end).await.unwrap());
    assert!(!store.cancel_interaction(&id, &session, end).await.unwrap());
    assert_eq!(home.number("SELECT count(*) FROM grants").await, 0);
}

async fn an_interaction_is_bound_to_one_session(home: Home) {
    let store = home.store().await;
    let interaction = interaction("i");
    store.create_interaction(&interaction).await.unwrap();
    let bound = race(&store, {
        let id = interaction.id.clone();
        move |store, number| {
            let id = id.clone();
            async move {
                let session = Digest::of(&format!("cookie {number}"));
                store.bind_interaction(&id, &session, NOW).await.unwrap().then_some(session)
            }
        }
    })
    .await;
    let winners: Vec<_> = bound.into_iter().flatten().collect();
    let kept = store.interaction(&interaction.id, NOW).await.unwrap().unwrap();
    assert_eq!(winners, [kept.session.unwrap()]);
    assert!(store.bind_interaction(&interaction.id, &winners[0], NOW).await.unwrap(), "again by the same session");
    assert!(!store.bind_interaction(&interaction.id, &Digest::of("other"), NOW).await.unwrap());
    assert!(!store.bind_interaction(&InteractionId("unknown".to_owned()), &winners[0], NOW).await.unwrap());
}

async fn approval_ends_the_interaction_and_keeps_grant_and_code(home: Home) {
    let store = home.store().await;
    let (id, session) = bound_interaction(&*store, "i").await;
    let (grant, code) = (grant("g"), code("c"));
    assert!(store.approve_interaction(&id, &session, &grant, &code, NOW).await.unwrap());
    assert_eq!(store.interaction(&id, NOW).await.unwrap(), None);
    let kept = store.code(&code.digest, NOW).await.unwrap().unwrap();
    assert_eq!((kept.grant, kept.bound), (grant, code));
    assert!(!store.bind_interaction(&id, &session, NOW).await.unwrap());
    assert!(!store.cancel_interaction(&id, &session, NOW).await.unwrap());
}

async fn an_interaction_is_approved_once(home: Home) {
    let store = home.store().await;
    let (id, session) = bound_interaction(&*store, "i").await;
    assert!(store.approve_interaction(&id, &session, &grant("1"), &code("1"), NOW).await.unwrap());
    assert!(!store.approve_interaction(&id, &session, &grant("2"), &code("2"), NOW).await.unwrap());
    assert_eq!(home.number("SELECT count(*) FROM grants").await, 1);
    assert_eq!(home.number("SELECT count(*) FROM codes").await, 1);
}

async fn only_the_bound_session_approves(home: Home) {
    let store = home.store().await;
    let (bound, _) = bound_interaction(&*store, "bound").await;
    let unbound = interaction("unbound").id;
    store.create_interaction(&interaction("unbound")).await.unwrap();
    let stranger = session("stranger");
    store.open_session(&stranger, None).await.unwrap();
    for id in [bound, unbound] {
        assert!(!store.approve_interaction(&id, &stranger.digest, &grant("g"), &code("c"), NOW).await.unwrap());
        assert!(store.interaction(&id, NOW).await.unwrap().is_some());
    }
    assert_eq!(home.number("SELECT count(*) FROM grants").await, 0);
}

async fn a_session_that_is_over_approves_nothing(home: Home) {
    let store = home.store().await;
    let (id, session) = bound_interaction(&*store, "ended").await;
    store.end_session(&session).await.unwrap();
    assert!(!store.approve_interaction(&id, &session, &grant("g"), &code("c"), NOW).await.unwrap());
    assert!(store.interaction(&id, NOW).await.unwrap().is_some());

    let late = Interaction { session: Some(super::session("x").digest), ..interaction("expired") };
    let late = Interaction { expires_at: NOW.plus(2 * DAY), ..late };
    store.open_session(&super::session("x"), None).await.unwrap();
    store.create_interaction(&late).await.unwrap();
    let session = late.session.unwrap();
    let end = NOW.plus(DAY);
    assert!(!store.approve_interaction(&late.id, &session, &grant("g"), &code("c"), end).await.unwrap());
    assert!(store.approve_interaction(&late.id, &session, &grant("g"), &code("c"), end.minus(SECOND)).await.unwrap());
}

async fn an_approval_that_fails_changes_nothing(home: Home) {
    let store = home.store().await;
    let (first, session) = bound_interaction(&*store, "1").await;
    assert!(store.approve_interaction(&first, &session, &grant("1"), &code("taken"), NOW).await.unwrap());
    let (second, session) = bound_interaction(&*store, "2").await;
    store.approve_interaction(&second, &session, &grant("2"), &code("taken"), NOW).await.unwrap_err();
    assert!(store.interaction(&second, NOW).await.unwrap().is_some());
    assert_eq!(home.number("SELECT count(*) FROM grants").await, 1);
    assert!(store.approve_interaction(&second, &session, &grant("2"), &code("free"), NOW).await.unwrap());
}

async fn only_the_bound_session_cancels(home: Home) {
    let store = home.store().await;
    let (id, session) = bound_interaction(&*store, "i").await;
    assert!(!store.cancel_interaction(&id, &Digest::of("stranger"), NOW).await.unwrap());
    assert!(store.interaction(&id, NOW).await.unwrap().is_some());
    assert!(store.cancel_interaction(&id, &session, NOW).await.unwrap());
    assert!(!store.cancel_interaction(&id, &session, NOW).await.unwrap());
    assert!(store.interaction(&id, NOW).await.unwrap().is_none());
}

async fn of_32_approvals_and_cancellations_one_wins(home: Home) {
    let store = home.store().await;
    let (id, session) = bound_interaction(&*store, "i").await;
    let won = race(&store, move |store, number| {
        let id = id.clone();
        async move {
            if number % 4 == 0 {
                store.cancel_interaction(&id, &session, NOW).await.unwrap().then_some(0)
            } else {
                let (grant, code) = (grant(&number.to_string()), code(&number.to_string()));
                store.approve_interaction(&id, &session, &grant, &code, NOW).await.unwrap().then_some(1)
            }
        }
    });
    let won: Vec<i64> = won.await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    assert_eq!(home.number("SELECT count(*) FROM grants").await, won[0]);
    assert_eq!(home.number("SELECT count(*) FROM codes").await, won[0]);
}
