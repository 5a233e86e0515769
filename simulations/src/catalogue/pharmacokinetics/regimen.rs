//! Regimens: what is given when, as a study states it in public.

use super::course::Dose;
use crate::catalogue::{Default_, Parameter, Values};

/// The names of a drug's parameters and outputs, which carry its units.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// The daily dose.
    pub daily: &'static str,
    /// The unit of doses.
    pub dose_unit: &'static str,
    /// The loading dose.
    pub loading: &'static str,
    /// The list of doses.
    pub doses: &'static str,
    /// The threshold for time above and below.
    pub threshold: &'static str,
    /// The unit of concentrations.
    pub unit: &'static str,
    /// The unit of areas.
    pub area_unit: &'static str,
    /// The concentration's unit in one of dose over litre.
    pub per: f64,
    /// Concentrations and areas below this count as this.
    pub least: f64,
    /// The area over 24 hours at steady state.
    pub auc24_ss: &'static str,
    /// The average at steady state.
    pub average_ss: &'static str,
    /// The peak at steady state.
    pub peak_ss: &'static str,
    /// The trough at steady state.
    pub trough_ss: &'static str,
    /// The concentration at an hour.
    pub concentration: &'static str,
    /// The peak in a window.
    pub peak: &'static str,
    /// The trough in a window.
    pub trough: &'static str,
    /// The area in a window.
    pub auc: &'static str,
}

/// Doses in mg, concentrations in mg/L.
pub const MG: Names = Names {
    daily: "daily_dose_mg",
    dose_unit: "mg",
    loading: "loading_dose_mg",
    doses: "doses_mg",
    threshold: "threshold_mg_l",
    unit: "mg/L",
    area_unit: "mg.h/L",
    per: 1.0,
    least: 0.5,
    auc24_ss: "auc24_ss_mg_h_l",
    average_ss: "average_ss_mg_l",
    peak_ss: "peak_ss_mg_l",
    trough_ss: "trough_ss_mg_l",
    concentration: "concentration_mg_l",
    peak: "peak_mg_l",
    trough: "trough_mg_l",
    auc: "auc_mg_h_l",
};

/// Doses in mg, concentrations in mg/L, for drugs that act below 1 mg/L.
pub const MG_LOW: Names = Names { least: 0.1, ..MG };

/// Doses in ug, concentrations in ug/L, which is ng/mL.
pub const UG: Names = Names {
    daily: "daily_dose_ug",
    dose_unit: "ug",
    loading: "loading_dose_ug",
    doses: "doses_ug",
    threshold: "threshold_ug_l",
    unit: "ug/L",
    area_unit: "ug.h/L",
    per: 1.0,
    least: 0.05,
    auc24_ss: "auc24_ss_ug_h_l",
    average_ss: "average_ss_ug_l",
    peak_ss: "peak_ss_ug_l",
    trough_ss: "trough_ss_ug_l",
    concentration: "concentration_ug_l",
    peak: "peak_ug_l",
    trough: "trough_ug_l",
    auc: "auc_ug_h_l",
};

/// Doses in mg, concentrations in ug/L.
pub const MG_UG: Names = Names {
    daily: MG.daily,
    dose_unit: MG.dose_unit,
    loading: MG.loading,
    doses: MG.doses,
    per: 1000.0,
    least: 0.5,
    ..UG
};

/// A number that a study chooses.
pub const fn parameter(
    key: &'static str,
    unit: &'static str,
    title: &'static str,
    (lo, hi, default): (f64, f64, f64),
) -> Parameter {
    Parameter {
        key,
        unit,
        title,
        lo,
        hi,
        default: Default_::Number(default),
    }
}

/// A list that a study chooses; empty if it is not given.
pub const fn list(
    key: &'static str,
    unit: &'static str,
    title: &'static str,
    (lo, hi): (f64, f64),
) -> Parameter {
    Parameter {
        key,
        unit,
        title,
        lo,
        hi,
        default: Default_::List(&[]),
    }
}

