//! What requests look like, field by field, as far as lengths and counts go: the protocol guide's
//! definitions (`clients/src/main/resources/common/message` in Apache Kafka) for the versions spoken.

use Kind::{Blob, Fixed, Fixeds, List, Text, Texts};

/// One kind of request.
#[derive(Debug)]
pub struct Schema {
    /// The version from which strings, bytes and arrays are compact and structures end in tags.
    pub flexible_from: i16,
    /// Its fields in order.
    pub fields: &'static [Field],
}

/// A field that is there from version `since` to `until`.
#[derive(Debug)]
pub struct Field {
    /// How it is laid out.
    pub kind: Kind,
    /// First version with it.
    pub since: i16,
    /// Last version with it.
    pub until: i16,
}

/// How a field is laid out.
#[derive(Debug)]
pub enum Kind {
    /// So many bytes.
    Fixed(usize),
    /// A string, null or not.
    Text,
    /// Bytes or records, null or not.
    Blob,
    /// An array of values of so many bytes.
    Fixeds(usize),
    /// An array of strings.
    Texts,
    /// An array of structures.
    List(&'static [Field]),
}

const fn all(kind: Kind) -> Field {
    Field { kind, since: 0, until: i16::MAX }
}

const fn since(since: i16, kind: Kind) -> Field {
    Field { kind, since, until: i16::MAX }
}

const fn until(until: i16, kind: Kind) -> Field {
    Field { kind, since: 0, until }
}

macro_rules! schemas {
    ($($name:ident: $flexible:expr => $fields:expr;)*) => {
        $(pub static $name: Schema = Schema { flexible_from: $flexible, fields: $fields };)*
    };
}

const INT8: Kind = Fixed(1);
const INT16: Kind = Fixed(2);
const INT32: Kind = Fixed(4);
const INT64: Kind = Fixed(8);
const UUID: Kind = Fixed(16);

schemas! {
    PRODUCE: 9 => &[
        all(Text), all(INT16), all(INT32),
        all(List(&[all(Text), all(List(&[all(INT32), all(Blob)]))])),
    ];
    FETCH: 12 => &[
        all(INT32), all(INT32), all(INT32), all(INT32), all(INT8), since(7, INT32), since(7, INT32),
        all(List(&[
            all(Text),
            all(List(&[
                all(INT32), since(9, INT32), all(INT64), since(12, INT32), since(5, INT64), all(INT32),
            ])),
        ])),
        since(7, List(&[all(Text), all(Fixeds(4))])),
        since(11, Text),
    ];
    LIST_OFFSETS: 6 => &[
        all(INT32), since(2, INT8),
        all(List(&[all(Text), all(List(&[all(INT32), since(4, INT32), all(INT64)]))])),
    ];
    METADATA: 9 => &[
        all(List(&[since(10, UUID), all(Text)])),
        since(4, INT8), Field { kind: INT8, since: 8, until: 10 }, since(8, INT8),
    ];
    OFFSET_COMMIT: 8 => &[
        all(Text), all(INT32), all(Text), since(7, Text), until(4, INT64),
        all(List(&[all(Text), all(List(&[all(INT32), all(INT64), since(6, INT32), all(Text)]))])),
    ];
    OFFSET_FETCH: 6 => &[
        until(7, Text), until(7, List(&[all(Text), all(Fixeds(4))])),
        since(8, List(&[all(Text), all(List(&[all(Text), all(Fixeds(4))]))])),
        since(7, INT8),
    ];
    FIND_COORDINATOR: 3 => &[until(3, Text), since(1, INT8), since(4, Texts)];
    JOIN_GROUP: 6 => &[
        all(Text), all(INT32), since(1, INT32), all(Text), since(5, Text), all(Text),
        all(List(&[all(Text), all(Blob)])), since(8, Text),
    ];
    HEARTBEAT: 4 => &[all(Text), all(INT32), all(Text), since(3, Text)];
    LEAVE_GROUP: 4 => &[
        all(Text), until(2, Text), since(3, List(&[all(Text), all(Text), since(5, Text)])),
    ];
    SYNC_GROUP: 4 => &[
        all(Text), all(INT32), all(Text), since(3, Text), since(5, Text), since(5, Text),
        all(List(&[all(Text), all(Blob)])),
    ];
    DESCRIBE_GROUPS: 5 => &[all(Texts), since(3, INT8)];
    LIST_GROUPS: 3 => &[since(4, Texts), since(5, Texts)];
    API_VERSIONS: 3 => &[since(3, Text), since(3, Text)];
    CREATE_TOPICS: 5 => &[
        all(List(&[
            all(Text), all(INT32), all(INT16), all(List(&[all(INT32), all(Fixeds(4))])),
            all(List(&[all(Text), all(Text)])),
        ])),
        all(INT32), all(INT8),
    ];
    DELETE_TOPICS: 4 => &[since(6, List(&[all(Text), all(UUID)])), until(5, Texts), all(INT32)];
    DELETE_RECORDS: 2 => &[
        all(List(&[all(Text), all(List(&[all(INT32), all(INT64)]))])), all(INT32),
    ];
    INIT_PRODUCER_ID: 2 => &[all(Text), all(INT32), since(3, INT64), since(3, INT16)];
    OFFSET_FOR_LEADER_EPOCH: 4 => &[
        since(3, INT32), all(List(&[all(Text), all(List(&[all(INT32), all(INT32), all(INT32)]))])),
    ];
    DESCRIBE_CONFIGS: 4 => &[
        all(List(&[all(INT8), all(Text), all(Texts)])), all(INT8), since(3, INT8),
    ];
    ALTER_CONFIGS: 2 => &[
        all(List(&[all(INT8), all(Text), all(List(&[all(Text), all(Text)]))])), all(INT8),
    ];
    INCREMENTAL_ALTER_CONFIGS: 1 => &[
        all(List(&[all(INT8), all(Text), all(List(&[all(Text), all(INT8), all(Text)]))])), all(INT8),
    ];
    CREATE_PARTITIONS: 2 => &[
        all(List(&[all(Text), all(INT32), all(List(&[all(Fixeds(4))]))])), all(INT32), all(INT8),
    ];
    DELETE_GROUPS: 2 => &[all(Texts)];
    OFFSET_DELETE: i16::MAX => &[all(Text), all(List(&[all(Text), all(List(&[all(INT32)]))]))];
    DESCRIBE_CLUSTER: 0 => &[all(INT8), since(1, INT8)];
}
