//! Resharing between whole committees, with dealt shares of small parameters.

use super::*;
use crate::committee::Passive;
use crate::dealt::{Dealt, deal};
use crate::decrypt::{agree, recombine};
use crate::open::PieceSeeds;
use crate::seeds::{SeedShare, combine_seed};
use crate::share::KeyShare;
use crate::squash::SquashedBlocks;

fn party(number: u8) -> PartyId {
    PartyId::new(number).unwrap()
}

fn set(numbers: &[u8]) -> PartySet {
    numbers.iter().copied().map(party).collect()
}

fn committee(numbers: &[u8], t: u8) -> Committee {
    Committee::over(set(numbers), t, Passive::Allow).unwrap()
}

fn dealt(committee: &Committee) -> Dealt {
    let params = ParameterSet::toy().unwrap();
    let mut stream = Seed::new([5; 32]).stream(&Label::new("key"));
    let glwe: Vec<u64> = (0..params.glwe_size())
        .map(|_| stream.next_u64() & 1)
        .collect();
    let squashing: Vec<u128> = (0..params.squashing_size())
        .map(|_| stream.next_u128() & 1)
        .collect();
    deal(committee, params, &glwe, &squashing, &Seed::new([6; 32])).unwrap()
}

fn change(from: &Committee, to: &Committee, epoch: u32) -> Resharing {
    Resharing {
        from: from.clone(),
        to: to.clone(),
        session: SessionId::new([u8::try_from(epoch).unwrap(); 32]),
        epoch,
        excused: PartySet::EMPTY,
    }
}

/// The seeds of a new member, from contributions of the new members.
fn seeds(resharing: &Resharing, me: PartyId) -> PieceSeeds {
    let seeds = resharing.to.pieces_of(me).map(|piece| {
        let shares: Vec<(PartyId, SeedShare)> = resharing
            .to
            .holders(piece)
            .iter()
            .map(|party| {
                let mut bytes = [party.get(); 32];
                bytes[..2].copy_from_slice(&piece.absent().bits().to_le_bytes());
                (party, SeedShare::new(bytes))
            })
            .collect();
        let shares: Vec<_> = shares.iter().map(|(p, share)| (*p, share)).collect();
        (piece, combine_seed(&resharing.session, piece, &shares))
    });
    PieceSeeds::new(&resharing.to, me, seeds.collect()).unwrap()
}

fn offers(shares: &[KeyShare], resharing: &Resharing, present: PartySet) -> Vec<(PartyId, Offer)> {
    shares
        .iter()
        .filter(|share| present.contains(share.me()))
        .map(|share| (share.me(), share.reshare(resharing).unwrap()))
        .collect()
}

/// What was accepted for every old piece, and who differed.
fn accepted(
    resharing: &Resharing,
    offers: &[(PartyId, Offer)],
) -> (BTreeMap<PieceId, Digest>, PartySet) {
    let mut differing = PartySet::EMPTY;
    let mut accepted = BTreeMap::new();
    for old in resharing.from.pieces() {
        let stated = offers
            .iter()
            .filter_map(|(from, offer)| {
                let digests = offer.digests();
                let (_, digest) = digests.iter().find(|(piece, _)| piece == old)?;
                Some((*from, *digest))
            })
            .collect();
        let agreed = resharing.accept(*old, &stated).unwrap();
        differing = differing.union(agreed.differing);
        accepted.insert(*old, *agreed.value);
    }
    (accepted, differing)
}

/// Every new member asks the old ones in turn until one gives what was accepted.
fn receive(
    resharing: &Resharing,
    offers: &[(PartyId, Offer)],
    accepted: &BTreeMap<PieceId, Digest>,
    me: PartyId,
) -> KeyShare {
    let params = ParameterSet::toy().unwrap();
    let key = Digest::new([0; 32]);
    let mut collector = Collector::new(resharing, me, params, key, accepted.clone()).unwrap();
    if let Some((_, own)) = offers.iter().find(|(from, _)| *from == me) {
        collector.take_own(own);
    }
    for old in collector.missing() {
        let parcels = offers.iter().filter_map(|(_, offer)| offer.parcel(old, me));
        let taken = parcels
            .map(|parcel| collector.take(old, &parcel))
            .any(|r| r.is_ok());
        assert!(taken, "nobody gave the {old}");
    }
    collector.combine(seeds(resharing, me)).unwrap()
}

