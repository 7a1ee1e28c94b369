//! The id of a JSON-RPC request.

use serde::{Deserialize, Serialize};

/// The id of a JSON-RPC request, echoed in the answer with its type kept; never null and never a fraction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RequestId {
    /// A whole number, as most clients count.
    Integer(i64),
    /// A whole number above the range of `i64`.
    Large(u64),
    /// Any text.
    Text(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_echoed_as_it_came() {
        for json in ["0", "-7", "9223372036854775808", "\"1\"", "\"\"", "\"a\\n\""] {
            let id: RequestId = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&id).unwrap(), json);
        }
    }

    #[test]
    fn null_fractions_and_structures_are_no_ids() {
        for json in ["null", "1.5", "1e3", "true", "[1]", "{}", "18446744073709551616"] {
            assert!(serde_json::from_str::<RequestId>(json).is_err(), "{json}");
        }
    }
}
