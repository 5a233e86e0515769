//! From a schema's equations to the rules that deposits are checked by.

use organtwin_simulations::Schema;
use organtwin_simulations::admission::Equations;
use organtwin_threshold::admission::{Apart, Form, Rules, RulesError};

/// The rules that every twin of a schema must fulfil.
///
/// # Errors
/// [`RulesError`] for a schema beyond the limits; never for one that this version encodes.
pub fn rules(schema: &Schema) -> Result<Rules, RulesError> {
    let Equations {
        slots,
        apart,
        forms,
    } = Equations::of(schema);
    let apart = apart.into_iter().map(|block| Apart {
        first: block.first,
        count: block.count,
        together: block.together,
    });
    let forms = forms.into_iter().map(|form| Form {
        products: form.products,
        linear: form.linear,
        constant: form.constant,
    });
    Rules::new(slots, apart.collect(), forms.collect())
}
