//! The words of an SMS: strict rendering, transliteration, length.

use passage_config::{
    Brand, Offer, Store,
    template::{self, TextProduct, TextValues},
};

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

/// Renders the offer's text for one member in one store. Something that is not known is an error, never an empty place.
/// `page` is the link to the member's own page.
pub fn render(offer: &Offer, brand: &Brand, store: &Store, pick: Option<&Pick>, page: Option<&str>) -> Result<String, TextError> {
    let (stop, price) = (brand.sender.stop_text(), pick.map(|p| p.product.price_text()).unwrap_or_default());
    let product = pick.map(|p| TextProduct { name: &p.product.name, size: p.size.as_deref(), price: &price });
    let values = TextValues { store: &store.name, brand: &brand.name, stop: &stop, page, product };
    let rendered = template::render(&offer.text, &values).map_err(TextError::Incomplete)?;
    let text = if offer.transliterate { transliterate(&rendered) } else { rendered };
    let parts = segment(&text).count();
    if parts > u16::from(offer.max_parts) {
        return Err(TextError::TooLong { parts, max: offer.max_parts });
    }
    Ok(text)
}
