//! Choices: the best of some options on encrypted scores, without those that are excluded.

use super::{Builder, CompileError, LEVELS_10, LEVELS_12, MOST_POINTS, flat::Flat};
use crate::{formula::Choice, program::NodeId};

/// The most options of a choice.
const MOST_OPTIONS: usize = 8;

/// The bits of a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChoiceBits {
    /// For each option, that it is the one chosen.
    pub chosen: Vec<NodeId>,
    /// For each option, that it is excluded, if it can be.
    pub excluded: Vec<Option<NodeId>>,
    /// For each option, its reasons for exclusion by name.
    pub reasons: Vec<Vec<(String, NodeId)>>,
    /// All options are excluded, if they can be.
    pub nothing: Option<NodeId>,
    /// For each reported margin, that the chosen option is so much better than every other that is not excluded.
    pub margins: Vec<NodeId>,
}

impl Builder<'_> {
    /// Chooses the option with the highest score among those that are not excluded; the first of equals.
    ///
    /// Every two options are compared by the sign of the difference of their scores, which is a sum of tables
    /// itself; an option is chosen if it is not excluded and each other one is excluded or not better.
    ///
    /// # Errors
    /// No options or more than eight, or a formula that does not fit the twins.
    pub fn choice(&mut self, choice: &Choice) -> Result<ChoiceBits, CompileError> {
        let count = choice.options.len();
        if count == 0 || count > MOST_OPTIONS {
            return Err(CompileError::Options(count));
        }
        let mut reasons = Vec::new();
        let mut excluded = Vec::new();
        let mut flats = Vec::new();
        for option in &choice.options {
            let mut named = Vec::new();
            for (name, condition) in &option.contraindications {
                named.push((name.clone(), self.condition(condition)?));
            }
            excluded.push(self.any(named.iter().map(|(_, bit)| *bit).collect()));
            reasons.push(named);
            flats.push(self.flatten(&option.score)?);
        }
        let mut beats: Vec<Vec<Vec<NodeId>>> = vec![vec![Vec::new(); count]; count];
        for (first, own) in flats.iter().enumerate() {
            for (second, other) in flats.iter().enumerate().skip(first + 1) {
                let (ahead, behind) = self.compare(own, other, &choice.margins)?;
                put(&mut beats, first, second, ahead);
                put(&mut beats, second, first, behind);
            }
        }
        let mut levels: Vec<Vec<NodeId>> = Vec::new();
        for level in 0..=choice.margins.len() {
            let mut winners = Vec::new();
            for (option, row) in beats.iter().enumerate() {
                let mut needed = Vec::new();
                if let Some(Some(bit)) = excluded.get(option) {
                    needed.push(self.not(*bit));
                }
                for (other, bits) in row.iter().enumerate() {
                    let Some(better) = bits.get(level) else {
                        continue;
                    };
                    let out = excluded.get(other).copied().flatten();
                    needed.extend(self.any(std::iter::once(*better).chain(out).collect()));
                }
                winners.push(match self.all(needed) {
                    Some(bit) => bit,
                    // One option that nothing excludes: it is chosen wherever its score is there.
                    None => self.present(flats.get(option))?,
                });
            }
            levels.push(winners);
        }
        let nothing: Option<Vec<NodeId>> = excluded.iter().copied().collect();
        let nothing = nothing.and_then(|bits| self.all(bits));
        let mut levels = levels.into_iter();
        let chosen = levels.next().unwrap_or_default();
        let margins = levels.filter_map(|winners| self.any(winners)).collect();
        Ok(ChoiceBits {
            chosen,
            excluded,
            reasons,
            nothing,
            margins,
        })
    }

    /// For no margin and each margin: that the first is at least so much ahead, and that the second is. Without a
    /// margin the first also wins if both are equal.
    fn compare(
        &mut self,
        first: &Flat<'_>,
        second: &Flat<'_>,
        margins: &[f64],
    ) -> Result<(Vec<NodeId>, Vec<NodeId>), CompileError> {
        let difference = first.plus(second, -1.0);
        let exact = difference.whole_unit(MOST_POINTS);
        let levels = if difference.bits.is_empty() {
            LEVELS_12
        } else {
            LEVELS_10
        };
        let unit = exact.unwrap_or_else(|| difference.range() / levels);
        let node = self.sum(&difference, unit);
        let ahead: Vec<f64> = std::iter::once(0.0)
            .chain(margins.iter().copied())
            .collect();
        // The second is ahead by a margin m where the difference is not above -m.
        let beyond = f64::max(unit, f64::MIN_POSITIVE) / 16.0;
        let behind: Vec<f64> = std::iter::once(0.0)
            .chain(margins.iter().map(|margin| beyond - margin))
            .collect();
        let ahead = self.cut(node, &difference, unit, &ahead);
        let behind = self
            .cut(node, &difference, unit, &behind)
            .into_iter()
            .map(|bit| self.not(bit))
            .collect();
        Ok((ahead, behind))
    }

    fn present(&mut self, flat: Option<&Flat<'_>>) -> Result<NodeId, CompileError> {
        let flat = flat.ok_or(CompileError::Constant)?;
        let unit = flat.whole_unit(MOST_POINTS).unwrap_or(1.0);
        let node = self.sum(flat, unit);
        Ok(self.valid(node))
    }
}

fn put(beats: &mut [Vec<Vec<NodeId>>], row: usize, column: usize, bits: Vec<NodeId>) {
    if let Some(slot) = beats.get_mut(row).and_then(|row| row.get_mut(column)) {
        *slot = bits;
    }
}
