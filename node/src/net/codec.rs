//! The bytes of a request and of its answer: a kind, fixed fields, a bounded payload; anything else is an error.

use std::io;
use std::time::Duration;

use futures::prelude::*;
use libp2p::StreamProtocol;
use libp2p::request_response::Codec;
use zeroize::Zeroizing;

use super::conduct::Fault;

/// Largest chunk or part of a blob in one answer, bytes.
pub const MAX_PART: usize = 1024 * 1024;
/// Largest request on the wire, bytes.
pub const MAX_REQUEST: usize = 64 * 1024;
/// Largest answer on the wire, bytes.
pub const MAX_RESPONSE: usize = 1280 * 1024;
/// Largest statement, bytes.
pub const MAX_STATEMENT: usize = 32 * 1024 + 256;
/// Most feeds named in one request.
const MAX_HEADS: usize = 16;
/// Most statements in one answer.
const MAX_STATEMENTS: usize = 4096;

/// What one node asks of another. Its Debug shows no private message.
#[derive(Clone, PartialEq, Eq)]
pub enum Request {
    /// "So far I hold the feeds; send me what follows, and what contradicts it."
    Statements {
        /// Of each feed that has a statement: its party, the number and the hash of the last one.
        heads: Vec<(u8, u64, [u8; 32])>,
    },
    /// A part of a blob.
    Blob {
        /// The blob's name.
        hash: [u8; 32],
        /// First byte.
        offset: u64,
    },
    /// A chunk of a group's vector in a key ceremony.
    Chunk {
        /// The ceremony.
        session: [u8; 32],
        /// Stage, counted from 0.
        stage: u8,
        /// Group, in the family's order.
        group: u16,
        /// Chunk.
        chunk: u32,
    },
    /// A message for this peer's eyes; the answer acknowledges it.
    Private {
        /// Its encoding, wiped when dropped.
        bytes: Zeroizing<Vec<u8>>,
    },
    /// A checkpoint to cosign, with the proof that it extends what the peer cosigned last.
    Cosign {
        /// The request as C2SP tlog-witness writes it.
        bytes: Vec<u8>,
    },
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Statements { heads } => write!(f, "Statements({heads:?})"),
            Self::Blob { hash, offset } => write!(f, "Blob({} from {offset})", hex::encode(hash)),
            Self::Chunk {
                stage,
                group,
                chunk,
                ..
            } => write!(f, "Chunk({stage}/{group}/{chunk})"),
            Self::Private { bytes } => write!(f, "Private({} bytes)", bytes.len()),
            Self::Cosign { bytes } => write!(f, "Cosign({} bytes)", bytes.len()),
        }
    }
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// Signed statements, each feed in order.
    Statements(Vec<Vec<u8>>),
    /// A part of a blob and the blob's whole length.
    Part {
        /// Length of the blob.
        total: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A chunk.
    Chunk(Vec<u8>),
    /// The signature line under a checkpoint.
    Cosigned(Vec<u8>),
    /// The size up to which this node has cosigned the peer's log.
    OtherSize(u64),
    /// The private message is taken.
    Taken,
    /// Not here, or not yet: ask again later or elsewhere.
    Unavailable,
    /// Refused.
    Refused,
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (head, tail) = self
            .0
            .split_at_checked(count)
            .ok_or_else(|| malformed("the message ends early"))?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        self.take(N)?
            .try_into()
            .map_err(|_| malformed("the message ends early"))
    }

    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).to_vec()
    }

    fn end(&self) -> io::Result<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(malformed("bytes follow the message"))
        }
    }
}

