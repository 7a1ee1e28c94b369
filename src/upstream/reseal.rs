//! Re-sealing everything that is kept with the first key of the ring, while gateways serve.

use crate::{
    crypto::{KeyRing, SealError},
    store::{Result, SealedKind, SealedPlace, SealedValue, Store},
    telemetry::causes,
    upstream::connections::sealed::{client_context, signing_key_context, tokens_context},
};

/// What became of the values that another key had sealed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sealed anew.
    pub resealed: u64,
    /// Replaced by a gateway in the meantime, which sealed them itself.
    pub overtaken: u64,
    /// They open with no key of the ring.
    pub unreadable: u64,
}

/// Seals anew, batch by batch, what the first key of the ring has not sealed.
///
/// Each value is put in place only where the old one still stands, so a refresh at the same time wins. What is done stays
/// done: after an interruption the next run goes on with the rest.
pub async fn reseal(store: &dyn Store, key_ring: &KeyRing) -> Result<Tally> {
    let (prefix, mut tally) = (key_ring.prefix(), Tally::default());
    for kind in [SealedKind::Connections, SealedKind::UpstreamClients, SealedKind::SigningKeys] {
        let mut after = None;
        loop {
            let batch = store.sealed_otherwise(kind, &prefix, after.as_ref(), BATCH).await?;
            let Some(last) = batch.last() else { break };
            after = Some(last.place.clone());
            for value in batch {
                match resealed(key_ring, &value) {
                    Ok(resealed) if store.reseal(&value, &resealed).await? => tally.resealed += 1,
                    Ok(_) => tally.overtaken += 1,
                    Err(error) => {
                        tally.unreadable += 1;
                        tracing::warn!(event = "mcp_key_rotation_unreadable", kind = ?kind, error = %causes(&error),
                            "a sealed value opens with no key of `encryption.keys`");
                    }
                }
            }
        }
    }
    Ok(tally)
}

fn resealed(key_ring: &KeyRing, value: &SealedValue) -> std::result::Result<Vec<u8>, SealError> {
    let context = match &value.place {
        SealedPlace::Connection(key) => tokens_context(key),
        SealedPlace::UpstreamClient { issuer, redirect_uri } => client_context(issuer, redirect_uri),
        SealedPlace::SigningKey(purpose) => signing_key_context(purpose),
    };
    Ok(key_ring.seal(&context, &key_ring.open(&context, &value.sealed)?))
}

const BATCH: u32 = 100;
