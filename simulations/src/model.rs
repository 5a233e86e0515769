//! The registry of models: what each computes, from which axis, within which range, and from which source.

/// Which way a model's outcome moves along its axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The outcome grows with the axis.
    Rising,
    /// The outcome falls with the axis.
    Falling,
}

/// A model whose outcome at a dose is a monotone function of one axis.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// The name by which a study asks for it.
    pub id: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// The outcome's name.
    pub outcome_name: &'static str,
    /// The outcome's unit.
    pub outcome_unit: &'static str,
    /// The paper and what of it is used.
    pub source: &'static str,
    /// The axis that it reads.
    pub axis: &'static str,
    /// The smallest and the largest daily dose in mg.
    pub doses: (f64, f64),
    /// Which way the outcome moves along the axis.
    pub direction: Direction,
    /// The outcome of a daily dose in mg at a value on the axis: the textbook formula.
    pub outcome: fn(dose: f64, value: f64) -> f64,
    /// The value on the axis at which a daily dose in mg gives an outcome.
    pub value_for: fn(dose: f64, outcome: f64) -> f64,
}

/// The vancomycin clearance in L/h at a creatinine clearance in mL/min, without dialysis
/// (Goti V et al., Ther Drug Monit 2018;40:212). The clearance must follow the model's own rules
/// ([`crate::kidney::crcl_goti`]).
#[must_use]
pub fn vancomycin_clearance(crcl_ml_min: f64) -> f64 {
    4.5 * libm::pow(crcl_ml_min / 120.0, 0.8)
}

/// Vancomycin, Goti 2018, without dialysis: the AUC over 24 hours at steady state in mg*h/L.
pub const VANCOMYCIN_GOTI_2018: Model = Model {
    id: "vancomycin-goti-2018",
    title: "Vancomycin, hospital adults without dialysis (Goti 2018)",
    outcome_name: "AUC24,ss",
    outcome_unit: "mg*h/L",
    source: "Goti V et al., Ther Drug Monit 2018;40:212: CL = 4.5*(CrCl/120)^0.8 L/h, AUC24,ss = daily dose/CL",
    axis: "crcl_goti_ml_min",
    doses: (250.0, 6000.0),
    direction: Direction::Falling,
    outcome: |dose, crcl| dose / vancomycin_clearance(crcl),
    value_for: |dose, auc| 120.0 * libm::pow(dose / auc / 4.5, 1.25),
};

/// Every model of the registry.
#[must_use]
pub fn registry() -> &'static [Model] {
    &[VANCOMYCIN_GOTI_2018]
}

/// Finds a model by its name.
#[must_use]
pub fn find(id: &str) -> Option<&'static Model> {
    registry().iter().find(|model| model.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vancomycin_gives_the_worked_example() {
        assert!((vancomycin_clearance(60.0) - 2.58457).abs() < 5e-6);
        // 1000 mg every 12 hours.
        assert!(((VANCOMYCIN_GOTI_2018.outcome)(2000.0, 60.0) - 773.8).abs() < 0.05);
    }

    #[test]
    fn every_model_inverts_its_outcome() {
        for model in registry() {
            let dose = model.doses.0 * 4.0;
            let outcome = (model.outcome)(dose, 77.0);
            assert!(
                ((model.value_for)(dose, outcome) - 77.0).abs() < 1e-9,
                "{}",
                model.id
            );
        }
    }

    #[test]
    fn the_direction_of_every_model_is_as_stated() {
        for model in registry() {
            let (low, high) = ((model.outcome)(1000.0, 20.0), (model.outcome)(1000.0, 90.0));
            assert_eq!(
                low < high,
                model.direction == Direction::Rising,
                "{}",
                model.id
            );
        }
    }
}
