//! The words of an SMS: strict rendering, transliteration, length.

use minijinja::{Environment, UndefinedBehavior, Value, context};
use passage_config::{Brand, Offer, Store};

use crate::{
    offer::audience::Pick,
    sms::segment::{segment, transliterate},
};

/// Why there is no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It asks for something that is not known here.
    #[error("the text cannot be filled in: {0}")]
    Incomplete(String),
    /// It needs more parts than the offer allows.
    #[error("the text needs {parts} parts, {max} allowed")]
    TooLong {
        /// Parts of this rendering.
        parts: u16,
        /// Parts allowed.
        max: u8,
    },
}

/// Renders the offer's text for one member in one store. An unknown variable is an error, never an empty place.
pub fn render(offer: &Offer, brand: &Brand, store: &Store, pick: Option<&Pick>) -> Result<String, TextError> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    let values = context! {
        brand => &brand.name,
        stop => format!("STOP au {}", brand.sender.stop_number),
        store => context! { name => &store.name },
        product => pick.map_or(Value::UNDEFINED, product),
    };
    let rendered = env.render_str(&offer.text, values).map_err(|e| TextError::Incomplete(e.to_string()))?;
    let text = if offer.transliterate { transliterate(rendered.trim()) } else { rendered.trim().to_owned() };
    let parts = segment(&text).count();
    if parts > u16::from(offer.max_parts) {
        return Err(TextError::TooLong { parts, max: offer.max_parts });
    }
    Ok(text)
}

fn product(pick: &Pick) -> Value {
    // A size that nobody looked at stays undefined, so that a text which needs one is refused.
    let size = pick.size.as_ref().map_or(Value::UNDEFINED, Value::from);
    context! { name => &pick.product.name, size => size, price => euros(pick.product.price_cents) }
}

/// `199 €`, `49,90 €`.
pub fn euros(cents: i64) -> String {
    let (whole, rest) = (cents / 100, (cents % 100).abs());
    if rest == 0 { format!("{whole} €") } else { format!("{whole},{rest:02} €") }
}
