//! From a study's specification to its plan and to the facts in its manifest: the one place where the
//! protocol's manifest and the simulations' program meet.
//!
//! The node that proposes, every node that evaluates, the auditor and the clear comparison all plan here, so
//! that they cannot differ.

use std::collections::BTreeMap;

use organtwin_protocol::codec::{self, ByteString, CodecError};
use organtwin_protocol::digest::Digest;
use organtwin_protocol::manifest::{Gate, MAX_SCENARIO_BYTES, Manifest, ProgramFacts, RowFacts};
use organtwin_simulations::{
    NoiseModel, Plan, PlanContext, PlanError, Schema, SpecError, StudySpec, plan,
};
use organtwin_threshold::{Committee, Family, ParameterSet, PartyId};

/// The machine and key that a plan is made for. Only the forecast's seconds depend on the machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Circumstances {
    /// Noise of the joint key.
    pub noise: NoiseModel,
    /// Measured seconds of one bootstrap on one core.
    pub seconds_per_bootstrap: f64,
    /// Cores that one node may use.
    pub cores: u16,
}

/// Why a study has no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanningError {
    /// The specification is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The program cannot run on these twins or under this key.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The scenario cannot be written or read.
    #[error("the study's scenario: {0}")]
    Codec(#[from] CodecError),
    /// The study does not fit a manifest.
    #[error(
        "the study has {got} bytes, a manifest holds {MAX_SCENARIO_BYTES}: fit the model with fewer steps or features"
    )]
    TooLong {
        /// Its bytes.
        got: usize,
    },
    /// The roster or certificate names parameters that are no real ones.
    #[error("'{0}' is not a parameter set for real keys; expected {expected}", expected = REAL_PARAMETERS)]
    Parameters(String),
    /// The manifest says something of its program that is not so.
    #[error(
        "the manifest's {what} is not what its scenario compiles to: do not approve this study"
    )]
    Contradiction {
        /// Which part.
        what: &'static str,
    },
}

/// The parameter set of every consortium so far.
pub const REAL_PARAMETERS: &str = "2_2-ks-pbs-tuniform-2m128/1_8";

/// The parameter set of that name, if it protects anything.
pub fn real_parameters(id: &str) -> Result<ParameterSet, PlanningError> {
    let set = ParameterSet::by_id(id).filter(ParameterSet::is_real);
    set.ok_or_else(|| PlanningError::Parameters(id.chars().take(64).collect()))
}

impl Circumstances {
    /// Those of a joint key, as far as roster and parameters say; the speed is that of the given machine.
    pub fn of_key(
        parameters: &str,
        committee: &Committee,
        seconds_per_bootstrap: f64,
        cores: u16,
    ) -> Result<Self, PlanningError> {
        let terms = |family| u32::try_from(committee.family(family).len()).unwrap_or(u32::MAX);
        let set = real_parameters(parameters)?;
        let noise = NoiseModel::new(set.compute(), terms(Family::Lin), terms(Family::Live));
        Ok(Self {
            noise,
            seconds_per_bootstrap,
            cores,
        })
    }
}

/// The organ whose twins a study reads.
pub fn organ_of(spec: &StudySpec) -> Result<String, PlanningError> {
    Ok(spec.organ()?.to_owned())
}

/// The schema of the twins that a study reads.
pub fn schema_of(spec: &StudySpec) -> Result<Schema, PlanningError> {
    Ok(spec.schema()?)
}

/// Plans a study over so many twins of each hospital.
pub fn plan_of(
    spec: &StudySpec,
    hospitals: &BTreeMap<PartyId, u32>,
    committee: &Committee,
    circumstances: &Circumstances,
) -> Result<Plan, PlanningError> {
    let schema = schema_of(spec)?;
    let program = spec.compile_for(&schema)?;
    let context = PlanContext {
        hospitals: hospitals
            .iter()
            .map(|(party, twins)| (party.get(), *twins as usize))
            .collect(),
        parties: committee.n(),
        threshold: committee.t(),
        noise: circumstances.noise,
        seconds_per_bootstrap: circumstances.seconds_per_bootstrap,
        cores: circumstances.cores,
    };
    Ok(plan(&program, &schema, &context)?)
}

/// Plans the study of a manifest and checks that the manifest's program, schema and facts are what its scenario
/// gives.
pub fn plan_of_manifest(
    manifest: &Manifest,
    committee: &Committee,
    circumstances: &Circumstances,
) -> Result<Plan, PlanningError> {
    let plan = plan_of(
        &scenario_of(manifest)?,
        &manifest.twins.per_hospital,
        committee,
        circumstances,
    )?;
    let agrees = [
        (
            "schema",
            manifest.schema == Digest::new(plan.schema().digest()),
        ),
        ("program", manifest.program == program_digest(&plan)),
        (
            "description of the result",
            manifest.facts == facts_of(&plan),
        ),
    ];
    match agrees.into_iter().find(|(_, equal)| !equal) {
        Some((what, _)) => Err(PlanningError::Contradiction { what }),
        None => Ok(plan),
    }
}

/// The digest of a plan's program, as a manifest names it.
pub fn program_digest(plan: &Plan) -> Digest {
    Digest::new(plan.program().digest())
}

