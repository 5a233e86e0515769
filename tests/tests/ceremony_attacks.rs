//! One liar in the key ceremony, one deviation at a time: what the honest parties end with, and whom anyone names
//! who has nothing but the signed statements.

use organtwin_protocol::ceremony::aborted;
use organtwin_protocol::ceremony::blame::{self, Verdict};
use organtwin_protocol::fold::Refusal;
use organtwin_protocol::statement::StageName;
use organtwin_protocol::verify;
use organtwin_tests::consortium::{Consortium, party};
use organtwin_tests::keymaking::replayed;
use organtwin_tests::liar::{Liar, Lie, ceremony, feeds};
use organtwin_threshold::PartyId;

use ceremony::{Lie as Ceremony, Point};

const LIAR: u8 = 2;

/// What must come of a deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The key is certified by all, the liar's part in it being harmless.
    Key,
    /// The session is given up and the liar is named alone.
    Liar,
    /// The session is given up; nothing that was signed shows which of the two lies.
    Pair(u8),
    /// The session is given up and it is said who is missing; nobody is accused.
    Missing,
    /// The liar's feed has ended, by a proof that everyone can check.
    FeedEnded,
}

use Outcome::{FeedEnded, Key, Missing, Pair};
use StageName::{Bits, Products, Rows};

const CASES: &[(&[Ceremony], Outcome)] = &[
    (&[Ceremony::Pieces], Outcome::Liar),
    (&[Ceremony::SeedShares], Pair(1)),
    (&[Ceremony::SeedShareTo(at(3))], Pair(3)),
    (&[Ceremony::FalseComplaint(at(4))], Pair(4)),
    (&[Ceremony::MaskShare], Outcome::Liar),
    (&[Ceremony::Echo], Pair(1)),
    (&[Ceremony::Vector(Bits)], Outcome::Liar),
    (&[Ceremony::Vector(Products)], Outcome::Liar),
    (&[Ceremony::Vector(Rows)], Outcome::Liar),
    (&[Ceremony::Root(Bits)], Outcome::Liar),
    (&[Ceremony::Root(Products)], Outcome::Liar),
    (&[Ceremony::Root(Rows)], Outcome::Liar),
    (&[Ceremony::Groups(Bits)], Outcome::Liar),
    (&[Ceremony::Groups(Rows)], Outcome::Liar),
    (&[Ceremony::ForkedRoots(Bits)], FeedEnded),
    (&[Ceremony::ForkedRoots(Rows)], FeedEnded),
    (&[Ceremony::Chunk(Bits)], Key),
    (&[Ceremony::Chunk(Products)], Key),
    (&[Ceremony::Chunk(Rows)], Key),
    (&[Ceremony::Opened(Bits)], Outcome::Liar),
    (&[Ceremony::Opened(Products)], Outcome::Liar),
    (&[Ceremony::Opened(Rows)], Outcome::Liar),
    (&[Ceremony::SelfTestValues], Outcome::Liar),
    (&[Ceremony::SelfTestBytes], Outcome::Liar),
    (&[Ceremony::Certificate], Outcome::Liar),
    (&[Ceremony::MadeUpEvidence(Bits)], Outcome::Liar),
    (&[Ceremony::MadeUpEvidence(Rows)], Outcome::Liar),
    (&[Ceremony::Stall(Point::Commitments)], Missing),
    (&[Ceremony::Stall(Point::Seeds)], Missing),
    (&[Ceremony::Stall(Point::Roots(Bits))], Missing),
    (&[Ceremony::Stall(Point::Opened(Bits))], Missing),
    (&[Ceremony::Stall(Point::Roots(Products))], Missing),
    (&[Ceremony::Stall(Point::Opened(Products))], Missing),
    (&[Ceremony::Stall(Point::Roots(Rows))], Missing),
    (&[Ceremony::Stall(Point::Opened(Rows))], Missing),
    (&[Ceremony::Stall(Point::SelfTest)], Missing),
    (&[Ceremony::Stall(Point::Certificate)], Missing),
    (
        &[Ceremony::Root(Bits), Ceremony::FalsePublication],
        Outcome::Liar,
    ),
];

