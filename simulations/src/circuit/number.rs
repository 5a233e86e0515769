//! Encrypted counts as digits in base 4: adding, carrying, and comparing with k.

use super::{ONE, decide::at_least};
use crate::machine::{Machine, MachineError, Site, Step, Table};

/// The most that one lookup of four bits holds.
const FULL: u64 = 15;
/// Digits with more noise terms than this are refreshed although they need no carry.
const NOISY: u32 = 4;

/// The number of base-4 digits of every value up to a largest.
pub(crate) fn digits_for(largest: u64) -> usize {
    let mut digits = 1;
    let mut left = largest >> 2;
    while left > 0 {
        digits += 1;
        left >>= 2;
    }
    digits
}

#[derive(Clone)]
struct Digit<W> {
    wire: W,
    most: u64,
    terms: u32,
}

/// A count as digits at ONE with what is known of their size.
#[derive(Clone)]
pub(crate) struct Number<W> {
    digits: Vec<Digit<W>>,
    most: u64,
}

impl<W: Clone> Number<W> {
    /// The blocks of a shard's sum, with the largest value and the noise terms of each.
    pub(crate) fn of_blocks(blocks: &[W], shape: &[(u64, u32)], most: u64) -> Self {
        let digits = (0..).zip(blocks.iter().zip(shape));
        let digits = digits.map(|(place, (wire, (largest, terms)))| Digit {
            wire: wire.clone(),
            most: bounded(*largest, most, place),
            terms: *terms,
        });
        Self {
            digits: digits.collect(),
            most,
        }
    }

    /// The number times a power of four; `zero` stands for the digits below it.
    pub(crate) fn shifted(&self, places: usize, zero: &W) -> Self {
        let zeros = (0..places).map(|_| Digit {
            wire: zero.clone(),
            most: 0,
            terms: 0,
        });
        let shift = u32::try_from(2 * places).unwrap_or(64);
        Self {
            digits: zeros.chain(self.digits.iter().cloned()).collect(),
            most: self.most.checked_shl(shift).unwrap_or(u64::MAX),
        }
    }

    /// States a largest value that is known from elsewhere.
    pub(crate) fn at_most(mut self, most: u64) -> Self {
        self.most = self.most.min(most);
        self
    }

    /// The digits from the lowest, each below 4 once added up.
    pub(crate) fn wires(&self) -> impl Iterator<Item = &W> {
        self.digits.iter().map(|digit| &digit.wire)
    }

    fn is_normal(&self) -> bool {
        self.digits.iter().all(|digit| digit.most <= 3)
    }
}

/// Whether a normalised sum of the numbers fits its lookups at every digit.
fn fits<W>(numbers: &[Number<W>]) -> bool {
    let most: u64 = numbers.iter().map(|number| number.most).sum();
    let longest = numbers
        .iter()
        .map(|number| number.digits.len())
        .max()
        .unwrap_or(0);
    let mut carry = 0;
    (0..longest).all(|place| {
        let sum: u64 = numbers
            .iter()
            .filter_map(|number| number.digits.get(place))
            .map(|d| d.most)
            .sum();
        let bound = bounded(sum + carry, most, place);
        carry = bound / 4;
        bound <= FULL
    })
}

/// A digit is no larger than the whole number allows.
fn bounded(bound: u64, most: u64, place: usize) -> u64 {
    let shift = u32::try_from(2 * place).unwrap_or(63).min(63);
    bound.min(most >> shift)
}

/// Adds numbers up to one whose digits are below 4, as many at a time as the lookups hold, from the first.
pub(crate) fn sum<M: Machine>(
    machine: &M,
    numbers: Vec<Number<M::Wire>>,
    most: u64,
    site: Site,
) -> Result<Number<M::Wire>, MachineError> {
    let mut left = numbers;
    while left.len() > 1 || left.first().is_some_and(|only| !only.is_normal()) {
        let mut take = left.len();
        while take > 1 && !left.get(..take).is_some_and(fits) {
            take -= 1;
        }
        if take == 1 && left.len() > 1 {
            // The next two do not fit as they are: normalise the one that can be.
            let index = usize::from(left.first().is_some_and(Number::is_normal));
            let one = left
                .get(index)
                .cloned()
                .ok_or(MachineError::Overflow(site))?;
            if one.is_normal() {
                return Err(MachineError::Overflow(site));
            }
            let normal = normalise(machine, &[one], most, site)?;
            if let Some(slot) = left.get_mut(index) {
                *slot = normal;
            }
            continue;
        }
        let rest = left.split_off(take);
        let total = normalise(machine, &left, most, site)?;
        left = std::iter::once(total).chain(rest).collect();
    }
    Ok(left.pop().map_or(
        Number {
            digits: Vec::new(),
            most: 0,
        },
        |only| only.at_most(most),
    ))
}

