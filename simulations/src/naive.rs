//! The obvious program: the vancomycin question as an ordinary user of tfhe writes it, to compare ours with.
//!
//! Everything is a `FheUint16` of tfhe's high-level interface with its default parameters. The hospital encrypts a
//! creatinine clearance; the server computes the clearance of vancomycin from it, divides the dose by it, and compares the
//! AUC with 400 and 600. It is written as one would write it, and kindly:
//!
//! - The power 0.8 is a cubic polynomial in Horner's form, 0.25 % from the formula between 18 and 150 mL/min. An Euler
//!   loop over the concentration, the other obvious way, needs a product at each of a hundred steps.
//! - All numbers are scaled so that 16 bits suffice for every product. With 32 bits it would take about four times as long.
//! - Scalings are by powers of four, which tfhe does for free; halves for rounding are inside the constants.
//! - The clearance is computed once per patient and used for all doses.
//! - Twins are counted by adding the comparisons. There is no gate for small cells; ours has one.
//!
//! A user who first solves the inequality for the creatinine clearance on paper needs no arithmetic at all, only two
//! comparisons ([`Naive::inverted`]). That works while the outcome is a monotone function of one number; it is measured
//! too, so that nobody takes the whole ratio for the merit of an engine.

use serde::{Deserialize, Serialize};
use tfhe::{
    ClientKey, ConfigBuilder, FheBool, FheUint16, ServerKey, generate_keys,
    prelude::{CastFrom, FheDecrypt, FheEncrypt, FheOrd, FheTryTrivialEncrypt},
    set_server_key, unset_server_key,
};
use thiserror::Error;

/// CrCl/120 in 1/256.
const RATIO: f64 = 256.0;
/// The cubic term, 0.61799, in 1/128.
const CUBIC: u16 = 79;
/// The quadratic term, 1.93928, in 1/128, and half a unit.
const QUADRATIC: u16 = 249;
/// The linear term, 5.62315, in 1/32, and half a unit.
const LINEAR: u16 = 180;
/// The constant term, 0.18699 L/h, in 1/8192, and half of the unit that is dropped after it.
const CONSTANT: u16 = 1532 + 32;
/// The dose in mg becomes a dividend: the clearance is in 1/128 L/h and the AUC in units of 4 mg*h/L.
const DIVIDEND: u16 = 32;
/// 400 mg*h/L.
const LOWER: u16 = 100;
/// 600 mg*h/L.
const UPPER: u16 = 150;
/// The largest daily dose in mg whose dividend has 16 bits.
const LARGEST_DOSE: u16 = 2047;

/// A baseline that could not be measured.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum NaiveError {
    /// tfhe refused.
    #[error("tfhe: {0}")]
    Library(String),
    /// A dose that the fixed point does not hold.
    #[error("{0} mg a day does not fit the fixed point of 16 bits: at most {LARGEST_DOSE}")]
    Dose(u16),
    /// The ciphertexts disagree with the same program in the clear.
    #[error("{crcl} mL/min at {dose} mg: got {got:?}, expected {expected:?}")]
    Wrong {
        /// The creatinine clearance.
        crcl: f64,
        /// The daily dose.
        dose: u16,
        /// At least 400, and at least 600, as decrypted.
        got: (bool, bool),
        /// The same in the clear.
        expected: (bool, bool),
    },
}

/// Seconds of the obvious program for one patient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NaiveCost {
    /// The creatinine clearance of the patient in mL/min.
    pub crcl_ml_min: f64,
    /// The daily dose in mg.
    pub dose_mg: u16,
    /// The clearance of the drug, once per patient.
    pub clearance_seconds: f64,
    /// The division by it, once per arm.
    pub division_seconds: f64,
    /// The two comparisons.
    pub comparison_seconds: f64,
    /// Adding to the counts of the arm.
    pub counting_seconds: f64,
    /// All of it for one patient and one arm.
    pub one_arm_seconds: f64,
    /// The same per arm when five arms share the clearance.
    pub per_arm_of_five_seconds: f64,
    /// One patient and one arm with the inequality solved on paper: comparing and counting only.
    pub inverted_seconds: f64,
}

