//! The text of an offer: how it is rendered, and the checks at load that keep a wrong one from ever being sent.

use minijinja::{Environment, UndefinedBehavior, context};

use crate::{
    collect::{mistake, suggest},
    model::{Brand, Product, Sender},
    reader::Field,
};

/// What a text may name.
const VARIABLES: [&str; 7] = ["store.name", "product.name", "product.size", "product.price", "brand", "stop", "page"];
/// As long as the link to the member's page of a hub with a short name.
const SAMPLE_PAGE: &str = "https://hub.example.fr/m/0000000000000000";
/// Steps of the template engine; a text of an SMS needs some dozens.
const FUEL: u64 = 20_000;

/// The values of one rendering.
#[derive(Debug, Clone, Default)]
pub struct TextValues<'a> {
    /// `{{ store.name }}`
    pub store: &'a str,
    /// `{{ brand }}`
    pub brand: &'a str,
    /// `{{ stop }}`, as [`Sender::stop_text`] gives it.
    pub stop: &'a str,
    /// `{{ page }}`, the link to the member's own page; `None` if the hub has no address for it.
    pub page: Option<&'a str>,
    /// `{{ product.name }}` and its fellows; `None` if the offer knows no product.
    pub product: Option<TextProduct<'a>>,
}

/// The product of a personal text.
#[derive(Debug, Clone, Default)]
pub struct TextProduct<'a> {
    /// `{{ product.name }}`
    pub name: &'a str,
    /// `{{ product.size }}`; a text that names it cannot be rendered without one.
    pub size: Option<&'a str>,
    /// `{{ product.price }}`, as [`Product::price_text`] gives it.
    pub price: &'a str,
}

impl Sender {
    /// What `{{ stop }}` becomes.
    pub fn stop_text(&self) -> String {
        format!("STOP au {}", self.stop_number)
    }
}

impl Product {
    /// The price as it stands in an SMS: `289 €`, `89,90 €`.
    pub fn price_text(&self) -> String {
        let (euros, cents) = (self.price_cents / 100, self.price_cents.rem_euclid(100));
        if cents == 0 { format!("{euros} €") } else { format!("{euros},{cents:02} €") }
    }
}

/// Renders the text of an offer. The error is for people and names no value.
pub fn render(text: &str, values: &TextValues<'_>) -> Result<String, String> {
    let env = environment();
    let template = env.template_from_str(text).map_err(|e| words(&e))?;
    let store = context! { name => values.store };
    let fields = values.product.as_ref().map_or_else(
        || context! {},
        |p| {
            let known = context! { name => p.name, price => p.price };
            let product = p.size.map_or_else(|| known.clone(), |size| context! { size, ..known.clone() });
            context! { product }
        },
    );
    let fields = values.page.map_or_else(|| fields.clone(), |page| context! { page, ..fields.clone() });
    let rendered = template.render(context! { store, brand => values.brand, stop => values.stop, ..fields }).map_err(|e| words(&e))?;
    Ok(rendered.trim().to_owned())
}

/// True if a text names the link to the member's own page.
pub fn names_page(text: &str) -> bool {
    environment().template_from_str(text).is_ok_and(|template| template.undeclared_variables(true).contains("page"))
}

fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    env
}

fn words(e: &minijinja::Error) -> String {
    e.detail().map_or_else(|| e.kind().to_string(), str::to_owned)
}

/// Reads the text of an offer and renders it once with sample values. `knows_product` is true if the audience names a product.
pub(crate) fn read(f: &Field<'_>, knows_product: bool) -> Option<String> {
    let text = f.text()?;
    let env = environment();
    let template = match env.template_from_str(text) {
        Ok(template) => template,
        Err(e) => {
            // The engine counts lines from the start of the text.
            let line = text.lines().nth(e.line().unwrap_or(1).saturating_sub(1)).unwrap_or(text).trim();
            let mend = "write variables as {{ store.name }}, with two braces on each side";
            return f.refuse_part(line, mistake("P030", "this text cannot be read", words(&e), mend));
        }
    };
    let mut used: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    used.sort();
    let mut good = true;
    for name in &used {
        if !VARIABLES.contains(&name.as_str()) {
            good = false;
            let mend = suggest(name, VARIABLES);
            f.refuse_part::<()>(name, mistake("P031", format!("the text names `{name}`, which does not exist"), "unknown variable", mend));
        } else if name.starts_with("product.") && !knows_product {
            good = false;
            let mend = "add [audience.viewed_not_bought], or take the product out of the text";
            f.refuse_part::<()>(
                name,
                mistake("P033", "the text names a product, but the audience does not say which", "no product is known here", mend),
            );
        }
    }
    if !good {
        return None;
    }
    sample(f, text, knows_product)
}

