//! Equations that hold between the slots of a twin exactly if an encoder can have made its weights
//! (docs/spec/admission.md, 1 to 5). They are checked on shares, so they are at most quadratic.

#[cfg(test)]
mod tests;

use crate::schema::{Axis, Plane, Scale, Schema, UNIT, UNIT_BITS};

/// Consecutive slots of which any two have the product 0, unless the pair is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    /// The first slot.
    pub first: usize,
    /// How many slots.
    pub count: usize,
    /// The pairs that may both be nonzero, the lower slot first, ascending.
    pub together: Vec<(usize, usize)>,
}

/// A form that is 0: products with coefficients, single slots with coefficients, and a constant.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Form {
    /// Two slots and the coefficient of their product.
    pub products: Vec<(usize, usize, i64)>,
    /// A slot and its coefficient.
    pub linear: Vec<(usize, i64)>,
    /// The constant.
    pub constant: i64,
}

/// All equations of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equations {
    /// The number of slots of a twin.
    pub slots: usize,
    /// Which products vanish.
    pub apart: Vec<Apart>,
    /// Which forms vanish.
    pub forms: Vec<Form>,
}

impl Form {
    /// The form's value modulo 2^128; nothing for slots beyond the values.
    #[must_use]
    pub fn value(&self, values: &[u128]) -> Option<u128> {
        let mut sum = wide(self.constant);
        for (a, b, coefficient) in &self.products {
            let product = values.get(*a)?.wrapping_mul(*values.get(*b)?);
            sum = sum.wrapping_add(product.wrapping_mul(wide(*coefficient)));
        }
        for (slot, coefficient) in &self.linear {
            sum = sum.wrapping_add(values.get(*slot)?.wrapping_mul(wide(*coefficient)));
        }
        Some(sum)
    }

    fn square(&mut self, slot: usize) {
        self.products.push((slot, slot, 1));
    }

    /// Adds `factor` times the square of the number `sum of coefficient * slot`.
    fn square_of(&mut self, number: &[(usize, i64)], factor: i64) {
        for (at, (a, x)) in number.iter().enumerate() {
            self.products.push((*a, *a, factor * x * x));
            for (b, y) in number.iter().skip(at + 1) {
                self.products.push((*a, *b, 2 * factor * x * y));
            }
        }
    }

    /// Subtracts f^2 + (16 - f)^2 for the fraction in these bits.
    fn subtract_fraction(&mut self, bits: usize) {
        let fraction = number(bits, 1);
        self.square_of(&fraction, -2);
        let unit = i64::from(UNIT);
        self.linear
            .extend(fraction.iter().map(|(slot, c)| (*slot, 2 * unit * c)));
        self.constant -= unit * unit;
    }
}

/// A coefficient modulo 2^128.
fn wide(coefficient: i64) -> u128 {
    i128::from(coefficient).cast_unsigned()
}

/// The number whose bits lie from slot `bits`, lowest first.
fn number(bits: usize, factor: i64) -> Vec<(usize, i64)> {
    (0..UNIT_BITS as usize)
        .map(|bit| (bits + bit, factor << bit))
        .collect()
}

impl Equations {
    /// The equations of a schema's twins.
    #[must_use]
    pub fn of(schema: &Schema) -> Self {
        let mut equations = Self {
            slots: schema.slots(),
            apart: Vec::new(),
            forms: Vec::new(),
        };
        let mut first = 0;
        for axis in schema.axes() {
            equations.axis(first, axis);
            first += axis.slots();
        }
        for plane in schema.planes() {
            equations.plane(first, plane);
            first += plane.slots();
        }
        equations
    }

    /// Whether every equation holds modulo 2^128.
    #[must_use]
    pub fn hold_for(&self, values: &[u128]) -> bool {
        self.broken(values).is_none()
    }

    /// Whether every equation holds for a twin's weights in the clear.
    #[must_use]
    pub fn hold_for_weights(&self, weights: &[u32]) -> bool {
        let values: Vec<u128> = weights.iter().map(|weight| u128::from(*weight)).collect();
        self.hold_for(&values)
    }