/// What is usual for a drug: the lowest, the highest and the default value.
#[derive(Clone, Copy, Debug)]
pub struct Usual {
    /// Daily doses.
    pub daily: (f64, f64, f64),
    /// Hours between doses.
    pub interval: (f64, f64, f64),
    /// Hours of an infusion.
    pub infusion: (f64, f64, f64),
    /// The concentration that hours above and below refer to.
    pub threshold: (f64, f64, f64),
    /// The latest hour that is looked at.
    pub latest: f64,
    /// The window that is looked at.
    pub window: (f64, f64),
}

/// The parameters of a drug that is swallowed.
pub const fn oral(names: &Names, usual: Usual) -> [Parameter; 12] {
    let latest = usual.latest;
    let most = 4.0 * usual.daily.1;
    [
        parameter(names.daily, names.dose_unit, "daily dose", usual.daily),
        parameter("interval_h", "h", "hours between doses", usual.interval),
        parameter(
            "doses",
            "1",
            "number of doses; 0: as many as start before the last hour looked at",
            (0.0, 64.0, 0.0),
        ),
        parameter(
            names.loading,
            names.dose_unit,
            "first dose if another than the others; 0: the same",
            (0.0, most, 0.0),
        ),
        parameter(
            "missed_dose",
            "1",
            "number of the dose that is missed, counted from 1; 0: none",
            (0.0, 64.0, 0.0),
        ),
        list(
            names.doses,
            names.dose_unit,
            "doses one by one, 0 for one that is missed, instead of the daily dose; the last is repeated for times beyond",
            (0.0, most),
        ),
        list(
            "dose_times_h",
            "h",
            "hours of the doses one by one; doses beyond follow at the interval",
            (0.0, latest),
        ),
        parameter(
            "at_h",
            "h",
            "hour of the concentration",
            (0.25, latest, usual.window.1),
        ),
        parameter(
            "from_h",
            "h",
            "start of the window",
            (0.0, latest, usual.window.0),
        ),
        parameter(
            "to_h",
            "h",
            "end of the window",
            (0.0, latest, usual.window.1),
        ),
        parameter(
            names.threshold,
            names.unit,
            "concentration for the time above and below",
            usual.threshold,
        ),
        parameter(
            "clearance_factor",
            "1",
            "what if the clearance changed by this factor",
            (0.1, 4.0, 1.0),
        ),
    ]
}

/// The parameters of a drug that is infused.
pub const fn infused(names: &Names, usual: Usual) -> [Parameter; 15] {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = oral(names, usual);
    let infusion = parameter(
        "infusion_h",
        "h",
        "hours of an infusion; 0: at once",
        usual.infusion,
    );
    let hours = list(
        "clearance_step_h",
        "h",
        "hours, ascending, at which the clearance changes, as when kidneys fail or recover",
        (0.0, usual.latest),
    );
    let factors = list(
        "clearance_step_factors",
        "1",
        "clearance from each of those hours on, as a multiple of the one before all; hours without a factor are left out",
        (0.1, 4.0),
    );
    [a, b, infusion, c, d, e, f, g, h, i, j, k, l, hours, factors]
}

/// A regimen, read from parameters.
#[derive(Clone, Debug)]
pub struct Regimen {
    daily: f64,
    interval: f64,
    hours: f64,
    count: f64,
    loading: f64,
    missed: f64,
    doses: Vec<f64>,
    times: Vec<f64>,
    least: f64,
    steps: Vec<(f64, f64)>,
}

/// The most doses that are followed.
const MOST_DOSES: u32 = 400;

impl Regimen {
    /// The regimen of a study.
    #[must_use]
    pub fn read(names: &Names, parameters: &Values) -> Self {
        let number = |key: &str| parameters.get(key).unwrap_or(0.0);
        let hours = parameters.list("clearance_step_h").iter().copied();
        let factors = parameters.list("clearance_step_factors");
        let mut steps: Vec<(f64, f64)> = hours.zip(factors.iter().copied()).collect();
        steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self {
            steps,
            daily: names.per * number(names.daily),
            interval: number("interval_h").max(0.5),
            hours: number("infusion_h"),
            count: libm::round(number("doses")),
            loading: names.per * number(names.loading),
            missed: libm::round(number("missed_dose")),
            doses: parameters
                .list(names.doses)
                .iter()
                .map(|dose| names.per * dose)
                .collect(),
            times: parameters.list("dose_times_h").to_vec(),
            least: names.least,
        }
    }