impl Request {
    /// The canonical bytes; they may be private and are wiped when dropped.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Never grown, so that nothing private stays behind in a smaller buffer.
        let mut out = Zeroizing::new(Vec::with_capacity(self.length()));
        match self {
            Self::Statements { heads } => {
                out.push(1);
                for (party, last, hash) in heads {
                    out.push(*party);
                    out.extend_from_slice(&last.to_le_bytes());
                    out.extend_from_slice(hash);
                }
            }
            Self::Blob { hash, offset } => {
                out.push(2);
                out.extend_from_slice(hash);
                out.extend_from_slice(&offset.to_le_bytes());
            }
            Self::Chunk {
                session,
                stage,
                group,
                chunk,
            } => {
                out.push(3);
                out.extend_from_slice(session);
                out.push(*stage);
                out.extend_from_slice(&group.to_le_bytes());
                out.extend_from_slice(&chunk.to_le_bytes());
            }
            Self::Private { bytes } => {
                out.push(4);
                out.extend_from_slice(bytes);
            }
            Self::Cosign { bytes } => {
                out.push(5);
                out.extend_from_slice(bytes);
            }
        }
        out
    }

    /// Decodes what [`Request::encode`] makes and nothing else.
    pub fn decode(bytes: &[u8]) -> io::Result<Self> {
        let mut reader = Reader(bytes);
        let request = match reader.array::<1>()? {
            [1] => {
                let mut heads: Vec<(u8, u64, [u8; 32])> = Vec::new();
                while !reader.0.is_empty() {
                    let [party] = reader.array()?;
                    if heads.len() == MAX_HEADS || heads.last().is_some_and(|last| last.0 >= party)
                    {
                        return Err(malformed("heads are not at most 16 in ascending order"));
                    }
                    heads.push((party, u64::from_le_bytes(reader.array()?), reader.array()?));
                }
                Self::Statements { heads }
            }
            [2] => Self::Blob {
                hash: reader.array()?,
                offset: u64::from_le_bytes(reader.array()?),
            },
            [3] => {
                let session = reader.array()?;
                let [stage] = reader.array()?;
                let group = u16::from_le_bytes(reader.array()?);
                Self::Chunk {
                    session,
                    stage,
                    group,
                    chunk: u32::from_le_bytes(reader.array()?),
                }
            }
            [4] => Self::Private {
                bytes: Zeroizing::new(reader.rest()),
            },
            [5] => Self::Cosign {
                bytes: reader.rest(),
            },
            _ => return Err(malformed("unknown kind of request")),
        };
        reader.end()?;
        Ok(request)
    }
}

impl Request {
    fn length(&self) -> usize {
        match self {
            Self::Statements { heads } => 1 + 41 * heads.len(),
            Self::Blob { .. } => 41,
            Self::Chunk { .. } => 40,
            Self::Private { bytes } => 1 + bytes.len(),
            Self::Cosign { bytes } => 1 + bytes.len(),
        }
    }

    /// Bytes of content, for the count of what was sent.
    pub(super) fn payload(&self) -> usize {
        match self {
            Self::Private { bytes } => bytes.len(),
            Self::Cosign { bytes } => bytes.len(),
            Self::Statements { .. } | Self::Blob { .. } | Self::Chunk { .. } => 48,
        }
    }
}

impl Response {
    /// Bytes of content, for the count of what was sent.
    pub(super) fn payload(&self) -> usize {
        match self {
            Self::Statements(statements) => statements.iter().map(Vec::len).sum(),
            Self::Part { bytes, .. } | Self::Chunk(bytes) | Self::Cosigned(bytes) => bytes.len(),
            Self::OtherSize(_) => 8,
            Self::Taken | Self::Unavailable | Self::Refused => 1,
        }
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Statements(statements) => {
                let mut out = vec![1];
                for statement in statements {
                    out.extend_from_slice(
                        &u32::try_from(statement.len())
                            .unwrap_or(u32::MAX)
                            .to_le_bytes(),
                    );
                    out.extend_from_slice(statement);
                }
                out
            }
            Self::Part { total, bytes } => {
                let mut out = Vec::with_capacity(9 + bytes.len());
                out.push(2);
                out.extend_from_slice(&total.to_le_bytes());
                out.extend_from_slice(bytes);
                out
            }
            Self::Chunk(bytes) => {
                let mut out = Vec::with_capacity(1 + bytes.len());
                out.push(3);
                out.extend_from_slice(bytes);
                out
            }
            Self::Taken => vec![4],
            Self::Unavailable => vec![5],
            Self::Refused => vec![6],
            Self::Cosigned(bytes) => {
                let mut out = Vec::with_capacity(1 + bytes.len());
                out.push(7);
                out.extend_from_slice(bytes);
                out
            }
            Self::OtherSize(size) => {
                let mut out = vec![8];
                out.extend_from_slice(&size.to_le_bytes());
                out
            }
        }
    }

    /// Decodes what [`Response::encode`] makes and nothing else.
    pub fn decode(bytes: &[u8]) -> io::Result<Self> {
        let mut reader = Reader(bytes);
        let response = match reader.array::<1>()? {
            [1] => {
                let mut statements = Vec::new();
                while !reader.0.is_empty() {
                    let length =
                        usize::try_from(u32::from_le_bytes(reader.array()?)).unwrap_or(usize::MAX);
                    if length > MAX_STATEMENT || statements.len() == MAX_STATEMENTS {
                        return Err(malformed("statements too large or too many"));
                    }
                    statements.push(reader.take(length)?.to_vec());
                }
                Self::Statements(statements)
            }
            [2] => Self::Part {
                total: u64::from_le_bytes(reader.array()?),
                bytes: reader.rest(),
            },
            [3] => Self::Chunk(reader.rest()),
            [4] => Self::Taken,
            [5] => Self::Unavailable,
            [6] => Self::Refused,
            [7] => Self::Cosigned(reader.rest()),
            [8] => Self::OtherSize(u64::from_le_bytes(reader.array()?)),
            _ => return Err(malformed("unknown kind of answer")),
        };
        reader.end()?;
        Ok(response)
    }
}

