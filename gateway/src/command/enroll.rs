//! `passage-gateway enroll`.

use std::{
    fmt::Write as _,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::Context;
use passage_config::Proxy;
use passage_protocol::{Invitation, fleet::Enrolled};

use crate::enrol::{self, CA, CERT, KEY};

/// What the command is told.
#[derive(Debug, clap::Args)]
pub(super) struct Enroll {
    /// The invitation that `passage-hub gateway invite` printed; `-` reads it from standard input, so that it stands in no history of a shell.
    invitation: String,
    /// The gateway's file: written when it is not there; key and certificates lie beside it.
    #[arg(long, value_name = "FILE", default_value = "gateway.toml")]
    config: PathBuf,
    /// The shop's HTTP proxy, http://HOST:PORT, if it is the only way out.
    #[arg(long, value_name = "URL", value_parser = proxy)]
    proxy: Option<Proxy>,
}

fn proxy(text: &str) -> Result<Proxy, String> {
    passage_config::read_proxy(text).ok_or_else(|| "not of the form http://HOST:PORT".to_owned())
}

/// Enrols this machine and tells what to do next.
pub(super) async fn enroll(asked: Enroll) -> anyhow::Result<()> {
    let invitation: Invitation = text(&asked.invitation)?.parse()?;
    let file = std::path::absolute(&asked.config)?;
    let folder = file.parent().context("the gateway's file has no folder")?;
    let enrolled = enrol::enrol(&invitation, asked.proxy.as_ref(), folder).await?;
    println!("{} is enrolled. Its key is {} and must not leave this machine.", enrolled.gateway, folder.join(KEY).display());
    let lines = Lines { enrolled: &enrolled, url: &invitation.url, proxy: asked.proxy.as_ref() };
    if file.exists() {
        println!(
            "{} is there already and stays as it is. These lines belong into it:\n\n{}\n{}",
            file.display(),
            lines.top(),
            lines.mqtt()
        );
    } else {
        std::fs::write(&file, lines.whole()).with_context(|| format!("{} cannot be written", file.display()))?;
        println!("{} was written. Next: passage-gateway doctor --config {}", file.display(), shown(&file));
    }
    Ok(())
}

fn shown(file: &Path) -> String {
    file.display().to_string()
}

fn text(argument: &str) -> anyhow::Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    std::io::stdin().take(64 * 1024).read_to_string(&mut text).context("standard input cannot be read")?;
    Ok(text)
}

/// What enrolment means for `gateway.toml`.
struct Lines<'a> {
    enrolled: &'a Enrolled,
    url: &'a str,
    proxy: Option<&'a Proxy>,
}

impl Lines<'_> {
    fn whole(&self) -> String {
        let radio = if self.enrolled.store.is_some() { "\"ble\"" } else { "\"none\"" };
        format!(
            "# Written by `passage-gateway enroll`. `passage-gateway config` prints an example with every key.\n\n{}data = \"data\"\nradio = {radio}\n\n{}",
            self.top(),
            self.mqtt()
        )
    }

    fn top(&self) -> String {
        let store = self.enrolled.store.as_ref().map_or_else(String::new, |store| format!("store = \"{store}\"\n"));
        let keys: Vec<String> = self.enrolled.hub_keys.iter().map(|key| format!("{key:?}")).collect();
        format!(
            "id = \"{}\"\n{store}site = \"hub\"     # comes when the hub lists this gateway: gateways/{}.toml, then `passage-hub apply`\n\
             hub = {:?}     # where the certificate is renewed\nhub_keys = [{}]\n",
            self.enrolled.gateway,
            self.enrolled.gateway,
            self.url,
            keys.join(", ")
        )
    }

    fn mqtt(&self) -> String {
        let broker = &self.enrolled.broker;
        let mut text = format!(
            "[mqtt]\nhost = {:?}\nport = {}\ntls = {{ ca = \"{CA}\", cert = \"{CERT}\", key = \"{KEY}\" }}\n",
            broker.host, broker.port
        );
        if let Some(path) = &broker.websocket {
            let _ = writeln!(text, "transport = \"websocket\"\npath = {path:?}");
        }
        match self.proxy {
            Some(Proxy { login: Some(_), .. }) => text += "proxy = \"env:PASSAGE_PROXY\"     # its URL with user and password\n",
            Some(proxy) => drop(writeln!(text, "proxy = \"http://{}:{}\"", proxy.host, proxy.port)),
            None => {}
        }
        text
    }
}
