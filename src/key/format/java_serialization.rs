//! Skips serialized Java objects: JCEKS stores secret keys as such, without their length.
//!
//! Supports the part of Java's Object Serialization Stream Protocol that `SealedObjectForKeyProtector` uses:
//! classes whose fields are numbers, strings and byte arrays.

const STREAM_HEADER: [u8; 4] = [0xAC, 0xED, 0, 5];

const TC_NULL: u8 = 0x70;
const TC_REFERENCE: u8 = 0x71;
const TC_CLASSDESC: u8 = 0x72;
const TC_OBJECT: u8 = 0x73;
const TC_STRING: u8 = 0x74;
const TC_ARRAY: u8 = 0x75;
const TC_ENDBLOCKDATA: u8 = 0x78;

/// Maximum number of superclasses, more than any valid key has.
const MAX_CLASS_DEPTH: u8 = 8;

/// Returns the bytes after the object at the beginning of `bytes`; `None` if its structure is not supported.
pub(in crate::key) fn skip_object(bytes: &[u8]) -> Option<&[u8]> {
    let mut reader = JavaStreamReader(bytes.strip_prefix(&STREAM_HEADER)?);
    if reader.read_u8()? != TC_OBJECT || reader.read_u8()? != TC_CLASSDESC {
        return None;
    }
    let mut types = Vec::new();
    reader.read_class(&mut types, MAX_CLASS_DEPTH)?;
    // The fields of the topmost class come first, but the order does not change the total length.
    for kind in types {
        reader.skip_value(kind)?;
    }
    Some(reader.0)
}

struct JavaStreamReader<'a>(&'a [u8]);

impl JavaStreamReader<'_> {
    fn skip_bytes(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }

    fn read_u8(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn read_uint(&mut self, octets: u8) -> Option<usize> {
        (0..octets)
            .try_fold(0_usize, |number, _| number.checked_mul(256)?.checked_add(usize::from(self.read_u8()?)))
    }

    fn skip_utf(&mut self) -> Option<()> {
        let length = self.read_uint(2)?;
        self.skip_bytes(length)
    }

    /// Reads a class after its type code, and appends the types of its fields after those of its
    /// superclasses.
    fn read_class(&mut self, types: &mut Vec<u8>, depth: u8) -> Option<()> {
        let deeper = depth.checked_sub(1)?;
        self.skip_utf()?;
        self.skip_bytes(9)?; // version and flags
        let mut own_types = Vec::new();
        for _ in 0..self.read_uint(2)? {
            let kind = self.read_u8()?;
            own_types.push(kind);
            self.skip_utf()?;
            if matches!(kind, b'[' | b'L') {
                self.skip_value(b'L')?;
            }
        }
        if self.read_u8()? != TC_ENDBLOCKDATA {
            return None;
        }
        match self.read_u8()? {
            TC_NULL => {}
            TC_CLASSDESC => self.read_class(types, deeper)?,
            _ => return None,
        }
        types.extend(own_types);
        Some(())
    }

    fn skip_value(&mut self, kind: u8) -> Option<()> {
        match kind {
            b'B' | b'Z' => self.skip_bytes(1),
            b'C' | b'S' => self.skip_bytes(2),
            b'F' | b'I' => self.skip_bytes(4),
            b'D' | b'J' => self.skip_bytes(8),
            b'L' | b'[' => match self.read_u8()? {
                TC_NULL => Some(()),
                TC_REFERENCE => self.skip_bytes(4),
                TC_STRING => self.skip_utf(),
                TC_ARRAY => self.skip_array(),
                _ => None,
            },
            _ => None,
        }
    }

    fn skip_array(&mut self) -> Option<()> {
        match self.read_u8()? {
            TC_CLASSDESC => self.read_class(&mut Vec::new(), 1)?,
            TC_REFERENCE => self.skip_bytes(4)?,
            _ => return None,
        }
        let length = self.read_uint(4)?;
        self.skip_bytes(length)
    }
}
