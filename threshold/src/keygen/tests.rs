//! Checks that need to look inside several ceremonies at once.

use super::*;

/// Drives the bit stage of every party and adds up the exact noise of all groups.
#[test]
fn the_exact_noise_of_all_groups_adds_up_to_single_tuniform_samples() {
    for (n, t) in [(3, 1), (4, 1), (7, 2)] {
        let committee = Committee::new(n, t, crate::Passive::Allow).unwrap();
        let params = ParameterSet::toy().unwrap();
        let session = SessionId::new([3; 32]);
        let mut parties: Vec<KeyCeremony> = committee
            .parties()
            .iter()
            .map(|me| {
                let seeds = committee.pieces_of(me).map(|piece| {
                    let mut bytes = [1; 32];
                    bytes[..2].copy_from_slice(&piece.absent().bits().to_le_bytes());
                    (piece, crate::Seed::new(bytes))
                });
                let seeds = PieceSeeds::new(&committee, me, seeds.collect()).unwrap();
                KeyCeremony::new(&committee, params, session, me, seeds, [0; 32]).unwrap()
            })
            .collect();
        for chunk in 0..parties[0].chunks(Stage::Bits) {
            let vectors: Vec<Vec<u8>> = committee
                .family(Family::Quad)
                .iter()
                .enumerate()
                .map(|(group, members)| {
                    let speaker = members.iter().next().unwrap();
                    parties[speaker.index()]
                        .group_chunk(Stage::Bits, group, chunk)
                        .unwrap()
                })
                .collect();
            for party in &mut parties {
                party.absorb(Stage::Bits, chunk, &vectors).unwrap();
            }
        }
        for party in &mut parties {
            party.finish_stage(Stage::Bits).unwrap();
        }
        let mut keyswitch = vec![0u64; keyswitch_rows(&params)];
        let mut compact = vec![0u64; params.glwe_size()];
        for (group, members) in committee.family(Family::Lin).iter().enumerate() {
            let speaker = members.iter().next().unwrap();
            let (first, second) = &parties[speaker.index()].exact[&group];
            for (sums, noise) in [(&mut keyswitch, first), (&mut compact, second)] {
                for (sum, noise) in sums.iter_mut().zip(noise.expose()) {
                    *sum = sum.wrapping_add(*noise);
                }
            }
        }
        let noise = params.noise_bits().unwrap();
        for (samples, bits) in [(keyswitch, noise.lwe), (compact, noise.glwe)] {
            let bound = 1i64 << bits;
            let signed: Vec<i64> = samples.iter().map(|v| v.cast_signed()).collect();
            assert!(
                signed.iter().all(|v| (-bound..=bound).contains(v)),
                "{n} {t}"
            );
            let square = signed.iter().map(|v| (*v as f64).powi(2)).sum::<f64>();
            let variance = square / samples.len() as f64;
            let expected = ((bound as f64).powi(2) * 2.0 + 1.0) / 6.0;
            assert!(
                (variance / expected - 1.0).abs() < 0.15,
                "{variance} {expected}"
            );
        }
    }
}
