//! `passage-hub qr` and `passage-hub mail-links`.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, bail};
use passage_config::HubConfig;
use qrcodegen::{QrCode, QrCodeEcc};

use crate::{
    identity::{IdentifierKind, Keyring, Purpose, normalise::canonical},
    store::{
        Db,
        people::{consent, graph},
    },
    touchpoint::member_link,
};

/// White modules around a code, as its standard asks for.
const BORDER: i32 = 4;

/// Writes the image of a code that leads to `/q/CODE`.
pub fn qr(config: &HubConfig, code: &str, out: &Path) -> anyhow::Result<()> {
    let address = address(config, "q", code)?;
    fs::write(out, svg(&address)?).with_context(|| format!("{} cannot be written", out.display()))?;
    println!("{} leads to {address}", out.display());
    Ok(())
}

/// The address of a code that a campaign has.
fn address(config: &HubConfig, path: &str, code: &str) -> anyhow::Result<String> {
    let Some(url) = &config.web.url else { bail!("hub.toml does not say how the world reaches this hub. Mend: add url to [web]") };
    if !config.site.touch.links.contains_key(code) {
        let all: Vec<&str> = config.site.touch.links.keys().map(String::as_str).collect();
        bail!("no campaign has the code \"{code}\". Mend: add it to [links] of a file in campaigns/; there are: {}", all.join(", "));
    }
    Ok(format!("{url}/{path}/{code}"))
}

/// One black path on white. A quarter of the code may be hidden or torn.
fn svg(text: &str) -> anyhow::Result<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Quartile).map_err(|_| anyhow::anyhow!("the address is too long for a QR code"))?;
    let size = code.size() + 2 * BORDER;
    let mut path = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            write!(path, "M{},{}h1v1h-1z", x + BORDER, y + BORDER)?;
        }
    }
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size} {size}\" \
         shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0,0h{size}v{size}H0z\"/><path d=\"{path}\"/></svg>\n"
    ))
}

/// For each customer number in `ids`, one a line: the signed link for her mail, and the open pixel if mails may have one. Who does not grant `trackers`
/// to the company of the campaign gets the link that tells nobody.
pub async fn mail_links(config: &HubConfig, code: &str, ids: &Path, out: &Path) -> anyhow::Result<()> {
    let plain = address(config, "r", code)?;
    let base = plain.strip_suffix(&format!("/r/{code}")).unwrap_or_default().to_owned();
    let keyring = Keyring::load_or_create(&config.key_file)?;
    let db = Db::open(&config.database).await?;
    let file = fs::read_to_string(ids).with_context(|| format!("{} cannot be read", ids.display()))?;
    let (mut csv, mut signed, mut all) = ("crm_id,link,pixel\n".to_owned(), 0, 0);
    let campaign = config.site.touch.links.get(code).and_then(|link| config.site.campaigns.get(&link.campaign));
    let company = campaign.and_then(|campaign| campaign.company.as_ref());
    let mut tx = db.begin_read().await?;
    for id in file.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "crm_id") {
        all += 1;
        let Ok(form) = canonical(IdentifierKind::CrmId, id, &config.phone_region) else { continue };
        let key = keyring.identifier(IdentifierKind::CrmId, &form);
        let mut text = code.to_owned();
        if let Some(member) = graph::holder(&mut tx, IdentifierKind::CrmId, &key).await?
            && consent::granted(&consent::standing(&mut tx, member).await?, company, Purpose::Trackers)
        {
            text = member_link::write(&keyring, code, member);
            signed += 1;
        }
        let pixel = if config.web.pixel { format!("{base}/o/{text}.gif") } else { String::new() };
        writeln!(csv, "{},{base}/r/{text},{pixel}", quoted(id))?;
    }
    fs::write(out, csv).with_context(|| format!("{} cannot be written", out.display()))?;
    println!("{}: {all} links, {signed} of them signed for members who grant trackers", out.display());
    Ok(())
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', ';', '"']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_code_is_black_on_white_with_its_border() {
        let svg = svg("https://hub.example.net/q/flyer-lyon").unwrap();
        let code = QrCode::encode_text("https://hub.example.net/q/flyer-lyon", QrCodeEcc::Quartile).unwrap();
        let black = (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y))).filter(|(x, y)| code.get_module(*x, *y)).count();
        assert_eq!(svg.matches("h1v1h-1z").count(), black);
        assert!(svg.contains(&format!("viewBox=\"0 0 {0} {0}\"", code.size() + 8)));
        assert!(svg.contains("M4,4h1v1h-1z") && !svg.contains("M3,"), "four white modules on each side");
    }
}