/// What a manifest says about a plan's program.
pub fn facts_of(plan: &Plan) -> ProgramFacts {
    let program = plan.program();
    let labels = program.facts().endpoints;
    let rows = program
        .rows()
        .iter()
        .zip(labels)
        .map(|(row, label)| RowFacts {
            label,
            cells: u16::try_from(row.cells.len()).unwrap_or(u16::MAX),
        });
    ProgramFacts {
        model: program.model().to_owned(),
        rows: rows.collect(),
        gate: Gate::RowWithoutAnyHospital,
        k: program.k(),
        blocks: u32::try_from(plan.blocks()).unwrap_or(u32::MAX),
    }
}

/// The specification in the encoding that a manifest carries.
pub fn scenario_bytes(spec: &StudySpec) -> Result<ByteString, PlanningError> {
    let bytes = codec::encode(spec)?;
    if bytes.len() > MAX_SCENARIO_BYTES {
        return Err(PlanningError::TooLong { got: bytes.len() });
    }
    Ok(ByteString(bytes))
}

/// The specification that a manifest carries.
pub fn scenario_of(manifest: &Manifest) -> Result<StudySpec, PlanningError> {
    Ok(codec::decode(&manifest.scenario.0, MAX_SCENARIO_BYTES)?)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use organtwin_protocol::digest::{Domain, of_value};
    use organtwin_protocol::manifest::{MANIFEST_VERSION, TwinListFacts};
    use organtwin_simulations::HistogramSpec;
    use organtwin_threshold::Passive;

    fn spec() -> StudySpec {
        StudySpec {
            model: "vancomycin-goti-2018".into(),
            arms: vec![750.0, 1000.0],
            cuts: vec![400.0, 600.0],
            histogram: Some(HistogramSpec {
                arm: Some(1000.0),
                edges: vec![300.0, 400.0, 600.0],
            }),
            k: 5,
            ..StudySpec::default()
        }
    }

    pub(crate) fn circumstances() -> Circumstances {
        let noise = NoiseModel {
            input: 1e8,
            bootstrap: 1e14,
            switch: 1e16,
        };
        Circumstances {
            noise,
            seconds_per_bootstrap: 0.03,
            cores: 2,
        }
    }

    pub(crate) fn committee() -> Committee {
        Committee::new(4, 1, Passive::Refuse).unwrap()
    }

    fn twins() -> BTreeMap<PartyId, u32> {
        (1..=4)
            .map(|party| (PartyId::new(party).unwrap(), 15))
            .collect()
    }

    pub(crate) fn manifest() -> Manifest {
        let plan = plan_of(&spec(), &twins(), &committee(), &circumstances()).unwrap();
        let nothing = of_value(Domain::Manifest, &0u8).unwrap();
        Manifest {
            version: MANIFEST_VERSION,
            title: "t".into(),
            question: "q".into(),
            proposer: PartyId::new(1).unwrap(),
            schema: Digest::new(plan.schema().digest()),
            program: program_digest(&plan),
            facts: facts_of(&plan),
            scenario: scenario_bytes(&spec()).unwrap(),
            twins: TwinListFacts {
                root: nothing,
                count: 60,
                blob: nothing,
                per_hospital: twins(),
            },
            feeds: Vec::new(),
            certificate: nothing,
            epsilon_micro: None,
            quorum: 3,
            recipients: Vec::new(),
            expires_ms: 1,
        }
    }

    #[test]
    fn a_manifest_gives_the_plan_that_it_was_made_from() {
        let planned = plan_of(&spec(), &twins(), &committee(), &circumstances()).unwrap();
        let again = plan_of_manifest(&manifest(), &committee(), &circumstances()).unwrap();
        assert_eq!(again.digest(), planned.digest());
    }

    #[test]
    fn a_manifest_that_lies_about_its_program_is_refused() {
        let facts = manifest().facts;
        let lies = [
            Manifest {
                facts: ProgramFacts {
                    k: 1,
                    ..facts.clone()
                },
                ..manifest()
            },
            Manifest {
                facts: ProgramFacts {
                    blocks: facts.blocks + 1,
                    ..facts.clone()
                },
                ..manifest()
            },
            Manifest {
                program: manifest().schema,
                ..manifest()
            },
            Manifest {
                scenario: scenario_bytes(&StudySpec { k: 4, ..spec() }).unwrap(),
                ..manifest()
            },
        ];
        for (index, lie) in lies.iter().enumerate() {
            let refused = plan_of_manifest(lie, &committee(), &circumstances());
            assert!(
                matches!(refused, Err(PlanningError::Contradiction { .. })),
                "lie {index} passed"
            );
        }
        let endless = StudySpec {
            arms: (0..4000).map(|arm| 100.0 + f64::from(arm) / 7.0).collect(),
            ..spec()
        };
        assert!(matches!(
            scenario_bytes(&endless),
            Err(PlanningError::TooLong { .. })
        ));
        let garbage = Manifest {
            scenario: ByteString(vec![1, 2, 3]),
            ..manifest()
        };
        assert!(matches!(
            plan_of_manifest(&garbage, &committee(), &circumstances()),
            Err(PlanningError::Codec(_))
        ));
    }
}
