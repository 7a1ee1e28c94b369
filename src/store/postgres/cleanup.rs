//! Removing rows of PostgreSQL that can never matter again. Each statement is bounded and steps around rows that
//! another replica or a request holds, so that clean-up never stands in anybody's way.

use super::{PostgresStore, statement::execute};
use crate::{
    clock::Timestamp,
    store::{ROTATED_TOKENS_ARE_KEPT_FOR, Result, usage},
};

impl PostgresStore {
    pub(super) async fn remove_expired_rows(&self, now: Timestamp, unused_since: Timestamp) -> Result<u64> {
        let mut removed = 0;
        for statement in EXPIRED {
            removed += execute(&self.pool, statement, &[&now]).await?;
        }
        let rotated_before = now.minus(ROTATED_TOKENS_ARE_KEPT_FOR);
        removed += execute(&self.pool, FORGOTTEN_REFRESH_TOKENS, &[&rotated_before]).await?;
        removed += execute(&self.pool, UNUSED_CLIENTS, &[&unused_since, &now]).await?;
        for (period, before) in usage::forgotten_before(now) {
            removed += execute(&self.pool, FORGOTTEN_USAGE, &[&period, &before]).await?;
        }
        Ok(removed)
    }
}

/// The rows are chosen once (`ARRAY`), then removed. In this order: a grant goes after its tokens, so that no single statement removes more than its bound.
const EXPIRED: [&str; 13] = [
    "DELETE FROM interactions WHERE id = ANY (ARRAY(
       SELECT id FROM interactions WHERE expires_at <= $1 LIMIT 500 FOR UPDATE SKIP LOCKED))",
    "DELETE FROM logins WHERE state = ANY (ARRAY(
       SELECT state FROM logins WHERE expires_at <= $1 LIMIT 500 FOR UPDATE SKIP LOCKED))",
    "DELETE FROM browser_sessions WHERE digest = ANY (ARRAY(
       SELECT digest FROM browser_sessions WHERE expires_at <= $1 LIMIT 500 FOR UPDATE SKIP LOCKED))",
    "DELETE FROM connect_flows WHERE state = ANY (ARRAY(
       SELECT state FROM connect_flows WHERE expires_at <= $1 LIMIT 500 FOR UPDATE SKIP LOCKED))",
    "DELETE FROM spent_tickets WHERE digest = ANY (ARRAY(
       SELECT digest FROM spent_tickets WHERE expires_at <= $1 LIMIT 500 FOR UPDATE SKIP LOCKED))",
    "DELETE FROM consents WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM consents WHERE expires_at <= $1 LIMIT 500 FOR UPDATE SKIP LOCKED))",
    "DELETE FROM leases WHERE name = ANY (ARRAY(
       SELECT name FROM leases WHERE expires_at <= $1 LIMIT 500 FOR UPDATE SKIP LOCKED))",
    "DELETE FROM access_tokens WHERE digest = ANY (ARRAY(
       SELECT digest FROM access_tokens WHERE expires_at <= $1 LIMIT 500 FOR UPDATE SKIP LOCKED))",
    // Wiped, not removed: reuse of the rotated token must still be seen.
    "UPDATE refresh_tokens SET sealed_successor = NULL WHERE digest = ANY (ARRAY(
       SELECT digest FROM refresh_tokens
       WHERE sealed_successor IS NOT NULL AND grace_ends_at <= $1 LIMIT 500 FOR UPDATE SKIP LOCKED))",
    "DELETE FROM access_tokens WHERE digest = ANY (ARRAY(
       SELECT a.digest FROM grants g JOIN access_tokens a ON a.grant_id = g.id
       WHERE g.revoked_at IS NOT NULL OR g.expires_at <= $1 LIMIT 500 FOR UPDATE OF a SKIP LOCKED))",
    "DELETE FROM refresh_tokens WHERE digest = ANY (ARRAY(
       SELECT r.digest FROM grants g JOIN refresh_tokens r ON r.grant_id = g.id
       WHERE g.revoked_at IS NOT NULL OR g.expires_at <= $1 LIMIT 500 FOR UPDATE OF r SKIP LOCKED))",
    "DELETE FROM grants WHERE id = ANY (ARRAY(
       SELECT g.id FROM grants g
       WHERE (g.revoked_at IS NOT NULL OR g.expires_at <= $1)
         AND NOT EXISTS (SELECT 1 FROM access_tokens a WHERE a.grant_id = g.id)
         AND NOT EXISTS (SELECT 1 FROM refresh_tokens r WHERE r.grant_id = g.id)
       LIMIT 500 FOR UPDATE SKIP LOCKED))",
    // The code was never redeemed, so the grant has no token and never will. The code is held, so that it stays so.
    "DELETE FROM grants WHERE id = ANY (ARRAY(
       SELECT grant_id FROM codes WHERE redeemed_at IS NULL AND expires_at <= $1 LIMIT 500 FOR UPDATE SKIP LOCKED))",
];

const FORGOTTEN_REFRESH_TOKENS: &str = "DELETE FROM refresh_tokens WHERE digest = ANY (ARRAY(
       SELECT digest FROM refresh_tokens WHERE rotated_at <= $1 LIMIT 500 FOR UPDATE SKIP LOCKED))";

const FORGOTTEN_USAGE: &str = "DELETE FROM usage_rollups WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM usage_rollups WHERE period = $1 AND since < $2 LIMIT 500 FOR UPDATE SKIP LOCKED))";

const UNUSED_CLIENTS: &str = "DELETE FROM clients WHERE id = ANY (ARRAY(
       SELECT c.id FROM clients c
       WHERE c.last_used_at < $1
         AND NOT EXISTS (SELECT 1 FROM grants g
                         WHERE g.client_id = c.id AND g.revoked_at IS NULL AND g.expires_at > $2)
       LIMIT 500 FOR UPDATE SKIP LOCKED))";
