//! `products.csv`: sku, name, category, price.

use std::{collections::BTreeMap, path::Path};

use crate::{
    collect::{Collector, Mistake, mistake, nearest},
    model::Product,
    source::Source,
    value::cents,
};

const COLUMNS: [&str; 4] = ["sku", "name", "category", "price"];

/// Reads the articles; a file that is not there means none.
pub(crate) fn read(file: &Path, out: &Collector) -> BTreeMap<String, Product> {
    let mut products = BTreeMap::new();
    if !file.exists() {
        return products;
    }
    let Some(source) = out.read(file) else { return products };
    out.revise("products.csv".into(), &source);
    // French spreadsheets part the fields by semicolons.
    let header = source.text.lines().find(|line| !line.starts_with('#')).unwrap_or("");
    let delimiter = if header.contains(';') && !header.contains(',') { b';' } else { b',' };
    let mut csv = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(source.text.as_bytes());
    let Some(columns) = columns(&mut csv, &source, out) else {
        out.set_incomplete();
        return products;
    };
    for record in csv.records() {
        // The text is UTF-8 and lines may be of any length, so no record fails to be read.
        let Ok(record) = record else { break };
        if let Some(product) = product(&record, columns, &source, out) {
            if products.contains_key(&product.sku) {
                let m = mistake(
                    "P061",
                    format!("the article \"{}\" stands here twice", product.sku),
                    "second time",
                    "take one of the lines out",
                );
                at(&record, columns[0], &source, out, m);
            }
            products.insert(product.sku.clone(), product);
        }
    }
    products
}

fn columns(csv: &mut csv::Reader<&[u8]>, source: &Source, out: &Collector) -> Option<[usize; 4]> {
    let headers = csv.headers().ok()?.clone();
    let mut good = true;
    for (i, header) in headers.iter().enumerate() {
        if !COLUMNS.contains(&header) {
            good = false;
            let mend = nearest(header, COLUMNS)
                .map_or_else(|| format!("the columns are {}", COLUMNS.join(",")), |c| format!("did you mean \"{c}\"?"));
            at(
                &headers,
                i,
                source,
                out,
                mistake("P060", format!("\"{header}\" is not a column that Passage knows"), "unknown column", mend),
            );
        }
    }
    let place = COLUMNS.map(|c| headers.iter().position(|h| h == c));
    for (column, _) in COLUMNS.iter().zip(&place).filter(|(_, p)| p.is_none()) {
        good = false;
        let m = mistake(
            "P060",
            format!("the column \"{column}\" is missing"),
            "it belongs here",
            format!("write the first line as {}", COLUMNS.join(",")),
        );
        out.at(source, &(0..1), m);
    }
    good.then_some([place[0]?, place[1]?, place[2]?, place[3]?])
}

fn product(record: &csv::StringRecord, columns: [usize; 4], source: &Source, out: &Collector) -> Option<Product> {
    let refuse = |i: usize, what: &str, mend: &str| at(record, columns[i], source, out, mistake("P060", what, "here", mend));
    let field = |i: usize| record.get(columns[i]).unwrap_or("");
    if record.len() > COLUMNS.len() {
        refuse(0, "this line has too many fields", "put a field that holds a comma into \"double quotes\"");
        return None;
    }
    let mut good = true;
    for (i, column) in COLUMNS.iter().enumerate() {
        if field(i).is_empty() {
            good = false;
            refuse(i, &format!("this article has no {column}"), "fill it in, or take the line out");
        }
    }
    let price = cents(field(3));
    if price.is_none() && !field(3).is_empty() {
        refuse(3, "this is not a price", "write euros and cents, such as 289.00");
    }
    good.then_some(())?;
    Some(Product { sku: field(0).into(), name: field(1).into(), category: field(2).into(), price_cents: price? })
}

/// Notes `m` at field `index` of `record`.
fn at(record: &csv::StringRecord, index: usize, source: &Source, out: &Collector, m: Mistake) {
    let start = record.position().map_or(0, |p| usize::try_from(p.byte()).unwrap_or(0));
    // A record begins where the last one ended, so blank lines and comments may come first.
    let mut from = start;
    for line in source.text.get(start..).unwrap_or("").split_inclusive('\n') {
        if !line.trim().is_empty() && !line.starts_with('#') {
            break;
        }
        from += line.len();
    }
    let end = source.text[from..].find('\n').map_or(source.text.len(), |n| from + n);
    let field = record.get(index).unwrap_or("");
    // Skip the fields before it, so that the right one of two equal fields is marked.
    let mut begin = from;
    for before in record.iter().take(index) {
        let found = source.find(&(begin..end), before);
        if found.end < end {
            begin = found.end;
        }
    }
    let span = if field.is_empty() { from..end } else { source.find(&(begin..end), field) };
    out.at(source, &span, m);
}