/// The values that make a text longest.
pub(crate) struct Longest<'a> {
    pub(crate) brand: &'a Brand,
    pub(crate) store: &'a str,
    pub(crate) product: Option<&'a Product>,
}

/// Refuses a text that cannot fit into its parts for the longest names. Characters that take two places, or that no SMS has, are left to the
/// moment of sending: a character takes at least one place in every alphabet, so what is refused here never fits.
pub(crate) fn fits(f: &Field<'_>, text: &str, max_parts: u8, longest: &Longest<'_>) -> Option<()> {
    let (stop, price) = (longest.brand.sender.stop_text(), longest.product.map(Product::price_text).unwrap_or_default());
    let product = longest.product.map(|p| TextProduct { name: &p.name, size: Some("42"), price: &price });
    let values = TextValues { store: longest.store, brand: &longest.brand.name, stop: &stop, page: Some(SAMPLE_PAGE), product };
    // Without an article there is nothing to measure.
    let Ok(rendered) = render(text, &values) else { return Some(()) };
    let length = rendered.chars().count();
    let room = if max_parts == 1 { 160 } else { usize::from(max_parts) * 153 };
    if length <= room {
        return Some(());
    }
    let names = longest.product.map_or_else(String::new, |p| format!(" and \"{}\"", p.name));
    let label = format!("with \"{}\"{names} it has {length} characters", longest.store);
    let mend = format!("shorten it by {} characters, or raise max_parts", length - room);
    f.refuse(mistake("P034", format!("the text may become too long: {max_parts} SMS can hold {room} characters"), label, mend))
}

fn sample(f: &Field<'_>, text: &str, knows_product: bool) -> Option<String> {
    let product = TextProduct { name: "manteau", size: Some("42"), price: "289 €" };
    let stop = "STOP au 36111";
    let values = TextValues { store: "Lyon", brand: "Maison", stop, page: Some(SAMPLE_PAGE), product: knows_product.then_some(product) };
    match render(text, &values) {
        Ok(sample) if !sample.contains(stop) => {
            let mend = "add {{ stop }} at the end; it becomes \"STOP au\" and the brand's number";
            f.refuse(mistake("P032", "the message has no way out", "this text does not say how to stop", mend))
        }
        Ok(_) => Some(text.to_owned()),
        Err(why) => f.refuse(mistake("P030", "this text cannot be rendered", why, "keep to plain variables such as {{ store.name }}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_rendered_with_the_values_of_the_moment() {
        let product = TextProduct { name: "manteau Aubrac", size: Some("42"), price: "289 €" };
        let values = TextValues { store: "Lyon", brand: "M", stop: "STOP au 36111", page: None, product: Some(product) };
        let text = "{{ brand }} : le {{ product.name }} en {{ product.size }} chez {{ store.name }}, {{ product.price }}. {{ stop }}";
        assert_eq!(render(text, &values).unwrap(), "M : le manteau Aubrac en 42 chez Lyon, 289 €. STOP au 36111");
    }

    #[test]
    fn a_text_that_needs_a_size_is_not_rendered_without_one() {
        let values = TextValues { product: Some(TextProduct { name: "m", size: None, price: "1 €" }), ..TextValues::default() };
        assert!(render("{{ product.size }}", &values).is_err());
    }

    #[test]
    fn a_text_cannot_keep_the_machine_busy() {
        let text = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(render(text, &TextValues::default()).is_err());
    }

    #[test]
    fn prices_are_written_as_in_france() {
        let price = |cents| Product { sku: String::new(), name: String::new(), category: String::new(), price_cents: cents }.price_text();
        assert_eq!((price(28900).as_str(), price(8990).as_str(), price(5).as_str()), ("289 €", "89,90 €", "0,05 €"));
    }
}