const fn at(number: u8) -> PartyId {
    match PartyId::new(number) {
        Some(party) => party,
        None => panic!("a party"),
    }
}

fn consortium(n: u8, t: u8, liars: &[(u8, Lie)]) -> Consortium {
    let mut consortium = Consortium::new(n, t, 11);
    for (number, lie) in liars {
        consortium = consortium.with_liar(*number, *lie);
    }
    consortium
}

/// What somebody concludes who has the feeds of party `number` and nothing else.
fn conclusions(consortium: &mut Consortium, number: u8) -> Vec<Verdict> {
    let fold = &consortium.get(number).fold;
    let mut all = Vec::new();
    for session in aborted(fold) {
        let findings = replayed(fold, session);
        all.extend(blame::verdicts(fold, session, findings.as_deref()).unwrap());
    }
    all
}

fn culprits(verdicts: &[Verdict]) -> Vec<PartyId> {
    let mut named: Vec<PartyId> = verdicts
        .iter()
        .filter_map(|verdict| match verdict {
            Verdict::Culprit { party, .. } => Some(*party),
            _ => None,
        })
        .collect();
    named.sort_unstable();
    named.dedup();
    named
}

fn audit(consortium: &Consortium, number: u8) -> verify::Report {
    let witness = &consortium.parties[&party(number)];
    let transcript = witness.transcript(None).unwrap();
    verify::verify_bytes(&transcript.encode().unwrap())
}

fn check(lies: &[Lie], outcome: Outcome) -> Consortium {
    let case = format!("{lies:?}");
    let liars: Vec<(u8, Lie)> = lies.iter().map(|lie| (LIAR, *lie)).collect();
    let mut consortium = consortium(4, 1, &liars);
    let made = consortium.make_key();
    // Time for publishing, replaying and accusing.
    consortium.run(5, |_| false);
    let honest = [1, 3, 4];
    let keys: Vec<_> = honest
        .iter()
        .map(|p| {
            consortium.parties[&party(*p)]
                .key
                .as_ref()
                .map(|key| key.certificate.clone())
        })
        .collect();
    assert!(
        keys.windows(2).all(|two| two[0] == two[1]),
        "{case}: keys differ"
    );
    assert_eq!(
        made,
        outcome == Key,
        "{case}: {:?}",
        consortium.get(1).aborts()
    );
    assert_eq!(keys[0].is_some(), outcome == Key, "{case}");
    // What somebody concludes depends on the statements alone, and these are the same everywhere.
    let heads = consortium.get(1).fold.heads();
    let verdicts = conclusions(&mut consortium, 1);
    for number in honest {
        assert_eq!(consortium.get(number).fold.heads(), heads, "{case}");
        let named = culprits(&verdicts);
        let pairs: Vec<[PartyId; 2]> = verdicts
            .iter()
            .filter_map(|verdict| match verdict {
                Verdict::Pair { parties, .. } => Some(*parties),
                _ => None,
            })
            .collect();
        let witness = consortium.get(number);
        let accused: Vec<PartyId> = witness
            .accusations()
            .iter()
            .filter(|(author, _)| *author != party(LIAR))
            .flat_map(|(_, evidence)| evidence.accused())
            .collect();
        match outcome {
            Key => assert!(named.is_empty() && pairs.is_empty(), "{case}: {verdicts:?}"),
            Outcome::Liar => {
                assert_eq!(named, [party(LIAR)], "{case}: {verdicts:?}");
                assert!(pairs.is_empty(), "{case}: {verdicts:?}");
                assert!(accused.contains(&party(LIAR)), "{case}: nobody says so");
            }
            Pair(other) => {
                assert!(named.is_empty(), "{case}: {verdicts:?}");
                assert!(!pairs.is_empty(), "{case}: {verdicts:?}");
                assert!(
                    pairs.iter().all(|pair| pair.contains(&party(LIAR))),
                    "{case}: {pairs:?}"
                );
                assert!(
                    pairs.iter().any(|pair| pair.contains(&party(other))),
                    "{case}: {pairs:?}"
                );
            }
            Missing => {
                assert!(named.is_empty() && pairs.is_empty(), "{case}: {verdicts:?}");
                assert!(accused.is_empty(), "{case}: {accused:?}");
                let silent = format!("party {LIAR}");
                let said = witness.aborts();
                assert!(
                    said.iter()
                        .any(|(_, why)| why.contains("silent") && why.contains(&silent)),
                    "{case}: {said:?}"
                );
            }
            FeedEnded => {
                assert!(named.is_empty() && pairs.is_empty(), "{case}: {verdicts:?}");
                assert!(witness.fold.ended(party(LIAR)).is_some(), "{case}");
            }
        }
    }
    // Nobody honest is ever named, and a feed that ended is the liar's.
    assert!(
        consortium
            .parties
            .values()
            .flat_map(|p| &p.refused)
            .all(|(_, refusal)| match refusal {
                Refusal::Equivocation { author, .. }
                | Refusal::RuleBroken { author, .. }
                | Refusal::BrokenChain { author, .. }
                | Refusal::FeedEnded { author, .. }
                | Refusal::OutOfSequence { author, .. } => *author == party(LIAR),
                Refusal::Statement(_) => false,
            }),
        "{case}"
    );
    consortium
}

