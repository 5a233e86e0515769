//! Prints the table of group families in `threshold/src/families.rs`.
//!
//! A family is a cover: sets of `size` parties such that every set of `avoid` parties is disjoint from
//! one of them. The method is greedy (take a set that serves most of what is left, ties broken by a
//! fixed generator), tried many times, best kept, sorted. Whoever wants smaller families may print new
//! ones as long as no key was made with the old.

use std::io::Write;

use organtwin_threshold::PartySet;

const TRIES: u32 = 4000;

fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn cover(n: u8, size: usize, avoid: usize) -> Vec<PartySet> {
    let groups = PartySet::subsets(n, size);
    let targets = PartySet::subsets(n, avoid);
    let serves: Vec<Vec<usize>> = groups
        .iter()
        .map(|group| {
            (0..targets.len())
                .filter(|target| group.is_disjoint(targets[*target]))
                .collect()
        })
        .collect();
    let mut state = 1;
    let mut best: Option<Vec<PartySet>> = None;
    for _ in 0..TRIES {
        let mut left = vec![true; targets.len()];
        let mut missing = targets.len();
        let mut family = Vec::new();
        while missing > 0 {
            let gains: Vec<usize> = serves
                .iter()
                .map(|s| s.iter().filter(|target| left[**target]).count())
                .collect();
            let most = gains.iter().copied().max().unwrap_or(0);
            let ties: Vec<usize> = (0..groups.len()).filter(|g| gains[*g] == most).collect();
            let pick = ties[usize::try_from(next(&mut state) % ties.len() as u64).unwrap_or(0)];
            for target in &serves[pick] {
                left[*target] = false;
            }
            missing -= most;
            family.push(groups[pick]);
            if best.as_ref().is_some_and(|best| family.len() >= best.len()) {
                break;
            }
        }
        if missing == 0 && best.as_ref().is_none_or(|best| family.len() < best.len()) {
            best = Some(family);
        }
    }
    let mut best = best.unwrap_or_default();
    best.sort_unstable();
    // A greedy choice can be made superfluous by later ones.
    let mut position = best.len();
    while position > 0 {
        position -= 1;
        let group = best.remove(position);
        if !targets
            .iter()
            .all(|t| best.iter().any(|g| g.is_disjoint(*t)))
        {
            best.insert(position, group);
        }
    }
    best
}

fn row(out: &mut impl Write, name: &str, family: &[PartySet]) -> std::io::Result<()> {
    let sets: Vec<String> = family
        .iter()
        .map(|set| format!("{:#x}", set.bits()))
        .collect();
    writeln!(out, "        {name}: &[{}],", sets.join(", "))
}

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for n in 4..=12u8 {
        for t in 1..=(n - 1) / 3 {
            let size = usize::from(t);
            writeln!(out, "    Row {{\n        n: {n},\n        t: {t},")?;
            row(&mut out, "lin", &cover(n, size + 1, size))?;
            row(&mut out, "quad", &cover(n, size + 1, 2 * size))?;
            row(&mut out, "live", &cover(n, 2 * size + 1, size))?;
            writeln!(out, "    }},")?;
        }
    }
    Ok(())
}
