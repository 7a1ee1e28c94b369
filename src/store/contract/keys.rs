use super::{Home, NOW, SECOND, ada, connection, on_every_store, race};
use crate::store::{
    ConnectionState, Owner, RefreshedTokens, SealedKind, SealedPlace, SealedSigningKey, SealedValue, Store,
    UpstreamClient,
};

on_every_store!(
    of_32_signing_keys_at_once_all_go_on_with_the_same,
    only_the_named_signing_key_is_removed,
    what_another_key_sealed_is_found_batch_by_batch,
    a_value_is_resealed_only_where_it_still_stands,
    a_resealed_connection_takes_the_refresh_that_was_under_way,
);

fn key(key_id: &str) -> SealedSigningKey {
    SealedSigningKey {
        purpose: "upstreams".to_owned(),
        key_id: key_id.to_owned(),
        sealed_key: key_id.bytes().chain(0..=255).collect(),
        created_at: NOW,
    }
}

async fn of_32_signing_keys_at_once_all_go_on_with_the_same(home: Home) {
    let (store, replica) = (home.store().await, home.store().await);
    assert_eq!(store.signing_key("upstreams").await.unwrap(), None);
    let seen = race(&store, |store, number| {
        let store = if number % 2 == 0 { store } else { replica.clone() };
        async move { store.save_signing_key(&key(&number.to_string())).await.unwrap() }
    })
    .await;
    let kept = store.signing_key("upstreams").await.unwrap().unwrap();
    assert!(seen.iter().all(|seen| *seen == kept), "{seen:?}");
    assert_eq!(kept, key(&kept.key_id), "what is kept is of one caller, not of several");
}

async fn only_the_named_signing_key_is_removed(home: Home) {
    let store = home.store().await;
    store.save_signing_key(&key("ours")).await.unwrap();
    store.remove_signing_key("upstreams", "theirs").await.unwrap();
    store.remove_signing_key("others", "ours").await.unwrap();
    assert_eq!(store.signing_key("upstreams").await.unwrap(), Some(key("ours")));
    store.remove_signing_key("upstreams", "ours").await.unwrap();
    assert_eq!(store.save_signing_key(&key("new")).await.unwrap(), key("new"));
}

async fn sealed_otherwise(store: &dyn Store, kind: SealedKind, prefix: &[u8]) -> Vec<SealedPlace> {
    let mut places: Vec<SealedPlace> = Vec::new();
    loop {
        let batch = store.sealed_otherwise(kind, prefix, places.last(), 2).await.unwrap();
        assert!(batch.len() <= 2);
        if batch.is_empty() {
            return places;
        }
        places.extend(batch.into_iter().map(|value| value.place));
    }
}

async fn what_another_key_sealed_is_found_batch_by_batch(home: Home) {
    let store = home.store().await;
    for upstream_id in ["a", "b", "c", "d", "e"] {
        for owner in [ada(), Owner::Shared] {
            let sealed_tokens = if upstream_id == "c" { b"\x01\x02k2new".to_vec() } else { b"\x01\x02k1old".to_vec() };
            let connection = crate::store::Connection { sealed_tokens, ..connection(&owner, upstream_id) };
            store.save_connection(&connection).await.unwrap();
        }
    }
    let connections = sealed_otherwise(&*store, SealedKind::Connections, b"\x01\x02k2").await;
    assert_eq!(connections.len(), 8);
    for place in &connections {
        assert_eq!(connections.iter().filter(|other| *other == place).count(), 1, "{place:?}");
    }
    assert_eq!(sealed_otherwise(&*store, SealedKind::Connections, b"\x01\x02k1").await.len(), 2);

    for issuer in ["https://a.example", "https://b.example", "https://c.example"] {
        let registration = UpstreamClient {
            issuer: issuer.to_owned(),
            redirect_uri: "https://gateway.example.com/callback".to_owned(),
            client_id: "ours".to_owned(),
            sealed_details: b"\x01\x02k1old".to_vec(),
            registered_at: NOW,
        };
        store.save_upstream_client(&registration).await.unwrap();
    }
    assert_eq!(sealed_otherwise(&*store, SealedKind::UpstreamClients, b"\x01\x02k2").await.len(), 3);
    assert_eq!(sealed_otherwise(&*store, SealedKind::UpstreamClients, b"\x01\x02k1").await, []);
    store.save_signing_key(&key("ours")).await.unwrap();
    let keys = sealed_otherwise(&*store, SealedKind::SigningKeys, b"\x01\x02k2").await;
    assert_eq!(keys, [SealedPlace::SigningKey("upstreams".to_owned())]);
}

async fn a_value_is_resealed_only_where_it_still_stands(home: Home) {
    let store = home.store().await;
    let connection = connection(&ada(), "linear");
    store.save_connection(&connection).await.unwrap();
    store.save_signing_key(&key("ours")).await.unwrap();
    let registration = UpstreamClient {
        issuer: "https://login.example.com".to_owned(),
        redirect_uri: "https://gateway.example.com/callback".to_owned(),
        client_id: "ours".to_owned(),
        sealed_details: b"details".to_vec(),
        registered_at: NOW,
    };
    store.save_upstream_client(&registration).await.unwrap();
    let values = [
        (SealedPlace::Connection(connection.key.clone()), connection.sealed_tokens.clone()),
        (
            SealedPlace::UpstreamClient {
                issuer: registration.issuer.clone(),
                redirect_uri: registration.redirect_uri.clone(),
            },
            registration.sealed_details.clone(),
        ),
        (SealedPlace::SigningKey("upstreams".to_owned()), key("ours").sealed_key),
    ];
    for (place, sealed) in values {
        let value = SealedValue { place, sealed };
        let replaced = SealedValue { sealed: b"what was there before".to_vec(), ..value.clone() };
        assert!(!store.reseal(&replaced, b"new").await.unwrap());
        assert!(store.reseal(&value, b"new").await.unwrap());
        assert!(!store.reseal(&value, b"again").await.unwrap());
    }
    assert_eq!(store.connection(&connection.key).await.unwrap().unwrap().sealed_tokens, b"new");
    assert_eq!(store.signing_key("upstreams").await.unwrap().unwrap().sealed_key, b"new");
    let kept = store.upstream_client(&registration.issuer, &registration.redirect_uri).await.unwrap().unwrap();
    assert_eq!(kept.sealed_details, b"new");
}

/// Re-sealing is no change of the tokens, so it takes no version from the replica that refreshes.
async fn a_resealed_connection_takes_the_refresh_that_was_under_way(home: Home) {
    let store = home.store().await;
    store.save_connection(&connection(&ada(), "linear")).await.unwrap();
    let seen = store.connection(&connection(&ada(), "linear").key).await.unwrap().unwrap();
    let value = SealedValue { place: SealedPlace::Connection(seen.key.clone()), sealed: seen.sealed_tokens.clone() };
    assert!(store.reseal(&value, b"resealed").await.unwrap());
    let tokens = RefreshedTokens { sealed_tokens: b"rotated".to_vec(), access_expires_at: None, scope: None };
    assert!(store.refresh_connection(&seen.key, seen.version, &tokens, NOW.plus(SECOND)).await.unwrap());
    assert!(!store.reseal(&value, b"late").await.unwrap());
    let kept = store.connection(&seen.key).await.unwrap().unwrap();
    assert_eq!((kept.sealed_tokens.as_slice(), kept.state), (&b"rotated"[..], ConnectionState::Live));
}
