//! Walks a request along its schema before it is decoded: every length must fit in the bytes that are
//! left and every count in what follows it, so that no number from the wire sizes an allocation.

use super::schema::{Field, Kind, Schema};

/// Elements of one array, in any request. A client asks for fewer.
const ELEMENTS_MAX: usize = 100_000;

/// Bytes that are not the request they claim to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A length or a count reaches past the end.
    #[error("a field ends after the request does")]
    Truncated,
    /// A negative length other than −1, or a number of more bytes than it may have.
    #[error("a length makes no sense")]
    Length,
    /// An array of more than 100,000 elements.
    #[error("an array has more than {ELEMENTS_MAX} elements")]
    TooMany,
}

/// Checks that `body` begins with a request of `schema` in `version`, and says how many bytes follow it.
/// Kafka takes no notice of those, and librdkafka leaves three when it asks for the metadata of all
/// topics in version 9 or later (`rd_kafka_MetadataRequest0`: the null array keeps room for four bytes).
///
/// # Errors
/// When it does not.
pub fn check(schema: &Schema, version: i16, body: &[u8]) -> Result<usize, Malformed> {
    let mut walk = Walk { rest: body, version, flexible: version >= schema.flexible_from };
    walk.structure(schema.fields)?;
    Ok(walk.rest.len())
}

/// Skips the tagged fields at the start of `bytes`, as a flexible header has them.
///
/// # Errors
/// When they reach past the end.
pub fn skip_tags(bytes: &[u8]) -> Result<&[u8], Malformed> {
    let mut walk = Walk { rest: bytes, version: 0, flexible: true };
    walk.tags()?;
    Ok(walk.rest)
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
}

impl Walk<'_> {
    fn structure(&mut self, fields: &[Field]) -> Result<(), Malformed> {
        for field in fields {
            if (field.since..=field.until).contains(&self.version) {
                self.field(&field.kind)?;
            }
        }
        if self.flexible { self.tags() } else { Ok(()) }
    }

    fn field(&mut self, kind: &Kind) -> Result<(), Malformed> {
        match kind {
            Kind::Fixed(size) => self.skip(*size),
            Kind::Text if self.flexible => self.compact_bytes(),
            Kind::Blob if self.flexible => self.compact_bytes(),
            Kind::Text => {
                let length = i16::from_be_bytes(self.take()?);
                self.skip(length_of(i32::from(length))?)
            }
            Kind::Blob => {
                let length = i32::from_be_bytes(self.take()?);
                self.skip(length_of(length)?)
            }
            Kind::Fixeds(size) => {
                let count = self.count()?;
                self.skip(count * size)
            }
            Kind::Texts => self.each(|walk| walk.field(&Kind::Text)),
            Kind::List(fields) => self.each(|walk| walk.structure(fields)),
        }
    }

    /// Walks the elements: each takes at least a byte, so a count that lies soon meets the end.
    fn each(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        for _ in 0..self.count()? {
            element(self)?;
        }
        Ok(())
    }

    fn count(&mut self) -> Result<usize, Malformed> {
        let count = if self.flexible {
            (self.varint()? as usize).saturating_sub(1)
        } else {
            length_of(i32::from_be_bytes(self.take()?))?
        };
        if count > ELEMENTS_MAX { Err(Malformed::TooMany) } else { Ok(count) }
    }

    fn compact_bytes(&mut self) -> Result<(), Malformed> {
        let length = (self.varint()? as usize).saturating_sub(1);
        self.skip(length)
    }

    fn tags(&mut self) -> Result<(), Malformed> {
        let count = self.varint()? as usize;
        if count > ELEMENTS_MAX {
            return Err(Malformed::TooMany);
        }
        for _ in 0..count {
            self.varint()?;
            let size = self.varint()? as usize;
            self.skip(size)?;
        }
        Ok(())
    }

    /// An unsigned varint of 32 bits.
    fn varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let [byte] = self.take()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| Malformed::Length);
            }
        }
        Err(Malformed::Length)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn skip(&mut self, size: usize) -> Result<(), Malformed> {
        self.rest = self.rest.get(size..).ok_or(Malformed::Truncated)?;
        Ok(())
    }
}

/// The length that stands on the wire, where −1 is null.
fn length_of(length: i32) -> Result<usize, Malformed> {
    match length {
        -1 => Ok(0),
        length => usize::try_from(length).map_err(|_| Malformed::Length),
    }
}
