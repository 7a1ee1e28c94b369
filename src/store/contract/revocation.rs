use super::{DAY, GRACE, Home, NOW, SECOND, grant, is_live, keep_grant_with_tokens, on_every_store, tokens};
use crate::{
    crypto::Digest,
    store::{ClientId, Grant, GrantId, IssuedTokens, OpenToken, Revoked, Rotation, SubjectId},
};

on_every_store!(
    a_refresh_token_takes_its_grant_with_it,
    a_rotated_refresh_token_still_takes_its_grant_with_it,
    an_access_token_goes_alone,
    another_clients_token_is_left_alone,
    nothing_is_revoked_twice_or_after_its_end,
    a_revoked_grant_takes_all_its_tokens_with_it,
    a_persons_grants_are_the_living_ones_newest_first,
    of_open_tokens_the_revoked_ones_are_told,
);

/// RFC 7009 section 2.1: revoking a refresh token invalidates the access tokens of the same grant.
async fn a_refresh_token_takes_its_grant_with_it(home: Home) {
    let store = home.store().await;
    let grant = grant("g");
    let tokens = keep_grant_with_tokens(&*store, &grant).await;
    let bystander = keep_grant_with_tokens(&*store, &super::grant("other")).await;
    let revoked = store.revoke_token(&tokens.refresh, &grant.client_id, NOW).await.unwrap();
    assert_eq!(revoked, Revoked::Grant(grant.id));
    assert!(!is_live(&*store, &tokens, NOW).await);
    assert!(is_live(&*store, &bystander, NOW).await);
}

async fn a_rotated_refresh_token_still_takes_its_grant_with_it(home: Home) {
    let store = home.store().await;
    let grant = grant("g");
    let first = keep_grant_with_tokens(&*store, &grant).await;
    let second = tokens("second", NOW);
    let rotated = store.rotate_refresh_token(&first.refresh, &grant.client_id, &second, b"sealed", GRACE, NOW).await;
    assert_eq!(rotated.unwrap(), Rotation::Rotated);
    let revoked = store.revoke_token(&first.refresh, &grant.client_id, NOW).await.unwrap();
    assert_eq!(revoked, Revoked::Grant(grant.id));
    assert!(!is_live(&*store, &second, NOW).await);
}

async fn an_access_token_goes_alone(home: Home) {
    let store = home.store().await;
    let grant = grant("g");
    let tokens = keep_grant_with_tokens(&*store, &grant).await;
    let revoked = store.revoke_token(&tokens.access, &grant.client_id, NOW).await.unwrap();
    assert_eq!(revoked, Revoked::AccessToken(grant.id));
    assert!(store.access_token(&tokens.access, NOW).await.unwrap().is_none());
    assert!(store.refresh_token(&tokens.refresh, NOW).await.unwrap().is_some());
}

/// RFC 7009 section 2.1: the token must have been issued to the client that asks.
async fn another_clients_token_is_left_alone(home: Home) {
    let store = home.store().await;
    let tokens = keep_grant_with_tokens(&*store, &grant("g")).await;
    let eve = ClientId::new("dcr:eve");
    for digest in [tokens.refresh, tokens.access] {
        assert_eq!(store.revoke_token(&digest, &eve, NOW).await.unwrap(), Revoked::Nothing);
    }
    assert!(store.access_token(&tokens.access, NOW).await.unwrap().is_some());
    assert!(store.refresh_token(&tokens.refresh, NOW).await.unwrap().is_some());
}

