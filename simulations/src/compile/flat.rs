//! Sums as values at the nodes of axes and planes.

use super::CompileError;
use crate::{formula::OneFeature, program::NodeId};

/// The largest value at a node, in levels.
const LARGEST: f64 = 524_288.0;

/// The summand of one axis or plane at its nodes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    /// The axis or plane.
    pub(crate) name: String,
    /// The nodes of the first axis; 1 for an axis alone.
    rows: usize,
    /// The nodes of the second axis, or of the only one.
    columns: usize,
    /// The values, the first axis slower.
    pub(crate) values: Vec<f64>,
    /// The value of a twin without the feature; the sum is missing if there is none.
    pub(crate) missing: Option<f64>,
}

/// A sum: constant, parts by name, and bits with what each adds.
#[derive(Clone, Default)]
pub(crate) struct Flat<'f> {
    pub(crate) parts: Vec<Part>,
    pub(crate) bits: Vec<(NodeId, f64)>,
    pub(crate) constant: f64,
    /// The functions of single axes with their factors, for evaluation between the nodes.
    pub(crate) functions: Vec<(f64, &'f OneFeature)>,
}

impl Part {
    pub(crate) fn line(
        name: &str,
        values: Vec<f64>,
        missing: Option<f64>,
    ) -> Result<Self, CompileError> {
        Self::grid(name, 1, values.len(), values, missing)
    }

    pub(crate) fn grid(
        name: &str,
        rows: usize,
        columns: usize,
        values: Vec<f64>,
        missing: Option<f64>,
    ) -> Result<Self, CompileError> {
        match values
            .iter()
            .chain(&missing)
            .position(|value| !value.is_finite())
        {
            Some(node) => Err(CompileError::NotFinite {
                name: name.to_owned(),
                node,
            }),
            None => Ok(Self {
                name: name.to_owned(),
                rows,
                columns,
                values,
                missing,
            }),
        }
    }

    /// Adds another part of the same axis or plane.
    pub(crate) fn add(&mut self, other: &Self, factor: f64) {
        for (value, more) in self.values.iter_mut().zip(&other.values) {
            *value += factor * more;
        }
        self.missing = self
            .missing
            .zip(other.missing)
            .map(|(own, more)| own + factor * more);
    }

    /// The values at the nodes and of a missing feature.
    fn all(&self) -> impl Iterator<Item = f64> + '_ {
        self.values.iter().chain(&self.missing).copied()
    }

    /// A function of every value.
    pub(crate) fn through(&self, function: &dyn Fn(f64) -> f64) -> Result<Self, CompileError> {
        Self::grid(
            &self.name,
            self.rows,
            self.columns,
            self.values.iter().map(|value| function(*value)).collect(),
            self.missing.map(function),
        )
    }

    /// The lowest value.
    fn lowest(&self) -> f64 {
        self.all().fold(f64::INFINITY, f64::min)
    }

    /// The highest value.
    fn highest(&self) -> f64 {
        self.all().fold(f64::NEG_INFINITY, f64::max)
    }

    /// The distance between the lowest and the highest value.
    pub(crate) fn range(&self) -> f64 {
        self.highest() - self.lowest()
    }

    /// Clamps to an interval, widened to the nearest value beyond each end.
    fn clamp(&mut self, low: f64, high: f64) {
        if low > high {
            return;
        }
        let below = self.all().filter(|value| *value <= low);
        let low = below.fold(f64::NEG_INFINITY, f64::max);
        let above = self.all().filter(|value| *value >= high);
        let high = above.fold(f64::INFINITY, f64::min);
        for value in self.values.iter_mut().chain(&mut self.missing) {
            *value = value.clamp(low, high);
        }
    }

    /// The values clamped to what matters for ascending cuts, and the width of the window.
    ///
    /// Every cell of the grid that a cut crosses keeps its values; beyond them only the side matters.
    pub(crate) fn around(&self, cuts: &[f64]) -> (Self, f64) {
        let low = cuts.iter().copied().fold(f64::INFINITY, f64::min);
        let high = cuts.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let crossed = cuts
            .iter()
            .filter_map(|cut| {
                let corners = self.cells().filter(|corners| {
                    corners.iter().any(|value| value >= cut)
                        && corners.iter().any(|value| value < cut)
                });
                corners
                    .flatten()
                    .map(|value| (value - cut).abs())
                    .max_by(f64::total_cmp)
            })
            .max_by(f64::total_cmp);
        let nearest = self
            .all()
            .flat_map(|value| cuts.iter().map(move |cut| (value - cut).abs()))
            .min_by(f64::total_cmp);
        let margin = crossed.or(nearest).unwrap_or(1.0).max(1e-9);
        let clamp = |value: &f64| value.clamp(low - margin, high + margin);
        let part = Self {
            values: self.values.iter().map(clamp).collect(),
            missing: self.missing.as_ref().map(clamp),
            ..self.clone()
        };
        (part, high - low + 2.0 * margin)
    }

    /// The corners of every cell of the grid.
    fn cells(&self) -> impl Iterator<Item = Vec<f64>> + '_ {
        let (rows, columns) = (self.rows, self.columns);
        let last_row = rows.saturating_sub(1).max(1);
        (0..last_row).flat_map(move |row| {
            (0..columns.saturating_sub(1)).map(move |column| {
                [
                    (row, column),
                    (row, column + 1),
                    (row + 1, column),
                    (row + 1, column + 1),
                ]
                .into_iter()
                .filter(|(row, _)| *row < rows)
                .filter_map(|(row, column)| self.values.get(row * columns + column))
                .copied()
                .collect()
            })
        })
    }
}