/// Frames a message by its length and never reads past a bound.
#[derive(Debug, Clone)]
pub struct FramedCodec {
    /// How long a request may take to arrive once its stream is open.
    pub arrival: Duration,
}

/// What is read at once, bytes: a peer that promises much and sends little makes nobody keep more.
const STEP: usize = 64 * 1024;

async fn read_length<T: AsyncRead + Unpin + Send>(io: &mut T, most: usize) -> io::Result<usize> {
    let mut length = [0u8; 4];
    io.read_exact(&mut length).await?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > most {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a message of {length} bytes where at most {most} are allowed"),
        ));
    }
    Ok(length)
}

async fn read_frame<T: AsyncRead + Unpin + Send>(io: &mut T, most: usize) -> io::Result<Vec<u8>> {
    let length = read_length(io, most).await?;
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let have = bytes.len();
        bytes.resize(length.min(have + STEP), 0);
        io.read_exact(bytes.get_mut(have..).unwrap_or_default())
            .await?;
    }
    Ok(bytes)
}

/// A request may be private: one buffer of its length, wiped when dropped.
async fn read_private_frame<T: AsyncRead + Unpin + Send>(
    io: &mut T,
    most: usize,
) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = read_length(io, most).await?;
    let mut bytes = Zeroizing::new(vec![0u8; length]);
    io.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn write_frame<T: AsyncWrite + Unpin + Send>(
    io: &mut T,
    bytes: &[u8],
    most: usize,
) -> io::Result<()> {
    let length = u32::try_from(bytes.len())
        .ok()
        .filter(|_| bytes.len() <= most)
        .ok_or_else(|| malformed("own message is too large"))?;
    io.write_all(&length.to_le_bytes()).await?;
    io.write_all(bytes).await?;
    io.close().await
}

/// What arrives where a request was to come. libp2p says nothing of a request that it could not read, so that what is
/// wrong with one is passed on in its place.
#[derive(Debug)]
pub enum Incoming {
    /// A request.
    Request(Request),
    /// None.
    Nonsense(Fault),
}

