//! Spending codes, rotating refresh tokens and revoking.
//!
//! `held` locks the code or token and its grant, in this order, and gives them as they are once the locks are won.
//! What follows in the same statement decides by `held`; nobody else can change these rows until it is committed.

use std::time::Duration;

use deadpool_postgres::Pool;

use super::statement::{column, first};
use crate::{
    clock::Timestamp,
    crypto::Digest,
    store::{ClientId, IssuedTokens, RedeemedCode, Result, Revoked, Rotation},
};

pub(super) async fn redeem_code(
    pool: &Pool,
    digest: &Digest,
    tokens: &IssuedTokens,
    now: Timestamp,
) -> Result<RedeemedCode> {
    let outcome = first(
        pool,
        "WITH held AS (
           SELECT c.digest, c.grant_id, c.spent_at, c.redeemed_at,
                  c.spent_at IS NULL AND c.expires_at > $2 AND g.revoked_at IS NULL AND g.expires_at > $2 AS good
           FROM codes c JOIN grants g ON g.id = c.grant_id
           WHERE c.digest = $1
           FOR NO KEY UPDATE OF c, g
         ), spent AS (
           UPDATE codes c SET spent_at = $2, redeemed_at = $2 FROM held
           WHERE c.digest = held.digest AND held.good
           RETURNING c.grant_id
         ), access AS (
           INSERT INTO access_tokens (digest, grant_id, expires_at)
           SELECT $3::bytea, g.id, least($4::bigint, g.expires_at) FROM spent JOIN grants g ON g.id = spent.grant_id
         ), refresh AS (
           INSERT INTO refresh_tokens (digest, grant_id) SELECT $5::bytea, grant_id FROM spent
         ), revoked AS (
           UPDATE grants g SET revoked_at = $2 FROM held
           WHERE g.id = held.grant_id AND g.revoked_at IS NULL AND held.redeemed_at IS NOT NULL
         )
         SELECT good, spent_at IS NOT NULL AS spent_before FROM held",
        &[digest, &now, &tokens.access, &tokens.access_expires_at, &tokens.refresh],
        |row| Ok((column(row, "good")?, column(row, "spent_before")?)),
    )
    .await?;
    Ok(match outcome {
        Some((true, _)) => RedeemedCode::Redeemed,
        Some((false, true)) => RedeemedCode::Replayed,
        Some((false, false)) | None => RedeemedCode::Dead,
    })
}

pub(super) async fn rotate_refresh_token(
    pool: &Pool,
    presented: &Digest,
    client: &ClientId,
    successors: &IssuedTokens,
    sealed_successor: &[u8],
    grace: Duration,
    now: Timestamp,
) -> Result<Rotation> {
    let outcome = first(
        pool,
        "WITH held AS (
           SELECT r.digest, r.grant_id, r.rotated_at IS NULL AS good,
                  CASE WHEN r.grace_ends_at > $3 THEN r.sealed_successor END AS sealed_successor
           FROM refresh_tokens r JOIN grants g ON g.id = r.grant_id
           WHERE r.digest = $1 AND g.client_id = $2 AND g.revoked_at IS NULL AND g.expires_at > $3
           FOR NO KEY UPDATE OF r, g
         ), rotated AS (
           UPDATE refresh_tokens r SET rotated_at = $3, grace_ends_at = $4, sealed_successor = $5 FROM held
           WHERE r.digest = held.digest AND held.good
           RETURNING r.grant_id
         ), access AS (
           INSERT INTO access_tokens (digest, grant_id, expires_at)
           SELECT $6::bytea, g.id, least($7::bigint, g.expires_at)
           FROM rotated JOIN grants g ON g.id = rotated.grant_id
         ), refresh AS (
           INSERT INTO refresh_tokens (digest, grant_id) SELECT $8::bytea, grant_id FROM rotated
         ), revoked AS (
           UPDATE grants g SET revoked_at = $3 FROM held
           WHERE g.id = held.grant_id AND NOT held.good AND held.sealed_successor IS NULL
         )
         SELECT good, sealed_successor FROM held",
        &[
            presented,
            client,
            &now,
            &now.plus(grace),
            &sealed_successor,
            &successors.access,
            &successors.access_expires_at,
            &successors.refresh,
        ],
        |row| Ok((column(row, "good")?, column(row, "sealed_successor")?)),
    )
    .await?;
    Ok(match outcome {
        Some((true, _)) => Rotation::Rotated,
        Some((false, Some(sealed_successor))) => Rotation::WithinGrace { sealed_successor },
        Some((false, None)) => Rotation::Reused,
        None => Rotation::Dead,
    })
}

pub(super) async fn revoke_token(pool: &Pool, digest: &Digest, client: &ClientId, now: Timestamp) -> Result<Revoked> {
    let revoked = first(
        pool,
        "WITH ended_grant AS (
           UPDATE grants g SET revoked_at = $3 FROM refresh_tokens r
           WHERE r.digest = $1 AND g.id = r.grant_id AND g.client_id = $2 AND g.revoked_at IS NULL
             AND g.expires_at > $3
           RETURNING g.id
         ), ended_token AS (
           DELETE FROM access_tokens a USING grants g
           WHERE a.digest = $1 AND a.expires_at > $3 AND g.id = a.grant_id AND g.client_id = $2
             AND g.revoked_at IS NULL AND g.expires_at > $3
           RETURNING g.id
         )
         SELECT id, true AS whole FROM ended_grant UNION ALL SELECT id, false FROM ended_token",
        &[digest, client, &now],
        |row| {
            let whole: bool = column(row, "whole")?;
            column(row, "id").map(if whole { Revoked::Grant } else { Revoked::AccessToken })
        },
    )
    .await?;
    Ok(revoked.unwrap_or(Revoked::Nothing))
}
