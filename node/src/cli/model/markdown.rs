//! The page docs/catalogue.md, made from the registry so that it cannot go stale.

use organtwin_simulations::{catalogue, eval::EvalError};

use super::{unit, view::Shown};

const HEAD: &str = "\
# The catalogue

<!-- Made by `organtwin model list --markdown`. A test compares this page with the models. -->

What can be asked of a twin. Every output is **decision support for research, not a medical device**, and no advice for a
patient. *Bootstraps* is what the output costs for one encrypted twin; 0 means that it is a sum of encrypted numbers and
costs next to nothing until something is decided on it. *Error* is how far the exact integers on the ciphertexts are from
the textbook formula on random patients, in the unit of the output: the worst, and what 95 % of them keep; of categories,
the share of patients that land in another one.

`organtwin model show MODEL` prints the same with an example to start from; `organtwin model eval MODEL --input FILE` evaluates
one patient. Keys carry their unit. Where two keys are given, either may be used, but not both.
";

/// The whole page.
pub(super) fn catalogue() -> Result<String, EvalError> {
    let mut models = catalogue::registry()
        .into_iter()
        .map(Shown::new)
        .collect::<Result<Vec<_>, _>>()?;
    models.sort_by_key(|model| model.heading.organ);
    let mut page = HEAD.to_owned();
    page += "\n| model | what | organ | evidence |\n|---|---|---|---|\n";
    for model in &models {
        let heading = &model.heading;
        page += &format!(
            "| [{}](#{}) | {} | {} | {} |\n",
            heading.id,
            heading.id,
            cell(heading.title),
            heading.organ,
            heading.evidence
        );
    }
    for model in &models {
        page += &section(model);
    }
    Ok(page)
}

fn section(model: &Shown) -> String {
    let heading = &model.heading;
    let mut text = format!("\n## {}\n\n{}.\n\n", heading.id, stop(&cell(heading.title)));
    text += &format!("- Holds for: {}\n", cell(model.population));
    text += &format!("- Source: {}\n", cell(heading.source()));
    text += &format!("- Evidence: {}\n", heading.evidence);
    if let Some(arm) = model.arm {
        text += &format!("- The arms of a study vary `{arm}`.\n");
    }
    text += "\n| input | what | unit | range |\n|---|---|---|---|\n";
    for input in &model.inputs {
        let mut keys = format!("`{}`", input.key);
        for alias in &input.aliases {
            keys += &format!(" or `{}`", alias.key);
        }
        text += &format!(
            "| {keys} | {} | {} | {} |\n",
            cell(input.title),
            cell(&unit(input.unit)),
            cell(&input.range())
        );
    }
    if !model.parameters.is_empty() {
        text += "\n| parameter | what | unit | range | default |\n|---|---|---|---|---|\n";
        for parameter in &model.parameters {
            text += &format!(
                "| `{}` | {} | {} | {} | {} |\n",
                parameter.key,
                cell(parameter.title),
                cell(&unit(parameter.unit)),
                parameter.range(),
                parameter.default()
            );
        }
    }
    text += "\n| output | what | unit | kind | bootstraps | error: worst, 95 % |\n|---|---|---|---|---|---|\n";
    for output in &model.outputs {
        text += &format!(
            "| `{}` | {} | {} | {} | {} | {} |\n",
            output.key,
            cell(output.title),
            cell(&unit(output.unit)),
            cell(&output.kind()),
            output.cost(),
            output.error()
        );
    }
    text
}

/// Text as text: nothing in it ends a cell or begins emphasis.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
        .replace('*', "\\*")
        .replace('<', "&lt;")
}

/// Without a full stop at its end.
fn stop(text: &str) -> &str {
    text.trim_end_matches('.')
}
