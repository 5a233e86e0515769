//! Sealing more than fits in memory: chunks under XChaCha20-Poly1305, numbered, the last one marked.
//!
//! The construction is STREAM (Hoang, Reyhanitabar, Rogaway and Vizár 2015): the nonce of a chunk is a prefix that the file
//! carries, the chunk's number and whether it is the last. A file that was cut, reordered or extended does not open,
//! and the head is authenticated with every chunk.

use std::io::{self, Read, Write};

use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::XNonce;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use zeroize::Zeroizing;

use super::{KEY_FILE, NONCE, PASSPHRASE, SealError, SealingKey};

/// Plain bytes of a chunk.
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
/// Bytes of the nonce that the file carries; the number and the mark are the others.
const PREFIX: usize = NONCE - 5;
const MAGIC: &[u8; 16] = b"organtwin/ss/1\r\n";
const HEAD: usize = MAGIC.len() + 1 + NONCE;
/// So that no chunk is ever sealed under the key of a share.
const CONTEXT: &str = "organtwin/1 key of a sealed stream";

struct Chunks {
    cipher: XChaCha20Poly1305,
    prefix: [u8; PREFIX],
    head: [u8; HEAD],
    number: u32,
}

impl Chunks {
    fn new(key: &SealingKey, head: [u8; HEAD]) -> Result<Self, SealError> {
        let (_, salt) = head.split_at(MAGIC.len() + 1);
        let salt: [u8; NONCE] = salt
            .try_into()
            .map_err(|_| SealError::Format("it is too short"))?;
        let stretched = key.stretch(&salt)?;
        let own = Zeroizing::new(blake3::derive_key(CONTEXT, stretched.as_ref()));
        let prefix = salt
            .first_chunk::<PREFIX>()
            .ok_or(SealError::Format("it is too short"))?;
        Ok(Self {
            cipher: XChaCha20Poly1305::new(&(*own).into()),
            prefix: *prefix,
            head,
            number: 0,
        })
    }

    fn nonce(&mut self, last: bool) -> io::Result<XNonce> {
        let mut nonce = [0; NONCE];
        let (prefix, rest) = nonce.split_at_mut(PREFIX);
        prefix.copy_from_slice(&self.prefix);
        let (number, mark) = rest.split_at_mut(4);
        number.copy_from_slice(&self.number.to_be_bytes());
        mark.fill(u8::from(last));
        self.number = self
            .number
            .checked_add(1)
            .ok_or_else(|| io::Error::other("more than 2^32 chunks"))?;
        Ok(XNonce::from(nonce))
    }
}

/// Seals what is written to it. Nothing opens before [`SealingWriter::finish`] was called.
pub struct SealingWriter<W> {
    chunks: Chunks,
    plain: Zeroizing<Vec<u8>>,
    out: W,
}

impl<W: Write> SealingWriter<W> {
    /// Writes the head; `nonce` must be fresh and uniform, it is also the salt of a passphrase.
    ///
    /// # Errors
    /// Fails if the passphrase cannot be stretched or nothing can be written.
    pub fn new(key: &SealingKey, nonce: [u8; NONCE], mut out: W) -> io::Result<Self> {
        let mut head = [0; HEAD];
        let (magic, rest) = head.split_at_mut(MAGIC.len());
        magic.copy_from_slice(MAGIC);
        let (kind, salt) = rest.split_at_mut(1);
        kind.fill(key.kind());
        salt.copy_from_slice(&nonce);
        let chunks = Chunks::new(key, head).map_err(io::Error::other)?;
        out.write_all(&head)?;
        Ok(Self {
            chunks,
            plain: Zeroizing::new(Vec::with_capacity(CHUNK)),
            out,
        })
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        let nonce = self.chunks.nonce(last)?;
        let payload = Payload {
            msg: &self.plain,
            aad: &self.chunks.head,
        };
        let sealed = self
            .chunks
            .cipher
            .encrypt(&nonce, payload)
            .map_err(|_| io::Error::other("a chunk is too large"))?;
        self.plain.clear();
        self.out.write_all(&sealed)
    }

