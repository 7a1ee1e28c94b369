use super::{DAY, Home, NOW, SECOND, on_every_store, race};
use crate::{
    crypto::Digest,
    store::{ClientId, Consent, ConsentKey, SubjectId},
};

on_every_store!(
    a_remembered_consent_comes_back_as_it_was,
    a_consent_is_for_exactly_what_it_was_given_for,
    a_later_consent_replaces_the_earlier_one,
    an_expired_consent_is_none_and_goes,
    forgetting_takes_all_of_a_client_and_a_route_and_nothing_else,
    of_32_that_remember_at_once_one_consent_remains,
);

fn person(name: &str) -> SubjectId {
    SubjectId::derive("https://login.example.com", name)
}

fn consent(name: &str) -> Consent {
    Consent {
        key: ConsentKey {
            subject: person(name),
            client_id: ClientId::new("https://client.example/c"),
            redirect_uri: "https://client.example/callback?a='1'".to_owned(),
            resource: "https://gateway.example.com/mcp/linear-v1".to_owned(),
        },
        operation_id: "linear-mcp-server".to_owned(),
        scope: "mcp:tools".to_owned(),
        metadata: Digest::of("metadata"),
        approved_at: NOW,
        expires_at: NOW.plus(90 * DAY),
    }
}

async fn a_remembered_consent_comes_back_as_it_was(home: Home) {
    let store = home.store().await;
    let consent = consent("ada");
    assert_eq!(store.consent(&consent.key, NOW).await.unwrap(), None);
    store.remember_consent(&consent).await.unwrap();
    assert_eq!(store.consent(&consent.key, NOW).await.unwrap(), Some(consent.clone()));
    assert_eq!(store.consents_of(&consent.key.subject, NOW).await.unwrap(), [consent]);
}

async fn a_consent_is_for_exactly_what_it_was_given_for(home: Home) {
    let store = home.store().await;
    let given = consent("ada");
    store.remember_consent(&given).await.unwrap();
    let key = given.key;
    for other in [
        ConsentKey { subject: person("bob"), ..key.clone() },
        ConsentKey { client_id: ClientId::new("https://client.example/c/"), ..key.clone() },
        ConsentKey { redirect_uri: "https://client.example/callback".to_owned(), ..key.clone() },
        ConsentKey { resource: "https://gateway.example.com/mcp/linear".to_owned(), ..key.clone() },
    ] {
        assert_eq!(store.consent(&other, NOW).await.unwrap(), None, "{other:?}");
    }
    assert!(store.consents_of(&person("bob"), NOW).await.unwrap().is_empty());
}

async fn a_later_consent_replaces_the_earlier_one(home: Home) {
    let store = home.store().await;
    let earlier = consent("ada");
    let later = Consent {
        scope: "mcp:tools offline_access".to_owned(),
        metadata: Digest::of("changed"),
        approved_at: NOW.plus(SECOND),
        expires_at: NOW.plus(91 * DAY),
        ..earlier.clone()
    };
    for consent in [&earlier, &later] {
        store.remember_consent(consent).await.unwrap();
    }
    assert_eq!(store.consents_of(&earlier.key.subject, NOW).await.unwrap(), [later]);
}

async fn an_expired_consent_is_none_and_goes(home: Home) {
    let store = home.store().await;
    let consent = consent("ada");
    store.remember_consent(&consent).await.unwrap();
    let end = consent.expires_at;
    store.remove_expired(end.minus(SECOND), NOW).await.unwrap();
    assert!(store.consent(&consent.key, end.minus(SECOND)).await.unwrap().is_some());
    assert_eq!(store.consent(&consent.key, end).await.unwrap(), None);
    assert!(store.consents_of(&consent.key.subject, end).await.unwrap().is_empty());
    assert_eq!(store.remove_expired(end, NOW).await.unwrap(), 1);
    assert_eq!(home.number("SELECT count(*) FROM consents").await, 0);
}

async fn forgetting_takes_all_of_a_client_and_a_route_and_nothing_else(home: Home) {
    let store = home.store().await;
    let (ada, bob) = (consent("ada"), consent("bob"));
    let elsewhere = ConsentKey { redirect_uri: "https://client.example/second".to_owned(), ..ada.key.clone() };
    let other_route = Consent {
        key: ConsentKey { resource: "https://gateway.example.com/mcp/other".to_owned(), ..ada.key.clone() },
        operation_id: "other".to_owned(),
        ..ada.clone()
    };
    for consent in [&ada, &bob, &Consent { key: elsewhere, ..ada.clone() }, &other_route] {
        store.remember_consent(consent).await.unwrap();
    }
    let client = &ada.key.client_id;
    assert_eq!(store.forget_consents(&ada.key.subject, client, "linear-mcp-server").await.unwrap(), 2);
    assert_eq!(store.forget_consents(&ada.key.subject, client, "linear-mcp-server").await.unwrap(), 0);
    assert_eq!(store.consents_of(&ada.key.subject, NOW).await.unwrap(), [other_route]);
    assert_eq!(store.consents_of(&bob.key.subject, NOW).await.unwrap(), [bob]);
}

async fn of_32_that_remember_at_once_one_consent_remains(home: Home) {
    let store = home.store().await;
    race(&store, |store, _| async move { store.remember_consent(&consent("ada")).await.unwrap() }).await;
    assert_eq!(store.consents_of(&consent("ada").key.subject, NOW).await.unwrap(), [consent("ada")]);
}
