//! Which signed commands are carried out: each once, by whom it is for, before it expires. Pure; time comes in with the calls.

use std::collections::BTreeMap;

use passage_protocol::{
    GatewayId, Millis, WireError,
    sign::{Pinned, SignatureError},
    site::{Action, Command, LONGEST_COMMAND},
};
use uuid::Uuid;

use crate::SavedState;

/// Where in [`SavedState`] the ids are kept.
const MACHINE: &str = "command";
/// As long as an id, and no id that a hub makes.
const FLOOR: &[u8] = b"floor";
/// Ids that are remembered; a hub that gives more orders in a day is not sane.
const MOST: usize = 1_000;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum NotObeyed {
    /// No command.
    #[error("{0}")]
    Unreadable(#[from] WireError),
    /// For another gateway.
    #[error("it is for another gateway")]
    Foreign,
    /// Not by a hub that we know.
    #[error("{0}")]
    Signature(#[from] SignatureError),
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// Good for longer than a day.
    #[error("it is good for longer than a day")]
    TooLong,
    /// Carried out before.
    #[error("it was carried out before")]
    Repeated(Uuid),
    /// No room to remember it.
    #[error("more than 1,000 commands were given in a day")]
    TooMany,
}

/// The ids of the commands that were taken, until they expire.
#[derive(Debug, Default)]
pub struct Commands {
    taken: BTreeMap<Uuid, Millis>,
    /// Nothing that expires up to here is carried out any more, whatever the clock says: its id may have been forgotten.
    floor: Millis,
}

impl Commands {
    /// As they were when the outbox was last written.
    pub fn restored(saved: &[(String, Vec<u8>, Vec<u8>)]) -> Self {
        let mut commands = Self::default();
        for (_, key, value) in saved.iter().filter(|(machine, ..)| machine == MACHINE) {
            let Ok(at) = <[u8; 8]>::try_from(value.as_slice()).map(|bytes| Millis(i64::from_be_bytes(bytes))) else { continue };
            if key == FLOOR {
                commands.floor = at;
            } else {
                commands.taken.extend(Uuid::from_slice(key).ok().map(|id| (id, at)));
            }
        }
        commands
    }

    /// Those that were taken and may not have expired.
    pub fn taken(&self) -> impl Iterator<Item = Uuid> {
        self.taken.keys().copied()
    }

    /// Judges what was published as a command for `own`. What is to be saved must be on the disk before the action is carried out.
    ///
    /// # Errors
    /// Why it is not carried out.
    pub fn take(
        &mut self,
        payload: &[u8],
        own: &GatewayId,
        pinned: &Pinned,
        now: Millis,
    ) -> Result<(Uuid, Action, Vec<SavedState>), NotObeyed> {
        let command = Command::from_slice(payload)?;
        if command.gateway != *own {
            return Err(NotObeyed::Foreign);
        }
        command.verify(pinned)?;
        if command.expires <= now || command.expires <= self.floor {
            return Err(NotObeyed::Expired);
        }
        if command.expires > now + LONGEST_COMMAND {
            return Err(NotObeyed::TooLong);
        }
        if self.taken.contains_key(&command.id) {
            return Err(NotObeyed::Repeated(command.id));
        }
        let mut saved = self.forget(now);
        if self.taken.len() >= MOST {
            return Err(NotObeyed::TooMany);
        }
        self.taken.insert(command.id, command.expires);
        saved.push(entry(command.id.as_bytes(), Some(command.expires)));
        Ok((command.id, command.action, saved))
    }

    /// Forgets the ids of commands that have expired.
    fn forget(&mut self, now: Millis) -> Vec<SavedState> {
        let over: Vec<_> = self.taken.extract_if(.., |_, expires| *expires <= now).collect();
        let Some(highest) = over.iter().map(|(_, expires)| *expires).max() else { return Vec::new() };
        self.floor = self.floor.max(highest);
        let mut saved: Vec<_> = over.iter().map(|(id, _)| entry(id.as_bytes(), None)).collect();
        saved.push(entry(FLOOR, Some(self.floor)));
        saved
    }
}

fn entry(key: &[u8], value: Option<Millis>) -> SavedState {
    SavedState { machine: MACHINE, key: key.to_vec(), value: value.map(|at| at.0.to_be_bytes().to_vec()) }
}

#[cfg(test)]
mod tests {
    use passage_protocol::sign::Signing;

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn own() -> GatewayId {
        "gw-lyon-1".parse().unwrap()
    }

    fn key() -> Signing {
        Signing::from_bytes(&[3; 32])
    }

    fn pinned() -> Pinned {
        Pinned::from_base64([key().public().as_str()]).unwrap()
    }

    fn command(id: u128, expires: i64) -> Command {
        let (gateway, id, expires) = (own(), Uuid::from_u128(id), Millis(expires));
        Command { v: 1, gateway, id, expires, action: Action::ReportState, key: String::new(), sig: String::new() }
    }

    fn signed(id: u128, expires: i64) -> Vec<u8> {
        command(id, expires).signed(&key()).to_vec()
    }

    fn take(commands: &mut Commands, payload: &[u8], now: i64) -> Result<Vec<SavedState>, String> {
        commands.take(payload, &own(), &pinned(), Millis(now)).map(|(.., saved)| saved).map_err(|e| e.to_string())
    }

    fn disk(saved: Vec<SavedState>) -> Vec<(String, Vec<u8>, Vec<u8>)> {
        saved.into_iter().filter_map(|s| Some((s.machine.to_owned(), s.key, s.value?))).collect()
    }

    #[test]
    fn a_command_is_carried_out_once_also_over_a_restart() {
        let mut commands = Commands::default();
        let saved = take(&mut commands, &signed(1, HOUR), 0).unwrap();
        assert!(take(&mut commands, &signed(1, HOUR), 1).unwrap_err().contains("before"));
        let mut again = Commands::restored(&disk(saved));
        assert!(take(&mut again, &signed(1, HOUR), 2).unwrap_err().contains("before"));
        take(&mut again, &signed(2, HOUR), 3).unwrap();
    }

    #[test]
    fn forged_foreign_expired_and_endless_commands_are_not() {
        let mut commands = Commands::default();
        let refused = |commands: &mut Commands, payload: Vec<u8>| take(commands, &payload, HOUR).unwrap_err();
        assert!(refused(&mut commands, b"{}".to_vec()).contains("command"));
        let stranger = command(1, 2 * HOUR).signed(&Signing::from_bytes(&[4; 32]));
        assert!(refused(&mut commands, stranger.to_vec()).contains("pinned"));
        let changed = Command { action: Action::RestartRadio, ..command(1, 2 * HOUR).signed(&key()) };
        assert!(refused(&mut commands, changed.to_vec()).contains("fit"));
        let foreign = Command { gateway: "gw-paris-1".parse().unwrap(), ..command(1, 2 * HOUR) }.signed(&key());
        assert!(refused(&mut commands, foreign.to_vec()).contains("another gateway"));
        assert!(refused(&mut commands, signed(1, HOUR)).contains("expired"));
        assert!(refused(&mut commands, signed(1, 26 * HOUR)).contains("longer"));
        assert!(commands.taken.is_empty());
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_bring_a_forgotten_command_to_life() {
        let mut commands = Commands::default();
        take(&mut commands, &signed(1, HOUR), 0).unwrap();
        let saved = take(&mut commands, &signed(2, 3 * HOUR), 2 * HOUR).unwrap();
        assert_eq!(commands.taken.len(), 1, "the first is forgotten");
        assert!(take(&mut commands, &signed(1, HOUR), 0).unwrap_err().contains("expired"));
        let mut again = Commands::restored(&disk(saved));
        assert!(take(&mut again, &signed(1, HOUR), 0).unwrap_err().contains("expired"));
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let taken = (0..MOST as u128).map(|id| (Uuid::from_u128(id), Millis(HOUR))).collect();
        let mut commands = Commands { taken, ..Commands::default() };
        assert!(take(&mut commands, &signed(5_000, HOUR), 0).unwrap_err().contains("1,000"));
        take(&mut commands, &signed(5_000, 3 * HOUR), 2 * HOUR).unwrap();
        assert_eq!(commands.taken.len(), 1);
    }
}