    /// The first equation that does not hold, in words.
    #[must_use]
    pub fn broken(&self, values: &[u128]) -> Option<String> {
        if values.len() != self.slots {
            return Some(format!(
                "expected {} slots, got {}",
                self.slots,
                values.len()
            ));
        }
        for apart in &self.apart {
            let nonzero: Vec<(usize, u128)> = values
                .iter()
                .copied()
                .enumerate()
                .skip(apart.first)
                .take(apart.count)
                .filter(|(_, value)| *value != 0)
                .collect();
            for (at, (a, x)) in nonzero.iter().enumerate() {
                let other = nonzero
                    .iter()
                    .skip(at + 1)
                    .find(|(b, y)| x.wrapping_mul(*y) != 0 && !apart.may_meet(*a, *b));
                if let Some((b, _)) = other {
                    return Some(format!("slots {a} and {b} are both nonzero"));
                }
            }
        }
        let broken = self
            .forms
            .iter()
            .position(|form| form.value(values) != Some(0));
        broken.map(|form| format!("form {form} is not zero"))
    }

    /// 16 in one node, in two neighbours by the fraction, or in `missing` (2.1 to 2.4).
    fn axis(&mut self, first: usize, axis: &Axis) {
        let nodes = usize::from(axis.nodes);
        let whole = axis.scale == Scale::Categorical;
        let pairs = (1..nodes).filter(|_| !whole);
        let together: Vec<_> = pairs.map(|b| (first + b - 1, first + b)).collect();
        self.weights(first, nodes, together);
        if !whole {
            let bits = first + nodes + 1;
            self.bits(bits, axis.fraction_bits());
            self.squares(first, nodes, &[], bits);
        }
    }

    /// 16 spread over the corners of one triangle by both fractions and their distance, or in `missing` (3.1 to 3.4).
    fn plane(&mut self, first: usize, plane: &Plane) {
        let (rows, columns) = (
            usize::from(plane.first.nodes),
            usize::from(plane.second.nodes),
        );
        let down = plane.first.fraction_bits() > 0;
        let right = plane.second.fraction_bits() > 0;
        let steps = |wanted: bool, step: (usize, usize)| {
            let places = (0..rows).flat_map(move |row| (0..columns).map(move |c| (row, c)));
            let inside = places
                .filter(move |(row, c)| wanted && row + step.0 < rows && c + step.1 < columns);
            inside
                .map(move |(row, c)| {
                    let from = first + row * columns + c;
                    (from, from + step.0 * columns + step.1)
                })
                .collect::<Vec<_>>()
        };
        let vertical = steps(down, (1, 0));
        let horizontal = steps(right, (0, 1));
        let diagonal = steps(down && right, (1, 1));
        let mut together = [vertical.clone(), horizontal.clone(), diagonal.clone()].concat();
        together.sort_unstable();
        let nodes = plane.nodes();
        self.weights(first, nodes, together);
        let mut bits = first + nodes + 1;
        self.bits(bits, plane.fraction_bits());
        let width = UNIT_BITS as usize;
        // A row's sum has its own weights squared, and the pairs within the row twice; likewise the others.
        if down {
            self.squares(first, nodes, &horizontal, bits);
            bits += width;
        }
        if right {
            self.squares(first, nodes, &vertical, bits);
            bits += width;
        }
        if down && right {
            self.squares(first, nodes, &diagonal, bits);
            let mut distance = Form::default();
            distance.square_of(&number(bits, 1), 1);
            let both = [number(bits - 2 * width, 1), number(bits - width, -1)];
            distance.square_of(&both.concat(), -1);
            self.forms.push(distance);
        }
    }

    /// The weights sum to 16, and only listed pairs may meet.
    fn weights(&mut self, first: usize, nodes: usize, together: Vec<(usize, usize)>) {
        let count = nodes + 1;
        self.apart.push(Apart {
            first,
            count,
            together,
        });
        self.forms.push(Form {
            products: Vec::new(),
            linear: (first..first + count).map(|slot| (slot, 1)).collect(),
            constant: -i64::from(UNIT),
        });
    }

    fn bits(&mut self, first: usize, count: usize) {
        self.forms.extend((first..first + count).map(|bit| Form {
            products: vec![(bit, bit, 1)],
            linear: vec![(bit, -1)],
            constant: 0,
        }));
    }

    /// The squares of the sums over lines are those of 16 - f and f, `missing` included.
    fn squares(&mut self, first: usize, nodes: usize, same_line: &[(usize, usize)], bits: usize) {
        let mut form = Form::default();
        for slot in first..=first + nodes {
            form.square(slot);
        }
        form.products
            .extend(same_line.iter().map(|(a, b)| (*a, *b, 2)));
        form.subtract_fraction(bits);
        self.forms.push(form);
    }
}

impl Apart {
    fn may_meet(&self, a: usize, b: usize) -> bool {
        self.together.binary_search(&(a.min(b), a.max(b))).is_ok()
    }
}
