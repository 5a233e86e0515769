//! Partial decryption with noise flooding, and recombination (docs/spec/decryption.md 3 to 5).

use std::collections::BTreeMap;

use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::committee::{Committee, Security};
use crate::party::{PartyId, PartySet, PieceId};
use crate::prf::{Label, Seed};
use crate::share::KeyShare;
use crate::squash::SquashedBlocks;

/// Logarithm of the scale of a value in a squashed block.
pub const OPENED_DELTA_LOG: u32 = 123;

/// Number of values that a block can take; what decodes above it violates the padding bit.
pub const OPENED_VALUES: u128 = 16;

/// Bound of the noise of a squashed block before flooding, as a logarithm.
pub const SQUASHED_NOISE_LOG: u32 = 70;

/// Bytes of a stream that one flooding value takes: two numbers of 256 bits.
const FLOOD_BYTES: usize = 64;

/// Why values cannot be decrypted or recombined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    /// The blocks were read from somewhere; only blocks that the node squashed itself are decrypted.
    #[error("squashed blocks {0} were not derived by this node: it decrypts nothing else")]
    NotDerived(crate::digest::Digest),
    /// The key piece belongs to other parameters.
    #[error("the squashing key has dimension {expected}, the blocks have {got}: other parameters")]
    Dimension {
        /// Dimension of the key.
        expected: usize,
        /// Dimension of the blocks.
        got: usize,
    },
    /// The key share is of another epoch.
    #[error("the key share is of epoch {expected}, epoch {got} was asked for")]
    Epoch {
        /// Epoch of the share.
        expected: u32,
        /// Epoch asked for.
        got: u32,
    },
    /// The key share lacks a piece that its party holds.
    #[error("the key share lacks the {0}: it is damaged")]
    NotHeld(PieceId),
    /// A piece has no values yet.
    #[error("no agreed values for the {0}: wait for its holders")]
    MissingPiece(PieceId),
    /// Values for a set that is no piece of the committee.
    #[error("the committee has no {0}")]
    UnknownPiece(PieceId),
    /// A piece has too few or too many values.
    #[error("the {piece} has {got} values for {expected} blocks")]
    Count {
        /// The piece.
        piece: PieceId,
        /// Number of blocks.
        expected: usize,
        /// Number of values.
        got: usize,
    },
    /// A recombined value is outside the noise bound.
    #[error(
        "block {block} recombines outside the noise bound: a share or the ciphertext is wrong, nothing is released"
    )]
    OutOfBound {
        /// Position of the block.
        block: usize,
    },
}

/// Returns the number of pieces, C(n, t).
#[must_use]
pub fn piece_count(committee: &Committee) -> u128 {
    let (n, t) = (u128::from(committee.n()), u128::from(committee.t()));
    (0..t).fold(1, |count, i| count * (n - i) / (i + 1))
}

/// Returns W = floor((2^122 - 2^70) / C(n, t)), the width of a flooding value (decryption.md 3.3).
#[must_use]
pub fn flooding_width(committee: &Committee) -> u128 {
    ((1 << (OPENED_DELTA_LOG - 1)) - (1 << SQUASHED_NOISE_LOG)) / piece_count(committee).max(1)
}

/// Returns the upper 128 bits of a product.
fn multiply_high(a: u128, b: u128) -> u128 {
    const LOW: u128 = u64::MAX as u128;
    let (a0, a1, b0, b1) = (a & LOW, a >> 64, b & LOW, b >> 64);
    let middle = a1 * b0 + ((a0 * b0) >> 64);
    let carry = ((middle & LOW) + a0 * b1) >> 64;
    a1 * b1 + (middle >> 64) + carry
}

/// Maps 256 uniform bits to a number in -width/2 .. width/2 that is uniform up to 2^-128
/// (decryption.md 3.4).
fn centred(bits: &[u8; 32], width: u128) -> u128 {
    let (low, high) = bits.split_at(16);
    let low = low.try_into().map_or(0, u128::from_le_bytes);
    let high = high.try_into().map_or(0, u128::from_le_bytes);
    let (_, carry) = high
        .wrapping_mul(width)
        .overflowing_add(multiply_high(low, width));
    (multiply_high(high, width) + u128::from(carry)).wrapping_sub(width / 2)
}