#[async_trait::async_trait]
impl Codec for FramedCodec {
    type Protocol = StreamProtocol;
    type Request = Incoming;
    type Response = Response;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Incoming> {
        let arrival = tokio::time::timeout(self.arrival, read_private_frame(io, MAX_REQUEST));
        let request = match arrival.await {
            Err(_) => return Ok(Incoming::Nonsense(Fault::SlowRequest)),
            Ok(read) => read.and_then(|bytes| Request::decode(&bytes)),
        };
        match request {
            Ok(request) => Ok(Incoming::Request(request)),
            Err(error) => match error.kind() {
                io::ErrorKind::InvalidData => Ok(Incoming::Nonsense(Fault::MalformedRequest)),
                // Who gives up sending is slow rather than hostile.
                io::ErrorKind::UnexpectedEof => Ok(Incoming::Nonsense(Fault::SlowRequest)),
                _ => Err(error),
            },
        }
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Response> {
        Response::decode(&read_frame(io, MAX_RESPONSE).await?)
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Incoming,
    ) -> io::Result<()> {
        let Incoming::Request(request) = request else {
            return Err(malformed("nonsense is received, not sent"));
        };
        write_frame(io, &request.encode(), MAX_REQUEST).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: Response,
    ) -> io::Result<()> {
        let bytes = response.encode();
        drop(response);
        write_frame(io, &bytes, MAX_RESPONSE).await
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use proptest::prelude::*;

    use super::*;

    fn requests() -> Vec<Request> {
        vec![
            Request::Statements {
                heads: vec![(1, 0, [4; 32]), (2, 7, [5; 32])],
            },
            Request::Blob {
                hash: [3; 32],
                offset: 9,
            },
            Request::Chunk {
                session: [1; 32],
                stage: 2,
                group: 1,
                chunk: 300,
            },
            Request::Private {
                bytes: vec![1, 2, 3].into(),
            },
            Request::Cosign {
                bytes: vec![4, 5, 6],
            },
        ]
    }

    #[test]
    fn every_message_comes_back_as_it_was() {
        for request in requests() {
            assert_eq!(Request::decode(&request.encode()).unwrap(), request);
        }
        let responses = [
            Response::Statements(vec![vec![1], vec![], vec![2; 100]]),
            Response::Part {
                total: 77,
                bytes: vec![0; 5],
            },
            Response::Chunk(vec![9; 9]),
            Response::Cosigned(vec![8; 8]),
            Response::OtherSize(70_000),
            Response::Taken,
            Response::Unavailable,
            Response::Refused,
        ];
        for response in responses {
            assert_eq!(Response::decode(&response.encode()).unwrap(), response);
        }
    }

    #[test]
    fn a_private_message_is_not_shown() {
        let request = Request::Private {
            bytes: vec![0xab; 3].into(),
        };
        assert_eq!(format!("{request:?}"), "Private(3 bytes)");
    }

    #[test]
    fn a_message_cut_short_or_with_a_tail_is_refused() {
        let bytes = Request::Blob {
            hash: [3; 32],
            offset: 9,
        }
        .encode();
        for cut in 0..bytes.len() {
            Request::decode(&bytes[..cut]).unwrap_err();
        }
        let mut long = bytes.to_vec();
        long.push(0);
        Request::decode(&long).unwrap_err();
        Response::decode(&[4, 0]).unwrap_err();
    }

    #[test]
    fn a_request_is_encoded_without_growing_its_buffer() {
        for request in requests() {
            let bytes = request.encode();
            assert_eq!(bytes.len(), request.length());
            assert_eq!(bytes.capacity(), request.length());
        }
    }

    #[test]
    fn heads_out_of_order_or_repeated_are_refused() {
        let head = |party, last| (party, last, [0; 32]);
        for heads in [[head(2, 0), head(1, 0)], [head(1, 0), head(1, 1)]] {
            let heads = heads.to_vec();
            Request::decode(&Request::Statements { heads }.encode()).unwrap_err();
        }
    }

    #[test]
    fn a_frame_above_its_bound_is_refused_before_it_is_read() {
        let mut wire: &[u8] = &[0xff, 0xff, 0xff, 0x7f];
        let refused = block_on(read_frame(&mut wire, MAX_REQUEST)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
        let mut out = Vec::new();
        block_on(write_frame(&mut out, &[0; 11], 10)).unwrap_err();
        assert!(out.is_empty());
    }

    #[test]
    fn a_statement_above_its_bound_is_refused() {
        let response = Response::Statements(vec![vec![0; MAX_STATEMENT + 1]]);
        Response::decode(&response.encode()).unwrap_err();
    }

    proptest! {
        #[test]
        fn whatever_decodes_encodes_to_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(request) = Request::decode(&bytes) {
                prop_assert_eq!(&*request.encode(), &bytes);
            }
            if let Ok(response) = Response::decode(&bytes) {
                prop_assert_eq!(response.encode(), bytes);
            }
        }
    }
}
