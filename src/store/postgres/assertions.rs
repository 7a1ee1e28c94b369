//! Identity assertions in PostgreSQL.

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{
    PostgresStore,
    statement::{column, execute, first},
    values::Json,
};
use crate::{
    clock::Timestamp,
    store::{AssertionRedemption, Assertions, RedeemedAssertion, Result},
};

#[async_trait]
impl Assertions for PostgresStore {
    async fn redeem_assertion(&self, redemption: &AssertionRedemption, now: Timestamp) -> Result<RedeemedAssertion> {
        let AssertionRedemption { assertion, remember_until, user, grant, access, access_expires_at } = redemption;
        // Claims are merged here, since PostgreSQL's JSON refuses texts that claims may hold. The one statement that
        // writes leaves them alone if somebody else wrote them meanwhile: a sign-in says more than an assertion.
        let known = first(&self.pool, "SELECT claims FROM users WHERE subject = $1", &[&user.subject], |row| {
            column::<Json<Map<String, Value>>>(row, "claims")
        })
        .await?;
        let mut claims = known.as_ref().map_or_else(Map::new, |Json(claims)| claims.clone());
        claims.extend(user.claims.clone());
        let issued = execute(
            &self.pool,
            "WITH spent AS (
               INSERT INTO spent_tickets (digest, expires_at)
               SELECT $1::bytea, $2::bigint WHERE $2::bigint > $3::bigint
               ON CONFLICT (digest) DO NOTHING
               RETURNING digest
             ), known AS (
               INSERT INTO users (subject, issuer, sub, email, name, claims)
               SELECT $4::text, $5::text, $6::text, $7::text, $8::text, $9::text FROM spent
               ON CONFLICT (subject) DO UPDATE
               SET email = coalesce(excluded.email, users.email), name = coalesce(excluded.name, users.name),
                   claims = CASE WHEN users.claims = $19::text THEN excluded.claims ELSE users.claims END
             ), kept AS (
               INSERT INTO grants (id, subject, client_id, operation_id, resource, scope, created_at, expires_at)
               SELECT $10::text, $4::text, $11::text, $12::text, $13::text, $14::text, $15::bigint, $16::bigint
               FROM spent
               RETURNING id
             )
             INSERT INTO access_tokens (digest, grant_id, expires_at)
             SELECT $17::bytea, id, least($18::bigint, $16::bigint) FROM kept",
            &[
                assertion,
                remember_until,
                &now,
                &user.subject,
                &user.issuer,
                &user.sub,
                &user.email,
                &user.name,
                &Json(&claims),
                &grant.id,
                &grant.client_id,
                &grant.operation_id,
                &grant.resource,
                &grant.scope,
                &grant.created_at,
                &grant.expires_at,
                access,
                access_expires_at,
                &known,
            ],
        )
        .await?;
        Ok(if issued > 0 { RedeemedAssertion::Redeemed } else { RedeemedAssertion::Replayed })
    }
}
