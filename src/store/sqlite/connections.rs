//! Connections in SQLite, the flows that make them, our registrations, spent tickets and leases.

use async_trait::async_trait;
use rusqlite::{Row, params};

use super::{
    SqliteStore,
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
impl Connections for SqliteStore {
    async fn save_connection(&self, connection: &Connection) -> Result<()> {
        let kept = connection.clone();
        self.write(move |connection| {
            execute(
                connection,
                "INSERT INTO connections
                   (owner, upstream_id, issuer, client_id, sealed_tokens, access_expires_at, scope, state, version,
                    connected_at, updated_at, wanted_scope, last_used_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?10, ?9, ?10, ?11, ?12)
                 ON CONFLICT (owner, upstream_id) DO UPDATE
                 SET issuer = excluded.issuer, client_id = excluded.client_id, sealed_tokens = excluded.sealed_tokens,
                     access_expires_at = excluded.access_expires_at, scope = excluded.scope, state = excluded.state,
                     version = connections.version + 1, connected_at = excluded.connected_at,
                     updated_at = excluded.updated_at, wanted_scope = excluded.wanted_scope,
                     last_used_at = excluded.last_used_at",
                params![
                    kept.key.owner,
                    kept.key.upstream_id,
                    kept.issuer,
                    kept.client_id,
                    kept.sealed_tokens,
                    kept.access_expires_at,
                    kept.scope,
                    kept.state,
                    kept.connected_at,
                    kept.updated_at,
                    kept.wanted_scope,
                    kept.last_used_at
                ],
            )
            .map(drop)
        })
        .await
    }

    async fn connection(&self, key: &ConnectionKey) -> Result<Option<Connection>> {
        let key = key.clone();
        self.read(move |connection| {
            first(
                connection,
                "SELECT owner, upstream_id, issuer, client_id, sealed_tokens, access_expires_at, scope, state, version,
                        connected_at, updated_at, wanted_scope, last_used_at
                 FROM connections WHERE owner = ?1 AND upstream_id = ?2",
                params![key.owner, key.upstream_id],
                upstream_connection,
            )
        })
        .await
    }

    async fn connections_of(&self, owner: &Owner) -> Result<Vec<Connection>> {
        let owner = owner.clone();
        self.read(move |connection| {
            all(
                connection,
                "SELECT owner, upstream_id, issuer, client_id, sealed_tokens, access_expires_at, scope, state, version,
                        connected_at, updated_at, wanted_scope, last_used_at
                 FROM connections WHERE owner = ?1 ORDER BY upstream_id",
                params![owner],
                upstream_connection,
            )
        })
        .await
    }

    async fn refresh_connection(
        &self,
        key: &ConnectionKey,
        version: i64,
        tokens: &RefreshedTokens,
        now: Timestamp,
    ) -> Result<bool> {
        let (key, tokens) = (key.clone(), tokens.clone());
        self.write(move |connection| {
            execute(
                connection,
                "UPDATE connections
                 SET sealed_tokens = ?4, access_expires_at = ?5, scope = coalesce(?6, scope), version = version + 1,
                     updated_at = ?7
                 WHERE owner = ?1 AND upstream_id = ?2 AND version = ?3 AND state = ?8",
                params![
                    key.owner,
                    key.upstream_id,
                    version,
                    tokens.sealed_tokens,
                    tokens.access_expires_at,
                    tokens.scope,
                    now,
                    ConnectionState::Live
                ],
            )
            .map(|refreshed| refreshed > 0)
        })
        .await
    }

    async fn end_connection(&self, key: &ConnectionKey, version: i64, now: Timestamp) -> Result<bool> {
        let key = key.clone();
        self.write(move |connection| {
            execute(
                connection,
                "UPDATE connections SET state = ?5, updated_at = ?4
                 WHERE owner = ?1 AND upstream_id = ?2 AND version = ?3 AND state = ?6",
                params![key.owner, key.upstream_id, version, now, ConnectionState::Ended, ConnectionState::Live],
            )
            .map(|ended| ended > 0)
        })
        .await
    }

    async fn want_scope(&self, key: &ConnectionKey, scope: &str) -> Result<()> {
        let (key, scope) = (key.clone(), scope.to_owned());
        self.write(move |connection| {
            execute(
                connection,
                "UPDATE connections SET wanted_scope = ?3
                 WHERE owner = ?1 AND upstream_id = ?2 AND wanted_scope IS NOT ?3",
                params![key.owner, key.upstream_id, scope],
            )
            .map(drop)
        })
        .await
    }

    async fn touch_connection(&self, key: &ConnectionKey, now: Timestamp, unless_after: Timestamp) -> Result<()> {
        let key = key.clone();
        self.write(move |connection| {
            execute(
                connection,
                "UPDATE connections SET last_used_at = ?3
                 WHERE owner = ?1 AND upstream_id = ?2 AND (last_used_at IS NULL OR last_used_at <= ?4)",
                params![key.owner, key.upstream_id, now, unless_after],
            )
            .map(drop)
        })
        .await
    }

    async fn remove_connection(&self, key: &ConnectionKey) -> Result<Option<Connection>> {
        let key = key.clone();
        self.write(move |connection| {
            first(
                connection,
                "DELETE FROM connections WHERE owner = ?1 AND upstream_id = ?2
                 RETURNING owner, upstream_id, issuer, client_id, sealed_tokens, access_expires_at, scope, state,
                           version, connected_at, updated_at, wanted_scope, last_used_at",
                params![key.owner, key.upstream_id],
                upstream_connection,
            )
        })
        .await
    }

    async fn create_connect_flow(&self, flow: &ConnectFlow) -> Result<()> {
        let flow = flow.clone();
        self.write(move |connection| {
            execute(
                connection,
                "INSERT INTO connect_flows
                   (state, session, owner, upstream_id, operation_id, issuer, sealed_details, interaction, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    flow.state,
                    flow.session,
                    flow.key.owner,
                    flow.key.upstream_id,
                    flow.operation_id,
                    flow.issuer,
                    flow.sealed_details,
                    flow.interaction,
                    flow.expires_at
                ],
            )
            .map(drop)
        })
        .await
    }

    async fn take_connect_flow(&self, state: &Digest, session: &Digest, now: Timestamp) -> Result<Option<ConnectFlow>> {
        let (state, session) = (*state, *session);
        self.write(move |connection| {
            first(
                connection,
                "DELETE FROM connect_flows WHERE state = ?1 AND session = ?2 AND expires_at > ?3
                 RETURNING state, session, owner, upstream_id, operation_id, issuer, sealed_details, interaction,
                           expires_at",
                params![state, session, now],
                connect_flow,
            )
        })
        .await
    }

    async fn upstream_client(&self, issuer: &str, redirect_uri: &str) -> Result<Option<UpstreamClient>> {
        let (issuer, redirect_uri) = (issuer.to_owned(), redirect_uri.to_owned());
        self.read(move |connection| {
            first(
                connection,
                "SELECT issuer, redirect_uri, client_id, sealed_details, registered_at
                 FROM upstream_clients WHERE issuer = ?1 AND redirect_uri = ?2",
                params![issuer, redirect_uri],
                upstream_client,
            )
        })
        .await
    }

    async fn save_upstream_client(&self, client: &UpstreamClient) -> Result<UpstreamClient> {
        let client = client.clone();
        self.write(move |connection| {
            // `DO NOTHING` would return no row; an update that changes nothing returns the one that is kept.
            let kept = first(
                connection,
                "INSERT INTO upstream_clients (issuer, redirect_uri, client_id, sealed_details, registered_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (issuer, redirect_uri) DO UPDATE SET client_id = upstream_clients.client_id
                 RETURNING issuer, redirect_uri, client_id, sealed_details, registered_at",
                params![
                    client.issuer,
                    client.redirect_uri,
                    client.client_id,
                    client.sealed_details,
                    client.registered_at
                ],
                upstream_client,
            )?;
            kept.ok_or(Error::Corrupt { what: "upstream_clients", source: None })
        })
        .await
    }

    async fn remove_upstream_client(&self, issuer: &str, redirect_uri: &str, client_id: &str) -> Result<()> {
        let (issuer, redirect_uri, client_id) = (issuer.to_owned(), redirect_uri.to_owned(), client_id.to_owned());
        self.write(move |connection| {
            execute(
                connection,
                "DELETE FROM upstream_clients WHERE issuer = ?1 AND redirect_uri = ?2 AND client_id = ?3",
                params![issuer, redirect_uri, client_id],
            )
            .map(drop)
        })
        .await
    }

    async fn pin_issuer(&self, upstream_id: &str, client_id: &str, issuer: &str) -> Result<String> {
        let (upstream_id, client_id, issuer) = (upstream_id.to_owned(), client_id.to_owned(), issuer.to_owned());
        self.write(move |connection| {
            let kept = first(
                connection,
                "INSERT INTO pinned_issuers (upstream_id, client_id, issuer) VALUES (?1, ?2, ?3)
                 ON CONFLICT (upstream_id, client_id) DO UPDATE SET issuer = pinned_issuers.issuer
                 RETURNING issuer",
                params![upstream_id, client_id, issuer],
                |row| column(row, "issuer"),
            )?;
            kept.ok_or(Error::Corrupt { what: "pinned_issuers", source: None })
        })
        .await
    }

    async fn spend_ticket(&self, ticket: &Digest, expires_at: Timestamp, now: Timestamp) -> Result<bool> {
        let ticket = *ticket;
        self.write(move |connection| {
            execute(
                connection,
                "INSERT INTO spent_tickets (digest, expires_at) SELECT ?1, ?2 WHERE ?2 > ?3
                 ON CONFLICT (digest) DO NOTHING",
                params![ticket, expires_at, now],
            )
            .map(|spent| spent > 0)
        })
        .await
    }

    async fn take_lease(&self, name: &str, holder: &str, until: Timestamp, now: Timestamp) -> Result<bool> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        self.write(move |connection| {
            execute(
                connection,
                "INSERT INTO leases (name, holder, expires_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
                 WHERE leases.holder = excluded.holder OR leases.expires_at <= ?4
                    OR leases.expires_at > excluded.expires_at + (excluded.expires_at - ?4)",
                params![name, holder, until, now],
            )
            .map(|taken| taken > 0)
        })
        .await
    }

    async fn release_lease(&self, name: &str, holder: &str) -> Result<()> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        self.write(move |connection| {
            execute(connection, "DELETE FROM leases WHERE name = ?1 AND holder = ?2", params![name, holder]).map(drop)
        })
        .await
    }
}

fn upstream_connection(row: &Row<'_>) -> Result<Connection> {
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

fn key(row: &Row<'_>) -> Result<ConnectionKey> {
    Ok(ConnectionKey { owner: column(row, "owner")?, upstream_id: column(row, "upstream_id")? })
}

fn connect_flow(row: &Row<'_>) -> Result<ConnectFlow> {
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

fn upstream_client(row: &Row<'_>) -> Result<UpstreamClient> {
    Ok(UpstreamClient {
        issuer: column(row, "issuer")?,
        redirect_uri: column(row, "redirect_uri")?,
        client_id: column(row, "client_id")?,
        sealed_details: column(row, "sealed_details")?,
        registered_at: column(row, "registered_at")?,
    })
}
