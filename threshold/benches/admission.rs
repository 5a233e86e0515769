//! Speed of the admission check of one twin of 1250 slots:
//! `cargo bench -p organtwin-threshold --features insecure-test-parameters --bench admission`.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use organtwin_threshold::admission::{Apart, Form};
use organtwin_threshold::dealt::deal;
use organtwin_threshold::{
    BatchId, Checker, Committee, Deposited, Digest, ParameterSet, PartyId, Passive, Rules, Seed,
};

/// Twelve axes of 65 nodes and a plane of 30 by 13: as many slots, equations and products as an organ's twin.
fn rules() -> Rules {
    let (mut apart, mut forms, mut first) = (Vec::new(), Vec::new(), 0);
    let shapes = [(1, 65); 12].into_iter().chain([(30, 13)]);
    for (rows, columns) in shapes {
        let nodes = rows * columns;
        let slot = |row: usize, column: usize| first + row * columns + column;
        let step = |down: usize, right: usize| {
            let places =
                (0..rows - down).flat_map(move |r| (0..columns - right).map(move |c| (r, c)));
            places
                .map(move |(r, c)| (slot(r, c), slot(r + down, c + right)))
                .collect::<Vec<_>>()
        };
        let mut lines = vec![step(0, 1)];
        if rows > 1 {
            lines.extend([step(1, 0), step(1, 1)]);
        }
        apart.push(Apart {
            first,
            count: nodes + 1,
            together: lines.concat(),
        });
        forms.push(Form {
            products: Vec::new(),
            linear: (first..=first + nodes).map(|slot| (slot, 1)).collect(),
            constant: -16,
        });
        for (line, pairs) in lines.iter().enumerate() {
            let bits = first + nodes + 1 + 4 * line;
            let mut products: Vec<_> = (first..=first + nodes)
                .map(|slot| (slot, slot, 1))
                .collect();
            products.extend(pairs.iter().map(|(a, b)| (*a, *b, 2)));
            products.extend((0..4).flat_map(|a| (a..4).map(move |b| (bits + a, bits + b, -2))));
            forms.push(Form {
                products,
                linear: Vec::new(),
                constant: -256,
            });
            forms.extend((bits..bits + 4).map(|bit| Form {
                products: vec![(bit, bit, 1)],
                linear: vec![(bit, -1)],
                constant: 0,
            }));
        }
        first += nodes + 1 + 4 * lines.len();
    }
    Rules::new(first, apart, forms).expect("sound rules")
}

fn admission(c: &mut Criterion) {
    let rules = rules();
    for (n, t) in [(4, 1), (7, 2)] {
        let committee = Committee::new(n, t, Passive::Refuse).expect("a committee");
        let params = ParameterSet::production().expect("real parameters");
        let dealt = deal(&committee, params, &[1; 2048], &[], &Seed::new([1; 32])).expect("shares");
        let batch = BatchId {
            epoch: 0,
            hospital: PartyId::new(1).expect("a party"),
            number: 1,
            polynomials: 1,
        };
        let one = dealt.shares.get(1).expect("shares");
        let member = Checker::member(one, batch).expect("a batch");
        let subseeds: BTreeMap<_, _> = committee
            .pieces()
            .iter()
            .filter_map(|piece| {
                let mut given = dealt
                    .shares
                    .iter()
                    .filter_map(|s| s.batch_subseed(&batch, *piece));
                Some((*piece, given.next()?))
            })
            .collect();
        let hospital = Checker::hospital(&committee, batch, subseeds).expect("subseeds");
        let published = vec![7; rules.slots()];
        let deposited = Deposited {
            batch,
            first_slot: 3,
            twin: Digest::new([1; 32]),
            statement: Digest::new([2; 32]),
        };
        let slots = rules.slots();
        c.bench_function(
            &format!("admission, {slots} slots, n={n} t={t}, a party's groups"),
            |b| {
                b.iter(|| {
                    black_box(
                        member
                            .values(&rules, &deposited, &published)
                            .expect("values"),
                    )
                });
            },
        );
        c.bench_function(
            &format!("admission, {slots} slots, n={n} t={t}, all groups"),
            |b| {
                b.iter(|| {
                    black_box(
                        hospital
                            .values(&rules, &deposited, &published)
                            .expect("values"),
                    )
                });
            },
        );
    }
}

criterion_group!(benches, admission);
criterion_main!(benches);
