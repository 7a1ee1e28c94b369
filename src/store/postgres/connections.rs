//! Connections in PostgreSQL, the flows that make them, our registrations, spent tickets and leases.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{
    PostgresStore,
    statement::{all, column, execute, first},
};
use crate::{
    clock::Timestamp,
    crypto::Digest,
    store::{
        ConnectFlow, Connection, ConnectionKey, ConnectionState, Connections, Error, Owner, RefreshedTokens, Result,
        UpstreamClient,
    },
};

#[async_trait]
impl Connections for PostgresStore {
    async fn save_connection(&self, connection: &Connection) -> Result<()> {
        execute(
            &self.pool,
            "INSERT INTO connections
               (owner, upstream_id, issuer, client_id, sealed_tokens, access_expires_at, scope, state, version,
                connected_at, updated_at, wanted_scope, last_used_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $10, $9, $10, $11, $12)
             ON CONFLICT (owner, upstream_id) DO UPDATE
             SET issuer = excluded.issuer, client_id = excluded.client_id, sealed_tokens = excluded.sealed_tokens,
                 access_expires_at = excluded.access_expires_at, scope = excluded.scope, state = excluded.state,
                 version = connections.version + 1, connected_at = excluded.connected_at,
                 updated_at = excluded.updated_at, wanted_scope = excluded.wanted_scope,
                 last_used_at = excluded.last_used_at",
            &[
                &connection.key.owner,
                &connection.key.upstream_id,
                &connection.issuer,
                &connection.client_id,
                &connection.sealed_tokens,
                &connection.access_expires_at,
                &connection.scope,
                &connection.state,
                &connection.connected_at,
                &connection.updated_at,
                &connection.wanted_scope,
                &connection.last_used_at,
            ],
        )
        .await
        .map(drop)
    }

    async fn connection(&self, key: &ConnectionKey) -> Result<Option<Connection>> {
        first(
            &self.pool,
            "SELECT owner, upstream_id, issuer, client_id, sealed_tokens, access_expires_at, scope, state, version,
                    connected_at, updated_at, wanted_scope, last_used_at
             FROM connections WHERE owner = $1 AND upstream_id = $2",
            &[&key.owner, &key.upstream_id],
            connection,
        )
        .await
    }

    async fn connections_of(&self, owner: &Owner) -> Result<Vec<Connection>> {
        all(
            &self.pool,
            "SELECT owner, upstream_id, issuer, client_id, sealed_tokens, access_expires_at, scope, state, version,
                    connected_at, updated_at, wanted_scope, last_used_at
             FROM connections WHERE owner = $1 ORDER BY upstream_id COLLATE \"C\"",
            &[owner],
            connection,
        )
        .await
    }

    async fn refresh_connection(
        &self,
        key: &ConnectionKey,
        version: i64,
        tokens: &RefreshedTokens,
        now: Timestamp,
    ) -> Result<bool> {
        let refreshed = execute(
            &self.pool,
            "UPDATE connections
             SET sealed_tokens = $4, access_expires_at = $5, scope = coalesce($6, scope), version = version + 1,
                 updated_at = $7
             WHERE owner = $1 AND upstream_id = $2 AND version = $3 AND state = $8",
            &[
                &key.owner,
                &key.upstream_id,
                &version,
                &tokens.sealed_tokens,
                &tokens.access_expires_at,
                &tokens.scope,
                &now,
                &ConnectionState::Live,
            ],
        )
        .await?;
        Ok(refreshed > 0)
    }

    async fn end_connection(&self, key: &ConnectionKey, version: i64, now: Timestamp) -> Result<bool> {
        let ended = execute(
            &self.pool,
            "UPDATE connections SET state = $5, updated_at = $4
             WHERE owner = $1 AND upstream_id = $2 AND version = $3 AND state = $6",
            &[&key.owner, &key.upstream_id, &version, &now, &ConnectionState::Ended, &ConnectionState::Live],
        )
        .await?;
        Ok(ended > 0)
    }

    async fn want_scope(&self, key: &ConnectionKey, scope: &str) -> Result<()> {
        execute(
            &self.pool,
            "UPDATE connections SET wanted_scope = $3
             WHERE owner = $1 AND upstream_id = $2 AND wanted_scope IS DISTINCT FROM $3",
            &[&key.owner, &key.upstream_id, &scope],
        )
        .await
        .map(drop)
    }

    async fn touch_connection(&self, key: &ConnectionKey, now: Timestamp, unless_after: Timestamp) -> Result<()> {
        execute(
            &self.pool,
            "UPDATE connections SET last_used_at = $3
             WHERE owner = $1 AND upstream_id = $2 AND (last_used_at IS NULL OR last_used_at <= $4)",
            &[&key.owner, &key.upstream_id, &now, &unless_after],
        )
        .await
        .map(drop)
    }

    async fn remove_connection(&self, key: &ConnectionKey) -> Result<Option<Connection>> {
        first(
            &self.pool,
            "DELETE FROM connections WHERE owner = $1 AND upstream_id = $2
             RETURNING owner, upstream_id, issuer, client_id, sealed_tokens, access_expires_at, scope, state, version,
                       connected_at, updated_at, wanted_scope, last_used_at",
            &[&key.owner, &key.upstream_id],
            connection,
        )
        .await
    }

