//! Content blocks: the links and embedded resources in results.

use super::{
    scan::{Malformed, Names, Scanner},
    view::View,
};

/// Takes one block, or a message that holds some, and says whether all the URIs in it may be seen.
pub fn is_shown<V: View>(scanner: &mut Scanner<'_>, view: &V) -> Result<bool, Malformed> {
    is_shown_at(scanner, view, 0)
}

fn is_shown_at<V: View>(scanner: &mut Scanner<'_>, view: &V, depth: u8) -> Result<bool, Malformed> {
    if depth > MAX_DEPTH {
        return Err(Malformed);
    }
    let mut shown = true;
    match scanner.peek() {
        b'{' => {
            let mut names = Names::new(["uri", "resource", "content"]);
            scanner.object(|scanner, name| {
                match names.find(name)? {
                    Some("uri") if scanner.peek() == b'"' => shown &= view.shows_uri(&scanner.string()?.decode()?),
                    Some("resource" | "content") => shown &= is_shown_at(scanner, view, depth + 1)?,
                    _ => scanner.skip()?,
                }
                Ok(())
            })?;
        }
        b'[' => scanner.array(|scanner| {
            shown &= is_shown_at(scanner, view, depth + 1)?;
            Ok(())
        })?,
        _ => scanner.skip()?,
    }
    Ok(shown)
}

/// A message holds blocks, a block a resource; a tool's result within a message has two levels more.
const MAX_DEPTH: u8 = 8;
