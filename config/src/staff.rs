//! `staff.toml`: who works in which store.

use std::collections::{BTreeMap, BTreeSet};

use passage_protocol::StoreId;

use crate::{
    collect::{mistake, suggest},
    reader::{Field, Reader},
    site::Names,
};

/// Reads a list of members' codes for each store.
pub(crate) fn read(r: Reader<'_>, names: &Names) -> BTreeMap<StoreId, BTreeSet<String>> {
    let all = r.all();
    all.iter().filter_map(|f| Some((store(f, names)?, codes(f)?))).collect()
}

fn store(f: &Field<'_>, names: &Names) -> Option<StoreId> {
    if names.stores.contains(&f.key) {
        return f.key.parse().ok();
    }
    let near = suggest(&f.key, names.stores.iter().map(String::as_str));
    let m = mistake("P022", format!("there is no store \"{}\"", f.key), "no file in stores/ has this name", near);
    f.out.at(f.source, &f.key_span, m);
    None
}

fn codes(f: &Field<'_>) -> Option<BTreeSet<String>> {
    f.texts()?.iter().map(code).collect::<Option<_>>()
}

/// A member's code as the hub shows it, such as `K7Q2-M9XA`.
fn code(f: &Field<'_>) -> Option<String> {
    let text = f.text()?.to_ascii_uppercase();
    let is_code = text.len() == 9
        && text
            .bytes()
            .enumerate()
            .all(|(i, b)| if i == 4 { b == b'-' } else { b.is_ascii_digit() || (b.is_ascii_uppercase() && !b"ILOU".contains(&b)) });
    if is_code {
        return Some(text);
    }
    let mend = "write the code that `passage-hub why` and the console show, such as \"K7Q2-M9XA\"; no name, number or address";
    f.refuse(mistake("P009", format!("\"{text}\" is not the code of a member"), "not a code", mend))
}
