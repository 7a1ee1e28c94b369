//! Identity assertions in SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, params};
use serde_json::{Map, Value};

use super::{
    SqliteStore,
    grants::keep_grant,
    statement::{column, execute, first},
    values::Json,
};
use crate::{
    clock::Timestamp,
    store::{AssertionRedemption, Assertions, RedeemedAssertion, Result, User},
};

#[async_trait]
impl Assertions for SqliteStore {
    async fn redeem_assertion(&self, redemption: &AssertionRedemption, now: Timestamp) -> Result<RedeemedAssertion> {
        let redemption = redemption.clone();
        self.write(move |connection| {
            let spent = execute(
                connection,
                "INSERT INTO spent_tickets (digest, expires_at) SELECT ?1, ?2 WHERE ?2 > ?3
                 ON CONFLICT (digest) DO NOTHING",
                params![redemption.assertion, redemption.remember_until, now],
            )?;
            if spent == 0 {
                return Ok(RedeemedAssertion::Replayed);
            }
            keep_user(connection, &redemption.user)?;
            keep_grant(connection, &redemption.grant)?;
            execute(
                connection,
                "INSERT INTO access_tokens (digest, grant_id, expires_at) VALUES (?1, ?2, min(?3, ?4))",
                params![
                    redemption.access,
                    redemption.grant.id,
                    redemption.access_expires_at,
                    redemption.grant.expires_at
                ],
            )?;
            Ok(RedeemedAssertion::Redeemed)
        })
        .await
    }
}

/// Keeps a person, or what is new about one; nobody else writes meanwhile.
fn keep_user(connection: &Connection, user: &User) -> Result<()> {
    let known = first(connection, "SELECT claims FROM users WHERE subject = ?1", params![user.subject], |row| {
        column::<Json<Map<String, Value>>>(row, "claims")
    })?;
    let mut claims = known.map_or_else(Map::new, |Json(claims)| claims);
    claims.extend(user.claims.clone());
    execute(
        connection,
        "INSERT INTO users (subject, issuer, sub, email, name, claims) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (subject) DO UPDATE
         SET email = coalesce(excluded.email, email), name = coalesce(excluded.name, name), claims = excluded.claims",
        params![user.subject, user.issuer, user.sub, user.email, user.name, Json(&claims)],
    )
    .map(drop)
}
