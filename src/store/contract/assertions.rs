use serde_json::{Value, json};

use super::{DAY, Home, NOW, SECOND, grant, on_every_store, race, session};
use crate::{
    crypto::Digest,
    store::{AssertionRedemption, Grant, GrantId, RedeemedAssertion, User},
};

on_every_store!(
    of_32_that_redeem_an_assertion_one_wins,
    a_redeemed_assertion_gives_an_access_token_that_ends_with_its_grant,
    an_assertion_is_remembered_until_it_would_not_be_accepted_anyway,
    who_is_known_keeps_what_the_assertion_does_not_say,
    who_is_not_known_is_kept_as_the_assertion_says,
);

fn redemption(name: &str) -> AssertionRedemption {
    AssertionRedemption {
        assertion: Digest::of("assertion"),
        remember_until: NOW.plus(360 * SECOND),
        user: session("cookie").user,
        grant: Grant { expires_at: NOW.plus(900 * SECOND), ..grant(name) },
        access: Digest::of(&format!("at_{name}")),
        access_expires_at: NOW.plus(DAY),
    }
}

async fn of_32_that_redeem_an_assertion_one_wins(home: Home) {
    let (store, replica) = (home.store().await, home.store().await);
    let outcomes = race(&store, |store, number| {
        let store = if number % 2 == 0 { store } else { replica.clone() };
        async move { store.redeem_assertion(&redemption(&number.to_string()), NOW).await.unwrap() }
    });
    let outcomes = outcomes.await;
    assert_eq!(outcomes.into_iter().filter(|outcome| *outcome == RedeemedAssertion::Redeemed).count(), 1);
    assert_eq!(home.number("SELECT count(*) FROM grants").await, 1);
    assert_eq!(home.number("SELECT count(*) FROM access_tokens").await, 1);
    assert_eq!(home.number("SELECT count(*) FROM refresh_tokens").await, 0);
}

async fn a_redeemed_assertion_gives_an_access_token_that_ends_with_its_grant(home: Home) {
    let store = home.store().await;
    let redemption = redemption("g");
    assert_eq!(store.redeem_assertion(&redemption, NOW).await.unwrap(), RedeemedAssertion::Redeemed);
    let kept = store.access_token(&redemption.access, NOW).await.unwrap().unwrap();
    assert_eq!(kept.grant, redemption.grant);
    assert_eq!(kept.expires_at, redemption.grant.expires_at);
    let end = redemption.grant.expires_at;
    assert_eq!(store.access_token(&redemption.access, end).await.unwrap(), None);
    while store.remove_expired(end, NOW).await.unwrap() > 0 {}
    assert_eq!(home.number("SELECT count(*) FROM grants").await, 0);
}

async fn an_assertion_is_remembered_until_it_would_not_be_accepted_anyway(home: Home) {
    let store = home.store().await;
    let (first, second) = (redemption("first"), redemption("second"));
    assert_eq!(store.redeem_assertion(&first, NOW).await.unwrap(), RedeemedAssertion::Redeemed);
    let last = first.remember_until.minus(SECOND);
    store.remove_expired(last, NOW).await.unwrap();
    assert_eq!(store.redeem_assertion(&second, last).await.unwrap(), RedeemedAssertion::Replayed);
    while store.remove_expired(first.remember_until, NOW).await.unwrap() > 0 {}
    let late = store.redeem_assertion(&second, first.remember_until).await.unwrap();
    assert_eq!(late, RedeemedAssertion::Replayed);
    assert_eq!(store.access_token(&second.access, last).await.unwrap(), None);
}

fn claims(value: Value) -> serde_json::Map<String, Value> {
    let Value::Object(claims) = value else { panic!("{value}") };
    claims
}

async fn who_is_known_keeps_what_the_assertion_does_not_say(home: Home) {
    let store = home.store().await;
    let mut signed_in = session("cookie");
    signed_in.user.claims = claims(json!({
        "groups": ["engineers"], "realm_access": {"roles": ["a"], "x": 1}, "odd": "\u{0}", "locale": "de",
    }));
    store.open_session(&signed_in, None).await.unwrap();
    let said = claims(json!({"groups": ["sales"], "realm_access": {"roles": ["b"]}, "odder": ["\u{0}", 1.5, null]}));
    let user = User { email: None, name: None, claims: said, ..signed_in.user.clone() };
    store.redeem_assertion(&AssertionRedemption { user, ..redemption("g") }, NOW).await.unwrap();
    let known = store.session(&signed_in.digest, NOW).await.unwrap().unwrap().user;
    assert_eq!((&known.email, &known.name), (&signed_in.user.email, &signed_in.user.name));
    let expected = json!({
        "groups": ["sales"], "realm_access": {"roles": ["b"]}, "odd": "\u{0}", "locale": "de",
        "odder": ["\u{0}", 1.5, null],
    });
    assert_eq!(known.claims, claims(expected));
}

async fn who_is_not_known_is_kept_as_the_assertion_says(home: Home) {
    let store = home.store().await;
    let mut user = session("cookie").user;
    user.claims = claims(json!({"groups": ["sales"]}));
    let empty = User { claims: serde_json::Map::new(), name: None, ..user.clone() };
    let first = AssertionRedemption { user: user.clone(), ..redemption("first") };
    let second = AssertionRedemption {
        assertion: Digest::of("another"),
        user: empty,
        grant: Grant { id: GrantId("second".to_owned()), ..first.grant.clone() },
        access: Digest::of("at_second"),
        ..first.clone()
    };
    for redemption in [&first, &second] {
        assert_eq!(store.redeem_assertion(redemption, NOW).await.unwrap(), RedeemedAssertion::Redeemed);
    }
    let known = "SELECT count(*) FROM users WHERE email = 'ada@example.com' AND name = 'Ada Lovelace'
                 AND claims LIKE '%sales%'";
    assert_eq!(home.number(known).await, 1);
}
