//! Where a serialised Java object ends: JCEKS has secret keys as such, with nothing said of their length.
//!
//! The part of Java's Object Serialization Stream Protocol that `SealedObjectForKeyProtector` takes: classes whose
//! fields are numbers, text and arrays of bytes.

const STREAM_HEADER: [u8; 4] = [0xAC, 0xED, 0, 5];

const TC_NULL: u8 = 0x70;
const TC_REFERENCE: u8 = 0x71;
const TC_CLASSDESC: u8 = 0x72;
const TC_OBJECT: u8 = 0x73;
const TC_STRING: u8 = 0x74;
const TC_ARRAY: u8 = 0x75;
const TC_ENDBLOCKDATA: u8 = 0x78;

/// More superclasses than any honest key has.
const MAX_CLASS_DEPTH: u8 = 8;

/// What comes behind the object that `bytes` begin with; nothing if it is of another form.
pub(in crate::key) fn skip_object(bytes: &[u8]) -> Option<&[u8]> {
    let mut walk = JavaStreamReader(bytes.strip_prefix(&STREAM_HEADER)?);
    if walk.read_u8()? != TC_OBJECT || walk.read_u8()? != TC_CLASSDESC {
        return None;
    }
    let mut types = Vec::new();
    walk.read_class(&mut types, MAX_CLASS_DEPTH)?;
    // Those of the topmost class come first, which makes no difference to what all take.
    for kind in types {
        walk.skip_value(kind)?;
    }
    Some(walk.0)
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

    /// A class behind its mark: its fields, and those of its superclasses before them.
    fn read_class(&mut self, types: &mut Vec<u8>, depth: u8) -> Option<()> {
        let deeper = depth.checked_sub(1)?;
        self.skip_utf()?;
        self.skip_bytes(9)?; // version and flags
        let mut own = Vec::new();
        for _ in 0..self.read_uint(2)? {
            let kind = self.read_u8()?;
            own.push(kind);
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
        types.extend(own);
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