impl Flat<'_> {
    /// The only part of a sum without bits.
    pub(crate) fn only_part(&self) -> Option<&Part> {
        match self.parts.as_slice() {
            [only] if self.bits.is_empty() => Some(only),
            _ => None,
        }
    }

    /// The sum at a value of the only axis.
    pub(crate) fn at(&self, value: f64) -> f64 {
        self.functions
            .iter()
            .map(|(factor, function)| factor * function(value))
            .sum::<f64>()
            + self.constant
    }

    /// The same sum with summands from 0 on: as little as possible is stored in the tables.
    pub(crate) fn with_lowest_zero(mut self) -> Self {
        for part in &mut self.parts {
            let lowest = part.lowest();
            for value in part.values.iter_mut().chain(&mut part.missing) {
                *value -= lowest;
            }
            self.constant += lowest;
        }
        Self {
            functions: Vec::new(),
            ..self
        }
    }

    /// The distance between the lowest and the highest sum.
    pub(crate) fn range(&self) -> f64 {
        let bits: f64 = self.bits.iter().map(|(_, value)| value.abs()).sum();
        self.parts.iter().map(Part::range).sum::<f64>() + bits
    }

    /// What one level of so many is worth: never so little that a value at a node grows beyond what a table holds, as it would where
    /// all nodes are nearly alike.
    pub(crate) fn quantum(&self, levels: f64) -> f64 {
        let values = self.parts.iter().flat_map(Part::all);
        let largest = values.fold(0.0, |largest: f64, value| largest.max(value.abs()));
        let quantum = f64::max(self.range() / levels, largest / LARGEST);
        quantum.max(f64::MIN_POSITIVE)
    }

    /// The number of which every summand is a whole multiple, if the range has at most so many of them.
    pub(crate) fn whole_unit(&self, most: f64) -> Option<f64> {
        let values = || {
            self.parts
                .iter()
                .flat_map(Part::all)
                .chain(self.bits.iter().map(|(_, value)| *value))
        };
        let unit = values().fold(0.0, common);
        let fits = unit > 0.0
            && self.range() / unit <= most
            && values().all(|value| {
                let units = value / unit;
                (units - libm::round(units)).abs() < 1e-6
            });
        fits.then_some(unit)
    }

    /// The sum with its summands clamped to what can matter for some values of it: what a summand needs beyond the
    /// others' ends to reach the lowest or to pass the highest of them. The node beyond is kept, so that the cells
    /// in which the sum can cross keep their slopes.
    pub(crate) fn around(&self, sums: &[f64]) -> Flat<'static> {
        let inner = |end: fn(f64, f64) -> f64, start: f64| {
            sums.iter().map(|sum| sum - self.constant).fold(start, end)
        };
        let (low, high) = (
            inner(f64::min, f64::INFINITY),
            inner(f64::max, f64::NEG_INFINITY),
        );
        let mut parts = self.parts.clone();
        for _ in 0..3 {
            for index in 0..parts.len() {
                let others = |end: &dyn Fn(&Part) -> f64| -> f64 {
                    let rest = parts.iter().enumerate().filter(|(i, _)| *i != index);
                    rest.map(|(_, part)| end(part)).sum()
                };
                let needed = low - others(&Part::highest);
                let enough = high - others(&Part::lowest);
                if let Some(part) = parts.get_mut(index) {
                    part.clamp(needed, enough);
                }
            }
        }
        Flat {
            parts,
            bits: self.bits.clone(),
            constant: self.constant,
            functions: Vec::new(),
        }
    }

    /// Adds another sum times a factor.
    pub(crate) fn plus(&self, other: &Self, factor: f64) -> Self {
        let mut sum = Flat {
            functions: Vec::new(),
            ..self.clone()
        };
        for part in &other.parts {
            match sum.parts.iter_mut().find(|known| known.name == part.name) {
                Some(known) => known.add(part, factor),
                None => {
                    let mut new = part.clone();
                    for value in new.values.iter_mut().chain(&mut new.missing) {
                        *value *= factor;
                    }
                    sum.parts.push(new);
                }
            }
        }
        for (bit, value) in &other.bits {
            match sum.bits.iter_mut().find(|(known, _)| known == bit) {
                Some((_, known)) => *known += factor * value,
                None => sum.bits.push((*bit, factor * value)),
            }
        }
        sum.bits.retain(|(_, value)| *value != 0.0);
        sum.constant += factor * other.constant;
        Flat {
            parts: sum.parts,
            bits: sum.bits,
            constant: sum.constant,
            functions: Vec::new(),
        }
    }
}