/// Computes v_A for every block: -<a, s_A> + E_A (decryption.md 3.2).
///
/// The same epoch, blocks and piece give the same values, so a repeated request reveals nothing new.
/// `seed` is the live seed of the piece, `key` the piece of the squashing key.
///
/// # Errors
/// [`DecryptError::NotDerived`] unless the node squashed the blocks itself;
/// [`DecryptError::Dimension`] for a key of other parameters.
pub(crate) fn decrypt_piece(
    committee: &Committee,
    seed: &Seed,
    key: &[u128],
    epoch: u32,
    blocks: &SquashedBlocks,
) -> Result<Vec<u128>, DecryptError> {
    if !blocks.is_derived() {
        return Err(DecryptError::NotDerived(blocks.digest()));
    }
    if !blocks.is_empty() && blocks.lwe_size() != key.len() + 1 {
        return Err(DecryptError::Dimension {
            expected: key.len(),
            got: blocks.lwe_size().saturating_sub(1),
        });
    }
    let width = flooding_width(committee);
    let label = Label::new("organtwin/open")
        .uint(epoch)
        .digest(&blocks.digest());
    let mut flood = Zeroizing::new(vec![0; blocks.len() * FLOOD_BYTES]);
    seed.stream(&label).fill(&mut flood);
    let inputs: Vec<_> = blocks.iter().zip(flood.chunks_exact(FLOOD_BYTES)).collect();
    Ok(inputs
        .par_iter()
        .with_min_len(16)
        .map(|((mask, _), flood)| {
            let product = mask
                .iter()
                .zip(key)
                .fold(0u128, |sum, (a, s)| sum.wrapping_add(a.wrapping_mul(*s)));
            let (first, second) = flood.split_at(FLOOD_BYTES / 2);
            let noise = [first, second].into_iter().fold(0u128, |sum, bits| {
                let bits = Zeroizing::new(bits.try_into().unwrap_or([0; 32]));
                sum.wrapping_add(centred(&bits, width))
            });
            noise.wrapping_sub(product)
        })
        .collect())
}

impl KeyShare {
    /// Computes the values v_A of every piece that this party holds, for blocks that this node
    /// squashed itself (decryption.md 3).
    ///
    /// All of them may be published once the blocks may be opened.
    ///
    /// # Errors
    /// [`DecryptError::NotDerived`] for blocks of other origin, [`DecryptError::Epoch`] for another
    /// epoch than the share's, [`DecryptError::Dimension`] for blocks of other parameters.
    pub fn partial_decrypt(
        &self,
        epoch: u32,
        blocks: &SquashedBlocks,
    ) -> Result<Vec<(PieceId, Vec<u128>)>, DecryptError> {
        if epoch != self.epoch() {
            return Err(DecryptError::Epoch {
                expected: self.epoch(),
                got: epoch,
            });
        }
        self.committee()
            .pieces_of(self.me())
            .map(|piece| {
                let seed = self.live_seeds().get(piece);
                let (seed, key) = seed
                    .zip(self.squashing_piece(piece))
                    .ok_or(DecryptError::NotHeld(piece))?;
                let values = decrypt_piece(self.committee(), seed, key, epoch, blocks)?;
                Ok((piece, values))
            })
            .collect()
    }
}

/// Adds the bodies and one list of values per piece, and decodes 4-bit values (decryption.md 5.1).
///
/// # Errors
/// [`DecryptError`] when a piece is missing, unknown or of another length, and
/// [`DecryptError::OutOfBound`] when a sum is no value with tolerable noise.
pub fn recombine(
    committee: &Committee,
    blocks: &SquashedBlocks,
    values: &BTreeMap<PieceId, Vec<u128>>,
) -> Result<Vec<u8>, DecryptError> {
    recombine_bodies(committee, blocks.iter().map(|(_, body)| body), values)
}

