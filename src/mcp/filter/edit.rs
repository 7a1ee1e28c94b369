//! A text with some of its parts replaced, written once from beginning to end.

use std::ops::Range;

/// Parts of a text to be replaced, in the order of the text.
#[derive(Debug, Default)]
pub struct Edits(Vec<(Range<usize>, String)>);

/// Leaves elements out of a JSON array together with their commas.
#[derive(Debug, Default)]
pub struct Elements {
    kept: usize,
    /// Where the first element stands, if it and those after it so far are left out.
    dropped_from: Option<usize>,
    last_end: usize,
}

impl Edits {
    /// One part to be replaced.
    pub fn one(part: Range<usize>, text: String) -> Self {
        Self(vec![(part, text)])
    }

    /// Puts `text` in place of a part that lies behind all parts so far.
    pub fn replace(&mut self, part: Range<usize>, text: String) {
        self.0.push((part, text));
    }

    /// Whether nothing changes.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text with its parts replaced.
    pub fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut copied = 0;
        for (part, replacement) in &self.0 {
            out.push_str(text.get(copied..part.start).unwrap_or_default());
            out.push_str(replacement);
            copied = part.end;
        }
        out.push_str(text.get(copied..).unwrap_or_default());
        out
    }
}

impl Elements {
    /// Keeps the element that stands here; call it before edits within the element.
    pub fn keep(&mut self, element: &Range<usize>, edits: &mut Edits) {
        if let Some(start) = self.dropped_from.take() {
            edits.replace(start..element.start, String::new());
        }
        self.kept += 1;
        self.last_end = element.end;
    }

    /// Keeps the element that stands here, changed.
    pub fn keep_with(&mut self, element: &Range<usize>, mut inner: Edits, edits: &mut Edits) {
        self.keep(element, edits);
        edits.0.append(&mut inner.0);
    }

    /// Leaves out the element that stands here.
    pub fn drop(&mut self, element: &Range<usize>, edits: &mut Edits) {
        if self.kept > 0 {
            edits.replace(self.last_end..element.end, String::new());
        } else {
            self.dropped_from.get_or_insert(element.start);
        }
        self.last_end = element.end;
    }

    /// Ends the array and says how many elements were kept.
    pub fn end(self, edits: &mut Edits) -> usize {
        if let Some(start) = self.dropped_from {
            edits.replace(start..self.last_end, String::new());
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mcp::filter::scan::Scanner;

    proptest! {
        #[test]
        fn any_elements_can_be_left_out(elements in proptest::collection::vec((0..100_u8, any::<bool>(), " {0,2}"), 0..8)) {
            let written: Vec<_> = elements.iter().map(|(n, _, space)| format!("{space}{n}{space}")).collect();
            let text = format!("[{}]", written.join(","));
            let (mut edits, mut array, mut at) = (Edits::default(), Elements::default(), elements.iter());
            Scanner::new(&text)
                .array(|scanner| {
                    let element = scanner.value()?;
                    if at.next().unwrap().1 { array.keep(&element, &mut edits) } else { array.drop(&element, &mut edits) }
                    Ok(())
                })
                .unwrap();
            let kept = array.end(&mut edits);
            let expected: Vec<u8> = elements.iter().filter(|(_, keep, _)| *keep).map(|(n, ..)| *n).collect();
            prop_assert_eq!(kept, expected.len());
            prop_assert_eq!(serde_json::from_str::<Vec<u8>>(&edits.apply(&text)).unwrap(), expected);
        }
    }
}