/// The next ceremony succeeds when the liar stops lying, and the auditor still names it for the first one.
fn after_the_liar_gave_in(mut consortium: Consortium, outcome: Outcome, case: &str) {
    if outcome != Key {
        consortium.get(LIAR).liar = Liar::default();
        consortium.join();
        assert!(
            consortium.run(200, |c| c.parties.values().all(|p| p.key.is_some())),
            "{case}: no second ceremony"
        );
        consortium.run(2, |_| false);
    }
    let report = audit(&consortium, 4);
    let failed: Vec<_> = report.checks.iter().filter(|check| !check.passed).collect();
    assert!(failed.is_empty(), "{case}: {failed:#?}");
    let line = report
        .checks
        .iter()
        .find(|check| check.name.starts_with("aborted ceremony"));
    let detail = line.map_or("", |line| line.detail.as_str());
    match outcome {
        Outcome::Liar => assert!(
            detail.contains(&format!("party {LIAR} deviated")),
            "{case}: {detail}"
        ),
        Pair(_) => assert!(detail.contains("one of parties"), "{case}: {detail}"),
        Missing => assert!(!detail.contains("deviated"), "{case}: {detail}"),
        Key | FeedEnded => assert!(line.is_none(), "{case}: {detail}"),
    }
}

fn check_all(some: impl Fn(&Ceremony) -> bool) {
    let mut checked = 0;
    for (lies, outcome) in CASES.iter().filter(|(lies, _)| some(&lies[0])) {
        let lies: Vec<Lie> = lies.iter().map(|lie| Lie::from(*lie)).collect();
        check(&lies, *outcome);
        checked += 1;
    }
    assert!(checked > 0);
}

fn is_stall(lie: &Ceremony) -> bool {
    matches!(lie, Ceremony::Stall(_))
}

fn is_late(lie: &Ceremony) -> bool {
    matches!(
        lie,
        Ceremony::Vector(Rows)
            | Ceremony::Root(Rows)
            | Ceremony::Opened(_)
            | Ceremony::SelfTestValues
            | Ceremony::SelfTestBytes
    )
}

#[test]
fn a_party_that_stalls_at_any_step_is_missing_and_nobody_is_accused() {
    check_all(is_stall);
}

