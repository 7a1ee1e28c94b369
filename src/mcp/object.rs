//! A JSON object as it was written.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The members of a JSON object in their order, each value as it was written.
///
/// A name that comes twice is refused, because two readers could choose differently. So is an object of more than
/// [`MAX_MEMBERS`] members, which nobody sends where these objects are read.
#[derive(Debug, Clone, Default)]
pub struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Object<'a> {
    /// The value of a member.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// The value of a member that is an object.
    pub fn object(&self, name: &str) -> Option<Object<'a>> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// The value of a member that is a string.
    pub fn string(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// All members, each value as it was written.
    pub fn members(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }
}

/// Writes an object of members whose values are JSON already.
pub fn write_object<'m>(members: impl IntoIterator<Item = (&'m str, &'m str)>) -> String {
    let mut json = String::from("{");
    for (name, value) in members {
        if json.len() > 1 {
            json.push(',');
        }
        // A string has no way not to be JSON.
        json.push_str(&serde_json::to_string(name).unwrap_or_default());
        json.push(':');
        json.push_str(value);
    }
    json.push('}');
    json
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Object<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<(String, &'de RawValue)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
            if members.len() == MAX_MEMBERS {
                return Err(A::Error::custom("too many members"));
            }
            if members.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom("a member comes twice"));
            }
            members.push((name, value));
        }
        Ok(Object(members))
    }
}

/// How many members an object may have.
pub const MAX_MEMBERS: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(json: &str) -> Result<Object<'_>, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn values_stay_as_they_were_written_and_members_in_order() {
        let object = parse(r#" {"b": 1.0e2 , "a":[1, 2],"\u0063":"\u0041/\/"} "#).unwrap();
        let members: Vec<_> = object.members().collect();
        assert_eq!(members, [("b", "1.0e2"), ("a", "[1, 2]"), ("c", r#""\u0041/\/""#)]);
        assert_eq!(write_object(members), r#"{"b":1.0e2,"a":[1, 2],"c":"\u0041/\/"}"#);
        assert_eq!((object.string("c").as_deref(), object.string("b")), (Some("A//"), None));
        assert_eq!(write_object([]), "{}");
    }

    /// RFC 8259 section 4: what a receiver makes of a repeated name is unpredictable.
    #[test]
    fn a_name_that_comes_twice_is_refused_however_it_is_spelled() {
        for json in [r#"{"a":1,"a":1}"#, r#"{"a":1,"b":2,"\u0061":3}"#, r#"{"":1,"":2}"#] {
            assert!(parse(json).is_err(), "{json}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for json in ["[]", r#"["2.0",1]"#, "null", "1", r#""{}""#, "{", "{}{}", "{,}", r#"{"a":}"#] {
            assert!(parse(json).is_err(), "{json}");
        }
        let large = |members: usize| write_object((0..members).map(|n| (&*format!("m{n}").leak(), "1")));
        assert!(parse(&large(MAX_MEMBERS)).is_ok());
        assert!(parse(&large(MAX_MEMBERS + 1)).is_err());
    }

    proptest! {
        #[test]
        fn what_was_read_can_be_written(names in proptest::collection::btree_set("\\PC{0,8}", 0..8)) {
            let values: Vec<_> = names.iter().map(|name| serde_json::to_string(name).unwrap()).collect();
            let json = write_object(names.iter().map(String::as_str).zip(values.iter().map(String::as_str)));
            let object = parse(&json).unwrap();
            prop_assert_eq!(write_object(object.members()), json);
        }
    }
}
