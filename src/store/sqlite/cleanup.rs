//! Removing rows of SQLite that can never matter again. Each statement is an operation of its own and bounded, so that
//! clean-up never keeps the writer from its callers for long.

use rusqlite::params;

use super::{SqliteStore, statement::execute};
use crate::{
    clock::Timestamp,
    store::{ROTATED_TOKENS_ARE_KEPT_FOR, Result, usage},
};

impl SqliteStore {
    pub(super) async fn remove_expired_rows(&self, now: Timestamp, unused_since: Timestamp) -> Result<u64> {
        let mut removed = 0;
        for statement in EXPIRED {
            removed += self.write(move |connection| execute(connection, statement, params![now])).await?;
        }
        let rotated_before = now.minus(ROTATED_TOKENS_ARE_KEPT_FOR);
        removed += self
            .write(move |connection| execute(connection, FORGOTTEN_REFRESH_TOKENS, params![rotated_before]))
            .await?;
        removed +=
            self.write(move |connection| execute(connection, UNUSED_CLIENTS, params![unused_since, now])).await?;
        for before in usage::forgotten_before(now) {
            removed += self.write(move |connection| execute(connection, FORGOTTEN_USAGE, before)).await?;
        }
        Ok(u64::try_from(removed).unwrap_or(u64::MAX))
    }
}

/// In this order: a grant goes after its tokens, so that no single statement removes more than its bound.
const EXPIRED: [&str; 13] = [
    "DELETE FROM interactions WHERE id IN (SELECT id FROM interactions WHERE expires_at <= ?1 LIMIT 500)",
    "DELETE FROM logins WHERE state IN (SELECT state FROM logins WHERE expires_at <= ?1 LIMIT 500)",
    "DELETE FROM browser_sessions
     WHERE digest IN (SELECT digest FROM browser_sessions WHERE expires_at <= ?1 LIMIT 500)",
    "DELETE FROM connect_flows WHERE state IN (SELECT state FROM connect_flows WHERE expires_at <= ?1 LIMIT 500)",
    "DELETE FROM spent_tickets WHERE digest IN (SELECT digest FROM spent_tickets WHERE expires_at <= ?1 LIMIT 500)",
    "DELETE FROM consents WHERE (subject, client_id, redirect_uri, resource) IN (
       SELECT subject, client_id, redirect_uri, resource FROM consents WHERE expires_at <= ?1 LIMIT 500)",
    "DELETE FROM leases WHERE name IN (SELECT name FROM leases WHERE expires_at <= ?1 LIMIT 500)",
    "DELETE FROM access_tokens WHERE digest IN (
       SELECT digest FROM access_tokens WHERE expires_at <= ?1 LIMIT 500)",
    // Wiped, not removed: reuse of the rotated token must still be seen.
    "UPDATE refresh_tokens SET sealed_successor = NULL WHERE digest IN (
       SELECT digest FROM refresh_tokens
       WHERE sealed_successor IS NOT NULL AND grace_ends_at <= ?1 LIMIT 500)",
    "DELETE FROM access_tokens WHERE digest IN (
       SELECT a.digest FROM grants g JOIN access_tokens a ON a.grant_id = g.id
       WHERE g.revoked_at IS NOT NULL OR g.expires_at <= ?1 LIMIT 500)",
    "DELETE FROM refresh_tokens WHERE digest IN (
       SELECT r.digest FROM grants g JOIN refresh_tokens r ON r.grant_id = g.id
       WHERE g.revoked_at IS NOT NULL OR g.expires_at <= ?1 LIMIT 500)",
    "DELETE FROM grants WHERE id IN (
       SELECT g.id FROM grants g
       WHERE (g.revoked_at IS NOT NULL OR g.expires_at <= ?1)
         AND NOT EXISTS (SELECT 1 FROM access_tokens a WHERE a.grant_id = g.id)
         AND NOT EXISTS (SELECT 1 FROM refresh_tokens r WHERE r.grant_id = g.id) LIMIT 500)",
    // The code was never redeemed, so the grant has no token and never will.
    "DELETE FROM grants WHERE id IN (
       SELECT grant_id FROM codes WHERE redeemed_at IS NULL AND expires_at <= ?1 LIMIT 500)",
];

const FORGOTTEN_REFRESH_TOKENS: &str = "DELETE FROM refresh_tokens WHERE digest IN (
       SELECT digest FROM refresh_tokens WHERE rotated_at <= ?1 LIMIT 500)";

/// Rows without an id of their own are chosen by their beginning; a minute has at most so many.
const FORGOTTEN_USAGE: &str = "DELETE FROM usage_rollups WHERE period = ?1 AND since IN (
       SELECT DISTINCT since FROM usage_rollups WHERE period = ?1 AND since < ?2 LIMIT 1)";

const UNUSED_CLIENTS: &str = "DELETE FROM clients WHERE id IN (
       SELECT c.id FROM clients c
       WHERE c.last_used_at < ?1
         AND NOT EXISTS (SELECT 1 FROM grants g
                         WHERE g.client_id = c.id AND g.revoked_at IS NULL AND g.expires_at > ?2)
       LIMIT 500)";