    /// The daily dose, in the concentration's unit times L.
    #[must_use]
    pub fn daily(&self) -> f64 {
        self.daily
    }

    /// The hours between doses.
    #[must_use]
    pub fn interval(&self) -> f64 {
        self.interval
    }

    /// The hours from which the clearance is multiplied, with the factors; the first is hour 0.
    pub fn clearances(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        std::iter::once((0.0, 1.0)).chain(self.steps.iter().copied())
    }

    /// Whether the clearance changes.
    #[must_use]
    pub fn changes(&self) -> bool {
        !self.steps.is_empty()
    }

    /// What concentrations and areas below it count as.
    #[must_use]
    pub fn least(&self) -> f64 {
        self.least
    }

    /// The dose that is repeated at steady state.
    #[must_use]
    pub fn repeated(&self) -> Dose {
        Dose {
            at: 0.0,
            amount: self.daily * self.interval / 24.0,
            hours: self.hours,
        }
    }

    /// The doses before an hour, in the order in which they are numbered.
    #[must_use]
    pub fn doses(&self, until: f64) -> Vec<Dose> {
        let listed = self.doses.len().max(self.times.len());
        let (mut doses, mut at) = (Vec::new(), 0.0);
        let mut number = 0;
        for _ in 0..MOST_DOSES {
            let out_of_list = listed > 0 && number >= listed;
            number += 1;
            let ordinal = float(number);
            if out_of_list || (self.count > 0.0 && ordinal > self.count) {
                break;
            }
            let index = number - 1;
            at = match self.times.get(index) {
                Some(time) => *time,
                None if index == 0 => 0.0,
                None => at + self.interval,
            };
            if listed == 0 && at >= until {
                break;
            }
            let usual = self.repeated();
            let amount = self.doses.get(index).or(self.doses.last()).copied();
            let first = index == 0 && self.loading > 0.0;
            let amount = if first {
                self.loading
            } else {
                amount.unwrap_or(usual.amount)
            };
            if ordinal != self.missed && at < until {
                doses.push(Dose {
                    at,
                    amount,
                    ..usual
                });
            }
        }
        doses
    }
}

#[expect(clippy::cast_precision_loss, reason = "doses are few")]
fn float(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regimen(pairs: &[(&str, f64)], doses: &[f64], times: &[f64]) -> Vec<(f64, f64)> {
        let usual = [
            ("daily_dose_mg", 2000.0),
            ("interval_h", 12.0),
            ("infusion_h", 1.0),
        ];
        let mut values = Values::from_pairs(usual);
        for (key, value) in pairs {
            values.set(key, *value);
        }
        values.set_list("doses_mg", doses.to_vec());
        values.set_list("dose_times_h", times.to_vec());
        let doses = Regimen::read(&MG, &values).doses(48.0);
        doses.iter().map(|dose| (dose.at, dose.amount)).collect()
    }

    #[test]
    fn a_daily_dose_is_divided_over_its_intervals() {
        let expected = [
            (0.0, 1000.0),
            (12.0, 1000.0),
            (24.0, 1000.0),
            (36.0, 1000.0),
        ];
        assert_eq!(regimen(&[], &[], &[]), expected);
        assert_eq!(regimen(&[("doses", 2.0)], &[], &[]), expected[..2]);
    }

    #[test]
    fn a_loading_dose_is_the_first_and_a_missed_dose_keeps_the_times_of_the_others() {
        let given = [("loading_dose_mg", 1750.0), ("missed_dose", 2.0)];
        let expected = [(0.0, 1750.0), (24.0, 1000.0), (36.0, 1000.0)];
        assert_eq!(regimen(&given, &[], &[]), expected);
    }

    #[test]
    fn doses_and_times_may_be_listed_one_by_one() {
        let listed = regimen(&[], &[1500.0, 500.0, 750.0], &[0.0, 8.0]);
        assert_eq!(listed, [(0.0, 1500.0), (8.0, 500.0), (20.0, 750.0)]);
        let times = regimen(&[], &[], &[1.0, 6.0, 60.0]);
        assert_eq!(times, [(1.0, 1000.0), (6.0, 1000.0)]);
        let repeated = regimen(&[], &[300.0], &[0.0, 4.0]);
        assert_eq!(repeated, [(0.0, 300.0), (4.0, 300.0)]);
    }
}
