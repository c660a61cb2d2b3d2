//! A serializer that writes nothing and only looks for values that JSON would silently change.
//!
//! `serde_json` writes NaN and infinities as `null`, and `Some(None)` like `None`; reading back may
//! succeed and give something else. It also writes deeper nesting than it reads. Anything else that
//! goes wrong shows as an error of serialising or of reading back. For types without floats and
//! options the compiler leaves next to nothing of this pass.

use std::fmt::{self, Display};

use serde::Serialize;
use serde::ser::{self, Serializer};

use super::content::not_serialisable;
use super::error::{Excerpt, MessageError};

/// How deep lists and objects may nest: `serde_json` refuses to read more (its recursion limit, 128,
/// counts one more than it allows).
const DEPTH_MAX: u8 = 127;

/// Fails when JSON cannot carry `content` unchanged.
pub(super) fn check<T: Serialize>(content: &T) -> Result<(), MessageError> {
    match content.serialize(Look { depth: 0 }) {
        Ok(_) => Ok(()),
        Err(Fault::Changes(change)) => Err(MessageError::ContentNotReadBack {
            path: format!("content{}", change.path),
            reason: change.reason.to_owned(),
            found: Excerpt::of(change.found),
        }),
        Err(Fault::Refuses(reason)) => Err(not_serialisable::<T>(&reason)),
    }
}

/// What a value becomes: enough to know that `Some(…)` of it would be taken for `None`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Null,
    Other,
}

/// Why the look ended.
#[derive(Debug)]
enum Fault {
    Changes(Box<Change>),
    Refuses(Box<str>),
}

#[derive(Debug)]
struct Change {
    path: String,
    reason: &'static str,
    found: String,
}

impl Fault {
    fn changes(reason: &'static str, found: impl Display) -> Self {
        let found = found.to_string();
        Self::Changes(Box::new(Change { path: String::new(), reason, found }))
    }

    /// The same fault, seen from one level further out.
    fn under(mut self, step: impl Display) -> Self {
        if let Self::Changes(change) = &mut self {
            change.path.insert_str(0, &step.to_string());
        }
        self
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changes(change) => write!(f, "{}: {}", change.path, change.reason),
            Self::Refuses(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Fault {}

impl ser::Error for Fault {
    fn custom<T: Display>(reason: T) -> Self {
        Self::Refuses(reason.to_string().into())
    }
}

type Looked = Result<Shape, Fault>;

/// The serializer; copied down into what it looks at.
#[derive(Clone, Copy)]
struct Look {
    depth: u8,
}

impl Look {
    /// The look at what is inside one more list or object, or two.
    fn inside(self, levels: u8) -> Result<Inside, Fault> {
        let depth = self.depth + levels;
        if DEPTH_MAX < depth {
            return Err(Fault::changes("it is nested too deep to be read", "more than 127 levels"));
        }
        Ok(Inside { look: Self { depth }, index: 0 })
    }
}

/// A list, object, or variant of an enum, item by item.
struct Inside {
    look: Look,
    index: usize,
}

impl Inside {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        let index = self.index;
        self.index += 1;
        value.serialize(self.look).map_err(|fault| fault.under(format_args!("[{index}]")))?;
        Ok(())
    }

    fn field<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), Fault> {
        value.serialize(self.look).map_err(|fault| fault.under(format_args!(".{name}")))?;
        Ok(())
    }
}

fn other<T>(_: T) -> Looked {
    Ok(Shape::Other)
}

fn finite(finite: bool, value: impl Display) -> Looked {
    if finite { Ok(Shape::Other) } else { Err(Fault::changes("it would become null", value)) }
}

impl Serializer for Look {
    type Ok = Shape;
    type Error = Fault;
    type SerializeSeq = Inside;
    type SerializeTuple = Inside;
    type SerializeTupleStruct = Inside;
    type SerializeTupleVariant = Inside;
    type SerializeMap = Inside;
    type SerializeStruct = Inside;
    type SerializeStructVariant = Inside;

    fn serialize_f32(self, value: f32) -> Looked {
        finite(value.is_finite(), value)
    }

