use std::sync::Arc;

use tokio::task::JoinSet;

use super::{
    GRACE, Home, NOW, ada, client, connection, grant, is_live, keep_grant, keep_grant_with_tokens, on_every_store,
    tokens,
};
use crate::store::{ClientId, Error, RedeemedCode, Rotation};

on_every_store!(
    four_openers_migrate_at_once,
    migrating_again_changes_nothing,
    a_schema_from_before_connections_gets_them_and_keeps_its_rows,
    a_newer_schema_is_refused_and_left_as_it_is,
    a_store_without_a_schema_answers_with_an_error,
    two_stores_on_one_database_redeem_a_code_once,
    two_stores_on_one_database_rotate_a_token_once,
    a_ready_store_answers_a_ping,
);

async fn four_openers_migrate_at_once(home: Home) {
    let stores: Vec<_> = (0..4).map(|_| home.open()).collect();
    let mut openers = JoinSet::new();
    for store in &stores {
        let store = Arc::clone(store);
        openers.spawn(async move { store.migrate().await });
    }
    for migrated in openers.join_all().await {
        migrated.unwrap();
    }
    let versions = home.number("SELECT count(*) FROM schema_version").await;
    assert_eq!(versions, home.number("SELECT max(version) FROM schema_version").await);
    stores[0].create_client(&client("dcr:ada")).await.unwrap();
    for store in &stores {
        assert!(store.client(&ClientId::new("dcr:ada")).await.unwrap().is_some());
    }
}

async fn migrating_again_changes_nothing(home: Home) {
    let store = home.store().await;
    let tokens = keep_grant_with_tokens(&*store, &grant("g")).await;
    store.migrate().await.unwrap();
    home.open().migrate().await.unwrap();
    assert!(is_live(&*store, &tokens, NOW).await);
}

async fn a_schema_from_before_connections_gets_them_and_keeps_its_rows(home: Home) {
    let store = home.store().await;
    let tokens = keep_grant_with_tokens(&*store, &grant("g")).await;
    for table in [
        "connections",
        "connect_flows",
        "upstream_clients",
        "spent_tickets",
        "leases",
        "pinned_issuers",
        "signing_keys",
        "usage_rollups",
        "tool_pins",
    ] {
        home.execute(&format!("DROP TABLE {table}")).await;
    }
    home.execute("DROP TABLE consents").await;
    home.execute("DROP INDEX grants_by_subject").await;
    home.execute("ALTER TABLE clients DROP COLUMN keys").await;
    home.execute("ALTER TABLE interactions DROP COLUMN ask_again").await;
    home.execute("DELETE FROM schema_version WHERE version >= 2").await;
    let store = home.open();
    store.migrate().await.unwrap();
    assert!(is_live(&*store, &tokens, NOW).await);
    store.save_connection(&connection(&ada(), "linear")).await.unwrap();
    assert_eq!(store.connections_of(&ada()).await.unwrap().len(), 1);
}

async fn a_newer_schema_is_refused_and_left_as_it_is(home: Home) {
    home.store().await;
    let newest = home.number("SELECT max(version) FROM schema_version").await;
    home.execute("INSERT INTO schema_version (version) VALUES (999)").await;
    let Err(Error::NewerSchema { found: 999, known }) = home.open().migrate().await else { panic!("not refused") };
    assert_eq!(known, newest);
    assert_eq!(home.number("SELECT count(*) FROM schema_version").await, newest + 1);
}

async fn a_store_without_a_schema_answers_with_an_error(home: Home) {
    let store = home.open();
    assert!(matches!(store.client(&ClientId::new("dcr:ada")).await, Err(Error::Failed(_))));
    assert!(matches!(store.create_client(&client("dcr:ada")).await, Err(Error::Failed(_))));
    store.migrate().await.unwrap();
    store.create_client(&client("dcr:ada")).await.unwrap();
}

/// During an upgrade an old and a new process serve side by side.
async fn two_stores_on_one_database_redeem_a_code_once(home: Home) {
    let (old, new) = (home.store().await, home.store().await);
    for round in 0..16 {
        let code = keep_grant(&*old, &grant(&round.to_string())).await;
        let (old_tokens, new_tokens) = (tokens(&format!("old {round}"), NOW), tokens(&format!("new {round}"), NOW));
        let (one, other) =
            tokio::join!(old.redeem_code(&code, &old_tokens, NOW), new.redeem_code(&code, &new_tokens, NOW));
        let outcomes = [one.unwrap(), other.unwrap()];
        assert!(outcomes.contains(&RedeemedCode::Redeemed) && outcomes.contains(&RedeemedCode::Replayed));
    }
}

async fn two_stores_on_one_database_rotate_a_token_once(home: Home) {
    let (old, new) = (home.store().await, home.store().await);
    let client = ClientId::new("dcr:ada");
    for round in 0..16 {
        let first = keep_grant_with_tokens(&*old, &grant(&round.to_string())).await.refresh;
        let (old_tokens, new_tokens) = (tokens(&format!("old {round}"), NOW), tokens(&format!("new {round}"), NOW));
        let (one, other) = tokio::join!(
            old.rotate_refresh_token(&first, &client, &old_tokens, b"old", GRACE, NOW),
            new.rotate_refresh_token(&first, &client, &new_tokens, b"new", GRACE, NOW)
        );
        match (one.unwrap(), other.unwrap()) {
            (Rotation::Rotated, Rotation::WithinGrace { sealed_successor }) => assert_eq!(sealed_successor, b"old"),
            (Rotation::WithinGrace { sealed_successor }, Rotation::Rotated) => assert_eq!(sealed_successor, b"new"),
            outcomes => panic!("{outcomes:?}"),
        }
    }
}

async fn a_ready_store_answers_a_ping(home: Home) {
    home.store().await.ping().await.unwrap();
}
