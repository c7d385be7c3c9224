//! The wire format of protobuf: numbered fields, one after the other.

use super::Malformed;

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Datum<'a> {
    /// A number of variable length.
    Varint(u64),
    /// Eight bytes.
    Fixed64([u8; 8]),
    /// Four bytes.
    Fixed32([u8; 4]),
    /// A string, bytes or a message.
    Bytes(&'a [u8]),
}

const TRUNCATED: Malformed = Malformed("unexpected EOF");

impl<'a> Datum<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], Malformed> {
        if let Self::Bytes(bytes) = self {
            Ok(bytes)
        } else {
            Err(Malformed("wrong wireType"))
        }
    }

    pub(super) fn integer(self) -> Result<i64, Malformed> {
        // Negative numbers are sent in two's complement.
        if let Self::Varint(number) = self {
            Ok(number.cast_signed())
        } else {
            Err(Malformed("wrong wireType"))
        }
    }

    pub(super) fn float(self) -> Result<f64, Malformed> {
        match self {
            Self::Fixed64(bytes) => Ok(f64::from_le_bytes(bytes)),
            Self::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes).into()),
            _ => Err(Malformed("wrong wireType")),
        }
    }
}

/// The fields of a message, with their numbers.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(TRUNCATED)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed("integer overflow"))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(TRUNCATED)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| TRUNCATED)
    }

    fn field(&mut self) -> Result<(u64, Datum<'a>), Malformed> {
        let key = self.varint()?;
        let datum = match key & 7 {
            0 => Datum::Varint(self.varint()?),
            1 => Datum::Fixed64(self.array()?),
            2 => {
                let length = self.varint()?;
                Datum::Bytes(self.take(usize::try_from(length).map_err(|_| TRUNCATED)?)?)
            }
            5 => Datum::Fixed32(self.array()?),
            _ => return Err(Malformed("illegal wireType")),
        };
        Ok((key >> 3, datum))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Datum<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}