/// Recombines as [`recombine`] does, from the bodies alone.
///
/// # Errors
/// As [`recombine`].
pub fn recombine_bodies(
    committee: &Committee,
    bodies: impl ExactSizeIterator<Item = u128>,
    values: &BTreeMap<PieceId, Vec<u128>>,
) -> Result<Vec<u8>, DecryptError> {
    let pieces = committee.pieces();
    if let Some(unknown) = values
        .keys()
        .find(|piece| pieces.binary_search(piece).is_err())
    {
        return Err(DecryptError::UnknownPiece(*unknown));
    }
    let expected = bodies.len();
    let mut sums: Vec<u128> = bodies.collect();
    for &piece in pieces {
        let shares = values
            .get(&piece)
            .ok_or(DecryptError::MissingPiece(piece))?;
        if shares.len() != expected {
            return Err(DecryptError::Count {
                piece,
                expected,
                got: shares.len(),
            });
        }
        for (sum, share) in sums.iter_mut().zip(shares) {
            *sum = sum.wrapping_add(*share);
        }
    }
    let bound = piece_count(committee) * flooding_width(committee) + (1 << SQUASHED_NOISE_LOG);
    sums.into_iter()
        .enumerate()
        .map(|(block, sum)| decode(sum, bound).ok_or(DecryptError::OutOfBound { block }))
        .collect()
}

/// Rounds to the next multiple of delta; nothing if the padding bit is set or the rest exceeds `bound`.
fn decode(sum: u128, bound: u128) -> Option<u8> {
    let half = 1 << (OPENED_DELTA_LOG - 1);
    let value = sum.wrapping_add(half) >> OPENED_DELTA_LOG;
    let rest = sum.wrapping_sub(value << OPENED_DELTA_LOG);
    let distance = rest.min(rest.wrapping_neg());
    let value = (value < OPENED_VALUES && distance <= bound).then_some(value)?;
    u8::try_from(value).ok()
}

/// A value that enough holders of a piece stated alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed<'a, T> {
    /// The value.
    pub value: &'a T,
    /// The holders that stated another value.
    pub differing: PartySet,
}

/// Why the stated values of a piece do not count yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgreementError {
    /// Too few holders stated the same value; some have not spoken.
    #[error("the {piece} needs {needed} equal values, parties {missing} have not stated theirs")]
    Waiting {
        /// The piece.
        piece: PieceId,
        /// Number of equal values needed.
        needed: usize,
        /// Holders that stated nothing.
        missing: PartySet,
    },
    /// All holders spoke and no value is stated often enough.
    #[error(
        "the holders {holders} of the {piece} disagree and {needed} equal values are needed: nothing is accepted"
    )]
    Disputed {
        /// The piece.
        piece: PieceId,
        /// Number of equal values needed.
        needed: usize,
        /// Everyone who stated a value.
        holders: PartySet,
    },
}

/// Returns how many holders of a piece must state the same value: t+1, or all if the committee is
/// passive (decryption.md 4.1).
#[must_use]
pub fn needed_for_agreement(committee: &Committee, piece: PieceId) -> usize {
    match committee.security() {
        Security::Active => usize::from(committee.t()) + 1,
        Security::Passive => committee.holders(piece).len(),
    }
}

/// Applies the agreement rule to what parties stated for a piece; non-holders do not count
/// (decryption.md 4).
///
/// # Errors
/// [`AgreementError`] while too few holders state the same value.
pub fn agree<'a, T: Eq>(
    committee: &Committee,
    piece: PieceId,
    stated: &'a BTreeMap<PartyId, T>,
) -> Result<Agreed<'a, T>, AgreementError> {
    let rule = Rule {
        security: committee.security(),
        holders: committee.holders(piece),
        needed: needed_for_agreement(committee, piece),
    };
    rule.apply(piece, stated)
}

