//! A record's headers, as Kafka has them: ordered, names may repeat, values may be absent.

use bytes::Bytes;

/// One header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name. Kafka's protocol says UTF-8; of a name that is not, each wrong byte sequence reads as
    /// U+FFFD.
    pub name: String,
    /// Its value. Kafka knows headers without one, which is not the same as an empty one.
    pub value: Option<Bytes>,
}

/// Headers in the order they travel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<Header>);

impl Headers {
    /// No headers. Allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one at the end, even where the name is there already.
    pub fn push(&mut self, name: impl Into<String>, value: Option<Bytes>) {
        self.0.push(Header { name: name.into(), value });
    }

    /// The value of the *last* header of this name, as Java's `lastHeader` answers. None when there is
    /// none, or it has no value; [`all`](Self::all) tells these apart.
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.0.iter().rfind(|header| header.name == name)?.value.as_ref()
    }

    /// All headers of this name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Header> {
        self.0.iter().filter(move |header| header.name == name)
    }

    /// All headers, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<Header>> for Headers {
    fn from(headers: Vec<Header>) -> Self {
        Self(headers)
    }
}

impl FromIterator<Header> for Headers {
    fn from_iter<I: IntoIterator<Item = Header>>(headers: I) -> Self {
        Self(headers.into_iter().collect())
    }
}

impl IntoIterator for Headers {
    type Item = Header;
    type IntoIter = std::vec::IntoIter<Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