/// The obvious program with its keys.
pub struct Naive {
    client: ClientKey,
    server: ServerKey,
}

/// The counts of one arm: twins at least at 400, and at least at 600.
struct Counts(FheUint16, FheUint16);

impl Naive {
    /// Makes keys with tfhe's default parameters.
    #[must_use]
    pub fn new() -> Self {
        let (client, server) = generate_keys(ConfigBuilder::default());
        Self { client, server }
    }

    /// Runs the program for one patient and one dose, checks its answer, and times its parts.
    ///
    /// # Errors
    /// A dose above 2047 mg, or a wrong answer.
    pub fn measure(
        &self,
        crcl_ml_min: f64,
        dose_mg: u16,
        clock: &dyn Fn() -> f64,
        progress: &dyn Fn(&str),
    ) -> Result<NaiveCost, NaiveError> {
        if dose_mg > LARGEST_DOSE {
            return Err(NaiveError::Dose(dose_mg));
        }
        set_server_key(self.server.clone());
        let cost = self.timed(crcl_ml_min, dose_mg, clock, progress);
        unset_server_key();
        cost
    }

    fn timed(
        &self,
        crcl_ml_min: f64,
        dose_mg: u16,
        clock: &dyn Fn() -> f64,
        progress: &dyn Fn(&str),
    ) -> Result<NaiveCost, NaiveError> {
        let ratio = encode(crcl_ml_min / 120.0);
        let patient = FheUint16::encrypt(ratio, &self.client);
        let mut counts = Counts(trivial(0)?, trivial(0)?);
        let start = clock();

        progress("the clearance, two encrypted products");
        let clearance = clearance(&patient);
        let with_clearance = clock();
        progress("the AUC, one encrypted division");
        let auc = auc(dose_mg, &clearance)?;
        let with_auc = clock();
        progress("two comparisons");
        let bits = (auc.ge(LOWER), auc.ge(UPPER));
        let with_bits = clock();
        progress("counting");
        counts.add(&bits);
        let counted = clock();

        let expected = clear(ratio, dose_mg);
        self.check(&bits, expected, crcl_ml_min, dose_mg)?;
        progress("two comparisons and counting, solved on paper");
        let inverted = self.inverted(crcl_ml_min, dose_mg, clock)?;
        let division_seconds = with_auc - with_clearance;
        let clearance_seconds = with_clearance - start;
        Ok(NaiveCost {
            crcl_ml_min,
            dose_mg,
            clearance_seconds,
            division_seconds,
            comparison_seconds: with_bits - with_auc,
            counting_seconds: counted - with_bits,
            one_arm_seconds: counted - start,
            per_arm_of_five_seconds: clearance_seconds / 5.0 + (counted - with_clearance),
            inverted_seconds: inverted,
        })
    }

    /// Seconds of the program of a user who solved AUC >= cut for the creatinine clearance before.
    fn inverted(
        &self,
        crcl_ml_min: f64,
        dose_mg: u16,
        clock: &dyn Fn() -> f64,
    ) -> Result<f64, NaiveError> {
        let ratio = encode(crcl_ml_min / 120.0);
        let limit = |auc: f64| encode(libm::pow(f64::from(dose_mg) / auc / 4.5, 1.25));
        let (lower, upper) = (limit(400.0), limit(600.0));
        let patient = FheUint16::encrypt(ratio, &self.client);
        let mut counts = Counts(trivial(0)?, trivial(0)?);
        let start = clock();
        let bits = (patient.le(lower), patient.le(upper));
        counts.add(&bits);
        let seconds = clock() - start;
        let expected = (ratio <= lower, ratio <= upper);
        self.check(&bits, expected, crcl_ml_min, dose_mg)?;
        Ok(seconds)
    }

    fn check(
        &self,
        bits: &(FheBool, FheBool),
        expected: (bool, bool),
        crcl: f64,
        dose: u16,
    ) -> Result<(), NaiveError> {
        let got = (bits.0.decrypt(&self.client), bits.1.decrypt(&self.client));
        if got == expected {
            Ok(())
        } else {
            Err(NaiveError::Wrong {
                crcl,
                dose,
                got,
                expected,
            })
        }
    }
}