    fn serialize_f64(self, value: f64) -> Looked {
        finite(value.is_finite(), value)
    }

    fn serialize_none(self) -> Looked {
        Ok(Shape::Null)
    }

    fn serialize_unit(self) -> Looked {
        Ok(Shape::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Looked {
        Ok(Shape::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Looked {
        match value.serialize(self)? {
            Shape::Other => Ok(Shape::Other),
            Shape::Null => Err(Fault::changes("it would become None", "Some of null")),
        }
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Looked {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Looked {
        self.inside(1)?.field(variant, value)?;
        Ok(Shape::Other)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Inside, Fault> {
        self.inside(1)
    }

    fn serialize_tuple(self, _: usize) -> Result<Inside, Fault> {
        self.inside(1)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Inside, Fault> {
        self.inside(1)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Inside, Fault> {
        self.inside(2)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Inside, Fault> {
        self.inside(1)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Inside, Fault> {
        self.inside(1)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Inside, Fault> {
        self.inside(2)
    }

    // The rest always comes back as it is.

    fn serialize_bool(self, value: bool) -> Looked {
        other(value)
    }
    fn serialize_i8(self, value: i8) -> Looked {
        other(value)
    }
    fn serialize_i16(self, value: i16) -> Looked {
        other(value)
    }
    fn serialize_i32(self, value: i32) -> Looked {
        other(value)
    }
    fn serialize_i64(self, value: i64) -> Looked {
        other(value)
    }
    fn serialize_i128(self, value: i128) -> Looked {
        other(value)
    }
    fn serialize_u8(self, value: u8) -> Looked {
        other(value)
    }
    fn serialize_u16(self, value: u16) -> Looked {
        other(value)
    }
    fn serialize_u32(self, value: u32) -> Looked {
        other(value)
    }
    fn serialize_u64(self, value: u64) -> Looked {
        other(value)
    }
    fn serialize_u128(self, value: u128) -> Looked {
        other(value)
    }
    fn serialize_char(self, value: char) -> Looked {
        other(value)
    }
    fn serialize_str(self, value: &str) -> Looked {
        other(value)
    }
    fn serialize_bytes(self, value: &[u8]) -> Looked {
        other(value)
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Looked {
        other(variant)
    }
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Looked {
        other(value)
    }
}

impl ser::SerializeSeq for Inside {
    type Ok = Shape;
    type Error = Fault;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        self.item(value)
    }

    fn end(self) -> Looked {
        Ok(Shape::Other)
    }
}

impl ser::SerializeTuple for Inside {
    type Ok = Shape;
    type Error = Fault;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        self.item(value)
    }

    fn end(self) -> Looked {
        Ok(Shape::Other)
    }
}

impl ser::SerializeTupleStruct for Inside {
    type Ok = Shape;
    type Error = Fault;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        self.item(value)
    }

    fn end(self) -> Looked {
        Ok(Shape::Other)
    }
}

impl ser::SerializeTupleVariant for Inside {
    type Ok = Shape;
    type Error = Fault;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        self.item(value)
    }

    fn end(self) -> Looked {
        Ok(Shape::Other)
    }
}

impl ser::SerializeMap for Inside {
    type Ok = Shape;
    type Error = Fault;

    // Keys that JSON has not are refused by serde_json itself, NaN included.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> Result<(), Fault> {
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        self.field("*", value)
    }

    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), Fault> {
        value.serialize(self.look).map_err(|fault| match serde_json::to_string(key) {
            Ok(key) => fault.under(format_args!("[{key}]")),
            Err(_) => fault.under("[?]"),
        })?;
        Ok(())
    }

    fn end(self) -> Looked {
        Ok(Shape::Other)
    }
}

impl ser::SerializeStruct for Inside {
    type Ok = Shape;
    type Error = Fault;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        self.field(name, value)
    }

    fn end(self) -> Looked {
        Ok(Shape::Other)
    }
}

impl ser::SerializeStructVariant for Inside {
    type Ok = Shape;
    type Error = Fault;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        self.field(name, value)
    }

    fn end(self) -> Looked {
        Ok(Shape::Other)
    }
}
