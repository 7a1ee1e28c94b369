//! Replays the corpora of the fuzz targets, and spoils every entry for a fixed number of times, on a stable compiler.
//!
//! `fuzz/` has the same targets for libFuzzer. An input that it found belongs into the corpus.

mod targets;

use std::{fs, path::Path};

use targets::TARGETS;

/// How often each entry is spoiled and tried.
const SPOILED: u32 = 2000;

fn entries(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).expect("a file")).collect()
}

#[test]
fn nothing_in_the_corpora_contradicts_or_panics() {
    for (name, run) in TARGETS {
        let entries = entries(name);
        assert!(entries.len() >= 3, "{name} has {} entries", entries.len());
        for entry in &entries {
            run(entry);
        }
    }
}

#[test]
fn nothing_like_the_corpora_contradicts_or_panics() {
    for (name, run) in TARGETS {
        let entries = entries(name);
        let mut random = Random(0x5a11_7907);
        for entry in &entries {
            for _ in 0..SPOILED {
                run(&spoiled(entry, &entries, &mut random));
            }
        }
    }
}

/// An entry with a few bytes changed, removed, doubled, or exchanged for a piece of another entry.
fn spoiled(entry: &[u8], others: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = entry.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(12)).min(input.len());
        match random.below(5) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 => input.insert(at, INTERESTING[random.below(INTERESTING.len())]),
            2 => drop(input.drain(at..end)),
            3 => {
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            _ => {
                let other = &others[random.below(others.len())];
                let from = random.below(other.len() + 1);
                let to = (from + random.below(24)).min(other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
    input
}

const INTERESTING: &[u8] = b"\0\t\n\r \"#%&'+,./:;<=>?@[\\]_{}~\x7f\x80\xc3\xff";

/// Xorshift: the same inputs at every run, so that a failure comes back.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound.max(1) as u64).unwrap_or_default()
    }
}