impl Default for Naive {
    fn default() -> Self {
        Self::new()
    }
}

impl Counts {
    fn add(&mut self, bits: &(FheBool, FheBool)) {
        self.0 += FheUint16::cast_from(bits.0.clone());
        self.1 += FheUint16::cast_from(bits.1.clone());
    }
}

fn trivial(value: u16) -> Result<FheUint16, NaiveError> {
    FheUint16::try_encrypt_trivial(value).map_err(|error| NaiveError::Library(error.to_string()))
}

/// A ratio to 120 mL/min in fixed point.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the ratio is cut to 0 to 1.25"
)]
fn encode(ratio: f64) -> u16 {
    libm::round(ratio.clamp(0.0, 1.25) * RATIO) as u16
}

/// The clearance of the drug in 1/128 L/h: 4.5 u^0.8 is about 0.187 + u (5.623 - u (1.939 - 0.618 u)).
fn clearance(ratio: &FheUint16) -> FheUint16 {
    let cubic = (ratio * CUBIC) >> 8_u16;
    let quadratic = (ratio * (QUADRATIC - &cubic)) >> 10_u16;
    let linear = ratio * (LINEAR - &quadratic);
    (linear + CONSTANT) >> 6_u16
}

/// The AUC over 24 hours at steady state in units of 4 mg*h/L.
fn auc(dose_mg: u16, clearance: &FheUint16) -> Result<FheUint16, NaiveError> {
    Ok(trivial(dose_mg * DIVIDEND)? / clearance)
}

/// The same program in the clear: whether the AUC is at least 400, and at least 600.
fn clear(ratio: u16, dose_mg: u16) -> (bool, bool) {
    let cubic = (ratio * CUBIC) >> 8;
    let quadratic = (ratio * (QUADRATIC - cubic)) >> 10;
    let clearance = (ratio * (LINEAR - quadratic) + CONSTANT) >> 6;
    let auc = (dose_mg * DIVIDEND) / clearance;
    (auc >= LOWER, auc >= UPPER)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bits by the textbook formula.
    fn textbook(crcl: f64, dose: u16) -> (bool, bool) {
        let auc = f64::from(dose) / (4.5 * libm::pow(crcl / 120.0, 0.8));
        (auc >= 400.0, auc >= 600.0)
    }

    #[test]
    fn sixteen_bits_hold_every_intermediate_result() {
        for ratio in 0..=encode(1.25) {
            for dose in [1, 250, LARGEST_DOSE] {
                // An overflow would panic in a debug build; in a release build it is looked for here.
                let cubic = u64::from(ratio) * u64::from(CUBIC);
                let quadratic = u64::from(ratio) * (u64::from(QUADRATIC) - (cubic >> 8));
                let linear = u64::from(ratio) * (u64::from(LINEAR) - (quadratic >> 10))
                    + u64::from(CONSTANT);
                for value in [
                    cubic,
                    quadratic,
                    linear,
                    u64::from(dose) * u64::from(DIVIDEND),
                ] {
                    assert!(u16::try_from(value).is_ok(), "{ratio}: {value}");
                }
            }
        }
    }

    #[test]
    fn the_fixed_point_agrees_with_the_textbook_except_near_the_cuts() {
        for dose in [750_u16, 1000, 1250, 1500, 2000] {
            for tenth in 150..=1500 {
                let crcl = f64::from(tenth) / 10.0;
                let auc = f64::from(dose) / (4.5 * libm::pow(crcl / 120.0, 0.8));
                let near = |cut: f64| (auc / cut - 1.0).abs() < 0.02;
                if !near(400.0) && !near(600.0) {
                    assert_eq!(
                        clear(encode(crcl / 120.0), dose),
                        textbook(crcl, dose),
                        "{crcl} mL/min, {dose} mg"
                    );
                }
            }
        }
    }

    #[test]
    fn a_dose_that_does_not_fit_is_refused() {
        // No key is needed to refuse; making one takes a second.
        let naive = Naive::new();
        let refused = naive.measure(60.0, 2048, &|| 0.0, &|_| {});
        assert_eq!(refused, Err(NaiveError::Dose(2048)));
    }
}
