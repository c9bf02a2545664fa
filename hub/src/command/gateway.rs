//! `passage-hub gateway`: one gateway, by its id.

mod fleet;
mod order;

use clap::Subcommand;
use passage_config::HubConfig;
use passage_protocol::{GatewayId, site::Action};

/// What can be done with a gateway.
#[derive(Debug, Subcommand)]
pub(super) enum GatewayCommand {
    #[command(flatten)]
    Roll(fleet::Roll),
    /// Sign a command for a gateway; the running hubs send it, and repeat it until the gateway says that it has it, or it expires.
    Command {
        /// The gateway.
        #[arg(value_parser = gateway_id)]
        id: GatewayId,
        /// `report-state`: publish its state at once. `restart-radio`: close its radio and open it anew.
        #[arg(value_parser = action)]
        action: Action,
        /// Minutes after which it must not be carried out any more, up to a day.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1440))]
        minutes: u32,
    },
    /// Let a gateway go back to the site of this database although it holds a higher revision: the database was restored from an older copy.
    Rollback {
        /// The gateway.
        #[arg(value_parser = gateway_id)]
        id: GatewayId,
        /// The revision that it holds: `site_revision` of its state, or its log when it refuses.
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        held: u64,
    },
}

pub(super) use fleet::broker_config;

fn gateway_id(text: &str) -> Result<GatewayId, String> {
    GatewayId::checked(text).map_err(|e| e.to_string())
}

fn action(text: &str) -> Result<Action, String> {
    text.parse::<Action>().map_err(|e| e.to_string())
}

impl GatewayCommand {
    /// Carries it out and prints what came of it.
    pub(super) async fn run(self, config: &HubConfig) -> anyhow::Result<()> {
        match self {
            Self::Roll(roll) => roll.run(config).await,
            Self::Command { id, action, minutes } => order::command(config, id, action, minutes).await,
            Self::Rollback { id, held } => order::rollback(config, &id, held).await,
        }
    }
}
