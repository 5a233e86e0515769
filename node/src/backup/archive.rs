//! What a backup holds, in order: a summary, files, records of the store, and an end. Nothing here is secret or
//! authenticated by itself; it is written into a sealed stream.

use std::io::{self, Read, Write};
use std::path::{Component, Path};

use zeroize::Zeroizing;

use super::Summary;

const SUMMARY: u8 = b'S';
const FILE: u8 = b'F';
const RECORD: u8 = b'R';
const END: u8 = b'E';
/// Bytes of a file that are framed together.
const PART: usize = 256 * 1024;
/// Longest name of a file or tree, and longest key.
const MAX_NAME: usize = 512;
/// Longest record of the store.
const MAX_RECORD: usize = 64 * 1024 * 1024;

pub(super) struct Writer<W>(W);

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W) -> Self {
        Self(out)
    }

    fn frame(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.0.write_all(&length.to_le_bytes())?;
        self.0.write_all(bytes)
    }

    pub(super) fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        self.0.write_all(&[SUMMARY])?;
        self.frame(&serde_json::to_vec(summary)?)
    }

    pub(super) fn file(&mut self, name: &str, mut from: impl Read) -> io::Result<()> {
        self.0.write_all(&[FILE])?;
        self.frame(name.as_bytes())?;
        let mut part = Zeroizing::new(vec![0; PART]);
        loop {
            let read = from.read(&mut part)?;
            self.frame(part.get(..read).unwrap_or_default())?;
            if read == 0 {
                return Ok(());
            }
        }
    }

    pub(super) fn record(&mut self, tree: &str, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.0.write_all(&[RECORD])?;
        self.frame(tree.as_bytes())?;
        self.frame(key)?;
        self.frame(value)
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.0.write_all(&[END])?;
        Ok(self.0)
    }
}

/// What comes next.
pub(super) enum Entry {
    /// A file of this name below the directory; its bytes follow and are to be copied.
    File(String),
    /// A record of the store.
    Record {
        tree: String,
        key: Vec<u8>,
        value: Vec<u8>,
    },
}

pub(super) struct Reader<R>(R);

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl<R: Read> Reader<R> {
    pub(super) fn new(from: R) -> Self {
        Self(from)
    }

    fn kind(&mut self) -> io::Result<u8> {
        let mut kind = [0];
        self.0.read_exact(&mut kind)?;
        let [kind] = kind;
        Ok(kind)
    }

    fn frame(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length as usize > most {
            return Err(malformed("a part of the backup is too large"));
        }
        let mut bytes = Vec::new();
        (&mut self.0)
            .take(u64::from(length))
            .read_to_end(&mut bytes)?;
        if bytes.len() < length as usize {
            return Err(malformed("the backup ends early"));
        }
        Ok(bytes)
    }

    fn text(&mut self) -> io::Result<String> {
        let bytes = self.frame(MAX_NAME)?;
        String::from_utf8(bytes).map_err(|_| malformed("a name in the backup is no text"))
    }

    pub(super) fn summary(&mut self) -> io::Result<Summary> {
        if self.kind()? != SUMMARY {
            return Err(malformed("the backup does not begin with its summary"));
        }
        let bytes = self.frame(PART)?;
        serde_json::from_slice(&bytes)
            .map_err(|_| malformed("the backup's summary is not readable"))
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        match self.kind()? {
            FILE => {
                let name = self.text()?;
                let inside = Path::new(&name)
                    .components()
                    .all(|part| matches!(part, Component::Normal(_)));
                if name.is_empty() || !inside {
                    return Err(malformed("a file of the backup lies outside the directory"));
                }
                Ok(Some(Entry::File(name)))
            }
            RECORD => Ok(Some(Entry::Record {
                tree: self.text()?,
                key: self.frame(MAX_NAME)?,
                value: self.frame(MAX_RECORD)?,
            })),
            END => {
                // The sealed stream says here whether anything is missing or follows.
                let mut byte = [0];
                match self.0.read(&mut byte)? {
                    0 => Ok(None),
                    _ => Err(malformed("bytes follow the end of the backup")),
                }
            }
            _ => Err(malformed("the backup holds something unknown")),
        }
    }

    /// Copies the file that [`Reader::next`] announced.
    pub(super) fn copy(&mut self, out: &mut impl Write) -> io::Result<()> {
        loop {
            let part = Zeroizing::new(self.frame(PART)?);
            if part.is_empty() {
                return Ok(());
            }
            out.write_all(&part)?;
        }
    }
}
