use std::{sync::Arc, time::Duration};

use super::{
    DAY, Home, NOW, SECOND, code, grant, is_live, keep_grant, keep_grant_with_tokens, on_every_store, race, session,
};
use crate::{
    crypto::Digest,
    store::{Grant, IssuedTokens, RedeemedCode, Store},
};

on_every_store!(
    reading_a_code_changes_nothing_and_works_as_long_as_its_grant_lives,
    a_code_gives_its_tokens_once,
    a_replayed_code_revokes_what_it_issued,
    a_replay_is_seen_long_after_the_code_expired,
    a_code_that_came_too_late_is_dead,
    a_burned_code_gives_nothing_and_revokes_nothing,
    burning_a_spent_code_changes_nothing,
    an_access_token_never_outlives_its_grant,
    a_redemption_that_fails_changes_nothing,
    of_32_that_redeem_a_code_one_wins_and_the_replays_revoke,
    a_redemption_that_races_a_revocation_leaves_no_live_token,
    a_caller_that_goes_away_leaves_nothing_half_done,
);

fn tokens(name: &str) -> IssuedTokens {
    super::tokens(name, NOW)
}

async fn redeem(store: &Arc<dyn Store>, digest: &Digest, name: &str) -> RedeemedCode {
    store.redeem_code(digest, &tokens(name), NOW).await.unwrap()
}

async fn reading_a_code_changes_nothing_and_works_as_long_as_its_grant_lives(home: Home) {
    let store = home.store().await;
    let grant = grant("g");
    let digest = keep_grant(&*store, &grant).await;
    let unspent = store.code(&digest, NOW).await.unwrap().unwrap();
    assert_eq!((&unspent.bound, &unspent.grant), (&code("code of g"), &grant));
    assert_eq!(redeem(&store, &digest, "t").await, RedeemedCode::Redeemed);
    let late = grant.expires_at.minus(SECOND);
    assert_eq!(store.code(&digest, late).await.unwrap(), Some(unspent), "spent and expired");
    assert_eq!(store.code(&digest, grant.expires_at).await.unwrap(), None);
    assert!(store.revoke_grant(&grant.id, NOW).await.unwrap());
    assert_eq!(store.code(&digest, NOW).await.unwrap(), None);
    assert_eq!(store.code(&Digest::of("unknown"), NOW).await.unwrap(), None);
}

async fn a_code_gives_its_tokens_once(home: Home) {
    let store = home.store().await;
    let grant = grant("g");
    let digest = keep_grant(&*store, &grant).await;
    assert!(!is_live(&*store, &tokens("t"), NOW).await);
    assert_eq!(redeem(&store, &digest, "t").await, RedeemedCode::Redeemed);
    let tokens = tokens("t");
    let access = store.access_token(&tokens.access, NOW).await.unwrap().unwrap();
    assert_eq!((&access.grant, access.expires_at), (&grant, tokens.access_expires_at));
    let claims: serde_json::Value = serde_json::from_str(&access.claims).unwrap();
    assert_eq!(claims, serde_json::Value::Object(session("cookie").user.claims), "the user's claims come along");
    let refresh = store.refresh_token(&tokens.refresh, NOW).await.unwrap().unwrap();
    assert_eq!((refresh.grant, refresh.rotated_at), (grant, None));
    assert_eq!(store.access_token(&tokens.access, tokens.access_expires_at).await.unwrap(), None);
    assert_eq!(store.access_token(&tokens.refresh, NOW).await.unwrap(), None, "each kind in its own place");
    assert_eq!(store.refresh_token(&tokens.access, NOW).await.unwrap(), None);
}

/// RFC 6749 section 4.1.2: a second use of a code revokes what the first use issued.
async fn a_replayed_code_revokes_what_it_issued(home: Home) {
    let store = home.store().await;
    let digest = keep_grant(&*store, &grant("g")).await;
    let bystander = keep_grant_with_tokens(&*store, &grant("other")).await;
    assert_eq!(redeem(&store, &digest, "first").await, RedeemedCode::Redeemed);
    assert_eq!(redeem(&store, &digest, "second").await, RedeemedCode::Replayed);
    assert!(!is_live(&*store, &tokens("first"), NOW).await);
    assert!(!is_live(&*store, &tokens("second"), NOW).await);
    assert!(is_live(&*store, &bystander, NOW).await);
    assert!(!store.revoke_grant(&grant("g").id, NOW).await.unwrap(), "it is revoked already");
    assert_eq!(redeem(&store, &digest, "third").await, RedeemedCode::Replayed);
}

async fn a_replay_is_seen_long_after_the_code_expired(home: Home) {
    let store = home.store().await;
    let digest = keep_grant(&*store, &grant("g")).await;
    assert_eq!(redeem(&store, &digest, "first").await, RedeemedCode::Redeemed);
    let late = NOW.plus(30 * DAY);
    store.remove_expired(late, NOW).await.unwrap();
    let replayed = store.redeem_code(&digest, &tokens("second"), late).await.unwrap();
    assert_eq!(replayed, RedeemedCode::Replayed);
    assert!(!is_live(&*store, &tokens("first"), NOW).await);
}

