//! The table on the terminal: a pure function of what is to be shown.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Cell, Paragraph, Row, Table, Wrap},
};

use super::table::{Beacon, Snapshot};

/// In which order the beacons stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Sort {
    /// The strongest first.
    #[default]
    Strength,
    /// The latest first.
    Age,
    /// By kind and id.
    Name,
}

impl Sort {
    /// The order that the key `s` brings.
    pub fn next(self) -> Self {
        match self {
            Self::Strength => Self::Age,
            Self::Age => Self::Name,
            Self::Name => Self::Strength,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Strength => "strength",
            Self::Age => "age",
            Self::Name => "name",
        }
    }

    fn apply(self, beacons: &mut [&Beacon]) {
        beacons.sort_by(|a, b| {
            let by_name = (&a.kind, &a.id).cmp(&(&b.kind, &b.id));
            match self {
                Self::Strength => b.rssi_median.cmp(&a.rssi_median).then(by_name),
                Self::Age => a.age_ms.cmp(&b.age_ms).then(by_name),
                Self::Name => by_name,
            }
        });
    }
}

/// Draws everything.
pub(super) fn draw(frame: &mut Frame, shown: &Snapshot, sort: Sort, is_held: bool) {
    let warnings = u16::try_from(shown.warnings.len()).unwrap_or(0);
    let room = if warnings == 0 { 0 } else { (2 * warnings).min(frame.area().height / 3) };
    let [head, warned, beacons, keys] = Layout::vertical([
        Constraint::Length(2 + u16::from(shown.radio.is_some())),
        Constraint::Length(room),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_head(frame, head, shown);
    draw_warnings(frame, warned, shown);
    draw_beacons(frame, beacons, shown, sort);
    let held = if is_held { "  PAUSED" } else { "" };
    frame.render_widget(
        Paragraph::new(format!(" q quit   p pause   s sort: {}{held}", sort.name())).style(Style::new().add_modifier(Modifier::DIM)),
        keys,
    );
}

fn draw_head(frame: &mut Frame, area: Rect, shown: &Snapshot) {
    let color = if shown.state == "listening" { Color::Green } else { Color::Yellow };
    let state = Line::from(vec![
        Span::raw(format!(" {}  {}  ", shown.gateway, shown.source)),
        Span::styled(shown.state, Style::new().fg(color).add_modifier(Modifier::BOLD)),
    ]);
    let counts = Line::raw(format!(
        " {} adverts, {:.1}/s   strangers: {} adverts, about {} addresses, not kept",
        shown.adverts, shown.per_second, shown.strangers, shown.stranger_addresses
    ));
    let radio = shown.radio.map(|radio| Line::raw(format!(" radio: {radio}")));
    let lines: Vec<Line> = [state, counts].into_iter().chain(radio).collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_warnings(frame: &mut Frame, area: Rect, shown: &Snapshot) {
    let lines: Vec<Line> = shown.warnings.iter().map(|warning| Line::raw(format!(" ! {warning}"))).collect();
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }).style(Style::new().fg(Color::Yellow)), area);
}

fn draw_beacons(frame: &mut Frame, area: Rect, shown: &Snapshot, sort: Sort) {
    let mut beacons: Vec<&Beacon> = shown.beacons.iter().collect();
    sort.apply(&mut beacons);
    let room = usize::from(area.height.saturating_sub(3));
    let rest = beacons.len().saturating_sub(room);
    let title = if rest == 0 {
        format!(" {} of our beacons ", beacons.len())
    } else {
        format!(" {} of our beacons, {rest} more below ", beacons.len())
    };
    let rows = beacons.into_iter().map(row);
    let widths = [8, 12, 7, 8, 6, 8, 7, 9].map(Constraint::Length);
    let heads = ["kind", "id", "zone", "median", "last", "age", "per s", "adverts"].map(Cell::from);
    let table = Table::new(rows, widths)
        .header(Row::new(heads).style(Style::new().add_modifier(Modifier::BOLD)))
        .block(Block::bordered().title(title));
    frame.render_widget(table, area);
}

fn row(beacon: &Beacon) -> Row<'static> {
    let color = match beacon.zone {
        "in" => Color::Green,
        "front" => Color::Yellow,
        _ => Color::Reset,
    };
    let cells = [
        beacon.kind.clone(),
        beacon.id.clone(),
        beacon.zone.to_owned(),
        format!("{:>4}", beacon.rssi_median),
        format!("{:>4}", beacon.rssi_last),
        age(beacon.age_ms),
        format!("{:>4.1}", beacon.per_second),
        format!("{:>7}", beacon.adverts),
    ];
    Row::new(cells.map(Cell::from)).style(Style::new().fg(color))
}

