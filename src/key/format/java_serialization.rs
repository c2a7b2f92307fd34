//! Where a serialised Java object ends: JCEKS has secret keys as such, with nothing said of their length.
//!
//! The part of Java's Object Serialization Stream Protocol that `SealedObjectForKeyProtector` takes: classes whose
//! fields are numbers, text and arrays of bytes.

const HEADER: [u8; 4] = [0xAC, 0xED, 0, 5];

const NULL: u8 = 0x70;
const REFERENCE: u8 = 0x71;
const CLASS: u8 = 0x72;
const OBJECT: u8 = 0x73;
const STRING: u8 = 0x74;
const ARRAY: u8 = 0x75;
const END_OF_ANNOTATIONS: u8 = 0x78;

/// More superclasses than any honest key has.
const DEEPEST: u8 = 8;

/// What comes behind the object that `bytes` begin with; nothing if it is of another form.
pub(in crate::key) fn skip(bytes: &[u8]) -> Option<&[u8]> {
    let mut walk = Walk(bytes.strip_prefix(&HEADER)?);
    if walk.byte()? != OBJECT || walk.byte()? != CLASS {
        return None;
    }
    let mut types = Vec::new();
    walk.class(&mut types, DEEPEST)?;
    // Those of the topmost class come first, which makes no difference to what all take.
    for kind in types {
        walk.value(kind)?;
    }
    Some(walk.0)
}

struct Walk<'a>(&'a [u8]);

impl Walk<'_> {
    fn pass(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number(&mut self, octets: u8) -> Option<usize> {
        (0..octets)
            .try_fold(0_usize, |number, _| number.checked_mul(256)?.checked_add(usize::from(self.byte()?)))
    }

    fn text(&mut self) -> Option<()> {
        let length = self.number(2)?;
        self.pass(length)
    }

    /// A class behind its mark: its fields, and those of its superclasses before them.
    fn class(&mut self, types: &mut Vec<u8>, depth: u8) -> Option<()> {
        let deeper = depth.checked_sub(1)?;
        self.text()?;
        self.pass(9)?; // version and flags
        let mut own = Vec::new();
        for _ in 0..self.number(2)? {
            let kind = self.byte()?;
            own.push(kind);
            self.text()?;
            if matches!(kind, b'[' | b'L') {
                self.value(b'L')?;
            }
        }
        if self.byte()? != END_OF_ANNOTATIONS {
            return None;
        }
        match self.byte()? {
            NULL => {}
            CLASS => self.class(types, deeper)?,
            _ => return None,
        }
        types.extend(own);
        Some(())
    }

    fn value(&mut self, kind: u8) -> Option<()> {
        match kind {
            b'B' | b'Z' => self.pass(1),
            b'C' | b'S' => self.pass(2),
            b'F' | b'I' => self.pass(4),
            b'D' | b'J' => self.pass(8),
            b'L' | b'[' => match self.byte()? {
                NULL => Some(()),
                REFERENCE => self.pass(4),
                STRING => self.text(),
                ARRAY => self.bytes(),
                _ => None,
            },
            _ => None,
        }
    }

    fn bytes(&mut self) -> Option<()> {
        match self.byte()? {
            CLASS => self.class(&mut Vec::new(), 1)?,
            REFERENCE => self.pass(4)?,
            _ => return None,
        }
        let length = self.number(4)?;
        self.pass(length)
    }
}