#[test]
fn a_party_that_deviates_early_is_met_as_the_table_says() {
    check_all(|lie| !is_stall(lie) && !is_late(lie));
}

#[test]
fn a_party_that_deviates_late_is_met_as_the_table_says() {
    check_all(is_late);
}

#[test]
fn after_a_ceremony_was_given_up_the_next_one_succeeds_and_the_auditor_names_the_liar_of_the_first()
{
    for (lie, outcome) in [
        (Ceremony::Root(Bits), Outcome::Liar),
        (Ceremony::SelfTestValues, Outcome::Liar),
        (Ceremony::MaskShare, Outcome::Liar),
        (Ceremony::SeedShareTo(at(3)), Pair(3)),
        (Ceremony::Stall(Point::SelfTest), Missing),
        (Ceremony::Chunk(Bits), Key),
    ] {
        let consortium = check(&[lie.into()], outcome);
        after_the_liar_gave_in(consortium, outcome, &format!("{lie:?}"));
    }
}

#[test]
fn a_feed_that_is_flooded_forked_or_broken_ends_or_does_no_harm() {
    for (lie, outcome) in [
        (feeds::Lie::Twice, FeedEnded),
        (feeds::Lie::Flood, Key),
        (feeds::Lie::Ahead, Missing),
        (feeds::Lie::Unchained, FeedEnded),
        (feeds::Lie::Fork, FeedEnded),
    ] {
        check(&[lie.into()], outcome);
    }
}

#[test]
fn whoever_does_not_publish_is_missing_and_the_pair_remains() {
    let lies = [Ceremony::Root(Bits).into(), Ceremony::NoPublication.into()];
    let mut consortium = consortium(4, 1, &lies.map(|lie| (LIAR, lie)));
    assert!(!consortium.make_key());
    consortium.run(5, |_| false);
    let verdicts = conclusions(&mut consortium, 1);
    assert!(culprits(&verdicts).is_empty(), "{verdicts:?}");
    assert!(verdicts.contains(&Verdict::Missing {
        parties: vec![party(LIAR)]
    }));
    let pair = |verdict: &Verdict| matches!(verdict, Verdict::Pair { parties, .. } if parties.contains(&party(LIAR)));
    assert!(verdicts.iter().any(pair), "{verdicts:?}");
}

#[test]
fn what_was_stated_in_one_session_is_named_when_it_is_stated_again_in_the_next() {
    let mut consortium = consortium(4, 1, &[(LIAR, Ceremony::FormerRoots.into())]);
    // The first session is given up by a restart.
    consortium.join();
    let committed = |c: &Consortium| {
        c.parties.values().all(|p| {
            p.fold
                .facts()
                .steps
                .values()
                .any(|said| said.roots.contains(&Bits))
        })
    };
    assert!(consortium.run(50, committed));
    let disk = consortium.stop(4);
    consortium.restart(4, disk);
    assert!(consortium.run(100, |c| c.parties.values().all(|p| !p.aborts().is_empty())));
    assert!(!consortium.make_key());
    consortium.run(5, |_| false);
    let verdicts = conclusions(&mut consortium, 1);
    assert_eq!(culprits(&verdicts), [party(LIAR)], "{verdicts:?}");
}

#[test]
fn two_liars_of_seven_are_both_named_by_the_replay() {
    for (first, second) in [
        (Ceremony::Root(Bits), Ceremony::Root(Bits)),
        (Ceremony::Vector(Rows), Ceremony::Root(Rows)),
        (Ceremony::SelfTestBytes, Ceremony::SelfTestValues),
    ] {
        let mut consortium = consortium(7, 2, &[(2, first.into()), (6, second.into())]);
        assert!(!consortium.make_key());
        consortium.run(5, |_| false);
        let verdicts = conclusions(&mut consortium, 1);
        assert_eq!(
            culprits(&verdicts),
            [party(2), party(6)],
            "{first:?} {second:?}: {verdicts:?}"
        );
    }
}
