use std::{sync::Arc, time::Duration};

use super::{
    DAY, GRACE, Home, NOW, SECOND, ada, client, connect_flow, connection, grant, interaction, is_live, keep_grant,
    keep_grant_with_tokens, on_every_store, race, session, tokens,
};
use crate::{
    clock::Timestamp,
    crypto::Digest,
    store::{
        BrowserSession, Client, ClientId, ConnectFlow, Connection, ConnectionState, Grant, Interaction, Login,
        ROTATED_TOKENS_ARE_KEPT_FOR, Rotation, Store,
    },
};

on_every_store!(
    what_has_ended_goes_and_what_lives_stays,
    a_client_goes_when_it_is_unused_and_no_live_grant_is_of_it,
    a_grant_whose_code_was_never_redeemed_goes_with_it,
    a_revoked_grant_goes_with_everything_of_it,
    the_reuse_of_a_rotated_token_is_seen_for_90_days,
    sealed_successors_are_wiped_when_the_grace_window_ends,
    one_call_removes_a_bounded_number_of_rows,
    many_replicas_clean_up_at_once,
    connections_stay_even_when_they_have_ended,
    clean_up_and_32_that_take_an_expired_lease_leave_one_holder,
);

/// Rows that ended `at`, one of each kind that ends by itself.
async fn keep_one_of_each(store: &Arc<dyn Store>, name: &str, at: Timestamp) {
    let interaction = Interaction { expires_at: at, ..interaction(name) };
    store.create_interaction(&interaction).await.unwrap();
    let session = BrowserSession { expires_at: at, ..session(name) };
    store.open_session(&session, None).await.unwrap();
    store.create_login(&login(name, at)).await.unwrap();
    store.create_connect_flow(&ConnectFlow { expires_at: at, ..connect_flow(name) }).await.unwrap();
    let before = at.minus(SECOND);
    assert!(store.spend_ticket(&Digest::of(name), at, before).await.unwrap());
    assert!(store.take_lease(name, "holder", at, before).await.unwrap());
}

fn login(name: &str, expires_at: Timestamp) -> Login {
    Login {
        state: Digest::of(name),
        browser: Digest::of("browser"),
        nonce: "nonce".to_owned(),
        sealed_verifier: None,
        redirect_uri: "https://gateway.example.com/oauth/callback".to_owned(),
        interaction: None,
        expires_at,
    }
}

async fn rotate(store: &Arc<dyn Store>, presented: &Digest, successors: &str, now: Timestamp) -> Rotation {
    let client = ClientId::new("dcr:ada");
    let successors = tokens(successors, now);
    store.rotate_refresh_token(presented, &client, &successors, b"sealed", GRACE, now).await.unwrap()
}

async fn what_has_ended_goes_and_what_lives_stays(home: Home) {
    let store = home.store().await;
    keep_one_of_each(&store, "ended", NOW).await;
    keep_one_of_each(&store, "living", NOW.plus(SECOND)).await;
    assert_eq!(store.remove_expired(NOW, NOW).await.unwrap(), 6);
    assert_eq!(store.remove_expired(NOW, NOW).await.unwrap(), 0);
    for table in ["interactions", "browser_sessions", "logins", "connect_flows", "spent_tickets", "leases"] {
        assert_eq!(home.number(&format!("SELECT count(*) FROM {table}")).await, 1, "{table}");
    }
    assert!(store.session(&session("living").digest, NOW).await.unwrap().is_some());
    let flow = connect_flow("living");
    assert!(store.take_connect_flow(&flow.state, &flow.session, NOW).await.unwrap().is_some());
    assert!(!store.spend_ticket(&Digest::of("living"), NOW.plus(SECOND), NOW).await.unwrap());
    assert!(!store.take_lease("living", "other", NOW.plus(SECOND), NOW).await.unwrap());

    let tokens = keep_grant_with_tokens(&*store, &grant("g")).await;
    let late = NOW.plus(2 * DAY);
    store.remove_expired(late, NOW).await.unwrap();
    assert_eq!(home.number("SELECT count(*) FROM access_tokens").await, 0);
    assert!(store.refresh_token(&tokens.refresh, late).await.unwrap().is_some());
}

