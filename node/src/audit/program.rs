//! What the protocol cannot know of a study: that its scenario compiles to the schema, the program and the facts that
//! the manifest names, and that this program closes every row with a small cell.

use organtwin_protocol::digest::Digest;
use organtwin_protocol::manifest::{Gate, Manifest};
use organtwin_simulations::Plan;
use organtwin_threshold::Committee;

use super::Check;
use crate::planning::{self, Circumstances};

/// Adds the lines of one study; returns its plan if all of them passed.
pub(super) fn check(
    manifest: &Manifest,
    committee: &Committee,
    circumstances: &Circumstances,
    name: &dyn Fn(&str) -> String,
    checks: &mut Vec<Check>,
) -> Option<Plan> {
    let scenario = planning::scenario_of(manifest);
    let planned = scenario.and_then(|spec| {
        let hospitals = &manifest.twins.per_hospital;
        let plan = planning::plan_of(&spec, hospitals, committee, circumstances)?;
        Ok((spec, plan))
    });
    let (spec, plan) = match planned {
        Ok(planned) => planned,
        Err(error) => {
            checks.push(Check::of(name("program"), Err(error.to_string())));
            return None;
        }
    };
    let lines = [
        ("schema", schema(manifest, &plan)),
        ("program", program(manifest, &plan)),
        ("suppression rule", suppression(manifest, spec.k, &plan)),
    ];
    let passed = lines.iter().all(|(_, verdict)| verdict.is_ok());
    checks.extend(
        lines
            .into_iter()
            .map(|(what, verdict)| Check::of(name(what), verdict)),
    );
    passed.then_some(plan)
}

fn schema(manifest: &Manifest, plan: &Plan) -> Result<String, String> {
    let schema = Digest::new(plan.schema().digest());
    if schema != manifest.schema {
        return Err(format!(
            "the scenario reads twins of schema {schema}, the manifest names {}",
            manifest.schema
        ));
    }
    Ok(format!(
        "the scenario reads twins of schema {schema}, which is that of all twins listed"
    ))
}

fn program(manifest: &Manifest, plan: &Plan) -> Result<String, String> {
    let program = planning::program_digest(plan);
    if program != manifest.program {
        return Err(format!(
            "the scenario compiles to program {program}, the manifest names {}",
            manifest.program
        ));
    }
    if planning::facts_of(plan) != manifest.facts {
        return Err(
            "the program yields other rows, k or blocks than the manifest describes".into(),
        );
    }
    Ok(format!(
        "the scenario compiles to program {program}: {} rows, {} blocks",
        manifest.facts.rows.len(),
        manifest.facts.blocks
    ))
}

/// Every row that the program opens must be behind a gate with the manifest's k.
fn suppression(manifest: &Manifest, asked: u32, plan: &Plan) -> Result<String, String> {
    let Gate::RowWithoutAnyHospital = manifest.facts.gate;
    let (k, rows) = (plan.program().k(), plan.program().rows().len());
    if k != manifest.facts.k || k != asked || k == 0 {
        return Err(format!(
            "expected one smallest count k, got {k} in the program, {} in the manifest, {asked} in the scenario",
            manifest.facts.k
        ));
    }
    if let Some(open) = (0..rows).find(|row| !plan.gated_rows().contains(row)) {
        return Err(format!("row {open} of the program has no gate"));
    }
    if plan.gated_rows().len() != rows || manifest.facts.rows.len() != rows {
        return Err("the program opens rows that the manifest does not describe".into());
    }
    Ok(format!(
        "each of {rows} rows opens only if every cell holds {k} twins or more, also without those of any one hospital"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::tests::{circumstances, committee, manifest};

    fn failed(manifest: &Manifest) -> Vec<String> {
        let mut checks = Vec::new();
        let name = |what: &str| what.to_owned();
        let plan = check(manifest, &committee(), &circumstances(), &name, &mut checks);
        let failed = checks.iter().filter(|check| !check.passed);
        let failed: Vec<String> = failed.map(|check| check.name.clone()).collect();
        assert_eq!(plan.is_some(), failed.is_empty());
        failed
    }

    #[test]
    fn each_lie_about_the_program_fails_its_own_line() {
        let good = manifest();
        assert_eq!(failed(&good), [""; 0]);
        let lie = |change: &dyn Fn(&mut Manifest)| {
            let mut lie = good.clone();
            change(&mut lie);
            failed(&lie)
        };
        assert_eq!(lie(&|m| m.schema = m.program), ["schema"]);
        assert_eq!(lie(&|m| m.program = m.schema), ["program"]);
        assert_eq!(lie(&|m| m.facts.blocks += 1), ["program"]);
        assert_eq!(lie(&|m| m.facts.k = 1), ["program", "suppression rule"]);
        assert_eq!(
            lie(&|m| drop(m.facts.rows.pop())),
            ["program", "suppression rule"]
        );
        assert_eq!(lie(&|m| m.scenario.0.clear()), ["program"]);
        assert_eq!(
            lie(&|m| _ = m.twins.per_hospital.pop_first()),
            [""; 0],
            "the number of twins is the protocol's to check"
        );
    }
}
