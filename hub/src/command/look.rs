//! Commands that show or change what is known of a member put that on record first.

use passage_config::HubConfig;

use super::ledger::member_of;
use crate::{
    identity::MemberId,
    privacy::audit,
    store::{Db, people::graph},
};

/// Records that whoever runs this command looks at the person with this code; returns all records that are she, the one that stands for her last.
pub(super) async fn look(db: &Db, config: &HubConfig, code: &str, action: &'static str) -> anyhow::Result<(MemberId, Vec<MemberId>)> {
    let person = graph::person_of(&mut db.begin_read().await?, member_of(code)?).await?;
    let Some(member) = person.last().copied() else { anyhow::bail!("there is no member {code}") };
    note(db, config, action, &[member]).await?;
    Ok((member, person))
}

/// Records that whoever runs this command looks at these members.
pub(super) async fn note(db: &Db, config: &HubConfig, action: &'static str, members: &[MemberId]) -> anyhow::Result<()> {
    Ok(audit::note(db, &audit::os_user(), action, members, config.clock.now()).await?)
}
