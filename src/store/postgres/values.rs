//! How the records' types stand in PostgreSQL columns.

use std::error::Error;

use bytes::BytesMut;
use serde::{
    Deserialize, Serialize,
    de::{
        DeserializeOwned, IntoDeserializer,
        value::{self, StrDeserializer},
    },
};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

use crate::{
    clock::Timestamp,
    crypto::Digest,
    store::{AuthMethod, ClientId, ConnectionState, GrantId, InteractionId, Owner, SubjectId},
};

type Failure = Box<dyn Error + Sync + Send>;

/// A list or object kept as a JSON text.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize + std::fmt::Debug> ToSql for Json<T> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        serde_json::to_string(&self.0)?.to_sql(kind, out)
    }

    accepts!(TEXT);
    to_sql_checked!();
}

impl<'a, T: DeserializeOwned> FromSql<'a> for Json<T> {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        Ok(Self(serde_json::from_str(<&str>::from_sql(kind, raw)?)?))
    }

    accepts!(TEXT);
}

impl ToSql for Timestamp {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        self.as_millis().to_sql(kind, out)
    }

    accepts!(INT8);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Timestamp {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        i64::from_sql(kind, raw).map(Self::from_millis)
    }

    accepts!(INT8);
}

impl ToSql for Digest {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        self.as_bytes().as_slice().to_sql(kind, out)
    }

    accepts!(BYTEA);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Digest {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        Ok(Self::from_bytes(raw.try_into()?))
    }

    accepts!(BYTEA);
}

impl ToSql for AuthMethod {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        self.as_str().to_sql(kind, out)
    }

    accepts!(TEXT);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for AuthMethod {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        let name: StrDeserializer<'_, value::Error> = <&str>::from_sql(kind, raw)?.into_deserializer();
        Ok(Self::deserialize(name)?)
    }

    accepts!(TEXT);
}

impl ToSql for Owner {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        self.to_stored().to_sql(kind, out)
    }

    accepts!(TEXT);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Owner {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        Ok(Self::from_stored(<&str>::from_sql(kind, raw)?)?)
    }

    accepts!(TEXT);
}

impl ToSql for ConnectionState {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        self.to_stored().to_sql(kind, out)
    }

    accepts!(TEXT);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for ConnectionState {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        Ok(Self::from_stored(<&str>::from_sql(kind, raw)?)?)
    }

    accepts!(TEXT);
}

macro_rules! text {
    ($type:ty, $as_str:expr, $from:expr) => {
        impl ToSql for $type {
            fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
                let as_str: fn(&Self) -> &str = $as_str;
                as_str(self).to_sql(kind, out)
            }

            accepts!(TEXT);
            to_sql_checked!();
        }

        impl<'a> FromSql<'a> for $type {
            fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
                String::from_sql(kind, raw).map($from)
            }

            accepts!(TEXT);
        }
    };
}

text!(ClientId, ClientId::as_str, ClientId::new);
text!(SubjectId, SubjectId::as_str, SubjectId::from_stored);
text!(GrantId, |id| &id.0, GrantId);
text!(InteractionId, |id| &id.0, InteractionId);
