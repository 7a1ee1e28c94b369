use super::{Home, NOW, SECOND, ada, connection, on_every_store, race};
use crate::{
    clock::Timestamp,
    store::{Connection, ConnectionState, Owner, RefreshedTokens, Store, SubjectId},
};

on_every_store!(
    a_kept_connection_comes_back_as_it_was,
    connections_of_an_owner_come_by_upstream_id,
    a_shared_connection_is_nobodys_own,
    saving_again_replaces_all_and_counts_one_more,
    connecting_again_revives_an_ended_connection,
    of_32_saves_each_counts,
    a_refresh_replaces_the_tokens_and_counts_one_more,
    a_refresh_of_another_version_changes_nothing,
    an_ended_connection_is_not_refreshed,
    of_32_refreshes_of_one_version_one_wins,
    ending_changes_the_state_alone,
    only_the_version_that_was_seen_is_ended,
    of_32_refreshes_and_endings_one_wins,
    what_a_person_connects_anew_outlives_refreshes_and_endings,
    a_removed_connection_is_given_back_once,
    of_32_that_remove_a_connection_one_gets_it,
    a_refresh_brings_no_removed_connection_back,
    an_old_refresh_does_not_reach_a_connection_made_after_a_removal,
    a_wanted_scope_is_known_until_the_person_connects_again,
    a_use_is_noted_when_none_was_lately,
    the_first_issuer_of_a_client_stays,
);

fn refreshed(name: &str) -> RefreshedTokens {
    RefreshedTokens {
        sealed_tokens: [name.as_bytes(), &[0, 1, 255]].concat(),
        access_expires_at: Some(NOW.plus(7200 * SECOND)),
        scope: Some("read".to_owned()),
    }
}

const LATER: Timestamp = Timestamp::from_seconds(1_800_000_060);

/// Keeps a connection, and returns it with its version.
async fn keep(store: &dyn Store, connection: &Connection) -> Connection {
    store.save_connection(connection).await.unwrap();
    store.connection(&connection.key).await.unwrap().unwrap()
}

async fn a_kept_connection_comes_back_as_it_was(home: Home) {
    let store = home.store().await;
    let bare = Connection {
        sealed_tokens: Vec::new(),
        access_expires_at: None,
        scope: None,
        state: ConnectionState::Ended,
        connected_at: NOW.minus(SECOND),
        ..connection(&Owner::Shared, "bare")
    };
    for connection in [connection(&ada(), "linear"), bare] {
        assert_eq!(store.connection(&connection.key).await.unwrap(), None);
        let kept = keep(&*store, &connection).await;
        assert_eq!(kept, Connection { version: kept.version, ..connection });
    }
}

async fn connections_of_an_owner_come_by_upstream_id(home: Home) {
    let store = home.store().await;
    assert_eq!(store.connections_of(&ada()).await.unwrap(), []);
    let bob = Owner::User(SubjectId::derive("https://login.example.com", "bob"));
    for (owner, upstream_id) in
        [(&ada(), "notion"), (&bob, "linear"), (&ada(), "Zulu"), (&ada(), "a-b"), (&ada(), "linear"), (&ada(), "ab")]
    {
        store.save_connection(&connection(owner, upstream_id)).await.unwrap();
    }
    let connections = store.connections_of(&ada()).await.unwrap();
    let ids: Vec<_> = connections.iter().map(|connection| &*connection.key.upstream_id).collect();
    assert_eq!(ids, ["Zulu", "a-b", "ab", "linear", "notion"]);
    for connection in connections {
        assert_eq!(store.connection(&connection.key).await.unwrap(), Some(connection));
    }
}

