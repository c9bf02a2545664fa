//! The French numbers overseas: which of them are of which territory. (The series of ARCEP's plan, as libphonenumber has them.)

/// The regions that have a part of the French plan and a country code of their own.
pub(super) const REGIONS: [&str; 7] = ["RE", "YT", "GP", "BL", "MF", "GF", "MQ"];

/// The country code of a territory overseas.
pub(super) fn own_code(region: &str) -> Option<&'static str> {
    Some(match region {
        "RE" | "YT" => "262",
        "GP" | "BL" | "MF" => "590",
        "GF" => "594",
        "MQ" => "596",
        "PM" => "508",
        _ => return None,
    })
}

/// The number as `+` and digits if its series is of one territory only; `+33` before it reaches nobody.
pub(super) fn overseas(national: &str) -> Option<String> {
    // 0508 is dialled before the six digits of St. Pierre and Miquelon.
    if let Some(six) = national.strip_prefix("508") {
        return Some(format!("+508{six}"));
    }
    territory(national).map(|code| format!("+{code}{national}"))
}

fn territory(national: &str) -> Option<&'static str> {
    Some(match national.get(..3)? {
        "708" => match national.get(3..4)? {
            "4" | "5" => "508",
            _ => return None,
        },
        "709" => match national.get(3..5)? {
            "35" | "36" | "37" => "262",
            series => match series.as_bytes()[0] {
                b'0' => "590",
                b'1' => "596",
                b'2' => "262",
                b'3' => "594",
                _ => return None,
            },
        },
        "598" => match national.get(3..4)? {
            "7" => "590",
            "8" => "594",
            "9" => "596",
            _ => return None,
        },
        "692" | "693" | "262" | "263" | "268" | "269" => "262",
        "690" | "691" | "590" => "590",
        "694" | "594" => "594",
        "696" | "697" | "596" => "596",
        _ => return None,
    })
}

/// True for series that the mainland has too: without a country code they are the region's own where they are dialled.
pub(super) fn own_block(region: &str, national: &str) -> bool {
    let blocks: &[&str] = match region {
        "YT" => &["639", "9398", "9478", "9769"],
        "RE" => &["9399", "9479", "9762", "9763"],
        "GP" | "BL" | "MF" => &["9395", "9396", "9397", "9475", "9760", "9761", "9768"],
        "GF" => &["9396", "9476", "976"],
        "MQ" => &["9397", "9477", "9766", "9767"],
        _ => &[],
    };
    blocks.iter().any(|block| national.starts_with(block))
}
