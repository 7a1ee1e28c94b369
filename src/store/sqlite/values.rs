//! How the records' types stand in SQLite columns.

use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};
use serde::{
    Deserialize, Serialize,
    de::{
        DeserializeOwned, IntoDeserializer,
        value::{self, StrDeserializer},
    },
};

use crate::{
    clock::Timestamp,
    crypto::Digest,
    store::{AuthMethod, ClientId, ConnectionState, GrantId, InteractionId, Owner, SubjectId},
};

/// A list or object kept as a JSON text.
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        serde_json::to_string(&self.0)
            .map(ToSqlOutput::from)
            .map_err(|source| rusqlite::Error::ToSqlConversionFailure(source.into()))
    }
}

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Self).map_err(FromSqlError::other)
    }
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_millis().into())
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self::from_millis)
    }
}

impl ToSql for Digest {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_bytes().as_slice().into())
    }
}

impl FromSql for Digest {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_blob()?.try_into().map(Self::from_bytes).map_err(FromSqlError::other)
    }
}

impl ToSql for AuthMethod {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for AuthMethod {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name: StrDeserializer<'_, value::Error> = value.as_str()?.into_deserializer();
        Self::deserialize(name).map_err(FromSqlError::other)
    }
}

impl ToSql for Owner {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.to_stored().into())
    }
}

impl FromSql for Owner {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::from_stored(value.as_str()?).map_err(FromSqlError::other)
    }
}

impl ToSql for ConnectionState {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.to_stored().into())
    }
}

impl FromSql for ConnectionState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::from_stored(value.as_str()?).map_err(FromSqlError::other)
    }
}

macro_rules! text {
    ($type:ty, $as_str:expr, $from:expr) => {
        impl ToSql for $type {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                let as_str: fn(&Self) -> &str = $as_str;
                Ok(as_str(self).into())
            }
        }

        impl FromSql for $type {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                value.as_str().map(|text| $from(text.to_owned()))
            }
        }
    };
}

text!(ClientId, ClientId::as_str, ClientId::new);
text!(SubjectId, SubjectId::as_str, SubjectId::from_stored);
text!(GrantId, |id| &id.0, GrantId);
text!(InteractionId, |id| &id.0, InteractionId);