async fn a_shared_connection_is_nobodys_own(home: Home) {
    let store = home.store().await;
    let shared = keep(&*store, &connection(&Owner::Shared, "linear")).await;
    for subject in ["shared", "", "user:", "user:shared", "Shared"] {
        let user = Owner::User(SubjectId::from_stored(subject.to_owned()));
        assert_eq!(store.connections_of(&user).await.unwrap(), [], "{subject}");
        let own = connection(&user, "linear");
        assert_eq!(store.connection(&own.key).await.unwrap(), None, "{subject}");
        assert!(!store.refresh_connection(&own.key, shared.version, &refreshed("x"), LATER).await.unwrap());
        assert!(!store.end_connection(&own.key, shared.version, LATER).await.unwrap());
        assert_eq!(store.remove_connection(&own.key).await.unwrap(), None, "{subject}");
        let own = keep(&*store, &own).await;
        assert_eq!(store.connections_of(&user).await.unwrap(), [own], "{subject}");
    }
    assert_eq!(store.connections_of(&Owner::Shared).await.unwrap(), [shared]);
}

async fn saving_again_replaces_all_and_counts_one_more(home: Home) {
    let store = home.store().await;
    let neighbour = keep(&*store, &connection(&ada(), "notion")).await;
    let first = keep(&*store, &connection(&ada(), "linear")).await;
    let second = Connection {
        issuer: "https://other.example.com".to_owned(),
        client_id: "another client id".to_owned(),
        sealed_tokens: vec![255, 0],
        access_expires_at: None,
        scope: None,
        version: 77,
        connected_at: LATER,
        updated_at: LATER,
        ..first.clone()
    };
    let kept = keep(&*store, &second).await;
    assert_eq!(kept, Connection { version: first.version + 1, ..second });
    assert_eq!(store.connection(&neighbour.key).await.unwrap(), Some(neighbour));
}

async fn connecting_again_revives_an_ended_connection(home: Home) {
    let store = home.store().await;
    let first = keep(&*store, &connection(&ada(), "linear")).await;
    assert!(store.end_connection(&first.key, first.version, LATER).await.unwrap());
    let revived = keep(&*store, &connection(&ada(), "linear")).await;
    assert_eq!(revived, Connection { version: first.version + 1, ..first });
    assert!(store.refresh_connection(&revived.key, revived.version, &refreshed("x"), LATER).await.unwrap());
}

async fn of_32_saves_each_counts(home: Home) {
    let (store, replica) = (home.store().await, home.store().await);
    let key = connection(&ada(), "linear").key;
    race(&store, |store, number| {
        let store = if number % 2 == 0 { store } else { replica.clone() };
        async move {
            let client_id = number.to_string();
            let sealed_tokens = client_id.as_bytes().to_vec();
            let connection = Connection { client_id, sealed_tokens, ..connection(&ada(), "linear") };
            store.save_connection(&connection).await.unwrap();
        }
    })
    .await;
    let kept = store.connection(&key).await.unwrap().unwrap();
    assert_eq!(kept.client_id.as_bytes(), kept.sealed_tokens, "what is kept is of one caller, not of several");
    store.remove_connection(&key).await.unwrap();
    let once = keep(&*store, &connection(&ada(), "linear")).await;
    assert_eq!(kept.version, once.version + 31);
}

async fn a_refresh_replaces_the_tokens_and_counts_one_more(home: Home) {
    let store = home.store().await;
    let neighbours = [
        keep(&*store, &connection(&ada(), "notion")).await,
        keep(&*store, &connection(&Owner::Shared, "linear")).await,
    ];
    let first = keep(&*store, &connection(&ada(), "linear")).await;
    let tokens = refreshed("second");
    assert!(store.refresh_connection(&first.key, first.version, &tokens, LATER).await.unwrap());
    let second = store.connection(&first.key).await.unwrap().unwrap();
    let expected = Connection {
        sealed_tokens: tokens.sealed_tokens,
        access_expires_at: tokens.access_expires_at,
        scope: tokens.scope,
        version: first.version + 1,
        updated_at: LATER,
        ..first
    };
    assert_eq!(second, expected);

    // RFC 6749 section 5.1: the scope is the same as before where the answer does not say it.
    let silent = RefreshedTokens { access_expires_at: None, scope: None, ..refreshed("third") };
    assert!(store.refresh_connection(&second.key, second.version, &silent, LATER.plus(SECOND)).await.unwrap());
    let expected = Connection {
        sealed_tokens: silent.sealed_tokens,
        access_expires_at: None,
        version: second.version + 1,
        updated_at: LATER.plus(SECOND),
        ..second.clone()
    };
    assert_eq!(store.connection(&second.key).await.unwrap(), Some(expected));
    for neighbour in neighbours {
        assert_eq!(store.connection(&neighbour.key).await.unwrap(), Some(neighbour));
    }
}