/// Who may speak about a piece, and how many of them must say the same.
pub(crate) struct Rule {
    pub(crate) security: Security,
    pub(crate) holders: PartySet,
    pub(crate) needed: usize,
}

impl Rule {
    pub(crate) fn apply<'a, T: Eq>(
        &self,
        piece: PieceId,
        stated: &'a BTreeMap<PartyId, T>,
    ) -> Result<Agreed<'a, T>, AgreementError> {
        let (needed, holders) = (self.needed, self.holders);
        let held = || stated.iter().filter(|(party, _)| holders.contains(**party));
        let speakers: PartySet = held().map(|(party, _)| *party).collect();
        let supporters = |value: &T| held().filter(|(_, other)| *other == value).count();
        if let Some((_, value)) = held().find(|(_, value)| supporters(value) >= needed) {
            let differing = held()
                .filter(|(_, other)| *other != value)
                .map(|(party, _)| *party)
                .collect();
            return Ok(Agreed { value, differing });
        }
        let missing = holders.difference(speakers);
        // A passive committee has no majority: one difference settles it.
        let split = held().any(|(_, a)| held().any(|(_, b)| a != b));
        let disputed = missing.is_empty() || (self.security == Security::Passive && split);
        Err(if disputed {
            AgreementError::Disputed {
                piece,
                needed,
                holders: speakers,
            }
        } else {
            AgreementError::Waiting {
                piece,
                needed,
                missing,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::committee::Passive;

    const DIMENSION: usize = 24;

    struct Toy {
        committee: Committee,
        seeds: BTreeMap<PieceId, Seed>,
        keys: BTreeMap<PieceId, Vec<u128>>,
    }

    fn toy(n: u8, t: u8) -> Toy {
        let committee = Committee::new(n, t, Passive::Allow).unwrap();
        let root = Seed::new([n; 32]);
        let seeds = committee
            .pieces()
            .iter()
            .map(|piece| (*piece, root.derive(&Label::new("k").piece(*piece))))
            .collect::<BTreeMap<_, _>>();
        let keys = seeds
            .iter()
            .map(|(piece, seed)| {
                let mut stream = seed.stream(&Label::new("s"));
                (*piece, (0..DIMENSION).map(|_| stream.next_u128()).collect())
            })
            .collect();
        Toy {
            committee,
            seeds,
            keys,
        }
    }

    impl Toy {
        fn encrypt(&self, values: &[u8], noise: i64) -> SquashedBlocks {
            let mut stream = Seed::new([1; 32]).stream(&Label::new("a"));
            let mut words = Vec::new();
            for value in values {
                let mask: Vec<u128> = (0..DIMENSION).map(|_| stream.next_u128()).collect();
                let mut body = (u128::from(*value) << 123).wrapping_add_signed(i128::from(noise));
                for key in self.keys.values() {
                    for (a, s) in mask.iter().zip(key) {
                        body = body.wrapping_add(a.wrapping_mul(*s));
                    }
                }
                words.extend(mask);
                words.push(body);
            }
            SquashedBlocks::from_words(words, DIMENSION + 1)
        }

        fn partial(&self, piece: PieceId, epoch: u32, blocks: &SquashedBlocks) -> Vec<u128> {
            decrypt_piece(
                &self.committee,
                &self.seeds[&piece],
                &self.keys[&piece],
                epoch,
                blocks,
            )
            .unwrap()
        }

        fn all(&self, blocks: &SquashedBlocks) -> BTreeMap<PieceId, Vec<u128>> {
            self.seeds
                .keys()
                .map(|piece| (*piece, self.partial(*piece, 1, blocks)))
                .collect()
        }
    }

    fn party(number: u8) -> PartyId {
        PartyId::new(number).unwrap()
    }

    proptest! {
        #[test]
        fn all_pieces_together_open_the_values(
            size in prop::sample::select(vec![(3u8, 1u8), (4, 1), (5, 1), (5, 2), (7, 2), (10, 3)]),
            values in prop::collection::vec(0u8..16, 0..20),
            noise in any::<i64>(),
        ) {
            let toy = toy(size.0, size.1);
            let blocks = toy.encrypt(&values, noise);
            prop_assert_eq!(recombine(&toy.committee, &blocks, &toy.all(&blocks)).unwrap(), values);
        }

        #[test]
        fn high_products_equal_long_multiplication(a: u128, b: u128) {
            let half = |x: u128| [x & u128::from(u64::MAX), x >> 64];
            let ([a0, a1], [b0, b1]) = (half(a), half(b));
            // Schoolbook with 64-bit columns.
            let mut columns = [0u128; 4];
            for (i, x) in [a0, a1].into_iter().enumerate() {
                for (j, y) in [b0, b1].into_iter().enumerate() {
                    let [low, high] = half(x * y);
                    columns[i + j] += low;
                    columns[i + j + 1] += high;
                }
            }
            for i in 0..3 {
                columns[i + 1] += columns[i] >> 64;
                columns[i] &= u128::from(u64::MAX);
            }
            prop_assert_eq!(multiply_high(a, b), columns[2] + (columns[3] << 64));
        }

        #[test]
        fn flooding_stays_within_half_the_width(bits: [u8; 32], width in 1u128..1 << 122) {
            let value = centred(&bits, width).cast_signed();
            prop_assert!(value >= -(width / 2).cast_signed());
            prop_assert!(value < (width - width / 2).cast_signed());
        }
    }

    #[test]
    fn flooding_reaches_both_ends_of_its_width() {
        assert_eq!(centred(&[0; 32], 1000).cast_signed(), -500);
        assert_eq!(centred(&[255; 32], 1000).cast_signed(), 499);
    }

    #[test]
    fn a_repeated_request_gives_the_same_values_and_another_epoch_others() {
        let toy = toy(4, 1);
        let blocks = toy.encrypt(&[3, 9], 0);
        let piece = toy.committee.pieces()[0];
        assert_eq!(
            toy.partial(piece, 1, &blocks),
            toy.partial(piece, 1, &blocks)
        );
        assert_ne!(
            toy.partial(piece, 1, &blocks),
            toy.partial(piece, 2, &blocks)
        );
    }

    #[test]
    fn flooding_depends_on_every_squashed_byte() {
        let toy = toy(4, 1);
        let one = toy.encrypt(&[3, 9], 0);
        let other = toy.encrypt(&[3, 8], 0);
        let piece = toy.committee.pieces()[0];
        // The first blocks are equal and the key is the same: only the digest differs.
        assert_eq!(one.iter().next(), other.iter().next());
        assert_ne!(
            toy.partial(piece, 1, &one)[0],
            toy.partial(piece, 1, &other)[0]
        );
    }

    #[test]
    fn blocks_that_were_not_derived_here_are_never_decrypted() {
        let toy = toy(4, 1);
        let crafted =
            SquashedBlocks::from_bytes(&toy.encrypt(&[3], 0).to_bytes(), DIMENSION + 1).unwrap();
        let piece = toy.committee.pieces()[0];
        assert_eq!(
            decrypt_piece(
                &toy.committee,
                &toy.seeds[&piece],
                &toy.keys[&piece],
                1,
                &crafted
            ),
            Err(DecryptError::NotDerived(crafted.digest()))
        );
    }

    #[test]
    fn a_value_outside_the_bound_is_refused() {
        let toy = toy(4, 1);
        let blocks = toy.encrypt(&[3, 9], 0);
        let mut values = toy.all(&blocks);
        let piece = *values.keys().next().unwrap();
        values.get_mut(&piece).unwrap()[1] ^= 1 << 127;
        assert_eq!(
            recombine(&toy.committee, &blocks, &values),
            Err(DecryptError::OutOfBound { block: 1 })
        );
    }

    #[test]
    fn missing_unknown_and_short_pieces_are_refused() {
        let toy = toy(4, 1);
        let blocks = toy.encrypt(&[3, 9], 0);
        let values = toy.all(&blocks);
        let piece = *values.keys().next().unwrap();
        let mut missing = values.clone();
        missing.remove(&piece);
        assert_eq!(
            recombine(&toy.committee, &blocks, &missing),
            Err(DecryptError::MissingPiece(piece))
        );
        let mut short = values.clone();
        short.get_mut(&piece).unwrap().pop();
        assert!(matches!(
            recombine(&toy.committee, &blocks, &short),
            Err(DecryptError::Count {
                expected: 2,
                got: 1,
                ..
            })
        ));
        let mut unknown = values;
        unknown.insert(PieceId::without(PartySet::first(2)), vec![0, 0]);
        assert!(matches!(
            recombine(&toy.committee, &blocks, &unknown),
            Err(DecryptError::UnknownPiece(_))
        ));
    }

    #[test]
    fn the_values_of_a_coalition_say_nothing_without_the_piece_that_it_lacks() {
        // For any guess there is a share of the missing piece that opens to it.
        let toy = toy(4, 1);
        let blocks = toy.encrypt(&[11], 0);
        let values = toy.all(&blocks);
        for lacked in toy.committee.pieces() {
            for guess in 0..16u8 {
                let mut forged = values.clone();
                let difference = u128::from(guess).wrapping_sub(11) << 123;
                let share = &mut forged.get_mut(lacked).unwrap()[0];
                *share = share.wrapping_add(difference);
                assert_eq!(
                    recombine(&toy.committee, &blocks, &forged).unwrap(),
                    [guess]
                );
            }
        }
    }

    #[test]
    fn a_wrong_share_is_outvoted_and_its_party_named() {
        let committee = Committee::new(4, 1, Passive::Refuse).unwrap();
        let piece = PieceId::without([party(1)].into_iter().collect());
        let stated = BTreeMap::from([(party(2), 7), (party(3), 8), (party(4), 7)]);
        let agreed = agree(&committee, piece, &stated).unwrap();
        assert_eq!(*agreed.value, 7);
        assert_eq!(agreed.differing, [party(3)].into_iter().collect());
    }

    #[test]
    fn one_value_is_not_enough_and_a_non_holder_does_not_count() {
        let committee = Committee::new(4, 1, Passive::Refuse).unwrap();
        let piece = PieceId::without([party(1)].into_iter().collect());
        let stated = BTreeMap::from([(party(1), 7), (party(2), 7)]);
        assert_eq!(
            agree(&committee, piece, &stated),
            Err(AgreementError::Waiting {
                piece,
                needed: 2,
                missing: [party(3), party(4)].into_iter().collect()
            })
        );
    }

    #[test]
    fn a_passive_committee_needs_all_holders_alike() {
        let committee = Committee::new(3, 1, Passive::Allow).unwrap();
        let piece = PieceId::without([party(1)].into_iter().collect());
        let alike = BTreeMap::from([(party(2), 7), (party(3), 7)]);
        assert_eq!(*agree(&committee, piece, &alike).unwrap().value, 7);
        let alone = BTreeMap::from([(party(2), 7)]);
        assert!(matches!(
            agree(&committee, piece, &alone),
            Err(AgreementError::Waiting { needed: 2, .. })
        ));
        let apart = BTreeMap::from([(party(2), 7), (party(3), 8)]);
        assert!(matches!(
            agree(&committee, piece, &apart),
            Err(AgreementError::Disputed { needed: 2, .. })
        ));
    }

    #[test]
    fn the_width_leaves_room_for_all_pieces_and_the_noise() {
        for (n, t, pieces) in [(3, 1, 3), (4, 1, 4), (7, 2, 21), (10, 3, 120), (12, 3, 220)] {
            let committee = Committee::new(n, t, Passive::Allow).unwrap();
            assert_eq!(piece_count(&committee), pieces);
            let width = flooding_width(&committee);
            assert!(pieces * width + (1 << 70) <= 1 << 122);
            assert!((pieces + 1) * width > 1 << 122);
        }
    }
}