fn reshare(shares: &[KeyShare], resharing: &Resharing, present: PartySet) -> Vec<KeyShare> {
    let offers = offers(shares, resharing, present);
    let (accepted, differing) = accepted(resharing, &offers);
    assert_eq!(differing, PartySet::EMPTY);
    let new = resharing.to.parties().iter();
    new.map(|me| receive(resharing, &offers, &accepted, me))
        .collect()
}

/// Adds up the pieces of both keys, after checking that all holders of a piece have the same.
fn key_of(committee: &Committee, shares: &[KeyShare]) -> (Vec<u64>, Vec<u128>) {
    let params = ParameterSet::toy().unwrap();
    let mut glwe = vec![0u64; params.glwe_size()];
    let mut squashing = vec![0u128; params.squashing_size()];
    for piece in committee.pieces() {
        let mut holders = shares.iter().filter(|share| piece.is_held_by(share.me()));
        let one = holders.next().unwrap();
        for other in holders {
            assert_eq!(one.glwe_piece(*piece), other.glwe_piece(*piece));
            assert_eq!(one.squashing_piece(*piece), other.squashing_piece(*piece));
            assert_eq!(
                one.live_seeds().get(*piece).unwrap().expose(),
                other.live_seeds().get(*piece).unwrap().expose()
            );
        }
        let values = one.glwe_piece(*piece).unwrap();
        glwe.iter_mut()
            .zip(values)
            .for_each(|(s, v)| *s = s.wrapping_add(*v));
        let values = one.squashing_piece(*piece).unwrap();
        squashing
            .iter_mut()
            .zip(values)
            .for_each(|(s, v)| *s = s.wrapping_add(*v));
    }
    (glwe, squashing)
}

/// Blocks with these values under a key.
fn encrypt(key: &[u128], values: &[u8]) -> SquashedBlocks {
    let mut stream = Seed::new([2; 32]).stream(&Label::new("mask"));
    let mut words = Vec::new();
    for value in values {
        let mut body = u128::from(*value) << 123;
        for bit in key {
            let word = stream.next_u128();
            body = body.wrapping_add(word.wrapping_mul(*bit));
            words.push(word);
        }
        words.push(body);
    }
    SquashedBlocks::from_words(words, key.len() + 1)
}

fn decrypt(committee: &Committee, shares: &[KeyShare], blocks: &SquashedBlocks) -> Vec<u8> {
    let mut stated: BTreeMap<PieceId, BTreeMap<PartyId, Vec<u128>>> = BTreeMap::new();
    for share in shares {
        for (piece, values) in share.partial_decrypt(share.epoch(), blocks).unwrap() {
            stated.entry(piece).or_default().insert(share.me(), values);
        }
    }
    let values = stated
        .iter()
        .map(|(piece, all)| (*piece, agree(committee, *piece, all).unwrap().value.clone()))
        .collect();
    recombine(committee, blocks, &values).unwrap()
}

#[test]
fn the_key_stays_the_same_through_many_changes_of_the_committee() {
    // Refresh, join, join, leave, recover at the same size, a higher threshold and back.
    let steps: [(&[u8], u8); 8] = [
        (&[1, 2, 3, 4], 1),
        (&[1, 2, 3, 4], 1),
        (&[1, 2, 3, 4, 5], 1),
        (&[1, 2, 3, 4, 5, 6], 1),
        (&[1, 3, 4, 5, 6, 16], 1),
        (&[1, 3, 4, 5, 6, 9, 16], 2),
        (&[3, 4, 5, 9], 1),
        (&[4, 5, 9], 1),
    ];
    let mut old = committee(steps[0].0, steps[0].1);
    let dealt = dealt(&old);
    let key = key_of(&old, &dealt.shares);
    assert!(key.1.iter().all(|bit| *bit <= 1));
    let blocks = encrypt(&key.1, &[3, 14, 0, 9]);
    assert_eq!(decrypt(&old, &dealt.shares, &blocks), [3, 14, 0, 9]);
    let mut shares = dealt.shares;
    for (epoch, (parties, t)) in (1u32..).zip(&steps[1..]) {
        let new = committee(parties, *t);
        shares = reshare(&shares, &change(&old, &new, epoch), old.parties());
        assert!(shares.iter().all(|share| share.epoch() == epoch));
        assert_eq!(key_of(&new, &shares), key, "epoch {epoch}");
        assert_eq!(decrypt(&new, &shares, &blocks), [3, 14, 0, 9]);
        old = new;
    }
}

