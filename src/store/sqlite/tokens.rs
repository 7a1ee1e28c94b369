//! Spending codes, rotating refresh tokens and revoking. Each function runs inside the writer's transaction, where
//! nobody else writes; the conditions still stand in the statements that spend.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::statement::{column, execute, first};
use crate::{
    clock::Timestamp,
    crypto::Digest,
    store::{ClientId, GrantId, IssuedTokens, RedeemedCode, Result, Revoked, Rotation},
};

pub(super) fn redeem_code(
    connection: &Connection,
    digest: &Digest,
    tokens: &IssuedTokens,
    now: Timestamp,
) -> Result<RedeemedCode> {
    let redeemed = first(
        connection,
        "UPDATE codes SET spent_at = ?2, redeemed_at = ?2
         WHERE digest = ?1 AND spent_at IS NULL AND expires_at > ?2
           AND EXISTS (SELECT 1 FROM grants WHERE id = grant_id AND revoked_at IS NULL AND expires_at > ?2)
         RETURNING grant_id",
        params![digest, now],
        |row| column::<GrantId>(row, "grant_id"),
    )?;
    if let Some(grant) = redeemed {
        keep_tokens(connection, &grant, tokens)?;
        return Ok(RedeemedCode::Redeemed);
    }
    let spent_before = first(
        connection,
        "SELECT grant_id, redeemed_at IS NOT NULL AS redeemed FROM codes WHERE digest = ?1 AND spent_at IS NOT NULL",
        params![digest],
        |row| Ok((column::<GrantId>(row, "grant_id")?, column::<bool>(row, "redeemed")?)),
    )?;
    let Some((grant, redeemed)) = spent_before else { return Ok(RedeemedCode::Dead) };
    if redeemed {
        revoke(connection, &grant, now)?;
    }
    Ok(RedeemedCode::Replayed)
}

pub(super) fn rotate_refresh_token(
    connection: &Connection,
    presented: &Digest,
    client: &ClientId,
    successors: &IssuedTokens,
    sealed_successor: &[u8],
    grace: Duration,
    now: Timestamp,
) -> Result<Rotation> {
    let rotated = first(
        connection,
        "UPDATE refresh_tokens SET rotated_at = ?3, grace_ends_at = ?4, sealed_successor = ?5
         WHERE digest = ?1 AND rotated_at IS NULL
           AND EXISTS (SELECT 1 FROM grants
                       WHERE id = grant_id AND client_id = ?2 AND revoked_at IS NULL AND expires_at > ?3)
         RETURNING grant_id",
        params![presented, client, now, now.plus(grace), sealed_successor],
        |row| column::<GrantId>(row, "grant_id"),
    )?;
    if let Some(grant) = rotated {
        keep_tokens(connection, &grant, successors)?;
        return Ok(Rotation::Rotated);
    }
    let rotated_before = first(
        connection,
        "SELECT r.grant_id, CASE WHEN r.grace_ends_at > ?3 THEN r.sealed_successor END AS sealed_successor
         FROM refresh_tokens r JOIN grants g ON g.id = r.grant_id
         WHERE r.digest = ?1 AND g.client_id = ?2 AND g.revoked_at IS NULL AND g.expires_at > ?3",
        params![presented, client, now],
        |row| Ok((column::<GrantId>(row, "grant_id")?, column::<Option<Vec<u8>>>(row, "sealed_successor")?)),
    )?;
    match rotated_before {
        None => Ok(Rotation::Dead),
        Some((_, Some(sealed_successor))) => Ok(Rotation::WithinGrace { sealed_successor }),
        Some((grant, None)) => {
            revoke(connection, &grant, now)?;
            Ok(Rotation::Reused)
        }
    }
}

pub(super) fn revoke_token(
    connection: &Connection,
    digest: &Digest,
    client: &ClientId,
    now: Timestamp,
) -> Result<Revoked> {
    let grant = first(
        connection,
        "UPDATE grants SET revoked_at = ?3
         WHERE id = (SELECT grant_id FROM refresh_tokens WHERE digest = ?1)
           AND client_id = ?2 AND revoked_at IS NULL AND expires_at > ?3
         RETURNING id",
        params![digest, client, now],
        |row| column(row, "id"),
    )?;
    if let Some(grant) = grant {
        return Ok(Revoked::Grant(grant));
    }
    let access_token = first(
        connection,
        "DELETE FROM access_tokens
         WHERE digest = ?1 AND expires_at > ?3
           AND EXISTS (SELECT 1 FROM grants
                       WHERE id = grant_id AND client_id = ?2 AND revoked_at IS NULL AND expires_at > ?3)
         RETURNING grant_id",
        params![digest, client, now],
        |row| column(row, "grant_id"),
    )?;
    Ok(access_token.map_or(Revoked::Nothing, Revoked::AccessToken))
}

fn revoke(connection: &Connection, grant: &GrantId, now: Timestamp) -> Result<()> {
    execute(connection, "UPDATE grants SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL", params![grant, now])
        .map(drop)
}

/// Keeps a pair of tokens; the access token never outlives the grant.
fn keep_tokens(connection: &Connection, grant: &GrantId, tokens: &IssuedTokens) -> Result<()> {
    execute(
        connection,
        "INSERT INTO access_tokens (digest, grant_id, expires_at)
         SELECT ?1, id, min(?2, expires_at) FROM grants WHERE id = ?3",
        params![tokens.access, tokens.access_expires_at, grant],
    )?;
    execute(connection, "INSERT INTO refresh_tokens (digest, grant_id) VALUES (?1, ?2)", params![tokens.refresh, grant])
        .map(drop)
}