async fn nothing_is_revoked_twice_or_after_its_end(home: Home) {
    let store = home.store().await;
    let client = ClientId::new("dcr:ada");
    let one = keep_grant_with_tokens(&*store, &grant("one")).await;
    let end = NOW.plus(DAY);
    let short = Grant { expires_at: end, ..grant("short") };
    let expired = keep_grant_with_tokens(&*store, &short).await;
    store.revoke_token(&one.access, &client, NOW).await.unwrap();
    assert_eq!(store.revoke_token(&one.access, &client, NOW).await.unwrap(), Revoked::Nothing);
    store.revoke_token(&one.refresh, &client, NOW).await.unwrap();
    assert_eq!(store.revoke_token(&one.refresh, &client, NOW).await.unwrap(), Revoked::Nothing);
    assert_eq!(store.revoke_token(&Digest::of("unknown"), &client, NOW).await.unwrap(), Revoked::Nothing);
    let late = NOW.plus(900 * SECOND);
    assert_eq!(store.revoke_token(&expired.access, &client, late).await.unwrap(), Revoked::Nothing);
    assert_eq!(store.revoke_token(&expired.refresh, &client, end).await.unwrap(), Revoked::Nothing);
    assert!(!store.revoke_grant(&short.id, end).await.unwrap());
}

async fn a_revoked_grant_takes_all_its_tokens_with_it(home: Home) {
    let store = home.store().await;
    let grant = grant("g");
    let first = keep_grant_with_tokens(&*store, &grant).await;
    let second = tokens("second", NOW);
    let rotated = store.rotate_refresh_token(&first.refresh, &grant.client_id, &second, b"sealed", GRACE, NOW).await;
    assert_eq!(rotated.unwrap(), Rotation::Rotated);
    assert!(store.revoke_grant(&grant.id, NOW).await.unwrap());
    assert!(!store.revoke_grant(&grant.id, NOW).await.unwrap());
    assert!(!store.revoke_grant(&GrantId("unknown".to_owned()), NOW).await.unwrap());
    for tokens in [first, second] {
        assert!(!is_live(&*store, &tokens, NOW).await);
    }
}

async fn a_persons_grants_are_the_living_ones_newest_first(home: Home) {
    let store = home.store().await;
    let mut grants = ["old", "new", "revoked", "ended"].map(grant);
    for (grant, age) in grants.iter_mut().zip([20, 10, 5, 5]) {
        grant.created_at = NOW.minus(SECOND * age);
    }
    grants[3].expires_at = NOW.plus(SECOND);
    for grant in &grants {
        keep_grant_with_tokens(&*store, grant).await;
    }
    let mut strangers = grant("stranger");
    strangers.subject = SubjectId::from_stored("sub_stranger".to_owned());
    keep_grant_with_tokens(&*store, &strangers).await;
    let later = NOW.plus(SECOND);
    store.revoke_grant(&grants[2].id, later).await.unwrap();
    let living: Vec<_> = store.grants_of(&grants[0].subject, later).await.unwrap().into_iter().map(|g| g.id).collect();
    assert_eq!(living, [grants[1].id.clone(), grants[0].id.clone()]);
}

async fn of_open_tokens_the_revoked_ones_are_told(home: Home) {
    let store = home.store().await;
    let open = |grant: &Grant, tokens: &IssuedTokens| OpenToken {
        digest: tokens.access,
        grant_id: grant.id.clone(),
        expires_at: tokens.access_expires_at,
    };
    let mut tokens = Vec::new();
    for name in ["live", "token revoked", "grant revoked"] {
        let grant = grant(name);
        let issued = keep_grant_with_tokens(&*store, &grant).await;
        tokens.push(open(&grant, &issued));
    }
    let unknown = grant("unknown");
    tokens.push(open(&unknown, &super::tokens("unknown", NOW)));
    assert_eq!(store.revoked_among(&tokens[..3], NOW).await.unwrap(), []);
    store.revoke_token(&tokens[1].digest, &unknown.client_id, NOW).await.unwrap();
    store.revoke_grant(&tokens[2].grant_id, NOW).await.unwrap();
    let mut revoked = store.revoked_among(&tokens, NOW).await.unwrap();
    let mut expected: Vec<_> = tokens[1..].iter().map(|token| token.digest).collect();
    revoked.sort();
    expected.sort();
    assert_eq!(revoked, expected);
    assert_eq!(store.revoked_among(&[], NOW).await.unwrap(), []);

    let late = NOW.plus(DAY);
    while store.remove_expired(late, NOW).await.unwrap() > 0 {}
    assert_eq!(store.revoked_among(&tokens[..1], late).await.unwrap(), [], "expired, and its grant lives");
}