async fn a_refresh_of_another_version_changes_nothing(home: Home) {
    let store = home.store().await;
    let kept = keep(&*store, &connection(&ada(), "linear")).await;
    for version in [kept.version - 1, kept.version + 1, 0, -1] {
        assert!(!store.refresh_connection(&kept.key, version, &refreshed("x"), LATER).await.unwrap());
    }
    let unknown = connection(&ada(), "unknown").key;
    assert!(!store.refresh_connection(&unknown, kept.version, &refreshed("x"), LATER).await.unwrap());
    assert_eq!(store.connection(&unknown).await.unwrap(), None);
    assert_eq!(store.connections_of(&ada()).await.unwrap(), [kept]);
}

async fn an_ended_connection_is_not_refreshed(home: Home) {
    let store = home.store().await;
    let kept = keep(&*store, &connection(&ada(), "linear")).await;
    assert!(store.end_connection(&kept.key, kept.version, LATER).await.unwrap());
    let ended = store.connection(&kept.key).await.unwrap();
    assert!(!store.refresh_connection(&kept.key, kept.version, &refreshed("x"), LATER).await.unwrap());
    assert_eq!(store.connection(&kept.key).await.unwrap(), ended);
}

async fn of_32_refreshes_of_one_version_one_wins(home: Home) {
    let (store, replica) = (home.store().await, home.store().await);
    let first = keep(&*store, &connection(&ada(), "linear")).await;
    let won = race(&store, |store, number| {
        let store = if number % 2 == 0 { store } else { replica.clone() };
        let (key, version) = (first.key.clone(), first.version);
        async move {
            let tokens = refreshed(&number.to_string());
            store.refresh_connection(&key, version, &tokens, LATER).await.unwrap().then_some(tokens.sealed_tokens)
        }
    });
    let won: Vec<_> = won.await.into_iter().flatten().collect();
    let kept = store.connection(&first.key).await.unwrap().unwrap();
    assert_eq!(won, [kept.sealed_tokens]);
    assert_eq!(kept.version, first.version + 1);
}

async fn ending_changes_the_state_alone(home: Home) {
    let store = home.store().await;
    let neighbour = keep(&*store, &connection(&Owner::Shared, "linear")).await;
    let kept = keep(&*store, &connection(&ada(), "linear")).await;
    assert!(store.end_connection(&kept.key, kept.version, LATER).await.unwrap());
    let ended = Connection { state: ConnectionState::Ended, updated_at: LATER, ..kept.clone() };
    assert_eq!(store.connection(&kept.key).await.unwrap(), Some(ended));
    assert_eq!(store.connection(&neighbour.key).await.unwrap(), Some(neighbour));
}

async fn only_the_version_that_was_seen_is_ended(home: Home) {
    let store = home.store().await;
    let first = keep(&*store, &connection(&ada(), "linear")).await;
    assert!(store.refresh_connection(&first.key, first.version, &refreshed("second"), LATER).await.unwrap());
    assert!(!store.end_connection(&first.key, first.version, LATER).await.unwrap(), "the tokens are newer");
    let second = store.connection(&first.key).await.unwrap().unwrap();
    assert_eq!(second.state, ConnectionState::Live);
    assert!(store.end_connection(&second.key, second.version, LATER).await.unwrap());
    assert!(!store.end_connection(&second.key, second.version, LATER).await.unwrap(), "it has ended already");
    assert!(!store.end_connection(&connection(&ada(), "unknown").key, second.version, LATER).await.unwrap());
}