fn age(ms: i64) -> String {
    match ms {
        ..10_000 => format!("{:>3}.{} s", ms / 1000, ms % 1000 / 100),
        10_000..600_000 => format!("{:>5} s", ms / 1000),
        _ => format!("{:>3} min", ms / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use passage_protocol::Millis;
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;
    use crate::radio::vitals::Look;

    fn beacon(kind: &str, id: &str, zone: &'static str, median: i8, age_ms: i64) -> Beacon {
        Beacon { kind: kind.into(), id: id.into(), zone, rssi_median: median, rssi_last: median - 3, age_ms, per_second: 1.1, adverts: 42 }
    }

    fn snapshot() -> Snapshot {
        Snapshot {
            at: Millis(1_795_165_200_000),
            gateway: "gw-lyon".into(),
            source: "Bluetooth adapter hci0".into(),
            state: "listening",
            adverts: 1_204,
            per_second: 38.2,
            strangers: 1_120,
            stranger_addresses: 57,
            dropped: 0,
            radio: None,
            warnings: Vec::new(),
            beacons: vec![
                beacon("app", "3f2a", "front", -82, 700),
                beacon("app", "9c01", "in", -61, 12_400),
                beacon("card", "1/204", "none", -91, 61_000),
            ],
        }
    }

    fn drawn(shown: &Snapshot, sort: Sort, is_held: bool, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(78, height)).unwrap();
        terminal.draw(|frame| draw(frame, shown, sort, is_held)).unwrap();
        let buffer = terminal.backend().buffer();
        (0..height).map(|y| (0..78).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned()).collect()
    }

    #[test]
    fn the_table_shows_each_beacon_with_strength_zone_age_and_rate_and_strangers_as_a_count() {
        assert_eq!(
            drawn(&snapshot(), Sort::Strength, false, 10),
            [
                " gw-lyon  Bluetooth adapter hci0  listening",
                " 1204 adverts, 38.2/s   strangers: 1120 adverts, about 57 addresses, not kept",
                "┌ 3 of our beacons ──────────────────────────────────────────────────────────┐",
                "│kind     id           zone    median   last   age      per s   adverts      │",
                "│app      9c01         in       -61      -64      12 s   1.1         42      │",
                "│app      3f2a         front    -82      -85     0.7 s   1.1         42      │",
                "│card     1/204        none     -91      -94      61 s   1.1         42      │",
                "│                                                                            │",
                "└────────────────────────────────────────────────────────────────────────────┘",
                " q quit   p pause   s sort: strength",
            ]
        );
    }

    #[test]
    fn how_the_radio_does_stands_below_the_counts() {
        let radio = Some(Look { adverts: 1204, empty: 3, sessions: 1, ..Look::default() });
        let lines = drawn(&Snapshot { radio, ..snapshot() }, Sort::Strength, false, 10);
        assert_eq!(lines[2], " radio: 1204 adverts, 3 empty, 0 dropped; anew: scan 0, connection 1, daemon 0");
        assert!(lines[3].starts_with("┌ 3 of our beacons"), "{lines:#?}");
    }

    #[test]
    fn warnings_stand_on_top_and_a_held_table_says_so() {
        let shown = Snapshot { state: "silent", warnings: vec!["nothing was heard for 17 s".into()], ..snapshot() };
        let lines = drawn(&shown, Sort::Age, true, 12);
        assert!(lines[0].ends_with("silent"), "{lines:#?}");
        assert_eq!(lines[2], " ! nothing was heard for 17 s");
        assert_eq!(lines[11], " q quit   p pause   s sort: age  PAUSED");
        assert!(lines[6].contains("3f2a") && lines[7].contains("9c01"), "the latest first: {lines:#?}");
    }

    #[test]
    fn what_has_no_room_is_counted_and_a_tiny_terminal_is_no_harm() {
        let lines = drawn(&snapshot(), Sort::Name, false, 7);
        assert!(lines[2].contains("3 of our beacons, 2 more below"), "{lines:#?}");
        for height in 1..6 {
            drawn(&Snapshot { warnings: vec!["x".repeat(300)], ..snapshot() }, Sort::Strength, false, height);
        }
    }

    #[test]
    fn the_key_goes_through_all_orders() {
        let orders = [Sort::Strength, Sort::Age, Sort::Name, Sort::Strength];
        assert!(orders.windows(2).all(|pair| pair[0].next() == pair[1]));
    }
}
