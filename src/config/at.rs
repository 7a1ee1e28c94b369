//! A value of the file together with its place, so that later checks can point at it.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::config::problem::{Place, Position};
use crate::crypto::Secret;

/// A value, its place in the file, and how the file spells it.
///
/// Reading one never fails: a value of the wrong type is reported at once and becomes [`State::Broken`], so that
/// everything else in the file is still checked.
pub struct At<T> {
    /// Where the value stands, or would stand.
    pub place: Place,
    /// The value, if there is one.
    pub state: State<T>,
    /// The value as messages show it; a reference is shown instead of what it resolves to.
    pub shown: String,
    /// Whether the value stands in the file itself, without any reference.
    pub literal: bool,
}

/// Whether the file has a value.
pub enum State<T> {
    /// The key is not there.
    Absent,
    /// The key has no value, or `null`.
    Null,
    /// The value was already reported as a problem.
    Broken,
    /// The value.
    Value(T),
}

/// A secret text and its place; how the file spells it is not kept.
pub struct AtSecret(pub At<Confidential>);

/// A secret text of the file.
pub struct Confidential(pub Secret);

/// One value, or a list of them.
#[derive(Deserialize, JsonSchema)]
#[serde(rename = "OneOrMany")]
#[schemars(inline, transform = allow_single)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T> At<T> {
    /// The value, if there is a usable one.
    pub const fn get(&self) -> Option<&T> {
        match &self.state {
            State::Value(value) => Some(value),
            State::Absent | State::Null | State::Broken => None,
        }
    }

    /// Whether the file says nothing about this key.
    pub const fn is_unset(&self) -> bool {
        matches!(self.state, State::Absent | State::Null)
    }
}

/// The name by which the [reader](crate::config::reader) recognises an [`At`].
pub const AT: &str = "config::At";

/// The name by which the [reader](crate::config::reader) recognises an [`AtSecret`].
pub const AT_SECRET: &str = "config::AtSecret";

/// The codes of [`State`] between the reader and [`At`].
pub mod code {
    pub const ABSENT: u32 = 0;
    pub const NULL: u32 = 1;
    pub const BROKEN: u32 = 2;
    pub const VALUE: u32 = 3;
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(AT, AtVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for AtSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(AT_SECRET, AtVisitor(PhantomData)).map(Self)
    }
}

struct AtVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for AtVisitor<T> {
    type Value = At<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value with its place")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<At<T>, A::Error> {
        let mut number = || parts.next_element::<u32>()?.ok_or_else(|| A::Error::missing_field("position"));
        let (line, column, code) = (number()?, number()?, number()?);
        let literal = number()? == 1;
        let mut text = || parts.next_element::<String>()?.ok_or_else(|| A::Error::missing_field("path"));
        let (path, shown) = (text()?, text()?);
        let state = match code {
            code::ABSENT => State::Absent,
            code::NULL => State::Null,
            code::VALUE => parts.next_element::<T>()?.map_or(State::Broken, State::Value),
            _ => State::Broken,
        };
        Ok(At { place: Place { position: Position { line, column }, path }, state, shown, literal })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<'de> Deserialize<'de> for Confidential {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

impl JsonSchema for AtSecret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({"type": "string"})
    }
}

fn allow_single(schema: &mut Schema) {
    let items = schema.get("items").cloned();
    let list = std::mem::take(schema);
    *schema = schemars::json_schema!({"anyOf": [items, list]});
}
