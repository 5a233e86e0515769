//! Histories that hostile parties make up: what an honest party combines and opens all the same.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::scene::{BLOCKS, Scene, blob, party, piece_values};

/// What a party says of a shard.
#[derive(Debug, Clone)]
struct Claim {
    author: u8,
    shard: u32,
    right_inputs: bool,
    output: u8,
}

fn claim(parties: u8) -> impl Strategy<Value = Claim> {
    let output = prop_oneof![4 => Just(0u8), 1 => 1..3u8];
    let parts = (1..=parties, 0..parties, prop::bool::weighted(0.9), output);
    parts.prop_map(|(author, shard, right_inputs, output)| Claim {
        author,
        shard: u32::from(shard),
        right_inputs,
        output,
    })
}

/// Plays claims about the shards of a study; whoever would combine them afterwards, and with which outputs.
fn play(n: u8, t: u8, claims: &[Claim]) -> (Scene, Digest, Vec<Vec<Digest>>) {
    let mut scene = Scene::with_twins(n, t, 1);
    let id = scene.propose(2 * t + 1);
    for number in 1..=2 * t + 1 {
        scene.approve(id, number);
    }
    let shards = shard::shards(&id, &scene.list());
    for claim in claims {
        let Some(shard) = shards.get(claim.shard as usize) else {
            continue;
        };
        let inputs = if claim.right_inputs {
            shard.inputs
        } else {
            blob("other inputs")
        };
        // A second claim of one party about one shard is refused.
        let _ = scene.say(
            party(claim.author),
            Body::ShardEvaluated {
                manifest: id,
                shard: shard.index,
                inputs,
                output: blob(&format!("output {}", claim.output)),
            },
        );
    }
    let combined = (1..=n)
        .flat_map(|number| scene.duties(id, number))
        .filter_map(|duty| match duty {
            Duty::Combine { shards, .. } => Some(shards),
            _ => None,
        })
        .collect();
    (scene, id, combined)
}

/// Who signed an output of a shard over its right inputs, counted from the bare statements.
fn signers(scene: &Scene, id: Digest, index: u32, output: Digest) -> BTreeSet<PartyId> {
    let shards = shard::shards(&id, &scene.list());
    let inputs_of_shard = shards[index as usize].inputs;
    scene
        .fold
        .statements()
        .filter(|statement| {
            *statement.body()
                == Body::ShardEvaluated {
                    manifest: id,
                    shard: index,
                    inputs: inputs_of_shard,
                    output,
                }
        })
        .map(|statement| statement.author())
        .collect()
}

fn check(n: u8, t: u8, claims: &[Claim]) -> Result<usize, TestCaseError> {
    let (scene, id, combined) = play(n, t, claims);
    for outputs in &combined {
        prop_assert_eq!(outputs.len(), shard::shards(&id, &scene.list()).len());
        for (index, output) in (0u32..).zip(outputs) {
            let signers = signers(&scene, id, index, *output);
            prop_assert!(
                signers.len() > usize::from(t),
                "shard {}: {:?}",
                index,
                signers
            );
        }
    }
    Ok(combined.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// No claims about shards make anyone combine one that fewer than t+1 parties signed alike.
    #[test]
    fn a_shard_without_t_plus_1_signatures_is_never_combined_by_four(claims in prop::collection::vec(claim(4), 0..60)) {
        check(4, 1, &claims)?;
    }

    #[test]
    fn a_shard_without_t_plus_1_signatures_is_never_combined_by_seven(claims in prop::collection::vec(claim(7), 0..120)) {
        check(7, 2, &claims)?;
    }
}

/// The property above is not empty: enough right claims are combined by everyone.
#[test]
fn shards_with_enough_signatures_are_combined_whatever_else_is_claimed() {
    let all = |authors: &[u8], output: u8| -> Vec<Claim> {
        let claims = authors
            .iter()
            .flat_map(|author| (0..4).map(move |shard| (*author, shard)));
        claims
            .map(|(author, shard)| Claim {
                author,
                shard,
                right_inputs: true,
                output,
            })
            .collect()
    };
    assert_eq!(check(4, 1, &all(&[1, 2], 0)).unwrap(), 4);
    assert_eq!(
        check(4, 1, &[all(&[3], 1), all(&[1, 2], 0)].concat()).unwrap(),
        4
    );
    assert_eq!(
        check(4, 1, &[all(&[3], 1), all(&[1], 0)].concat()).unwrap(),
        0
    );
}

/// The key's budget is spent study by study, down to its last block and not one further.
#[test]
fn the_last_study_that_fits_the_budget_is_opened_and_the_next_one_is_not() {
    let mut scene = Scene::with_twins(4, 1, 1);
    let limit = u64::from(3 * BLOCKS);
    let mut opened = Vec::new();
    for _ in 0..4 {
        scene.now += 1;
        let id = scene.propose(3);
        for number in 1..=3 {
            scene.approve(id, number);
        }
        scene.evaluate(id);
        scene.derive(id, &[1, 2, 3, 4]);
        let mut released = 0;
        for number in 1..=4 {
            let mut view = scene.view(id);
            view.opening_limit = limit;
            let duties = duties(&scene.fold, party(number), scene.now, &view);
            let may = duties
                .iter()
                .any(|duty| matches!(duty, Duty::Release { .. }));
            released += usize::from(may);
            if may {
                scene.release(id, number, piece_values);
            }
        }
        opened.push(released);
    }
    assert_eq!(opened, [4, 4, 4, 0]);
    let certificate = scene.certificate().digest().unwrap();
    let spent = |scene: &Scene| study::opened_blocks(&scene.fold, &certificate, None);
    assert_eq!(spent(&scene), limit);
    // What is counted depends on what was said, not on the order in which it came.
    let mut again = Scene::new(4, 1);
    for statement in scene.statements().into_iter().rev() {
        let _ = again.fold.admit(statement);
    }
    assert_eq!(spent(&again), limit);
}