async fn of_32_refreshes_and_endings_one_wins(home: Home) {
    let store = home.store().await;
    for round in 0..8 {
        let first = keep(&*store, &connection(&ada(), &round.to_string())).await;
        let won = race(&store, |store, number| {
            let (key, version) = (first.key.clone(), first.version);
            async move {
                let (won, state) = if number % 2 == 0 {
                    (store.end_connection(&key, version, LATER).await, ConnectionState::Ended)
                } else {
                    let tokens = refreshed("second");
                    (store.refresh_connection(&key, version, &tokens, LATER).await, ConnectionState::Live)
                };
                won.unwrap().then_some(state)
            }
        });
        let won: Vec<_> = won.await.into_iter().flatten().collect();
        let kept = store.connection(&first.key).await.unwrap().unwrap();
        assert_eq!(won, [kept.state]);
        assert_eq!(kept.version - first.version, i64::from(kept.state == ConnectionState::Live));
    }
}

async fn what_a_person_connects_anew_outlives_refreshes_and_endings(home: Home) {
    let store = home.store().await;
    for round in 0..8 {
        let first = keep(&*store, &connection(&ada(), &round.to_string())).await;
        let anew = Connection { sealed_tokens: b"anew".to_vec(), connected_at: LATER, ..first.clone() };
        let won = race(&store, |store, number| {
            let (anew, version) = (anew.clone(), first.version);
            async move {
                match number % 8 {
                    0 => {
                        store.save_connection(&anew).await.unwrap();
                        None
                    }
                    1..=3 => store.end_connection(&anew.key, version, LATER).await.unwrap().then_some(0),
                    _ => {
                        let tokens = refreshed("of the old connection");
                        store.refresh_connection(&anew.key, version, &tokens, LATER).await.unwrap().then_some(1)
                    }
                }
            }
        });
        let won: Vec<i64> = won.await.into_iter().flatten().collect();
        assert!(won.len() <= 1, "{won:?}");
        let refreshes: i64 = won.into_iter().sum();
        let expected = Connection { version: first.version + 4 + refreshes, ..anew };
        assert_eq!(store.connection(&first.key).await.unwrap(), Some(expected));
    }
}

async fn a_removed_connection_is_given_back_once(home: Home) {
    let store = home.store().await;
    let neighbours = [
        keep(&*store, &connection(&ada(), "notion")).await,
        keep(&*store, &connection(&Owner::Shared, "linear")).await,
    ];
    let kept = keep(&*store, &connection(&ada(), "linear")).await;
    let key = kept.key.clone();
    assert_eq!(store.remove_connection(&key).await.unwrap(), Some(kept));
    assert_eq!(store.remove_connection(&key).await.unwrap(), None);
    assert_eq!(store.connection(&key).await.unwrap(), None);
    for neighbour in neighbours {
        assert_eq!(store.connection(&neighbour.key).await.unwrap(), Some(neighbour));
    }
}

async fn of_32_that_remove_a_connection_one_gets_it(home: Home) {
    let store = home.store().await;
    let kept = keep(&*store, &connection(&ada(), "linear")).await;
    let removed = race(&store, |store, _| {
        let key = kept.key.clone();
        async move { store.remove_connection(&key).await.unwrap() }
    });
    assert_eq!(removed.await.into_iter().flatten().collect::<Vec<_>>(), [kept]);
}

