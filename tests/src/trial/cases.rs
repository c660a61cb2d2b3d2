//! What is tried: each fault with the consumers and the delivery profile that meet it.

use std::fmt;

use kurier::DeliveryProfile;

use crate::cluster::Kind;
use crate::fleet::{Home, MemberKind};

/// One trial.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Its name, for the command line and the table.
    pub name: &'static str,
    /// What happens under load.
    pub fault: Fault,
    /// Which consumers, and where they run.
    pub members: (MemberKind, Home),
    /// How messages are delivered, and where the producers run.
    pub senders: (DeliveryProfile, Home),
}

/// What happens to the cluster, or to the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// One node, whichever has the role.
    Node(How, Target),
    /// The leader of a partition is killed and started again, five times in a row.
    FiveBounces,
    /// All nodes are restarted one after another; each is in sync before the next.
    EachNodeRestarted,
    /// Two nodes are dead for a minute.
    TwoNodesDown,
    /// Two nodes are frozen for 45 s and thawed for 20 s, ten times.
    TwoNodesFreeze,
    /// The group's coordinator is dead for ten minutes.
    CoordinatorAway,
    /// Producers are killed and started again, each time with what they had no answer for.
    SendersKilled,
    /// Members are killed, and others come.
    MembersKilled,
    /// A member joins or leaves every five seconds.
    MembersComeAndGo,
    /// The topic is given more partitions.
    PartitionsAdded,
    /// No fault of the cluster's: the control, a producer with `acks=1` whose followers stood still.
    Careless,
}

/// How a node goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// SIGTERM.
    Stopped,
    /// SIGKILL.
    Killed,
    /// SIGSTOP for 30 s.
    Frozen,
}

/// Which node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The one that leads partition 0.
    Leader,
    /// The active controller.
    Controller,
    /// The one that coordinates the group.
    Coordinator,
}

use DeliveryProfile::{Default as Idempotent, OneInFlight};
use Home::{Process, Task};
use MemberKind::{Batch, Single};

/// Everything that is tried.
pub const CASES: &[Case] = &[
    node("stop-leader", How::Stopped, Target::Leader, Single, OneInFlight),
    node("stop-controller", How::Stopped, Target::Controller, Batch, Idempotent),
    node("stop-coordinator", How::Stopped, Target::Coordinator, Single, Idempotent),
    node("kill-leader", How::Killed, Target::Leader, Batch, OneInFlight),
    node("kill-controller", How::Killed, Target::Controller, Single, OneInFlight),
    node("kill-coordinator", How::Killed, Target::Coordinator, Batch, Idempotent),
    node("freeze-leader", How::Frozen, Target::Leader, Single, Idempotent),
    node("freeze-controller", How::Frozen, Target::Controller, Batch, OneInFlight),
    node("freeze-coordinator", How::Frozen, Target::Coordinator, Single, OneInFlight),
    Case {
        name: "five-bounces",
        fault: Fault::FiveBounces,
        members: (Batch, Task),
        senders: (Idempotent, Task),
    },
    Case {
        name: "restart-each",
        fault: Fault::EachNodeRestarted,
        members: (Single, Process),
        senders: (OneInFlight, Task),
    },
    Case {
        name: "two-down",
        fault: Fault::TwoNodesDown,
        members: (Batch, Process),
        senders: (Idempotent, Process),
    },
    Case {
        name: "freeze-two",
        fault: Fault::TwoNodesFreeze,
        members: (Single, Task),
        senders: (Idempotent, Task),
    },
    Case {
        name: "coordinator-gone",
        fault: Fault::CoordinatorAway,
        members: (Single, Task),
        senders: (Idempotent, Task),
    },
    Case {
        name: "kill-producers",
        fault: Fault::SendersKilled,
        members: (Single, Task),
        senders: (Idempotent, Process),
    },
    Case {
        name: "kill-consumers-single",
        fault: Fault::MembersKilled,
        members: (Single, Process),
        senders: (Idempotent, Task),
    },
    Case {
        name: "kill-consumers-batch",
        fault: Fault::MembersKilled,
        members: (Batch, Process),
        senders: (OneInFlight, Task),
    },
    Case {
        name: "come-and-go",
        fault: Fault::MembersComeAndGo,
        members: (Batch, Process),
        senders: (Idempotent, Task),
    },
    Case {
        name: "add-partitions",
        fault: Fault::PartitionsAdded,
        members: (Single, Task),
        senders: (Idempotent, Task),
    },
    Case {
        name: "control-acks-1",
        fault: Fault::Careless,
        members: (Single, Task),
        senders: (Idempotent, Task),
    },
];

const fn node(
    name: &'static str,
    how: How,
    target: Target,
    members: MemberKind,
    profile: DeliveryProfile,
) -> Case {
    let fault = Fault::Node(how, target);
    Case { name, fault, members: (members, Task), senders: (profile, Task) }
}

/// The case of this name.
///
/// # Errors
/// When there is none, with the names of those there are.
pub fn case(name: &str) -> anyhow::Result<&'static Case> {
    CASES.iter().find(|case| case.name == name).ok_or_else(|| {
        let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        anyhow::anyhow!("there is no case {name}; there are {}", names.join(", "))
    })
}

impl Case {
    /// Why it can't be tried on this kind of cluster, if it can't.
    pub fn not_on(&self, kind: Kind) -> Option<&'static str> {
        match (kind, self.fault) {
            (Kind::Embedded, Fault::Node(_, Target::Controller)) => {
                Some("no node of the embedded cluster is its controller")
            }
            (Kind::Embedded, Fault::Node(How::Frozen, _)) => {
                Some("a node of the embedded cluster can't fall silent with its sockets open")
            }
            _ => None,
        }
    }

    /// True where the verdict must be that something was lost.
    pub fn is_control(&self) -> bool {
        self.fault == Fault::Careless
    }

    /// True where the order of a key is not promised, so that it is reported and not required: among
    /// partitions when their number changes.
    pub fn changes_partitions(&self) -> bool {
        self.fault == Fault::PartitionsAdded
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node(how, target) => return write!(f, "{how}: the {target}"),
            Self::FiveBounces => "leader killed and started, 5 times in a row",
            Self::EachNodeRestarted => "all nodes restarted, one after another",
            Self::TwoNodesDown => "two nodes down for 60 s",
            Self::TwoNodesFreeze => "two nodes frozen for 45 s, thawed for 20 s, 10 times",
            Self::CoordinatorAway => "the group's coordinator dead for 10 minutes",
            Self::SendersKilled => "`kurier produce` killed amid its work, 3 times",
            Self::MembersKilled => "`kurier consume` killed amid its work, 3 times",
            Self::MembersComeAndGo => "a member joins or leaves every 5 s",
            Self::PartitionsAdded => "partitions added: 6, then 9",
            Self::Careless => "control: `acks=1`, followers frozen, leader killed",
        })
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "SIGTERM",
            Self::Killed => "SIGKILL",
            Self::Frozen => "SIGSTOP, 30 s",
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leader => "partition's leader",
            Self::Controller => "controller",
            Self::Coordinator => "group's coordinator",
        })
    }
}