/// The greatest number of which both are whole multiples, up to rounding.
fn common(a: f64, b: f64) -> f64 {
    let (mut a, mut b) = (a.abs(), b.abs());
    while b > 1e-7 {
        let rest = a - b * libm::floor(a / b + 1e-9);
        (a, b) = (b, rest.max(0.0));
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[f64]) -> Part {
        Part::line("a", values.to_vec(), None).unwrap()
    }

    fn flat(parts: Vec<Part>) -> Flat<'static> {
        Flat {
            parts,
            ..Flat::default()
        }
    }

    #[test]
    fn points_have_a_whole_unit_and_other_tables_none() {
        assert_eq!(
            flat(vec![line(&[0.0, 1.5, 3.0, 7.5])]).whole_unit(2000.0),
            Some(1.5)
        );
        assert_eq!(
            flat(vec![line(&[0.0, 0.2, 0.5])])
                .whole_unit(2000.0)
                .map(|u| (u * 10.0).round()),
            Some(1.0)
        );
        assert_eq!(
            flat(vec![line(&[0.0, 0.317_13, 1.0])]).whole_unit(2000.0),
            None
        );
    }

    #[test]
    fn the_window_of_a_cut_keeps_every_crossed_cell() {
        let part = line(&[0.0, 1.0, 3.0, 9.0, 50.0]);
        let (near, width) = part.around(&[4.0]);
        assert_eq!(near.values, [0.0_f64.max(-1.0), 1.0, 3.0, 9.0, 9.0]);
        assert!((width - 10.0).abs() < 1e-12);
        // No cell is crossed: all that is left is the side.
        let (near, _) = part.around(&[60.0]);
        assert!(near.values.iter().all(|value| *value < 60.0));
    }

    #[test]
    fn a_sum_keeps_only_what_can_matter_for_its_cuts() {
        let mut other = line(&[0.0, 1.0]);
        other.name = "b".to_owned();
        let wide = flat(vec![line(&[-50.0, -3.0, 0.0, 2.0, 4.0, 7.0, 60.0]), other]);
        let near = wide.around(&[3.0]);
        // From 2 on the other one can help, from 3 on none is needed: 2 and 4 are the values beyond.
        assert_eq!(near.parts[0].values, [2.0, 2.0, 2.0, 2.0, 4.0, 4.0, 4.0]);
        assert_eq!(near.parts[1].values, [0.0, 1.0]);
    }

    #[test]
    fn a_part_without_a_finite_value_is_refused() {
        assert!(matches!(
            Part::line("a", vec![0.0, f64::NAN], None),
            Err(CompileError::NotFinite { node: 1, .. })
        ));
    }
}