async fn a_refresh_brings_no_removed_connection_back(home: Home) {
    let store = home.store().await;
    let kept = keep(&*store, &connection(&ada(), "linear")).await;
    let outcomes = race(&store, |store, number| {
        let (key, version) = (kept.key.clone(), kept.version);
        async move {
            if number == 16 {
                return (store.remove_connection(&key).await.unwrap(), false);
            }
            (None, store.refresh_connection(&key, version, &refreshed("second"), LATER).await.unwrap())
        }
    })
    .await;
    assert_eq!(store.connection(&kept.key).await.unwrap(), None);
    let refreshed_before = outcomes.iter().filter(|(_, refreshed)| *refreshed).count();
    let removed: Vec<_> = outcomes.into_iter().filter_map(|(removed, _)| removed).collect();
    assert_eq!(removed.len(), 1);
    assert_eq!(
        removed[0].version - kept.version,
        i64::try_from(refreshed_before).unwrap(),
        "what is revoked is the last"
    );
}

/// Disconnected and connected with another account, while the upstream still answers a refresh of the first one.
async fn an_old_refresh_does_not_reach_a_connection_made_after_a_removal(home: Home) {
    let store = home.store().await;
    let old = keep(&*store, &connection(&ada(), "linear")).await;
    store.remove_connection(&old.key).await.unwrap();
    let anew =
        keep(&*store, &Connection { connected_at: LATER, updated_at: LATER, ..connection(&ada(), "linear") }).await;
    assert!(anew.version > old.version);
    assert!(!store.refresh_connection(&old.key, old.version, &refreshed("of the old account"), LATER).await.unwrap());
    assert!(!store.end_connection(&old.key, old.version, LATER).await.unwrap());
    assert_eq!(store.connection(&old.key).await.unwrap(), Some(anew));
}

async fn a_wanted_scope_is_known_until_the_person_connects_again(home: Home) {
    let (store, replica) = (home.store().await, home.store().await);
    let kept = keep(&*store, &connection(&ada(), "linear")).await;
    store.want_scope(&kept.key, "write admin").await.unwrap();
    let wanting = replica.connection(&kept.key).await.unwrap().unwrap();
    assert_eq!(wanting, Connection { wanted_scope: Some("write admin".to_owned()), ..kept.clone() });
    assert!(store.refresh_connection(&kept.key, kept.version, &refreshed("new"), LATER).await.unwrap());
    assert_eq!(store.connection(&kept.key).await.unwrap().unwrap().wanted_scope, wanting.wanted_scope);
    assert_eq!(keep(&*store, &connection(&ada(), "linear")).await.wanted_scope, None);
    store.want_scope(&connection(&ada(), "notion").key, "write").await.unwrap();
    assert_eq!(store.connections_of(&ada()).await.unwrap().len(), 1);
}

async fn a_use_is_noted_when_none_was_lately(home: Home) {
    let store = home.store().await;
    let kept = keep(&*store, &connection(&ada(), "linear")).await;
    let hour = 3600 * SECOND;
    for (now, noted) in [(NOW, NOW), (NOW.plus(SECOND), NOW), (NOW.plus(hour), NOW.plus(hour))] {
        store.touch_connection(&kept.key, now, now.minus(hour)).await.unwrap();
        let touched = store.connection(&kept.key).await.unwrap().unwrap();
        assert_eq!(touched, Connection { last_used_at: Some(noted), ..kept.clone() });
    }
}

async fn the_first_issuer_of_a_client_stays(home: Home) {
    let (store, replica) = (home.store().await, home.store().await);
    let seen = race(&store, |store, number| {
        let store = if number % 2 == 0 { store } else { replica.clone() };
        async move { store.pin_issuer("linear", "client", &format!("https://{number}.example")).await.unwrap() }
    })
    .await;
    assert!(seen.iter().all(|issuer| *issuer == seen[0]), "{seen:?}");
    for (upstream_id, client_id) in [("linear", "other"), ("other", "client")] {
        assert_eq!(
            store.pin_issuer(upstream_id, client_id, "https://new.example").await.unwrap(),
            "https://new.example"
        );
    }
}
