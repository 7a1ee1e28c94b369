//! Registered clients in PostgreSQL.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{
    PostgresStore,
    statement::{column, execute, first},
    values::Json,
};
use crate::{
    clock::Timestamp,
    store::{Client, ClientId, Clients, Result},
};

#[async_trait]
impl Clients for PostgresStore {
    async fn create_client(&self, client: &Client) -> Result<()> {
        execute(
            &self.pool,
            "INSERT INTO clients
               (id, name, uri, redirect_uris, auth_method, secret_digest, keys, created_at, last_used_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            &[
                &client.id,
                &client.name,
                &client.uri,
                &Json(&client.redirect_uris),
                &client.auth_method,
                &client.secret_digest,
                &client.keys.as_ref().map(Json),
                &client.created_at,
                &client.last_used_at,
            ],
        )
        .await
        .map(drop)
    }

    async fn client(&self, id: &ClientId) -> Result<Option<Client>> {
        first(
            &self.pool,
            "SELECT id, name, uri, redirect_uris, auth_method, secret_digest, keys, created_at, last_used_at
             FROM clients WHERE id = $1",
            &[id],
            client,
        )
        .await
    }

    async fn touch_client(&self, id: &ClientId, now: Timestamp) -> Result<()> {
        execute(&self.pool, "UPDATE clients SET last_used_at = $2 WHERE id = $1 AND last_used_at < $2", &[id, &now])
            .await
            .map(drop)
    }
}

fn client(row: &Row) -> Result<Client> {
    Ok(Client {
        id: column(row, "id")?,
        name: column(row, "name")?,
        uri: column(row, "uri")?,
        redirect_uris: column::<Json<_>>(row, "redirect_uris")?.0,
        auth_method: column(row, "auth_method")?,
        secret_digest: column(row, "secret_digest")?,
        keys: column::<Option<Json<_>>>(row, "keys")?.map(|keys| keys.0),
        created_at: column(row, "created_at")?,
        last_used_at: column(row, "last_used_at")?,
    })
}