async fn a_code_that_came_too_late_is_dead(home: Home) {
    let store = home.store().await;
    let end = code("c").expires_at;
    let expired = keep_grant(&*store, &grant("expired")).await;
    let revoked = keep_grant(&*store, &grant("revoked")).await;
    store.revoke_grant(&grant("revoked").id, NOW).await.unwrap();
    let ended = keep_grant(&*store, &Grant { expires_at: NOW.plus(SECOND), ..grant("ended") }).await;
    for (digest, now) in [(expired, end), (revoked, NOW), (ended, NOW.plus(SECOND)), (Digest::of("unknown"), NOW)] {
        assert_eq!(store.redeem_code(&digest, &tokens("t"), now).await.unwrap(), RedeemedCode::Dead);
    }
    assert!(!is_live(&*store, &tokens("t"), NOW).await);
    let in_time = store.redeem_code(&expired, &tokens("t"), end.minus(Duration::from_millis(1))).await.unwrap();
    assert_eq!(in_time, RedeemedCode::Redeemed, "nothing had been spent");
}

async fn a_burned_code_gives_nothing_and_revokes_nothing(home: Home) {
    let store = home.store().await;
    let digest = keep_grant(&*store, &grant("g")).await;
    store.burn_code(&digest, NOW).await.unwrap();
    assert_eq!(redeem(&store, &digest, "t").await, RedeemedCode::Replayed);
    assert!(!is_live(&*store, &tokens("t"), NOW).await);
    assert!(store.code(&digest, NOW).await.unwrap().is_some());
    store.burn_code(&Digest::of("unknown"), NOW).await.unwrap();
}

async fn burning_a_spent_code_changes_nothing(home: Home) {
    let store = home.store().await;
    let digest = keep_grant(&*store, &grant("g")).await;
    assert_eq!(redeem(&store, &digest, "t").await, RedeemedCode::Redeemed);
    store.burn_code(&digest, NOW).await.unwrap();
    assert!(is_live(&*store, &tokens("t"), NOW).await);
    assert_eq!(redeem(&store, &digest, "second").await, RedeemedCode::Replayed);
    assert!(!is_live(&*store, &tokens("t"), NOW).await);
}

async fn an_access_token_never_outlives_its_grant(home: Home) {
    let store = home.store().await;
    let grant = Grant { expires_at: NOW.plus(100 * SECOND), ..grant("g") };
    let tokens = keep_grant_with_tokens(&*store, &grant).await;
    let access = store.access_token(&tokens.access, NOW).await.unwrap().unwrap();
    assert_eq!(access.expires_at, grant.expires_at);
    assert!(!is_live(&*store, &tokens, grant.expires_at).await);
}

async fn a_redemption_that_fails_changes_nothing(home: Home) {
    let store = home.store().await;
    let taken = keep_grant_with_tokens(&*store, &grant("other")).await;
    let digest = keep_grant(&*store, &grant("g")).await;
    let colliding = IssuedTokens { refresh: taken.refresh, ..tokens("t") };
    store.redeem_code(&digest, &colliding, NOW).await.unwrap_err();
    assert!(store.access_token(&colliding.access, NOW).await.unwrap().is_none());
    assert_eq!(redeem(&store, &digest, "t").await, RedeemedCode::Redeemed);
}

async fn of_32_that_redeem_a_code_one_wins_and_the_replays_revoke(home: Home) {
    let store = home.store().await;
    let digest = keep_grant(&*store, &grant("g")).await;
    let outcomes =
        race(&store, move |store, number| async move { (number, redeem(&store, &digest, &number.to_string()).await) })
            .await;
    let won = outcomes.iter().filter(|(_, outcome)| *outcome == RedeemedCode::Redeemed).count();
    let replayed = outcomes.iter().filter(|(_, outcome)| *outcome == RedeemedCode::Replayed).count();
    assert_eq!((won, replayed), (1, 31));
    for (number, _) in outcomes {
        assert!(!is_live(&*store, &tokens(&number.to_string()), NOW).await);
    }
    assert_eq!(home.number("SELECT count(*) FROM refresh_tokens").await, 1);
}

async fn a_redemption_that_races_a_revocation_leaves_no_live_token(home: Home) {
    let store = home.store().await;
    for round in 0..16 {
        let grant = grant(&round.to_string());
        let digest = keep_grant(&*store, &grant).await;
        let tokens = tokens(&round.to_string());
        let (redeemed, revoked) =
            tokio::join!(store.redeem_code(&digest, &tokens, NOW), store.revoke_grant(&grant.id, NOW));
        assert!(matches!(redeemed.unwrap(), RedeemedCode::Redeemed | RedeemedCode::Dead));
        assert!(revoked.unwrap());
        assert!(!is_live(&*store, &tokens, NOW).await);
    }
}

async fn a_caller_that_goes_away_leaves_nothing_half_done(home: Home) {
    let store = home.store().await;
    for patience in 0..24 {
        let name = patience.to_string();
        let digest = keep_grant(&*store, &grant(&name)).await;
        tokio::select! {
            biased;
            _ = redeem(&store, &digest, &name) => {}
            () = yield_times(patience) => {}
        }
        let whole = match redeem(&store, &digest, &format!("again {name}")).await {
            RedeemedCode::Redeemed => 0,
            RedeemedCode::Replayed => 1,
            RedeemedCode::Dead => panic!("the code was good"),
        };
        for table in ["access_tokens", "refresh_tokens"] {
            let kept = format!("SELECT count(*) FROM {table} WHERE grant_id = '{name}'");
            assert_eq!(home.number(&kept).await, 1);
        }
        let revoked = format!("SELECT count(*) FROM grants WHERE id = '{name}' AND revoked_at IS NOT NULL");
        assert_eq!(home.number(&revoked).await, whole);
    }
}

async fn yield_times(times: usize) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}