async fn a_client_goes_when_it_is_unused_and_no_live_grant_is_of_it(home: Home) {
    let store = home.store().await;
    let late = NOW.plus(90 * DAY);
    for id in ["unused", "granted", "revoked", "expired"] {
        store.create_client(&client(id)).await.unwrap();
    }
    store.create_client(&Client { last_used_at: NOW.plus(SECOND), ..client("used") }).await.unwrap();
    let of = |id: &str| Grant { client_id: ClientId::new(id), ..grant(id) };
    keep_grant_with_tokens(&*store, &of("granted")).await;
    keep_grant_with_tokens(&*store, &of("revoked")).await;
    keep_grant_with_tokens(&*store, &Grant { expires_at: late, ..of("expired") }).await;
    store.revoke_grant(&of("revoked").id, NOW).await.unwrap();

    store.remove_expired(late, NOW).await.unwrap();
    for id in ["unused", "granted", "revoked", "expired", "used"] {
        assert!(store.client(&ClientId::new(id)).await.unwrap().is_some(), "{id}: used at the limit, not before");
    }
    store.remove_expired(late, NOW.plus(SECOND)).await.unwrap();
    for (id, stays) in [("unused", false), ("granted", true), ("revoked", false), ("expired", false), ("used", true)] {
        assert_eq!(store.client(&ClientId::new(id)).await.unwrap().is_some(), stays, "{id}");
    }
}

async fn a_grant_whose_code_was_never_redeemed_goes_with_it(home: Home) {
    let store = home.store().await;
    let abandoned = keep_grant(&*store, &grant("abandoned")).await;
    let burned = keep_grant(&*store, &grant("burned")).await;
    store.burn_code(&burned, NOW).await.unwrap();
    keep_grant_with_tokens(&*store, &grant("redeemed")).await;
    let end = NOW.plus(60 * SECOND);
    store.remove_expired(end.minus(Duration::from_millis(1)), NOW).await.unwrap();
    assert!(store.code(&abandoned, NOW).await.unwrap().is_some());
    store.remove_expired(end, NOW).await.unwrap();
    assert!(store.code(&abandoned, NOW).await.unwrap().is_none());
    assert_eq!(home.number("SELECT count(*) FROM grants").await, 1);
    assert_eq!(home.number("SELECT count(*) FROM codes").await, 1);
}

async fn a_revoked_grant_goes_with_everything_of_it(home: Home) {
    let store = home.store().await;
    let first = keep_grant_with_tokens(&*store, &grant("g")).await;
    let living = keep_grant_with_tokens(&*store, &grant("living")).await;
    assert_eq!(rotate(&store, &first.refresh, "second", NOW).await, Rotation::Rotated);
    store.revoke_grant(&grant("g").id, NOW).await.unwrap();
    store.remove_expired(NOW, NOW).await.unwrap();
    for table in ["grants", "codes", "access_tokens", "refresh_tokens"] {
        assert_eq!(home.number(&format!("SELECT count(*) FROM {table}")).await, 1, "{table}");
    }
    assert!(is_live(&*store, &living, NOW).await);
}

async fn the_reuse_of_a_rotated_token_is_seen_for_90_days(home: Home) {
    let store = home.store().await;
    let forgotten = keep_grant_with_tokens(&*store, &grant("forgotten")).await;
    let seen = keep_grant_with_tokens(&*store, &grant("seen")).await;
    assert_eq!(rotate(&store, &forgotten.refresh, "forgotten 2", NOW).await, Rotation::Rotated);
    assert_eq!(rotate(&store, &seen.refresh, "seen 2", NOW.plus(SECOND)).await, Rotation::Rotated);
    let late = NOW.plus(ROTATED_TOKENS_ARE_KEPT_FOR);
    store.remove_expired(late, NOW).await.unwrap();
    assert_eq!(rotate(&store, &forgotten.refresh, "thief", late).await, Rotation::Dead);
    assert!(is_live(&*store, &tokens("forgotten 2", NOW), late).await);
    assert_eq!(rotate(&store, &seen.refresh, "thief", late).await, Rotation::Reused);
    assert!(!is_live(&*store, &tokens("seen 2", NOW), late).await);
}