    /// Seals the last chunk and gives the writer back.
    ///
    /// # Errors
    /// Fails if nothing can be written.
    pub fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for SealingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk is sealed only when more comes: the last one may be full.
        if self.plain.len() == CHUNK {
            self.seal(false)?;
        }
        let (some, _) = bytes.split_at(bytes.len().min(CHUNK - self.plain.len()));
        self.plain.extend_from_slice(some);
        Ok(some.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Opens what a [`SealingWriter`] sealed. Every byte that is read was authenticated; that nothing is missing is known when
/// the end was reached without an error.
pub struct UnsealingReader<R> {
    chunks: Chunks,
    sealed: Vec<u8>,
    plain: Zeroizing<Vec<u8>>,
    at: usize,
    ended: bool,
    from: R,
}

/// With what a sealed stream opens, as its head says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SealedWith {
    /// A passphrase.
    Passphrase,
    /// A key file.
    KeyFile,
}

fn refused(error: SealError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Reads the head of a sealed stream. Nothing of it is authenticated before the first chunk opened.
///
/// # Errors
/// Refuses other formats.
pub fn read_head<R: Read>(mut from: R) -> io::Result<(SealedWith, [u8; 41])> {
    let mut head = [0; HEAD];
    let short = |_| refused(SealError::Format("it is too short"));
    from.read_exact(&mut head).map_err(short)?;
    let (magic, rest) = head.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(refused(SealError::Format("it starts differently")));
    }
    match rest.first() {
        Some(&PASSPHRASE) => Ok((SealedWith::Passphrase, head)),
        Some(&KEY_FILE) => Ok((SealedWith::KeyFile, head)),
        _ => Err(refused(SealError::Format("the kind of key is unknown"))),
    }
}

impl<R: Read> UnsealingReader<R> {
    /// Goes on after [`read_head`].
    ///
    /// # Errors
    /// Refuses the wrong kind of key; a wrong key shows when the first chunk is read.
    pub fn new(key: &SealingKey, head: [u8; 41], from: R) -> io::Result<Self> {
        let (_, rest) = head.split_at(MAGIC.len());
        match rest.first() {
            Some(kind) if *kind == key.kind() => (),
            Some(&PASSPHRASE) => return Err(refused(SealError::OtherKind("a passphrase"))),
            _ => return Err(refused(SealError::OtherKind("a key file"))),
        }
        Ok(Self {
            chunks: Chunks::new(key, head).map_err(refused)?,
            sealed: Vec::with_capacity(CHUNK + TAG + 1),
            plain: Zeroizing::new(Vec::new()),
            at: 0,
            ended: false,
            from,
        })
    }

    /// Opens the next chunk. It is the last one if nothing follows it.
    fn next(&mut self) -> io::Result<()> {
        let whole = CHUNK + TAG;
        let wanted = (whole + 1).saturating_sub(self.sealed.len()) as u64;
        (&mut self.from)
            .take(wanted)
            .read_to_end(&mut self.sealed)?;
        let last = self.sealed.len() <= whole;
        let nonce = self.chunks.nonce(last)?;
        let (chunk, rest) = self.sealed.split_at(self.sealed.len().min(whole));
        let payload = Payload {
            msg: chunk,
            aad: &self.chunks.head,
        };
        let plain = self
            .chunks
            .cipher
            .decrypt(&nonce, payload)
            .map_err(|_| refused(SealError::WrongKey))?;
        let rest = rest.to_vec();
        self.sealed.clear();
        self.sealed.extend_from_slice(&rest);
        self.plain = Zeroizing::new(plain);
        self.at = 0;
        self.ended = last;
        Ok(())
    }
}

impl<R: Read> Read for UnsealingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.plain.len() && !self.ended {
            self.next()?;
        }
        let left = self.plain.get(self.at..).unwrap_or_default();
        let count = left.len().min(buffer.len());
        let (some, _) = left.split_at(count);
        let (into, _) = buffer.split_at_mut(count);
        into.copy_from_slice(some);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn key(byte: u8) -> SealingKey {
        SealingKey::KeyFile(Secret::new([byte; 32]))
    }

    fn seal(plain: &[u8]) -> Vec<u8> {
        let mut writer = SealingWriter::new(&key(1), [9; 24], Vec::new()).unwrap();
        // In odd pieces, so that chunks do not end where writes do.
        for piece in plain.chunks(1000) {
            writer.write_all(piece).unwrap();
        }
        writer.finish().unwrap()
    }

    fn open(sealed: &[u8], key: &SealingKey) -> io::Result<Vec<u8>> {
        let mut from = sealed;
        let (_, head) = read_head(&mut from)?;
        let mut plain = Vec::new();
        UnsealingReader::new(key, head, from)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn what_is_sealed_opens_whatever_its_length() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 200_000] {
            let plain: Vec<u8> = (0u8..251).cycle().take(length).collect();
            assert_eq!(open(&seal(&plain), &key(1)).unwrap(), plain, "{length}");
        }
    }

    #[test]
    fn a_stream_that_is_cut_anywhere_does_not_open() {
        let sealed = seal(&vec![7; 3 * CHUNK]);
        let whole = CHUNK + TAG;
        let ends = [
            0,
            5,
            HEAD,
            HEAD + 1,
            HEAD + whole,
            HEAD + 2 * whole,
            sealed.len() - 1,
        ];
        for end in ends {
            open(&sealed[..end], &key(1)).unwrap_err();
        }
    }

    #[test]
    fn a_changed_added_or_moved_byte_does_not_open() {
        let sealed = seal(&vec![7; 2 * CHUNK + 10]);
        for at in [0, 16, 17, 40, HEAD, HEAD + CHUNK, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            open(&changed, &key(1)).unwrap_err();
        }
        let mut longer = sealed.clone();
        longer.push(0);
        open(&longer, &key(1)).unwrap_err();
        let whole = CHUNK + TAG;
        let (head, chunks) = sealed.split_at(HEAD);
        let moved = [
            head,
            &chunks[whole..2 * whole],
            &chunks[..whole],
            &chunks[2 * whole..],
        ];
        open(&moved.concat(), &key(1)).unwrap_err();
    }

    #[test]
    fn another_key_and_another_kind_of_key_do_not_open() {
        let sealed = seal(b"twin");
        let wrong = open(&sealed, &key(2)).unwrap_err();
        assert!(wrong.to_string().contains("wrong"), "{wrong}");
        let kind = open(&sealed, &SealingKey::Passphrase(Secret::new("x".into()))).unwrap_err();
        assert!(kind.to_string().contains("key file"), "{kind}");
    }
}
