//! What must hold in every schedule, however the faults and liars fall.

use std::collections::{BTreeMap, BTreeSet};

use organtwin_protocol::digest::Digest;
use organtwin_protocol::evidence::Evidence;
use organtwin_protocol::fold::Fold;
use organtwin_protocol::statement::Body;
use organtwin_protocol::study::{self, Study};
use organtwin_protocol::verify;
use organtwin_threshold::{PartyId, Security};

use super::machine::Machine;
use super::schedule::{Deviation, Wish};
use super::world::World;

/// Cheap ones, checked again and again while the schedule runs.
pub(super) fn meanwhile<M: Machine>(world: &mut World<M>) {
    let mut found = Vec::new();
    one_key_per_epoch(world, &mut found);
    note(world, found);
}

/// All of them, after the network has healed and every node is up again.
pub(super) fn at_the_end<M: Machine>(world: &mut World<M>) {
    let mut found = Vec::new();
    one_key_per_epoch(world, &mut found);
    honest_feeds_go_on(world, &mut found);
    folds_converge(world, &mut found);
    nothing_acknowledged_is_lost(world, &mut found);
    nobody_honest_is_named(world, &mut found);
    results_are_right(world, &mut found);
    exports_verify(world, &mut found);
    work_is_finished(world, &mut found);
    note(world, found);
}

fn note<M: Machine>(world: &mut World<M>, found: Vec<String>) {
    for breach in found {
        if !world.breaches.contains(&breach) {
            world.breaches.push(breach);
        }
    }
}

/// Whether nothing is left to wait for: the folds agree and every study that can be opened is.
pub(super) fn at_rest<M: Machine>(world: &World<M>) -> bool {
    let mut found = Vec::new();
    folds_converge(world, &mut found);
    work_is_finished(world, &mut found);
    found.is_empty()
}

/// Never two different keys certified in one epoch, over everything that any honest party knows.
fn one_key_per_epoch<M: Machine>(world: &World<M>, found: &mut Vec<String>) {
    let mut signers: BTreeMap<(u32, Digest), BTreeSet<PartyId>> = BTreeMap::new();
    for (_, machine) in world.honest() {
        for facts in machine.fold().facts().certificates.values() {
            let key = (facts.certificate.epoch, facts.certificate.key);
            signers.entry(key).or_default().extend(facts.signers.keys());
        }
    }
    let all = world.roster().parties();
    let mut certified: BTreeMap<u32, usize> = BTreeMap::new();
    for ((epoch, _), parties) in &signers {
        if parties.len() == all {
            *certified.entry(*epoch).or_default() += 1;
        }
    }
    for (epoch, keys) in certified {
        if keys > 1 {
            found.push(format!(
                "one key: {keys} different keys are certified in epoch {epoch}"
            ));
        }
    }
}

/// No honest party's feed ever ends: it signs no two statements under one number and breaks no rule.
fn honest_feeds_go_on<M: Machine>(world: &World<M>, found: &mut Vec<String>) {
    for (observer, machine) in world.honest() {
        for (party, _) in world.honest() {
            if let Some(number) = machine.fold().ended(party) {
                found.push(format!(
                    "equivocation: party {observer} saw honest party {party}'s feed end at number {number}"
                ));
            }
        }
    }
}

/// All honest parties come to the same state.
fn folds_converge<M: Machine>(world: &World<M>, found: &mut Vec<String>) {
    let mut folds = world
        .honest()
        .map(|(party, machine)| (party, machine.fold()));
    let Some((first, fold)) = folds.next() else {
        return;
    };
    for (other, theirs) in folds {
        if !same(fold, theirs) {
            found.push(format!(
                "convergence: parties {first} and {other} know different things"
            ));
            return;
        }
    }
}

fn same(a: &Fold, b: &Fold) -> bool {
    a.heads() == b.heads() && a.facts() == b.facts() && a.equivocations().eq(b.equivocations())
}

/// What was told to anyone is in its author's own feed; what an operator was told is done, too; received twins are there.
fn nothing_acknowledged_is_lost<M: Machine>(world: &World<M>, found: &mut Vec<String>) {
    for (me, machine) in world.honest() {
        let feed = machine.fold().feed(me);
        for ((author, seq), hash) in &world.told {
            let kept = usize::try_from(*seq).ok().and_then(|seq| feed.get(seq));
            if *author == me && kept.map(|s| s.hash()) != Some(*hash) {
                found.push(format!(
                    "lost: party {me} told others its statement {seq} and has lost it"
                ));
                break;
            }
        }
        for (party, body) in &world.acknowledged {
            if *party == me && !feed.iter().any(|s| s.body() == body) {
                found.push(format!(
                    "lost: party {me} acknowledged a command whose statement it has lost"
                ));
                break;
            }
        }
        for statement in feed {
            if let Body::TwinsReceived { twins } = statement.body()
                && !twins.iter().all(|twin| machine.holds_blob(twin))
            {
                found.push(format!(
                    "lost: party {me} acknowledged a twin that it does not hold"
                ));
            }
        }
    }
}

