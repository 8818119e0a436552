//! Who leads. A single master with an embedded store always does; elections over ZooKeeper and etcd implement the same
//! trait.

use std::sync::mpsc::Sender;

use proto::v1::MasterInfo;

/// The reign a leader acts in. A later leader of the same cluster has a greater epoch, and a store refuses writes of
/// an older one.
pub type Epoch = u64;

/// What a candidate learns.
#[derive(Clone, Debug, PartialEq)]
pub enum Leadership {
    /// This master leads.
    Elected { epoch: Epoch },
    /// This master leads no more and must stop acting at once.
    Deposed { why: String },
    /// Another master leads, or nobody is known to.
    Following { leader: Option<Box<MasterInfo>> },
}

/// A way to agree on one leader.
pub trait Election: Send {
    /// Stands for election as `candidate` and reports to `events` until the process ends.
    fn campaign(self: Box<Self>, candidate: MasterInfo, events: Sender<Leadership>);
}

/// The election of a cluster that has one master.
pub struct AlwaysLeader;

impl Election for AlwaysLeader {
    fn campaign(self: Box<Self>, _candidate: MasterInfo, events: Sender<Leadership>) {
        // A receiver that is gone is a program that is ending.
        let _ = events.send(Leadership::Elected { epoch: 1 });
    }
}
