//! Definitions of tools in PostgreSQL.

use async_trait::async_trait;
use tokio_postgres::{Row, types::ToSql};

use super::{
    PostgresStore,
    statement::{all, column, execute, first},
};
use crate::{
    clock::Timestamp,
    crypto::Digest,
    store::{
        Result,
        tools::{MAX_TOOLS, SeenTool, Sighting, ToolChange, ToolDecision, ToolPin, ToolPins},
    },
};

#[async_trait]
impl ToolPins for PostgresStore {
    async fn see_tool(&self, seen: &SeenTool, now: Timestamp) -> Result<Sighting> {
        let room = i64::try_from(MAX_TOOLS).unwrap_or(i64::MAX);
        let params: [&(dyn ToSql + Sync); 6] =
            [&seen.operation_id, &seen.tool, &seen.digest, &seen.definition, &now, &room];
        Ok(first(&self.pool, SEE, &params, sighting).await?.unwrap_or(Sighting::Known))
    }

    async fn tool_pins(&self) -> Result<Vec<ToolPin>> {
        all(
            &self.pool,
            "SELECT operation_id, tool, accepted, changed FROM tool_pins ORDER BY operation_id, tool",
            &[],
            pin,
        )
        .await
    }

    async fn tool_changes(&self, limit: usize) -> Result<Vec<ToolChange>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        all(
            &self.pool,
            "SELECT operation_id, tool, definition, changed, changed_definition, seen_at, changed_at
             FROM tool_pins WHERE changed IS NOT NULL ORDER BY changed_at DESC, operation_id, tool LIMIT $1",
            &[&limit],
            change,
        )
        .await
    }

    async fn waiting_tools(&self) -> Result<usize> {
        let sql = "SELECT count(*) AS waiting FROM tool_pins WHERE changed IS NOT NULL";
        let waiting: i64 = first(&self.pool, sql, &[], |row| column(row, "waiting")).await?.unwrap_or(0);
        Ok(usize::try_from(waiting).unwrap_or(0))
    }

    async fn decide_tool(&self, decision: &ToolDecision, changed: &Digest) -> Result<bool> {
        let sql = if decision.accepted { ACCEPT } else { KEEP };
        let params: [&(dyn ToSql + Sync); 5] =
            [&decision.operation_id, &decision.tool, changed, &decision.by, &decision.at];
        Ok(execute(&self.pool, sql, &params).await? > 0)
    }

    async fn tool_decisions(&self, limit: usize) -> Result<Vec<ToolDecision>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        all(
            &self.pool,
            "SELECT operation_id, tool, decision, decided_by, decided_at
             FROM tool_pins WHERE decided_at IS NOT NULL ORDER BY decided_at DESC, operation_id, tool LIMIT $1",
            &[&limit],
            decision,
        )
        .await
    }
}

fn pin(row: &Row) -> Result<ToolPin> {
    Ok(ToolPin {
        operation_id: column(row, "operation_id")?,
        tool: column(row, "tool")?,
        accepted: column(row, "accepted")?,
        changed: column(row, "changed")?,
    })
}

fn change(row: &Row) -> Result<ToolChange> {
    Ok(ToolChange {
        operation_id: column(row, "operation_id")?,
        tool: column(row, "tool")?,
        definition: column(row, "definition")?,
        changed: column(row, "changed")?,
        changed_definition: column(row, "changed_definition")?,
        seen_at: column(row, "seen_at")?,
        changed_at: column(row, "changed_at")?,
    })
}

fn decision(row: &Row) -> Result<ToolDecision> {
    Ok(ToolDecision {
        operation_id: column(row, "operation_id")?,
        tool: column(row, "tool")?,
        accepted: column(row, "decision")?,
        by: column(row, "decided_by")?,
        at: column(row, "decided_at")?,
    })
}

fn sighting(row: &Row) -> Result<Sighting> {
    Ok(if column(row, "is_change")? { Sighting::Changed } else { Sighting::First })
}

/// A row comes back if the tool or its definition is new.
const SEE: &str = "INSERT INTO tool_pins (operation_id, tool, accepted, definition, seen_at)
             SELECT $1::text, $2::text, $3::bytea, $4::text, $5::bigint
             WHERE EXISTS (SELECT 1 FROM tool_pins WHERE operation_id = $1::text AND tool = $2::text)
                OR (SELECT count(*) FROM tool_pins WHERE operation_id = $1::text) < $6::bigint
             ON CONFLICT (operation_id, tool) DO UPDATE
             SET changed = excluded.accepted, changed_definition = excluded.definition, changed_at = excluded.seen_at
             WHERE tool_pins.accepted <> excluded.accepted AND tool_pins.changed IS DISTINCT FROM excluded.accepted
             RETURNING changed IS NOT NULL AS is_change";
const ACCEPT: &str = "UPDATE tool_pins
             SET accepted = changed, definition = changed_definition, seen_at = changed_at,
                 changed = NULL, changed_definition = NULL, changed_at = NULL,
                 decision = true, decided_by = $4, decided_at = $5
             WHERE operation_id = $1 AND tool = $2 AND changed = $3";
const KEEP: &str = "UPDATE tool_pins
             SET changed = NULL, changed_definition = NULL, changed_at = NULL,
                 decision = false, decided_by = $4, decided_at = $5
             WHERE operation_id = $1 AND tool = $2 AND changed = $3";