/// Honest parties accuse liars only: alone, or as one of a pair of which one lies.
fn nobody_honest_is_named<M: Machine>(world: &World<M>, found: &mut Vec<String>) {
    let lies = |party: PartyId| world.lie(party.get()).is_some();
    for (me, machine) in world.honest() {
        for statement in machine.fold().feed(me) {
            let (Body::Accusation { evidence }
            | Body::CeremonyAborted {
                evidence: Some(evidence),
                ..
            }) = statement.body()
            else {
                continue;
            };
            let accused = evidence.accused();
            let fits = match evidence {
                // Two honest parties echo differently when a third one committed twice; its fork names it (W3).
                Evidence::Pair { statements, .. } if seeds_held(machine.fold(), statements) => {
                    accused.iter().any(|party| lies(*party)) || forked(world, machine.fold())
                }
                Evidence::Pair { .. } => accused.iter().any(|party| lies(*party)),
                _ => accused.iter().all(|party| lies(*party)),
            };
            if !fits {
                let names: Vec<String> = accused.iter().map(ToString::to_string).collect();
                found.push(format!(
                    "blame: honest party {me} names {} although honest: {evidence:?}",
                    names.join(" and ")
                ));
            }
        }
    }
}

fn seeds_held(fold: &Fold, statements: &[Digest]) -> bool {
    let held = fold
        .statements()
        .filter(|s| matches!(s.body(), Body::SeedsHeld { .. }));
    held.filter(|s| statements.contains(&s.hash())).count() == statements.len()
}

fn forked<M: Machine>(world: &World<M>, fold: &Fold) -> bool {
    let mut liars = world.schedule().liars();
    liars.any(|(liar, _)| fold.has_forked(crate::consortium::party(liar)))
}

/// Whatever an honest party took as a study's result is what its twins give in the clear.
fn results_are_right<M: Machine>(world: &World<M>, found: &mut Vec<String>) {
    for (me, machine) in world.honest() {
        for study in Study::all(machine.fold()) {
            let Some(release) = study.facts.releases.get(&me) else {
                continue;
            };
            let Some(expected) = machine.in_the_clear(&study.id, &world.clear) else {
                continue;
            };
            if release.values != expected {
                found.push(format!(
                    "result: party {me} took {:?} for study {}, in the clear it is {expected:?}",
                    release.values, study.id
                ));
            }
        }
    }
}

/// Every transcript that an honest party writes passes the audit.
fn exports_verify<M: Machine>(world: &World<M>, found: &mut Vec<String>) {
    let Some((me, machine)) = world.honest().find(|(_, machine)| machine.holds_key()) else {
        return;
    };
    let fold = machine.fold();
    let forked = world
        .roster()
        .members()
        .iter()
        .any(|member| fold.ended(member.party).is_some());
    // What a liar releases or states against the rules fails the audit of everyone, and has to.
    let spoilt = world
        .schedule()
        .liars()
        .any(|(_, lie)| matches!(lie, Deviation::EarlyRelease | Deviation::Outcome));
    // A3: what a feed said before it forked is gone from later transcripts, which may fail for that.
    if forked || spoilt {
        return;
    }
    // Nor does one pass yet that holds an opening which an expiry stopped half way.
    let half_open = |study: &Study<'_>| {
        !study.facts.partials.is_empty() && !study.facts.releases.contains_key(&me)
    };
    if Study::all(fold).any(|study| half_open(&study)) {
        return;
    }
    let mut opened = Study::all(fold).filter(|study| study.facts.releases.contains_key(&me));
    // One transcript of each run: checking signatures is most of its time.
    let by_turns = world.schedule().seed.is_multiple_of(2);
    let subject = opened.next().filter(|_| by_turns).map(|study| study.id);
    {
        let transcript = match machine.export(subject) {
            Ok(transcript) => transcript,
            // The whole consortium's transcript needs what only those hold who derived every opened study.
            Err(_) if subject.is_none() => return,
            Err(why) => {
                found.push(format!(
                    "export: party {me} cannot write the transcript: {why}"
                ));
                return;
            }
        };
        let report = match transcript.encode() {
            Ok(bytes) => verify::verify_bytes(&bytes),
            Err(error) => {
                found.push(format!("export: {error}"));
                return;
            }
        };
        let failed: Vec<String> = report
            .checks
            .iter()
            .filter(|check| !check.passed)
            .map(|check| format!("{}: {}", check.name, check.detail))
            .collect();
        if !report.passed() {
            found.push(format!(
                "export: party {me}'s transcript fails the audit: {}",
                failed.join("; ")
            ));
        }
    }
}

/// Without liars everything that may be done is done: there is a key, and every approved study is opened.
fn work_is_finished<M: Machine>(world: &World<M>, found: &mut Vec<String>) {
    if !M::FINISHES || world.schedule().liars().next().is_some() {
        return;
    }
    // A smaller schedule may have lost the wish for a key.
    let wishes = world
        .schedule()
        .commands
        .iter()
        .filter(|c| c.wish == Wish::Key);
    if wishes.count() < world.roster().parties() {
        return;
    }
    for (me, machine) in world.honest() {
        if !machine.holds_key() {
            let state = machine.status(world.now_ms());
            found.push(format!("unfinished: party {me} has no key: {state}"));
            return;
        }
    }
    for (me, machine) in world.honest() {
        let fold = machine.fold();
        for study in Study::all(fold) {
            let list = machine.list(&study.manifest.twins.blob);
            let may_open = study.is_approved()
                && !study.is_rejected()
                && study.facts.closed.is_none()
                && study.manifest.expires_ms > super::schedule::HEALED_MS * 10
                && list.is_some_and(|list| {
                    study.withdrawn(list).is_none()
                        && study::check_manifest(fold, study.manifest, list).is_ok()
                });
            let releasers = fold.roster().parties() - study.facts.rejections.len();
            let needed = match fold.roster().committee().security() {
                Security::Active => 2 * fold.roster().threshold() + 1,
                Security::Passive => fold.roster().parties(),
            };
            let done = study.facts.releases.contains_key(&me);
            if may_open && releasers >= needed && !done {
                found.push(format!(
                    "unfinished: party {me} has not opened study {}",
                    study.id
                ));
                return;
            }
        }
    }
}
