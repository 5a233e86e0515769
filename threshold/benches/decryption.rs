//! Speed of opening, squashing and input masks at the real parameters:
//! `cargo bench -p organtwin-threshold --features insecure-test-parameters`.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use organtwin_threshold::dealt::{Dealt, deal};
use organtwin_threshold::{
    BatchId, Collector, Committee, Label, Offer, ParameterSet, PartyId, PartySet, Passive,
    PieceSeeds, Resharing, Seed, SessionId, SquashedBlocks, agree, recombine, squash,
};
use tfhe::shortint::noise_squashing::{NoiseSquashingKey, NoiseSquashingPrivateKey};
use tfhe::shortint::{ClientKey, ServerKey};

fn committee() -> Committee {
    Committee::new(4, 1, Passive::Refuse).expect("a committee of four")
}

fn four_parties() -> Dealt {
    let params = ParameterSet::production().expect("real parameters");
    deal(
        &committee(),
        params,
        &[1; 2048],
        &[1; 4096],
        &Seed::new([1; 32]),
    )
    .expect("shares")
}

/// Four blocks of 4 bits with values 1, 2, 3, 4 under the all-ones key of [`four_parties`].
fn sixteen_bits() -> SquashedBlocks {
    let mut stream = Seed::new([2; 32]).stream(&Label::new("mask"));
    let mut bytes = Vec::new();
    bytes.extend(4u32.to_le_bytes());
    bytes.extend(4097u32.to_le_bytes());
    for value in 1..=4u128 {
        let mut body = value << 123;
        for _ in 0..4096 {
            let word = stream.next_u128();
            body = body.wrapping_add(word);
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(body.to_le_bytes());
    }
    let digest = SquashedBlocks::from_bytes(&bytes, 4097)
        .expect("blocks")
        .digest();
    SquashedBlocks::restore(&bytes, 4097, digest).expect("blocks")
}

/// One old party cuts its pieces, one new party takes all of them: what a node computes in a change.
fn reshare(c: &mut Criterion) {
    let dealt = four_parties();
    let five = Committee::new(5, 1, Passive::Refuse).expect("a committee of five");
    let change = Resharing {
        from: committee(),
        to: five.clone(),
        session: SessionId::new([4; 32]),
        epoch: 1,
        excused: PartySet::EMPTY,
    };
    let seeds = |me: PartyId| {
        let root = Seed::new([3; 32]);
        let seeds = five.pieces_of(me);
        let seeds = seeds.map(|piece| (piece, root.derive(&Label::new("new").piece(piece))));
        PieceSeeds::new(&five, me, seeds.collect()).expect("seeds")
    };
    c.bench_function("reshare n=4 to n=5, all parties", |b| {
        b.iter(|| {
            let offers: Vec<Offer> = dealt
                .shares
                .iter()
                .map(|share| share.reshare(&change).expect("an offer"))
                .collect();
            let accepted: BTreeMap<_, _> = offers.iter().flat_map(Offer::digests).collect();
            for me in five.parties().iter() {
                let key = dealt.info.digest;
                let params = dealt.info.params;
                let mut collector =
                    Collector::new(&change, me, params, key, accepted.clone()).expect("a member");
                for old in collector.missing() {
                    let parcel = offers.iter().find_map(|offer| offer.parcel(old, me));
                    collector
                        .take(old, &parcel.expect("a holder"))
                        .expect("what was accepted");
                }
                black_box(collector.combine(seeds(me)).expect("a share"));
            }
        });
    });
}

/// What party 2 does instead of its part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deviation {
    None,
    Lies,
    Absent,
}

/// Everything that is computed to open the blocks: all values, which of them count, who is named, the result.
fn open_once(dealt: &Dealt, blocks: &SquashedBlocks, committee: &Committee, liar: Deviation) {
    let mut stated: BTreeMap<_, BTreeMap<PartyId, Vec<u128>>> = BTreeMap::new();
    for share in &dealt.shares {
        let deviates = share.me().get() == 2;
        if deviates && liar == Deviation::Absent {
            continue;
        }
        for (piece, mut values) in share.partial_decrypt(0, blocks).expect("values") {
            if deviates && liar == Deviation::Lies {
                values = values.iter().map(|v| v.wrapping_add(1 << 123)).collect();
            }
            stated.entry(piece).or_default().insert(share.me(), values);
        }
    }
    let mut named = PartySet::EMPTY;
    let mut accepted = BTreeMap::new();
    for (piece, all) in &stated {
        let agreed = agree(committee, *piece, all).expect("t+1 equal values");
        named = named.union(agreed.differing);
        accepted.insert(*piece, agreed.value.clone());
    }
    assert_eq!(named.is_empty(), liar != Deviation::Lies);
    let opened = recombine(committee, blocks, &accepted).expect("values");
    assert_eq!(opened, [1, 2, 3, 4]);
}

fn open(c: &mut Criterion) {
    let (dealt, blocks, committee) = (four_parties(), sixteen_bits(), committee());
    // The last two must not cost more than twice the first.
    for (name, deviation) in [
        (
            "open one 16-bit aggregate, all four parties",
            Deviation::None,
        ),
        ("the same, one party lies in every piece", Deviation::Lies),
        ("the same, one party is absent", Deviation::Absent),
    ] {
        c.bench_function(name, |b| {
            b.iter(|| open_once(&dealt, &blocks, &committee, deviation));
        });
    }
    let one = dealt.shares.first().expect("four shares");
    c.bench_function("partial decryption of four blocks, one party", |b| {
        b.iter(|| black_box(one.partial_decrypt(0, &blocks).expect("values")));
    });
}

fn batches(c: &mut Criterion) {
    let dealt = four_parties();
    let one = dealt.shares.first().expect("four shares");
    let hospital = PartyId::new(1).expect("a party");
    let batch = |polynomials| BatchId {
        epoch: 0,
        hospital,
        number: 1,
        polynomials,
    };
    c.bench_function("batch vectors of 2048 slots, one party", |b| {
        b.iter(|| black_box(one.batch_vectors(&dealt.info, &batch(1)).expect("vectors")));
    });
    c.bench_function("batch vectors of 64 * 2048 slots, one party", |b| {
        b.iter(|| black_box(one.batch_vectors(&dealt.info, &batch(64)).expect("vectors")));
    });
}

fn squashing(c: &mut Criterion) {
    let params = ParameterSet::production().expect("real parameters");
    let client = ClientKey::new(*params.compute());
    let server = ServerKey::new(&client);
    let secret = NoiseSquashingPrivateKey::new(params.squashing_parameters());
    let key = NoiseSquashingKey::new(&client, &secret);
    let blocks: Vec<_> = (0..2)
        .map(|value| client.unchecked_encrypt(value).ct)
        .collect();
    let mut group = c.benchmark_group("squash");
    group.sample_size(10);
    for count in [1, 2] {
        let blocks = &blocks[..count];
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("{count} blocks"), |b| {
            b.iter(|| black_box(squash(&server, &key, blocks, &|_| ()).expect("blocks")));
        });
    }
}

criterion_group!(benches, open, reshare, batches, squashing);
criterion_main!(benches);