#[test]
fn old_and_new_pieces_and_seeds_have_nothing_in_common() {
    let old = committee(&[1, 2, 3, 4], 1);
    let shares = dealt(&old).shares;
    let new = reshare(&shares, &change(&old, &old, 1), old.parties());
    for (before, after) in shares.iter().zip(&new) {
        for piece in old.pieces_of(before.me()) {
            assert_ne!(before.glwe_piece(piece), after.glwe_piece(piece));
            assert_ne!(before.squashing_piece(piece), after.squashing_piece(piece));
            let seed = |share: &KeyShare| *share.live_seeds().get(piece).unwrap().expose();
            assert_ne!(seed(before), seed(after));
        }
    }
}

#[test]
fn n_minus_t_old_members_are_enough_whoever_is_absent() {
    for (parties, t) in [(&[1, 2, 3, 4][..], 1), (&[1, 2, 3, 4, 5, 6, 7], 2)] {
        let old = committee(parties, t);
        let new = committee(&[2, 3, 4, 8, 9], 1);
        let shares = dealt(&old).shares;
        let key = key_of(&old, &shares);
        for absent in PartySet::subsets(old.n(), usize::from(t)) {
            let present = old.parties().difference(absent);
            let got = reshare(&shares, &change(&old, &new, 1), present);
            assert_eq!(key_of(&new, &got), key, "without {absent}");
        }
    }
}

#[test]
fn a_passive_committee_does_without_the_member_that_lost_its_share() {
    let old = committee(&[1, 2, 3], 1);
    let shares = dealt(&old).shares;
    let mut change = change(&old, &old, 1);
    let piece = PieceId::without(set(&[1]));
    let one = BTreeMap::from([(party(3), Digest::new([1; 32]))]);
    assert_eq!(
        change.accept(piece, &one),
        Err(AgreementError::Waiting {
            piece,
            needed: 2,
            missing: set(&[2])
        })
    );
    change.excused = set(&[2]);
    assert!(change.accept(piece, &one).is_ok());
    let got = reshare(&shares, &change, set(&[1, 3]));
    assert_eq!(key_of(&old, &got), key_of(&old, &shares));
}

/// A share whose `piece` has one wrong value.
fn tampered(share: &mut KeyShare, piece: PieceId) {
    share.squashing.get_mut(&piece).unwrap().expose_mut()[7] ^= 1;
}

#[test]
fn a_lying_old_holder_is_outvoted_and_named() {
    let old = committee(&[1, 2, 3, 4], 1);
    let new = committee(&[1, 2, 3, 4, 5], 1);
    let mut shares = dealt(&old).shares;
    let key = key_of(&old, &shares);
    let piece = PieceId::without(set(&[4]));
    tampered(&mut shares[1], piece);
    let resharing = change(&old, &new, 1);
    let offers = offers(&shares, &resharing, old.parties());
    let (accepted, differing) = accepted(&resharing, &offers);
    assert_eq!(differing, set(&[2]));
    let got: Vec<KeyShare> = (new.parties().iter())
        .map(|me| receive(&resharing, &offers, &accepted, me))
        .collect();
    assert_eq!(key_of(&new, &got), key);
    // What the liar sends is refused, and nothing of it is kept.
    let params = ParameterSet::toy().unwrap();
    let key = Digest::new([0; 32]);
    let mut collector = Collector::new(&resharing, party(5), params, key, accepted).unwrap();
    let lie = offers[1].1.parcel(piece, party(5)).unwrap();
    assert_eq!(
        collector.take(piece, &lie),
        Err(ReshareError::Mismatch(piece))
    );
    assert!(collector.missing().contains(&piece));
}

