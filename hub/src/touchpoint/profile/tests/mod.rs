use passage_config::Rows;

use super::*;

fn pairs(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

fn profile() -> Profile {
    Profile {
        rows: Rows::Touchpoints,
        source: "test".to_owned(),
        comment: Some("#".to_owned()),
        columns: pairs(&[("at", "Heure"), ("kind", "Event"), ("identifier", "Visitor")]),
        fixed: pairs(&[("identifier_kind", "cookie")]),
        prefix: pairs(&[("identifier", "example.fr/")]),
        words: BTreeMap::from([("kind".to_owned(), pairs(&[("page_view", "page")]))]),
        time: Some(("%d/%m/%Y %H:%M".to_owned(), chrono_tz::Europe::Paris)),
        counts: BTreeMap::new(),
    }
}

fn lines(profile: &Profile, file: &str) -> Vec<String> {
    let rewritten = csv(profile, file.as_bytes()).unwrap();
    String::from_utf8(rewritten.csv).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn columns_words_times_and_prefixes_become_ours_and_lines_stay_in_place() {
    let file = "# report\n\nVisitor;Event;Other;Heure\nv1;page_view;x;18/11/2026 10:12\n\nv2;click;\"a;b\";yesterday\n";
    let rewritten = csv(&profile(), file.as_bytes()).unwrap();
    assert_eq!(rewritten.before, 2);
    assert_eq!(
        lines(&profile(), file),
        [
            "at,identifier,identifier_kind,kind",
            "2026-11-18T09:12:00.000Z,example.fr/v1,cookie,page",
            "",
            "yesterday,example.fr/v2,cookie,click"
        ]
    );
}

#[test]
fn a_column_that_is_not_there_is_told() {
    let error = csv(&profile(), "Visitor,Event\n".as_bytes()).unwrap_err().to_string();
    assert!(error.contains("column 'Heure' is missing"), "{error}");
}

#[test]
fn numbers_of_machines_and_days_of_spreadsheets_are_times() {
    let with = |form: &str| Profile { time: Some((form.to_owned(), chrono_tz::UTC)), ..profile() };
    let at = |form: &str, told: &str| {
        lines(&with(form), &format!("Visitor,Event,Heure\nv,click,{told}\n"))[1].split(',').next().unwrap().to_owned()
    };
    assert_eq!(at("seconds", "1795176000"), "2026-11-20T12:00:00.000Z");
    assert_eq!(at("microseconds", "1795176000000000"), "2026-11-20T12:00:00.000Z");
    assert_eq!(at("%Y%m%d", "20261120"), "2026-11-20T00:00:00.000Z");
}

#[test]
fn counts_lose_what_parts_thousands() {
    let totals = Profile {
        rows: Rows::Totals,
        columns: pairs(&[("day", "Day")]),
        fixed: BTreeMap::new(),
        counts: pairs(&[("view", "Impr.")]),
        time: Some(("%Y%m%d".to_owned(), chrono_tz::UTC)),
        ..profile()
    };
    assert_eq!(lines(&totals, "Day,Impr.\n20261120,\"1,234\"\n"), ["day,count view", "2026-11-20,1234"]);
}

proptest::proptest! {
    #[test]
    fn no_file_panics_and_every_line_gives_one(text in "[a-z,;\"#\\n\u{e9}]{0,200}") {
        let file = format!("Visitor,Event,Heure\n{text}");
        let rewritten = csv(&profile(), file.as_bytes()).unwrap();
        proptest::prop_assert_eq!(rewritten.csv.iter().filter(|b| **b == b'\n').count(), file.lines().count());
    }
}