    async fn create_connect_flow(&self, flow: &ConnectFlow) -> Result<()> {
        execute(
            &self.pool,
            "INSERT INTO connect_flows
               (state, session, owner, upstream_id, operation_id, issuer, sealed_details, interaction, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            &[
                &flow.state,
                &flow.session,
                &flow.key.owner,
                &flow.key.upstream_id,
                &flow.operation_id,
                &flow.issuer,
                &flow.sealed_details,
                &flow.interaction,
                &flow.expires_at,
            ],
        )
        .await
        .map(drop)
    }

    async fn take_connect_flow(&self, state: &Digest, session: &Digest, now: Timestamp) -> Result<Option<ConnectFlow>> {
        first(
            &self.pool,
            "DELETE FROM connect_flows WHERE state = $1 AND session = $2 AND expires_at > $3
             RETURNING state, session, owner, upstream_id, operation_id, issuer, sealed_details, interaction,
                       expires_at",
            &[state, session, &now],
            connect_flow,
        )
        .await
    }

    async fn upstream_client(&self, issuer: &str, redirect_uri: &str) -> Result<Option<UpstreamClient>> {
        first(
            &self.pool,
            "SELECT issuer, redirect_uri, client_id, sealed_details, registered_at
             FROM upstream_clients WHERE issuer = $1 AND redirect_uri = $2",
            &[&issuer, &redirect_uri],
            upstream_client,
        )
        .await
    }

    async fn save_upstream_client(&self, client: &UpstreamClient) -> Result<UpstreamClient> {
        // `DO NOTHING` would return no row; an update that changes nothing returns the one that is kept.
        let kept = first(
            &self.pool,
            "INSERT INTO upstream_clients (issuer, redirect_uri, client_id, sealed_details, registered_at)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (issuer, redirect_uri) DO UPDATE SET client_id = upstream_clients.client_id
             RETURNING issuer, redirect_uri, client_id, sealed_details, registered_at",
            &[&client.issuer, &client.redirect_uri, &client.client_id, &client.sealed_details, &client.registered_at],
            upstream_client,
        )
        .await?;
        kept.ok_or(Error::Corrupt { what: "upstream_clients", source: None })
    }

    async fn remove_upstream_client(&self, issuer: &str, redirect_uri: &str, client_id: &str) -> Result<()> {
        execute(
            &self.pool,
            "DELETE FROM upstream_clients WHERE issuer = $1 AND redirect_uri = $2 AND client_id = $3",
            &[&issuer, &redirect_uri, &client_id],
        )
        .await
        .map(drop)
    }

    async fn pin_issuer(&self, upstream_id: &str, client_id: &str, issuer: &str) -> Result<String> {
        let kept = first(
            &self.pool,
            "INSERT INTO pinned_issuers (upstream_id, client_id, issuer) VALUES ($1, $2, $3)
             ON CONFLICT (upstream_id, client_id) DO UPDATE SET issuer = pinned_issuers.issuer
             RETURNING issuer",
            &[&upstream_id, &client_id, &issuer],
            |row| column(row, "issuer"),
        )
        .await?;
        kept.ok_or(Error::Corrupt { what: "pinned_issuers", source: None })
    }

    async fn spend_ticket(&self, ticket: &Digest, expires_at: Timestamp, now: Timestamp) -> Result<bool> {
        let spent = execute(
            &self.pool,
            "INSERT INTO spent_tickets (digest, expires_at) SELECT $1::bytea, $2::bigint WHERE $2::bigint > $3::bigint
             ON CONFLICT (digest) DO NOTHING",
            &[ticket, &expires_at, &now],
        )
        .await?;
        Ok(spent > 0)
    }

    async fn take_lease(&self, name: &str, holder: &str, until: Timestamp, now: Timestamp) -> Result<bool> {
        let taken = execute(
            &self.pool,
            "INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
             WHERE leases.holder = excluded.holder OR leases.expires_at <= $4
                OR leases.expires_at > excluded.expires_at + (excluded.expires_at - $4)",
            &[&name, &holder, &until, &now],
        )
        .await?;
        Ok(taken > 0)
    }

    async fn release_lease(&self, name: &str, holder: &str) -> Result<()> {
        execute(&self.pool, "DELETE FROM leases WHERE name = $1 AND holder = $2", &[&name, &holder]).await.map(drop)
    }
}

fn connection(row: &Row) -> Result<Connection> {
    Ok(Connection {
        key: key(row)?,
        issuer: column(row, "issuer")?,
        client_id: column(row, "client_id")?,
        sealed_tokens: column(row, "sealed_tokens")?,
        access_expires_at: column(row, "access_expires_at")?,
        scope: column(row, "scope")?,
        state: column(row, "state")?,
        version: column(row, "version")?,
        connected_at: column(row, "connected_at")?,
        updated_at: column(row, "updated_at")?,
        wanted_scope: column(row, "wanted_scope")?,
        last_used_at: column(row, "last_used_at")?,
    })
}

fn key(row: &Row) -> Result<ConnectionKey> {
    Ok(ConnectionKey { owner: column(row, "owner")?, upstream_id: column(row, "upstream_id")? })
}

fn connect_flow(row: &Row) -> Result<ConnectFlow> {
    Ok(ConnectFlow {
        state: column(row, "state")?,
        session: column(row, "session")?,
        key: key(row)?,
        operation_id: column(row, "operation_id")?,
        issuer: column(row, "issuer")?,
        sealed_details: column(row, "sealed_details")?,
        interaction: column(row, "interaction")?,
        expires_at: column(row, "expires_at")?,
    })
}

fn upstream_client(row: &Row) -> Result<UpstreamClient> {
    Ok(UpstreamClient {
        issuer: column(row, "issuer")?,
        redirect_uri: column(row, "redirect_uri")?,
        client_id: column(row, "client_id")?,
        sealed_details: column(row, "sealed_details")?,
        registered_at: column(row, "registered_at")?,
    })
}