fn normalise<M: Machine>(
    machine: &M,
    numbers: &[Number<M::Wire>],
    most: u64,
    site: Site,
) -> Result<Number<M::Wire>, MachineError> {
    let most = numbers
        .iter()
        .map(|number| number.most)
        .sum::<u64>()
        .min(most);
    let mut digits = Vec::new();
    let mut carry: Option<Digit<M::Wire>> = None;
    for place in 0..digits_for(most) {
        let parts: Vec<Digit<M::Wire>> = numbers
            .iter()
            .filter_map(|number| number.digits.get(place).cloned())
            .chain(carry.take())
            .collect();
        let terms: Vec<_> = parts.iter().map(|digit| (&digit.wire, 1)).collect();
        let sum = machine.combine(&terms, 0);
        let bound = bounded(parts.iter().map(|digit| digit.most).sum(), most, place);
        let noise = parts.iter().map(|digit| digit.terms).sum();
        let low = |value: u64| (value % 4) * ONE;
        let high = |value: u64| (value / 4) * ONE;
        let fresh = |wire, most| Digit {
            wire,
            most,
            terms: 1,
        };
        if bound <= 3 && noise <= NOISY {
            digits.push(Digit {
                wire: sum,
                most: bound,
                terms: noise,
            });
        } else if bound <= 3 {
            digits.push(fresh(
                machine.lookup(&sum, &Table::lookup(4, low), site)?,
                bound,
            ));
        } else if bound <= 7 {
            let mut both = machine.bootstrap(&sum, &Table::pair(3, low, high), site)?;
            carry = both.pop().map(|wire| fresh(wire, bound / 4));
            digits.extend(both.pop().map(|wire| fresh(wire, 3)));
        } else if bound <= FULL {
            digits.push(fresh(
                machine.lookup(&sum, &Table::lookup(4, low), site)?,
                3,
            ));
            carry = Some(fresh(
                machine.lookup(&sum, &Table::lookup(4, high), site)?,
                bound / 4,
            ));
        } else {
            return Err(MachineError::Overflow(site));
        }
    }
    Ok(Number { digits, most })
}

/// [sum of numbers >= k] as 0 or ONE: one bootstrap per digit; `None` if it can never be.
fn reaches<M: Machine>(
    machine: &M,
    numbers: &[&Number<M::Wire>],
    k: u64,
    site: Site,
) -> Result<Option<M::Wire>, MachineError> {
    let most: u64 = numbers.iter().map(|number| number.most).sum();
    if most < k {
        return Ok(None);
    }
    // Add 4^digits - k: the sum then carries out of its last digit exactly if it is at least k.
    let longest = numbers
        .iter()
        .map(|number| number.digits.len())
        .max()
        .unwrap_or(0);
    let last = longest
        .max(digits_for(k.saturating_sub(1)))
        .saturating_sub(1);
    let mut complement = (1_u64 << (2 * (last + 1))).wrapping_sub(k);
    let mut carry: Option<Digit<M::Wire>> = None;
    for place in 0..=last {
        let parts: Vec<Digit<M::Wire>> = numbers
            .iter()
            .filter_map(|number| number.digits.get(place).cloned())
            .chain(carry.take())
            .collect();
        let constant = complement % 4;
        complement /= 4;
        let bound = parts.iter().map(|digit| digit.most).sum::<u64>() + constant;
        let terms: Vec<_> = parts.iter().map(|digit| (&digit.wire, 1)).collect();
        if bound > FULL {
            return Err(MachineError::Overflow(site));
        }
        let offset = constant.cast_signed();
        if place == last {
            return Ok(Some(at_least(machine, &terms, 4 - offset, ONE, site)?));
        }
        carry = if bound <= 3 {
            None
        } else if bound <= 7 {
            let wire = at_least(machine, &terms, 4 - offset, ONE, site)?;
            Some(Digit {
                wire,
                most: 1,
                terms: 1,
            })
        } else {
            let sum = machine.combine(&terms, constant * ONE);
            let wire = machine.lookup(&sum, &Table::lookup(4, |value| (value / 4) * ONE), site)?;
            Some(Digit {
                wire,
                most: bound / 4,
                terms: 1,
            })
        };
    }
    Ok(None)
}

/// For every hospital, [the count without its own >= k] as 0 or ONE; `None` if it can never be.
pub(crate) fn each_left_out<M: Machine>(
    machine: &M,
    hospitals: &[Number<M::Wire>],
    k: u64,
    cell: usize,
) -> Result<Vec<Option<M::Wire>>, MachineError> {
    let site = Step::Compare.at(cell);
    let carry_site = Step::Carry.at(cell);
    // Up to three others are compared as they are; more are added up from both ends first.
    let many = hospitals.len() > 4;
    let running = |numbers: &mut dyn Iterator<Item = &Number<M::Wire>>| {
        let mut sums: Vec<Number<M::Wire>> = Vec::new();
        for number in numbers {
            let next = match sums.last() {
                None => number.clone(),
                Some(before) => {
                    let most = before.most + number.most;
                    sum(
                        machine,
                        vec![before.clone(), number.clone()],
                        most,
                        carry_site,
                    )?
                }
            };
            sums.push(next);
        }
        Ok::<_, MachineError>(sums)
    };
    let (before, after) = if many {
        let count = hospitals.len() - 1;
        let before = running(&mut hospitals.iter().take(count))?;
        let mut after = running(&mut hospitals.iter().rev().take(count))?;
        after.reverse();
        (before, after)
    } else {
        (Vec::new(), Vec::new())
    };
    (0..hospitals.len())
        .map(|left_out| {
            let others: Vec<&Number<M::Wire>> = if many {
                let below = left_out.checked_sub(1).and_then(|index| before.get(index));
                below.into_iter().chain(after.get(left_out)).collect()
            } else {
                hospitals
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| *index != left_out)
                    .map(|(_, number)| number)
                    .collect()
            };
            reaches(machine, &others, k, site)
        })
        .collect()
}