#[test]
fn a_kappa_that_differs_between_new_members_breaks_the_key() {
    let old = committee(&[1, 2, 3, 4], 1);
    let mut shares = dealt(&old).shares;
    let key = key_of(&old, &shares);
    let resharing = change(&old, &old, 1);
    let honest = offers(&shares, &resharing, old.parties());
    let (digests, _) = accepted(&resharing, &honest);
    let piece = PieceId::without(set(&[4]));
    shares[1].live.replace_for_test(piece, Seed::new([9; 32]));
    let lie = offers(&shares, &resharing, set(&[2]));
    let mut wrong = digests.clone();
    let told = lie[0].1.digests();
    wrong.extend(told.iter().filter(|(p, _)| *p == piece).copied());
    assert_ne!(wrong, digests);
    // Members 1 to 3 take what was accepted; if somebody accepts another digest, it gets another piece.
    let both: Vec<_> = honest
        .into_iter()
        .chain(lie)
        .filter(|(p, _)| *p != party(4))
        .collect();
    let four = receive(&resharing, &both, &wrong, party(4));
    let one = receive(&resharing, &both, &digests, party(1));
    let shared = old
        .pieces()
        .iter()
        .filter(|p| p.is_held_by(party(1)) && p.is_held_by(party(4)));
    for new in shared {
        assert_ne!(one.glwe_piece(*new), four.glwe_piece(*new), "{new}");
    }
    // The kappa of one member beside the vector of the others is another key.
    let two = receive(&resharing, &both, &digests, party(2));
    let pieces: Vec<_> = old.pieces_of(party(4)).collect();
    let sum = |pick: &dyn Fn(PieceId) -> u128| {
        old.pieces()
            .iter()
            .fold(0u128, |sum, new| sum.wrapping_add(pick(*new)))
    };
    let value = |share: &KeyShare, new| share.squashing_piece(new).map(|piece| piece[0]);
    let right = |new| value(&one, new).or_else(|| value(&two, new)).unwrap();
    assert_eq!(sum(&right), key.1[0]);
    for wrong in pieces {
        let mixed = |new| {
            if new == wrong {
                value(&four, new).unwrap()
            } else {
                right(new)
            }
        };
        assert_ne!(sum(&mixed), key.1[0], "{wrong}");
    }
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

/// Every coalition of t old and t new members lacks one old and one new piece, and nothing that it was sent
/// depends on the part of the one that went into the other.
#[test]
fn t_old_and_t_new_members_together_learn_nothing_of_the_key() {
    let cases: [(&[u8], u8, &[u8], u8); 4] = [
        (&[1, 2, 3, 4], 1, &[1, 2, 3, 4], 1),
        (&[1, 2, 3, 4], 1, &[1, 2, 3, 4, 5], 1),
        (&[1, 2, 3, 4, 5], 1, &[1, 3, 4, 5], 1),
        (&[1, 2, 3, 4], 1, &[2, 3, 4, 5, 6, 7, 8], 2),
    ];
    for (from, t, to, t2) in cases {
        let (old, new) = (committee(from, t), committee(to, t2));
        let resharing = change(&old, &new, 1);
        let shares = dealt(&old).shares;
        let first = resharing.first().unwrap();
        for lacked_old in old.pieces().iter().copied() {
            let bad_old = lacked_old.absent();
            assert!(bad_old.iter().all(|p| !lacked_old.is_held_by(p)));
            let holder = old.holders(lacked_old).iter().next().unwrap();
            let offer = shares
                .iter()
                .find(|share| share.me() == holder)
                .unwrap()
                .reshare(&resharing)
                .unwrap();
            let cut = &offer.pieces[&lacked_old];
            for lacked_new in new.pieces().iter().copied() {
                // All that the new members of the coalition are sent of the old piece that its old members lack.
                let sent: Vec<_> = (lacked_new.absent().iter())
                    .map(|me| offer.parcel(lacked_old, me).unwrap())
                    .collect();
                let hidden: &[u8] = if lacked_new == first {
                    &cut.vector
                } else {
                    cut.kappas[&lacked_new].expose()
                };
                assert!(sent.iter().all(|parcel| !contains(parcel, hidden)));
                // What any one more new member gets holds it: the search above can find it.
                let outside = new.holders(lacked_new).iter().next().unwrap();
                assert!(contains(
                    &offer.parcel(lacked_old, outside).unwrap(),
                    hidden
                ));
            }
        }
    }
}

/// The old piece plus anything, with the same anything added to the part that only others hold, gives the
/// coalition the same pieces, vectors and kappas: its view fits every key.
#[test]
fn the_view_of_a_coalition_fits_every_key() {
    let (old, new) = (committee(&[1, 2, 3, 4], 1), committee(&[1, 2, 3, 4, 5], 1));
    let resharing = change(&old, &new, 1);
    let params = ParameterSet::toy().unwrap();
    let first = resharing.first().unwrap();
    let delta = 0x1234_5678_9abc_def1u64;
    for lacked_old in old.pieces().iter().copied() {
        let holder = old.holders(lacked_old).iter().next().unwrap();
        let [real, other] = [0, delta].map(|delta| {
            let mut share = dealt(&old).shares.swap_remove(holder.index());
            let piece = share.glwe.get_mut(&lacked_old).unwrap().expose_mut();
            piece.iter_mut().for_each(|v| *v = v.wrapping_add(delta));
            let piece = share.squashing.get_mut(&lacked_old).unwrap().expose_mut();
            piece
                .iter_mut()
                .for_each(|v| *v = v.wrapping_add(u128::from(delta)));
            share.reshare(&resharing).unwrap()
        });
        let (real, other) = (&real.pieces[&lacked_old], &other.pieces[&lacked_old]);
        // The kappas do not depend on the key at all.
        for (new, kappa) in &real.kappas {
            assert_eq!(kappa.expose(), other.kappas[new].expose());
        }
        // A coalition outside the first piece never sees the vector. One that lacks another piece sees it, and
        // lacks a summand of it that is as long: adding delta there gives the same bytes.
        let (small, large) = other.vector.split_at(8 * params.glwe_size());
        let mut compensated = Vec::new();
        for value in small.as_chunks::<8>().0 {
            let value = u64::from_le_bytes(*value).wrapping_sub(delta);
            compensated.extend(value.to_le_bytes());
        }
        for value in large.as_chunks::<16>().0 {
            let value = u128::from_le_bytes(*value).wrapping_sub(u128::from(delta));
            compensated.extend(value.to_le_bytes());
        }
        assert_eq!(compensated, *real.vector);
        for lacked_new in new.pieces().iter().filter(|new| **new != first) {
            let (mut small, mut large) = expand(&real.kappas[lacked_new]);
            let parts: std::collections::BTreeSet<u64> =
                (0..params.glwe_size()).map(|_| small.next_u64()).collect();
            assert_eq!(parts.len(), params.glwe_size());
            assert_ne!(large.next_u128(), large.next_u128());
        }
    }
}

#[test]
fn nothing_of_one_change_means_anything_in_another() {
    let old = committee(&[1, 2, 3, 4], 1);
    let share = dealt(&old).shares.swap_remove(0);
    let base = change(&old, &committee(&[1, 2, 3, 4, 5], 1), 1);
    let mut others = [base.clone(), base.clone(), base.clone()];
    others[0].session = SessionId::new([9; 32]);
    others[1].epoch = 2;
    others[2].to = committee(&[1, 2, 3, 4, 6], 1);
    let offer = share.reshare(&base).unwrap();
    for other in &others {
        let other = share.reshare(other).unwrap();
        for (old, piece) in &offer.pieces {
            for (new, kappa) in &piece.kappas {
                let theirs = other.pieces[old].kappas.get(new);
                assert!(theirs.is_none_or(|theirs| theirs.expose() != kappa.expose()));
            }
            assert!(
                !other
                    .digests()
                    .iter()
                    .any(|(_, digest)| offer.digests().contains(&(*old, *digest)))
            );
        }
    }
}

#[test]
fn what_is_undecided_names_who_is_missing_or_who_disagrees() {
    let old = committee(&[1, 2, 3, 4], 1);
    let resharing = change(&old, &old, 1);
    let piece = PieceId::without(set(&[1]));
    let digest = |byte| Digest::new([byte; 32]);
    // A party that lacks the piece does not count.
    let stated = BTreeMap::from([(party(1), digest(1)), (party(3), digest(1))]);
    assert_eq!(
        resharing.accept(piece, &stated),
        Err(AgreementError::Waiting {
            piece,
            needed: 2,
            missing: set(&[2, 4])
        })
    );
    let stated = BTreeMap::from([
        (party(2), digest(1)),
        (party(3), digest(2)),
        (party(4), digest(3)),
    ]);
    assert_eq!(
        resharing.accept(piece, &stated),
        Err(AgreementError::Disputed {
            piece,
            needed: 2,
            holders: set(&[2, 3, 4])
        })
    );
}

#[test]
fn shares_and_parcels_that_do_not_belong_are_refused() {
    let old = committee(&[1, 2, 3, 4], 1);
    let new = committee(&[1, 2, 3, 4, 5], 1);
    let shares = dealt(&old).shares;
    let resharing = change(&old, &new, 1);
    let refused = |change: &Resharing| shares[0].reshare(change).err().unwrap();
    assert!(matches!(
        refused(&change(&new, &old, 1)),
        ReshareError::OtherCommittee { .. }
    ));
    assert_eq!(
        refused(&change(&old, &new, 0)),
        ReshareError::Epoch {
            share: 0,
            change: 0
        }
    );
    let all = offers(&shares, &resharing, old.parties());
    let (digests, _) = accepted(&resharing, &all);
    let params = ParameterSet::toy().unwrap();
    let key = Digest::new([0; 32]);
    let start = |me, digests| Collector::new(&resharing, me, params, key, digests);
    assert_eq!(
        start(party(6), digests.clone()).err(),
        Some(ReshareError::NotAMember(party(6), "new"))
    );
    let mut fewer = digests.clone();
    let (lacking, _) = fewer.pop_first().unwrap();
    assert_eq!(
        start(party(5), fewer).err(),
        Some(ReshareError::NotAccepted(lacking))
    );
    let offer = &all[0].1;
    assert!(
        offer
            .parcel(PieceId::without(set(&[1])), party(5))
            .is_none()
    );
    assert!(
        offer
            .parcel(PieceId::without(set(&[2])), party(6))
            .is_none()
    );
    // A parcel with any one byte changed is refused, one of every kind of byte is tried.
    for me in [1, 5] {
        let mut collector = start(party(me), digests.clone()).unwrap();
        let piece = PieceId::without(set(&[2]));
        let good = offer.parcel(piece, party(me)).unwrap();
        assert_eq!(good.len(), resharing.parcel_bytes(&params, party(me)));
        for position in (0..good.len()).step_by(31).chain([good.len() - 1]) {
            let mut bad = good.to_vec();
            bad[position] ^= 4;
            assert_eq!(
                collector.take(piece, &bad),
                Err(ReshareError::Mismatch(piece))
            );
        }
        assert!(matches!(
            collector.take(piece, &good[1..]),
            Err(ReshareError::Length { .. })
        ));
        // Another piece's, and another member's.
        let other = PieceId::without(set(&[3]));
        assert!(collector.take(other, &good).is_err());
        let foreign = offer.parcel(piece, party(3)).unwrap();
        assert!(collector.take(piece, &foreign).is_err());
        collector.take(piece, &good).unwrap();
        assert_eq!(collector.missing().len(), 3);
        let missing = collector.missing();
        let early = collector.combine(seeds(&resharing, party(me))).err();
        assert_eq!(early, Some(ReshareError::Incomplete(missing)));
    }
}

#[test]
fn a_reshared_key_is_sealed_with_its_committee_and_epoch() {
    use crate::seal::SealingKey;
    use crate::secret::Secret;
    let old = committee(&[1, 2, 3, 4], 1);
    let new = committee(&[1, 3, 4, 7, 9], 1);
    let shares = dealt(&old).shares;
    let got = reshare(&shares, &change(&old, &new, 6), old.parties());
    let key = SealingKey::KeyFile(Secret::new([3; 32]));
    let sealed = got[4].seal(&key, [1; 24]).unwrap();
    let back = KeyShare::unseal(&sealed, &key).unwrap();
    assert_eq!((back.me(), back.epoch()), (party(9), 6));
    assert_eq!(back.committee(), &new);
    for piece in new.pieces_of(party(9)) {
        assert_eq!(back.squashing_piece(piece), got[4].squashing_piece(piece));
    }
}