async fn sealed_successors_are_wiped_when_the_grace_window_ends(home: Home) {
    let store = home.store().await;
    let first = keep_grant_with_tokens(&*store, &grant("g")).await;
    assert_eq!(rotate(&store, &first.refresh, "second", NOW).await, Rotation::Rotated);
    let sealed = "SELECT count(*) FROM refresh_tokens WHERE sealed_successor IS NOT NULL";
    store.remove_expired(NOW.plus(GRACE).minus(Duration::from_millis(1)), NOW).await.unwrap();
    assert_eq!(home.number(sealed).await, 1);
    assert_eq!(store.remove_expired(NOW.plus(GRACE), NOW).await.unwrap(), 1, "a wiped row counts");
    assert_eq!(home.number(sealed).await, 0);
    assert_eq!(rotate(&store, &first.refresh, "third", NOW.plus(GRACE)).await, Rotation::Reused);
}

async fn one_call_removes_a_bounded_number_of_rows(home: Home) {
    let store = home.store().await;
    race(&store, |store, racer| async move {
        for number in 0..20 {
            store.create_login(&login(&format!("{racer} {number}"), NOW)).await.unwrap();
        }
    })
    .await;
    assert_eq!(store.remove_expired(NOW, NOW).await.unwrap(), 500);
    assert_eq!(store.remove_expired(NOW, NOW).await.unwrap(), 140);
    assert_eq!(store.remove_expired(NOW, NOW).await.unwrap(), 0);
}

async fn many_replicas_clean_up_at_once(home: Home) {
    let store = home.store().await;
    let living = keep_grant_with_tokens(&*store, &grant("living")).await;
    for number in 0..8 {
        let grant = grant(&number.to_string());
        let first = keep_grant_with_tokens(&*store, &grant).await;
        assert_eq!(rotate(&store, &first.refresh, &format!("successor {number}"), NOW).await, Rotation::Rotated);
        store.revoke_grant(&grant.id, NOW).await.unwrap();
    }
    let removed = race(&store, |store, number| async move {
        if number % 4 == 0 {
            keep_grant_with_tokens(&*store, &grant(&format!("new {number}"))).await;
        }
        store.remove_expired(NOW, NOW).await.unwrap()
    });
    let removed: u64 = removed.await.into_iter().sum();
    assert_eq!(removed, 8 * (2 + 2 + 1), "access tokens, refresh tokens and grants; each counted once");
    assert!(is_live(&*store, &living, NOW).await);
    assert_eq!(home.number("SELECT count(*) FROM grants").await, 1 + 8);
}

async fn connections_stay_even_when_they_have_ended(home: Home) {
    let store = home.store().await;
    let ended = Connection { state: ConnectionState::Ended, ..connection(&ada(), "ended") };
    let kept = [connection(&ada(), "live"), ended];
    for connection in &kept {
        store.save_connection(connection).await.unwrap();
    }
    store.remove_expired(NOW.plus(3650 * DAY), NOW).await.unwrap();
    for connection in &kept {
        assert!(store.connection(&connection.key).await.unwrap().is_some(), "{}", connection.key.upstream_id);
    }
}

async fn clean_up_and_32_that_take_an_expired_lease_leave_one_holder(home: Home) {
    let store = home.store().await;
    for round in 0..8 {
        let name = format!("lease {round}");
        assert!(store.take_lease(&name, "dead", NOW, NOW.minus(SECOND)).await.unwrap());
        let taken = race(&store, |store, number| {
            let name = name.clone();
            async move {
                if number % 4 == 0 {
                    store.remove_expired(NOW, NOW).await.unwrap();
                    return 0;
                }
                u8::from(store.take_lease(&name, &number.to_string(), NOW.plus(SECOND), NOW).await.unwrap())
            }
        });
        assert_eq!(taken.await.into_iter().sum::<u8>(), 1);
        assert!(!store.take_lease(&name, "late", NOW.plus(SECOND), NOW).await.unwrap());
    }
}
