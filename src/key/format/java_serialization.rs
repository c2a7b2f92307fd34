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

#[cfg(test)]
mod tests {
    use super::*;

    fn utf(text: &str) -> Vec<u8> {
        [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
    }

    /// Description of a class with fields of these types, after its type code and before its superclass.
    fn class(types: &[u8]) -> Vec<u8> {
        let mut bytes = [utf("Class"), vec![0; 9]].concat();
        bytes.extend(u16::try_from(types.len()).unwrap().to_be_bytes());
        for kind in types {
            bytes.push(*kind);
            bytes.extend(utf("field"));
            if matches!(kind, b'[' | b'L') {
                bytes.push(TC_STRING);
                bytes.extend(utf("Type"));
            }
        }
        bytes.push(TC_ENDBLOCKDATA);
        bytes
    }

    /// A stream of an object whose class has no superclass, with these field values.
    fn object(types: &[u8], values: &[&[u8]]) -> Vec<u8> {
        [&STREAM_HEADER[..], &[TC_OBJECT, TC_CLASSDESC], &*class(types), &[TC_NULL], &values.concat()]
            .concat()
    }

    #[test]
    fn fields_of_every_type_are_skipped() {
        let array_of_new_class =
            [&[TC_ARRAY, TC_CLASSDESC][..], &*class(&[]), &[TC_NULL, 0, 0, 0, 3], b"abc"].concat();
        let array_of_known_class = [TC_ARRAY, TC_REFERENCE, 0, 0x7E, 0, 1, 0, 0, 0, 1, 9];
        let string = [&[TC_STRING][..], &*utf("text")].concat();
        let values: [&[u8]; 13] = [
            &[1],
            &[1],
            &[1; 2],
            &[1; 2],
            &[1; 4],
            &[1; 4],
            &[1; 8],
            &[1; 8],
            &[TC_NULL],
            &[TC_REFERENCE, 0, 0x7E, 0, 1],
            &string,
            &array_of_new_class,
            &array_of_known_class,
        ];
        let stream = [object(b"BZCSFIDJLLL[[", &values), vec![7, 8]].concat();
        assert_eq!(skip_object(&stream), Some(&[7, 8][..]));
        for length in 0..stream.len() - 2 {
            assert_eq!(skip_object(&stream[..length]), None, "{length}");
        }
    }

    #[test]
    fn superclasses_are_limited() {
        let with_superclasses = |count: usize| {
            let superclass = [&[TC_CLASSDESC][..], &*class(b"B")].concat();
            let start = [&STREAM_HEADER[..], &[TC_OBJECT, TC_CLASSDESC], &*class(b"B")].concat();
            [&start, &*superclass.repeat(count), &[TC_NULL], &*vec![1; count + 1], &[7]].concat()
        };
        assert_eq!(skip_object(&with_superclasses(7)), Some(&[7][..]));
        assert_eq!(skip_object(&with_superclasses(8)), None);
    }

    #[test]
    fn other_streams_are_not_supported() {
        let with_header = |bytes: &[u8]| [&STREAM_HEADER[..], bytes].concat();
        let class_end = class(&[]).len() - 1;
        for stream in [
            vec![],
            with_header(&[TC_STRING, 0, 0]),
            with_header(&[TC_OBJECT, TC_NULL]),
            // An annotation of the class, and a superclass that was described before.
            with_header(
                &[&[TC_OBJECT, TC_CLASSDESC][..], &class(&[])[..class_end], &[TC_STRING, 0, 0]].concat(),
            ),
            with_header(
                &[&[TC_OBJECT, TC_CLASSDESC][..], &*class(&[]), &[TC_REFERENCE, 0, 0x7E, 0, 0]].concat(),
            ),
            object(b"V", &[&[0; 8]]),
            object(b"L", &[&[TC_OBJECT, 0, 0, 0, 0]]),
            object(b"[", &[&[TC_ARRAY, TC_NULL, 0, 0, 0, 0]]),
        ] {
            assert_eq!(skip_object(&stream), None, "{stream:x?}");
        }
    }
}
