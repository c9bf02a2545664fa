//! The phones of the demo: they enrol, fetch new tokens and change consents through the API like any app, and report positions and app events
//! over HTTP.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Context, Result, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use passage_protocol::{ChainKey, InstallationId, Millis, WakeId};
use serde::Deserialize;
use serde_json::json;

use crate::{
    day::{Link, Person},
    track::Step,
};

/// One enrolled app.
#[derive(Debug, Clone)]
pub struct Phone {
    /// Its name.
    pub installation: InstallationId,
    /// What its rotating ids come from.
    pub key: ChainKey,
    /// What it shows to a position gateway.
    pub token: String,
    /// What it shows to the hub.
    secret: String,
    refresh_after: Millis,
}

/// What a shop's wake beacon says.
#[derive(Debug, Clone, Copy)]
pub struct Wake {
    /// The brand's.
    pub uuid: [u8; 16],
    /// Major and minor.
    pub id: WakeId,
}

/// What the enrolment answers.
#[derive(Deserialize)]
struct Enrolled {
    installation: InstallationId,
    rid_key: String,
    key_day: i64,
    position_token: String,
    refresh_after: Millis,
    /// Told at the enrolment only.
    app_secret: Option<String>,
}

impl Enrolled {
    /// The phone with these keys; `secret` is what it holds already.
    fn phone(self, secret: Option<&str>) -> Result<Phone> {
        let key = STANDARD.decode(self.rid_key).ok().and_then(|k| <[u8; 32]>::try_from(k).ok()).context("the RID key is not 32 bytes")?;
        let secret = self.app_secret.as_deref().or(secret).context("the hub told no secret at the enrolment")?.to_owned();
        let key = ChainKey { day: self.key_day, key };
        Ok(Phone { installation: self.installation, key, token: self.position_token, secret, refresh_after: self.refresh_after })
    }
}

/// The web side of all phones and of the brand's site.
#[derive(Debug)]
pub struct Phones {
    http: reqwest::Client,
    api: SocketAddr,
    token: String,
    positions: SocketAddr,
    enrolled: BTreeMap<String, Phone>,
}

impl Phones {
    /// Phones that speak to the hub's API at `api` with the app's `token`, and to the position gateway at `positions`.
    pub fn new(api: SocketAddr, token: String, positions: SocketAddr) -> Self {
        Self { http: reqwest::Client::new(), api, token, positions, enrolled: BTreeMap::new() }
    }

    /// The phone of a person, once enrolled.
    pub fn of(&self, crm_id: &str) -> Option<&Phone> {
        self.enrolled.get(crm_id)
    }

    /// What somebody types into a real OwnTracks app to be this person's phone.
    pub fn owntracks_settings(&self, crm_id: &str) -> Option<String> {
        let phone = self.of(crm_id)?;
        Some(format!("user {}, password {}", phone.installation, phone.token))
    }

    /// Installs the app on a person's phone. False when the hub refuses because she did not consent to be noticed.
    pub async fn enrol(&mut self, person: &Person) -> Result<bool> {
        let body = json!({
            "brand": person.brand,
            "entity": person.entity,
            "member": { "kind": "crm_id", "value": person.crm_id },
            "age": "adult",
            "wording": { "id": "app-presence", "version": "2026-10", "language": "fr" },
            "purposes": person.purposes,
        });
        let answer = self.post("/v1/app/installations").json(&body).send().await.context("the hub's API does not answer")?;
        if answer.status() == reqwest::StatusCode::FORBIDDEN {
            return Ok(false);
        }
        if !answer.status().is_success() {
            bail!("the hub refused an enrolment with {}: {}", answer.status(), answer.text().await?);
        }
        let enrolled: Enrolled = answer.json().await?;
        self.enrolled.insert(person.crm_id.clone(), enrolled.phone(None)?);
        Ok(true)
    }

    /// Every app whose token is half through its life fetches a new one.
    pub async fn refresh(&mut self, now: Millis) -> Result<()> {
        let due: Vec<(String, Phone)> =
            self.enrolled.iter().filter(|(_, p)| p.refresh_after <= now).map(|(id, p)| (id.clone(), p.clone())).collect();
        for (crm_id, phone) in due {
            let answer = self.of_app(&phone, "refresh").json(&json!({ "client_time": now.0 })).send().await?;
            if answer.status() == reqwest::StatusCode::NOT_FOUND {
                self.enrolled.remove(&crm_id);
                continue;
            }
            if !answer.status().is_success() {
                bail!("a new token was refused with {}: {}", answer.status(), answer.text().await?);
            }
            let renewed: Enrolled = answer.json().await?;
            self.enrolled.insert(crm_id, renewed.phone(Some(&phone.secret))?);
        }
        Ok(())
    }

    /// A member withdraws a purpose in the app.
    pub async fn withdraw(&self, crm_id: &str, purpose: &str) -> Result<()> {
        let Some(phone) = self.of(crm_id) else { return Ok(()) };
        expect_success(self.of_app(phone, "purposes").json(&json!({ "withdraw": [purpose] })).send().await?, "a withdrawal").await
    }

    fn of_app(&self, phone: &Phone, call: &str) -> reqwest::RequestBuilder {
        let url = format!("http://{}/v1/app/installations/{}/{call}", self.api, phone.installation);
        self.http.post(url).bearer_auth(&phone.secret)
    }

    /// Reports a position as the OwnTracks app does.
    pub async fn position(&self, crm_id: &str, step: &Step) -> Result<()> {
        let Some(phone) = self.of(crm_id) else { return Ok(()) };
        let body = json!({ "_type": "location", "lat": step.lat, "lon": step.lon, "acc": 9, "tst": step.at.secs(), "tid": "pa", "t": "t" });
        let request = self.http.post(format!("http://{}/pub", self.positions)).basic_auth(phone.installation.as_str(), Some(&phone.token));
        expect_success(request.json(&body).send().await?, "a position").await
    }

    /// Reports that the app was woken by a shop's beacon, or left it.
    pub async fn app_event(&self, crm_id: &str, wake: &Wake, phase: &str, at: i64) -> Result<()> {
        let Some(phone) = self.of(crm_id) else { return Ok(()) };
        let beacon = json!({ "uuid": hex::encode(wake.uuid), "major": wake.id.major(), "minor": wake.id.minor(), "rssi": -68 });
        let body = json!({ "wake": beacon, "phase": phase, "at": at });
        let request = self.http.post(format!("http://{}/v1/app/events", self.positions)).bearer_auth(&phone.token);
        expect_success(request.json(&body).send().await?, "an app event").await
    }

    /// The brand's site reports touchpoints.
    pub async fn touchpoints(&self, rows: &[serde_json::Value]) -> Result<()> {
        expect_success(self.post("/v1/touchpoints").json(rows).send().await?, "touchpoints").await
    }

    /// The brand's site learns whose cookie it is.
    pub async fn identify(&self, link: &Link) -> Result<()> {
        let body = json!({ "cookie": link.cookie, "crm_id": link.crm_id, "reason": "login" });
        let answer = self.post("/v1/identify").json(&body).send().await?;
        // Without `match` consent the link is refused, and that is right.
        if answer.status() == reqwest::StatusCode::FORBIDDEN || answer.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(());
        }
        expect_success(answer, "a link").await
    }

    fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.post(format!("http://{}{path}", self.api)).bearer_auth(&self.token)
    }
}

async fn expect_success(answer: reqwest::Response, what: &str) -> Result<()> {
    if answer.status().is_success() {
        return Ok(());
    }
    bail!("{what} was refused with {}: {}", answer.status(), answer.text().await.unwrap_or_default())
}
