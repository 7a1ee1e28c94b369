//! Reads the file types out of the tree and reports every problem on the way, instead of stopping at the first.
//!
//! Structs cannot fail: an unknown key is reported and skipped, a missing one is read as absent, and a mapping that is
//! not one is read as if all its keys were broken. Leaves fail inside an [`At`](crate::config::at::At), which keeps the place.

use std::cell::RefCell;

use serde::de::value::{Error, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use crate::config::at::{AT, AT_SECRET, code};
use crate::config::problem::{Fault, Hint, Place, Position, Problem};
use crate::config::tree::{Entry, Node, Text, Value};

/// A place in the tree, about to be read.
#[derive(Clone)]
pub struct Reader<'t> {
    content: Content<'t>,
    place: Place,
    problems: &'t RefCell<Vec<Problem>>,
}

#[derive(Clone, Copy)]
enum Content<'t> {
    Absent,
    Broken,
    Value(&'t Value),
    /// The value stands for a list of one: itself.
    Single(&'t Value),
}

impl<'t> Reader<'t> {
    /// Reads from the root of the tree.
    pub fn new(root: &'t Node, problems: &'t RefCell<Vec<Problem>>) -> Self {
        Self::of(root, String::new(), problems)
    }

    fn of(node: &'t Node, path: String, problems: &'t RefCell<Vec<Problem>>) -> Self {
        let content = if let Value::Broken = node.value { Content::Broken } else { Content::Value(&node.value) };
        Self { content, place: Place { position: node.position, path }, problems }
    }

    fn entry(&self, entry: &'t Entry) -> Self {
        Self::of(&entry.node, self.place.key(&entry.key).path, self.problems)
    }

    fn without_value(&self, key: &str, content: Content<'t>) -> Self {
        Self { content, place: self.place.key(key), problems: self.problems }
    }

    fn report(&self, position: Position, path: String, fault: Fault) {
        self.problems.borrow_mut().push(Problem { place: Place { position, path }, fault });
    }

    /// Reports a wrong type here, unless there is no value to have one.
    fn wrong_type(&self, expected: &'static str) -> Error {
        if let Content::Value(value) | Content::Single(value) = self.content {
            let fault = Fault::WrongType { expected, found: value.kind() };
            self.report(self.place.position, self.place.path.clone(), fault);
        }
        reported()
    }

    fn text(&self) -> Option<&'t Text> {
        match self.content {
            Content::Value(Value::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// The error of a value whose problem is already in the list.
fn reported() -> Error {
    Error::custom("already reported")
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.content {
            Content::Value(Value::Bool(value)) => visitor.visit_bool(*value),
            Content::Value(Value::Integer(value)) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (Err(_), Ok(value)) => visitor.visit_i64(value),
                (Err(_), Err(_)) => Err(self.wrong_type("a number of at most 64 bits")),
            },
            Content::Value(Value::Float(value)) => visitor.visit_f64(*value),
            Content::Value(Value::Text(text)) => visitor.visit_str(&text.value),
            Content::Value(Value::List(_)) => self.deserialize_seq(visitor),
            Content::Value(Value::Map(_)) => self.deserialize_map(visitor),
            _ => visitor.visit_unit(),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.content {
            Content::Value(Value::Bool(value)) => visitor.visit_bool(*value),
            _ => Err(self.wrong_type("true or false")),
        }
    }

    /// Saturates: no key takes numbers that large, so the range check of the key reports them.
    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.content {
            Content::Value(Value::Integer(value)) => {
                let limit = if *value < 0 { i64::MIN } else { i64::MAX };
                visitor.visit_i64(i64::try_from(*value).unwrap_or(limit))
            }
            _ => Err(self.wrong_type("a whole number")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.text() {
            Some(text) => visitor.visit_str(&text.value),
            None => Err(self.wrong_type("text")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        match (name, self.content) {
            (AT, _) => visitor.visit_seq(AtParts { shown: shown(self.content), reader: self, next: 0 }),
            (AT_SECRET, _) => visitor.visit_seq(AtParts { shown: String::new(), reader: self, next: 0 }),
            (ONE_OR_MANY, Content::Value(value)) if !matches!(value, Value::List(_) | Value::Null) => {
                visitor.visit_newtype_struct(Self { content: Content::Single(value), ..self })
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let items = match self.content {
            Content::Value(Value::List(items)) => items,
            Content::Single(value) => {
                let item = Self { content: Content::Value(value), ..self };
                return visitor.visit_seq(serde::de::value::SeqDeserializer::new(std::iter::once(Ready(item))));
            }
            _ => return Err(self.wrong_type("a list")),
        };
        let readers = items
            .iter()
            .enumerate()
            .map(|(index, item)| Ready(Reader::of(item, format!("{}[{index}]", self.place.path), self.problems)));
        visitor.visit_seq(serde::de::value::SeqDeserializer::new(readers))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Content::Value(Value::Map(entries)) = self.content else { return Err(self.wrong_type("a mapping")) };
        let values = entries.iter().map(|entry| (entry.key.as_str(), self.entry(entry))).collect();
        visitor.visit_map(Fields { values, current: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let short = SHORT_FORMS.iter().find(|(of, _)| *of == name);
        let (mut values, rest) = match (self.content, short) {
            (Content::Value(Value::Map(entries)), _) => (self.known_entries(entries, fields), Content::Absent),
            (Content::Value(Value::Text(_)), Some((_, key))) => {
                let value = Reader { place: self.place.key(key), ..self.clone() };
                (vec![(*key, value)], Content::Absent)
            }
            (Content::Absent | Content::Value(Value::Null), _) => (Vec::new(), Content::Absent),
            (_, short) => {
                self.wrong_type(if short.is_some() { "text or a mapping" } else { "a mapping" });
                (Vec::new(), Content::Broken)
            }
        };
        for field in fields {
            if values.iter().all(|(key, _)| key != field) {
                values.push((field, self.without_value(field, rest)));
            }
        }
        visitor.visit_map(Fields { values, current: None })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Some(text) = self.text() else { return Err(self.wrong_type("text")) };
        if variants.contains(&text.value.as_str()) {
            return visitor.visit_enum(Word(&text.value));
        }
        let hint = Hint::new(&text.value, variants.iter().copied());
        let fault = Fault::NotOneOf { given: shown(self.content), hint };
        self.report(self.place.position, self.place.path.clone(), fault);
        Err(reported())
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf option unit unit_struct tuple tuple_struct
        identifier ignored_any
    }
}

impl<'t> Reader<'t> {
    /// The entries with a known key. A key that was probably meant by an unknown one counts as broken, not as missing.
    fn known_entries(&self, entries: &'t [Entry], fields: &'static [&'static str]) -> Vec<(&'t str, Self)> {
        let mut known = Vec::with_capacity(fields.len());
        let mut meant: Vec<&'static str> = Vec::new();
        for entry in entries {
            if fields.contains(&entry.key.as_str()) {
                known.push((entry.key.as_str(), self.entry(entry)));
            } else {
                let hint = Hint::new(&entry.key, fields.iter().copied());
                meant.extend(hint.suggestion().and_then(|word| fields.iter().find(|field| **field == word)));
                self.report(entry.position, self.place.key(&entry.key).path, Fault::UnknownKey { hint });
            }
        }
        for field in meant {
            if known.iter().all(|(key, _)| *key != field) {
                known.push((field, self.without_value(field, Content::Broken)));
            }
        }
        known
    }
}

/// How a message shows a value: as the file spells it, without the password of a URL.
fn shown(content: Content<'_>) -> String {
    let (Content::Value(value) | Content::Single(value)) = content else { return String::new() };
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(Text { reference: Some(reference), .. }) => format!("the value of {reference}"),
        Value::Text(text) => {
            let text = match (text.value.find("://"), text.value.rfind('@')) {
                (Some(scheme), Some(at)) if scheme < at => {
                    format!("{}://…{}", &text.value[..scheme], &text.value[at..])
                }
                _ => text.value.to_string(),
            };
            let short: String = text.chars().take(LONGEST_SHOWN).collect();
            if short.len() < text.len() { format!("{short:?}…") } else { format!("{short:?}") }
        }
        other => other.kind().to_owned(),
    }
}

/// The parts that make an `At`: position, state, spelling, and the value last.
struct AtParts<'t> {
    reader: Reader<'t>,
    shown: String,
    next: u8,
}

impl<'de> SeqAccess<'de> for AtParts<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Reader { content, place, problems } = &self.reader;
        self.next += 1;
        let part = match self.next {
            1 => seed.deserialize(place.position.line.into_deserializer()),
            2 => seed.deserialize(place.position.column.into_deserializer()),
            3 => seed.deserialize(state_code(*content).into_deserializer()),
            4 => {
                let literal = !matches!(content, Content::Value(Value::Text(Text { reference: Some(_), .. })));
                seed.deserialize(u32::from(literal).into_deserializer())
            }
            5 => seed.deserialize(place.path.as_str().into_deserializer()),
            6 => seed.deserialize(self.shown.as_str().into_deserializer()),
            _ => {
                let known = problems.borrow().len();
                let value = seed.deserialize(self.reader.clone()).ok();
                if value.is_none() && problems.borrow().len() == known {
                    self.reader.wrong_type("a single word or number");
                }
                return Ok(value);
            }
        };
        part.map(Some)
    }
}

const fn state_code(content: Content<'_>) -> u32 {
    match content {
        Content::Absent => code::ABSENT,
        Content::Value(Value::Null) => code::NULL,
        Content::Broken => code::BROKEN,
        Content::Value(_) | Content::Single(_) => code::VALUE,
    }
}

struct Fields<'t> {
    values: Vec<(&'t str, Reader<'t>)>,
    current: Option<Reader<'t>>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.values.pop() else { return Ok(None) };
        self.current = Some(value);
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let value = self.current.take().ok_or_else(|| Error::custom("a value before its key"))?;
        seed.deserialize(value)
    }
}

struct Ready<'t>(Reader<'t>);

impl<'t> IntoDeserializer<'_, Error> for Ready<'t> {
    type Deserializer = Reader<'t>;

    fn into_deserializer(self) -> Reader<'t> {
        self.0
    }
}

struct Word<'t>(&'t str);

impl<'de> EnumAccess<'de> for Word<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        seed.deserialize(StrDeserializer::<Error>::new(self.0)).map(|variant| (variant, self))
    }
}

impl<'de> VariantAccess<'de> for Word<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, Error> {
        Err(Error::custom("a word has no value"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("a word has no value"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Error> {
        Err(Error::custom("a word has no value"))
    }
}

/// Structs that the file may also write as a single text, and the key that the text then is.
const SHORT_FORMS: &[(&str, &str)] = &[
    ("Listener", "address"),
    ("Tool", "name"),
    ("Prompt", "name"),
    ("Resource", "uri"),
    ("ResourceTemplate", "uriTemplate"),
];

const ONE_OR_MANY: &str = "OneOrMany";
const LONGEST_SHOWN: usize = 80;
