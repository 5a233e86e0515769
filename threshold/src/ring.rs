//! Products in `Z_{2^128}[X]/(X^N+1)` by number-theoretic transforms modulo ten 30-bit primes.
//!
//! Two factors below `2^128` and sums of up to 16 products fit under the product of the primes, so the
//! result modulo `2^128` is exact; truncating it further is exact too.

use tfhe_ntt::native128::Plan32;
use tfhe_ntt::prime32;

const PRIMES: usize = 10;

/// The ring of one polynomial size.
pub(crate) struct Ring {
    plan: Plan32,
    size: usize,
}

const LOW: u128 = 0xffff_ffff;

/// Writes `value mod P` for every value; `P` is a constant so that the division becomes a product.
#[expect(
    clippy::cast_possible_truncation,
    reason = "limbs of 32 bits; reduced below a 30-bit prime"
)]
fn reduce<const P: u64>(values: &[u128], out: &mut [u32]) {
    let c1 = (1u64 << 32) % P;
    let c2 = c1 * c1 % P;
    let c3 = c1 * c2 % P;
    for (out, value) in out.iter_mut().zip(values) {
        let l0 = (value & LOW) as u64;
        let l1 = (value >> 32 & LOW) as u64;
        let l2 = (value >> 64 & LOW) as u64;
        let l3 = (value >> 96) as u64;
        // Each term is below 2^62.
        let folded = (l0 + l1 * c1 + l2 * c2 + l3 * c3) % P;
        *out = folded as u32;
    }
}

impl Ring {
    /// Prepares the ring `X^size + 1`; nothing if the size is not supported.
    pub(crate) fn new(size: usize) -> Option<Self> {
        let ring = Self {
            plan: Plan32::try_new(size)?,
            size,
        };
        let moduli = ring.plans().map(prime32::Plan::modulus);
        (moduli == MODULI).then_some(ring)
    }

    fn plans(&self) -> [&prime32::Plan; PRIMES] {
        let p = &self.plan;
        [
            p.ntt_0(),
            p.ntt_1(),
            p.ntt_2(),
            p.ntt_3(),
            p.ntt_4(),
            p.ntt_5(),
            p.ntt_6(),
            p.ntt_7(),
            p.ntt_8(),
            p.ntt_9(),
        ]
    }

    /// Returns the length of a transform.
    pub(crate) const fn transform_len(&self) -> usize {
        PRIMES * self.size
    }

    /// Transforms a polynomial into `out`, which has [`Ring::transform_len`] values.
    pub(crate) fn forward(&self, values: &[u128], out: &mut [u32]) {
        for ((reduce, plan), out) in REDUCE
            .iter()
            .zip(self.plans())
            .zip(out.chunks_exact_mut(self.size))
        {
            reduce(values, out);
            plan.fwd(out);
        }
    }

    /// Adds the product of two transforms onto `sum`.
    pub(crate) fn add_product(&self, sum: &mut [u32], left: &[u32], right: &[u32]) {
        for (((plan, sum), left), right) in self
            .plans()
            .iter()
            .zip(sum.chunks_exact_mut(self.size))
            .zip(left.chunks_exact(self.size))
            .zip(right.chunks_exact(self.size))
        {
            plan.mul_accumulate(sum, left, right);
        }
    }

    /// Turns a sum of products back into a polynomial modulo `2^128`.
    pub(crate) fn inverse(&self, sum: &mut [u32], out: &mut [u128]) {
        for (plan, sum) in self.plans().iter().zip(sum.chunks_exact_mut(self.size)) {
            plan.normalize(sum);
        }
        let mut parts = sum.chunks_exact_mut(self.size);
        let mut next = || parts.next().unwrap_or_default();
        let (m0, m1, m2, m3, m4) = (next(), next(), next(), next(), next());
        let (m5, m6, m7, m8, m9) = (next(), next(), next(), next(), next());
        self.plan.inv(out, m0, m1, m2, m3, m4, m5, m6, m7, m8, m9);
    }
}

const MODULI: [u32; PRIMES] = [
    0x3f5a_0001,
    0x3f5d_0001,
    0x3f76_0001,
    0x3f82_0001,
    0x3fac_0001,
    0x3faf_0001,
    0x3fb1_0001,
    0x3fbb_0001,
    0x3fde_0001,
    0x3ffc_0001,
];

type Reduce = fn(&[u128], &mut [u32]);

const REDUCE: [Reduce; PRIMES] = [
    reduce::<0x3f5a_0001>,
    reduce::<0x3f5d_0001>,
    reduce::<0x3f76_0001>,
    reduce::<0x3f82_0001>,
    reduce::<0x3fac_0001>,
    reduce::<0x3faf_0001>,
    reduce::<0x3fb1_0001>,
    reduce::<0x3fbb_0001>,
    reduce::<0x3fde_0001>,
    reduce::<0x3ffc_0001>,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prf::{Label, Seed};

    #[test]
    fn products_equal_the_schoolbook_modulo_two_to_the_128() {
        let n = 64;
        let mut random = Seed::new([1; 32]).stream(&Label::new("test"));
        let mut draw = || (0..n).map(|_| random.next_u128()).collect::<Vec<_>>();
        let pairs = [
            (draw(), draw()),
            (draw(), draw()),
            (vec![u128::MAX; n], vec![u128::MAX; n]),
        ];
        let ring = Ring::new(n).unwrap();
        let mut sum = vec![0; ring.transform_len()];
        let mut expected = vec![0u128; n];
        for (a, b) in &pairs {
            let (mut fa, mut fb) = (vec![0; ring.transform_len()], vec![0; ring.transform_len()]);
            ring.forward(a, &mut fa);
            ring.forward(b, &mut fb);
            ring.add_product(&mut sum, &fa, &fb);
            for (i, a) in a.iter().enumerate() {
                for (j, b) in b.iter().enumerate() {
                    let product = a.wrapping_mul(*b);
                    let at = (i + j) % n;
                    expected[at] = if i + j < n {
                        expected[at].wrapping_add(product)
                    } else {
                        expected[at].wrapping_sub(product)
                    };
                }
            }
        }
        let mut got = vec![0; n];
        ring.inverse(&mut sum, &mut got);
        assert_eq!(got, expected);
    }
}
