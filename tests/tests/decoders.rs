//! Every decoder on what the encoders write, on the committed corpus, and on thousands of seeded mutations of both: it
//! may refuse, it may not panic, and it is quick.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use organtwin_tests::decoders::{DECODERS, Decoder};

/// Mutations of every input.
const MUTATIONS: u64 = 300;
/// Bytes of an input that is mutated: what is longer is cut.
const MOST: usize = 32 * 1024;
/// No input of this size takes so long, even on a busy machine.
const LONGEST: Duration = Duration::from_secs(5);

fn corpus(decoder: &Decoder) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(decoder.name)
}

fn committed(decoder: &Decoder) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(corpus(decoder)) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

/// Numbers from a seed (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// One to four changes: a bit, a byte, a run cut out, doubled or overwritten, a length made huge.
fn mutate(input: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = input[..input.len().min(MOST)].to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        let end = (at + 1 + numbers.below(16)).min(bytes.len());
        match numbers.below(7) {
            _ if bytes.is_empty() => bytes.push(numbers.next() as u8),
            0 => bytes[at] ^= 1 << numbers.below(8),
            1 => bytes[at] = numbers.next() as u8,
            2 => drop(bytes.drain(at..end)),
            3 => {
                let run = bytes[at..end].to_vec();
                bytes.splice(at..at, run);
            }
            4 => bytes[at..end].fill(0xff),
            5 => bytes.truncate(at),
            // A CBOR length of eight bytes, or a number far too large in text.
            _ => drop(bytes.splice(at..end, *b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff")),
        }
    }
    bytes
}

#[test]
fn what_the_encoders_write_is_accepted() {
    for decoder in DECODERS {
        for (index, seed) in (decoder.seeds)().iter().enumerate() {
            assert!(
                (decoder.decode)(seed),
                "{} refuses its input {index}",
                decoder.name
            );
        }
    }
}

#[test]
fn the_corpus_and_its_mutations_are_refused_or_accepted_and_never_more() {
    for decoder in DECODERS {
        let mut inputs = (decoder.seeds)();
        inputs.extend(committed(decoder));
        inputs.push(Vec::new());
        inputs.push(vec![0xff; 64]);
        for (index, input) in inputs.iter().enumerate() {
            let mut numbers = Numbers(index as u64 + 1);
            for round in 0..=MUTATIONS {
                let bytes = match round {
                    0 => input.clone(),
                    _ => mutate(input, &mut numbers),
                };
                let start = Instant::now();
                let ran = std::panic::catch_unwind(|| (decoder.decode)(&bytes));
                let took = start.elapsed();
                assert!(
                    ran.is_ok() && took < LONGEST,
                    "{}: input {index}, mutation {round} ({took:?}): {}",
                    decoder.name,
                    hex(&bytes)
                );
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .take(4096)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Every decoder has a fuzz target, and its corpus is what its encoders write.
///
/// `ORGANTWIN_WRITE_CORPUS=1` writes the corpus anew.
#[test]
fn every_decoder_has_a_fuzz_target_and_a_corpus() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for decoder in DECODERS {
        let target = format!("fuzz_targets/{}.rs", decoder.name);
        assert!(
            manifest.contains(&format!("path = \"{target}\"")),
            "{target}"
        );
        let source = std::fs::read_to_string(fuzz.join(&target)).unwrap();
        assert!(
            source.contains(&format!("\"{}\"", decoder.name)),
            "{target}"
        );
        let folder = corpus(decoder);
        if std::env::var_os("ORGANTWIN_WRITE_CORPUS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            for (index, seed) in (decoder.seeds)().iter().enumerate() {
                std::fs::write(folder.join(format!("{index}")), seed).unwrap();
            }
        }
        assert!(
            !committed(decoder).is_empty() || (decoder.seeds)().is_empty(),
            "{}",
            decoder.name
        );
    }
}
