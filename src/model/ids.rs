//! Identifiers. Each is a UUIDv7 made by the core, which owns the clock; here they are only told apart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id! {
    /// Names a machine for ever; its order is the order of registration.
    MachineId
}
id! {
    /// Names two anchors that were seen to point at two machines.
    ConflictId
}
id! {
    /// Names the answer to one accepted command.
    ReceiptId
}
id! {
    /// Names one call from outside.
    RequestId
}
id! {
    /// Ties together all that followed from one intention.
    CorrelationId
}
id! {
    /// Names one workflow; its order is the order in which they were asked for.
    WorkflowId
}
