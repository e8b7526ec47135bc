//! `dragonfly settings …`

use clap::Subcommand;

use super::Change;

#[derive(Debug, Default, Subcommand)]
pub enum SettingsCommand {
    /// List all settings with their values
    #[default]
    #[command(visible_alias = "ls")]
    List,
    /// Show one setting and what it means
    Get { key: String },
    /// Give a setting a value
    #[command(after_help = "\
Example:
  dragonfly settings set site.name \"Shelf in the hall\"")]
    Set {
        key: String,
        value: String,
        #[command(flatten)]
        change: Change,
    },
    /// Bring a setting's default back
    Reset {
        key: String,
        #[command(flatten)]
        change: Change,
    },
}
