//! The credential of a call through a connection: had before the call, renewed once during it.

use std::time::Duration;

use pingora::{Error as PingoraError, ErrorType};
use tokio::time::timeout;

use crate::{
    policy::Permit,
    proxy::{exchange::Exchange, failure::Failure, rules::Rules},
    upstream::{Credential, Need, NoCredential, Server},
};

impl Rules {
    /// The credential for a permitted call, within [`CREDENTIAL_TIME`].
    pub(in crate::proxy) async fn credential(
        &self,
        permit: &Permit,
        server: &Server,
    ) -> Result<Credential, NoCredential> {
        bounded(self.credentials.credential(permit, server)).await
    }

    /// Renews the credential that the upstream refused, and makes the error that ends this attempt.
    ///
    /// It is followed by another attempt if there is a new credential, once per request; else by an answer of ours.
    pub(in crate::proxy) async fn renew(&self, exchange: &mut Exchange) -> Box<PingoraError> {
        if std::mem::replace(&mut exchange.renewed, true) {
            if let (Some(permit), Some(target), Some(refused)) =
                (&exchange.permit, &exchange.target, &exchange.credential)
            {
                self.credentials.refused_again(permit, &target.server, refused);
            }
            return exchange.require_connection(Need::ReconsentRequired);
        }
        let (Some(permit), Some(target), Some(refused)) = (&exchange.permit, &exchange.target, &exchange.credential)
        else {
            return exchange.fail(Failure::Internal);
        };
        match bounded(self.credentials.renewed(permit, &target.server, refused)).await {
            Ok(credential) => {
                exchange.credential = Some(credential);
                exchange.again = true;
                PingoraError::explain(ErrorType::Custom("Renewed"), "the credential was renewed")
            }
            Err(NoCredential::ConnectRequired(need)) => exchange.require_connection(need),
            Err(NoCredential::Denied) => exchange.fail(Failure::CredentialDenied),
            Err(NoCredential::Unavailable { retry_after }) => {
                exchange.fail(Failure::credential_unavailable(retry_after))
            }
        }
    }

    /// Notes that the upstream wants more scope, and makes the error that ends the request.
    pub(in crate::proxy) async fn ask_for_scope(
        &self,
        exchange: &mut Exchange,
        scope: Option<&str>,
    ) -> Box<PingoraError> {
        let (Some(permit), Some(target)) = (&exchange.permit, &exchange.target) else {
            return exchange.fail(Failure::Internal);
        };
        if let Some(scope) = scope {
            let noted = self.credentials.needs_scope(permit, &target.server, scope);
            // Not noted in time, the person is asked to connect all the same, and the next call asks again.
            let _noted_or_not = timeout(CREDENTIAL_TIME, noted).await;
        }
        exchange.require_connection(Need::ReconsentRequired)
    }
}

async fn bounded(
    credential: impl Future<Output = Result<Credential, NoCredential>>,
) -> Result<Credential, NoCredential> {
    match timeout(CREDENTIAL_TIME, credential).await {
        Ok(credential) => credential,
        Err(_elapsed) => Err(NoCredential::Unavailable { retry_after: RETRY_AFTER }),
    }
}

/// Longer than one call of a token endpoint may take, with the wait for another replica's before it.
const CREDENTIAL_TIME: Duration = Duration::from_secs(25);
const RETRY_AFTER: Duration = Duration::from_secs(5);
