//! RESP2, the protocol of Redis: encodes commands, and decodes replies within bounds.

use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::encode::encode_borrowed;
use redis_protocol::resp2::types::{BorrowedFrame, OwnedFrame};
use zeroize::Zeroizing;

use crate::base::error::{Error, ErrorKind, Result};

/// A reply of the server.
pub(super) type Reply = OwnedFrame;

/// The name of a command, and its arguments.
pub(super) type Command<'a> = (&'static str, &'a [&'a [u8]]);

/// The maximum length of the replies to commands that are sent together.
pub(super) const MAX_REPLIES_LEN: usize = 1 << 20;

/// The maximum nesting of a reply: that of XREAD has five levels of arrays.
const MAX_DEPTH: u32 = 5;

/// The maximum number of values in a reply; those to our commands have less than twenty. A value takes 32 bytes, and three
/// bytes of a reply are enough for one.
const MAX_VALUES: usize = 1000;

/// The maximum length of the header of an array.
const MAX_ARRAY_HEADER_LEN: usize = 24;

/// Bytes that are not a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MalformedReply;

/// Encodes `commands`. The result may contain a password.
///
/// # Errors
/// Never, because the buffer has the necessary size.
pub(super) fn encode_commands(commands: &[Command<'_>]) -> Result<Zeroizing<Vec<u8>>> {
    let lines: Vec<Vec<BorrowedFrame<'_>>> = commands.iter().map(to_frames).collect();
    let frames: Vec<_> = lines.iter().map(|line| BorrowedFrame::Array(line)).collect();
    let length = frames.iter().map(|frame| frame.encode_len(false)).fold(0, usize::saturating_add);
    let mut buffer = Zeroizing::new(vec![0; length]);
    let mut rest = buffer.as_mut_slice();
    for frame in &frames {
        let used = encode_borrowed(rest, frame, false).map_err(|_| {
            Error::new(ErrorKind::Internal, "token cache", "internal error: cannot encode a command")
        })?;
        rest = rest.get_mut(used..).unwrap_or_default();
    }
    Ok(buffer)
}

fn to_frames<'a>((name, arguments): &Command<'a>) -> Vec<BorrowedFrame<'a>> {
    [name.as_bytes()].into_iter().chain(arguments.iter().copied()).map(BorrowedFrame::BulkString).collect()
}

/// Decodes the reply at the beginning of `bytes` and returns it with its length; `None` if it is incomplete.
pub(super) fn decode_reply(bytes: &[u8]) -> std::result::Result<Option<(Reply, usize)>, MalformedReply> {
    let mut values_left = MAX_VALUES;
    decode_nested(bytes, MAX_DEPTH, &mut values_left)
}

/// Arrays are decoded here: redis-protocol decodes them by recursion without a limit, so that a server could
/// exhaust the stack. `values_left` is the number of values that the reply may still have.
fn decode_nested(
    bytes: &[u8],
    depth: u32,
    values_left: &mut usize,
) -> std::result::Result<Option<(Reply, usize)>, MalformedReply> {
    *values_left = values_left.checked_sub(1).ok_or(MalformedReply)?;
    if bytes.first() != Some(&b'*') {
        return decode(bytes).map_err(|_| MalformedReply);
    }
    let depth = depth.checked_sub(1).ok_or(MalformedReply)?;
    let header = bytes.get(..MAX_ARRAY_HEADER_LEN).unwrap_or(bytes);
    let Some(end) = header.windows(2).position(|pair| pair == b"\r\n") else {
        return if header.len() < MAX_ARRAY_HEADER_LEN { Ok(None) } else { Err(MalformedReply) };
    };
    let length = header.get(1..end).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<i64>().ok());
    let mut used = end.saturating_add(2);
    let mut items = Vec::new();
    match length.ok_or(MalformedReply)? {
        -1 => return Ok(Some((Reply::Null, used))),
        length @ 0.. => {
            for _ in 0..length {
                let rest = bytes.get(used..).unwrap_or_default();
                let Some((item, item_len)) = decode_nested(rest, depth, values_left)? else {
                    return Ok(None);
                };
                items.push(item);
                used = used.saturating_add(item_len);
            }
        }
        _ => return Err(MalformedReply),
    }
    Ok(Some((Reply::Array(items), used)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_arrays_of_bulk_strings() {
        let encoded =
            encode_commands(&[("GET", &[b"k"]), ("SET", &[b"", b"\r\n\0"]), ("EXEC", &[])]).unwrap();
        let expected = [
            "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
            "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$3\r\n\r\n\0\r\n",
            "*1\r\n$4\r\nEXEC\r\n",
        ];
        assert_eq!(encoded.as_slice(), expected.concat().as_bytes());
    }

    #[test]
    fn every_prefix_of_reply_is_incomplete() {
        for (text, expected) in [
            ("+OK\r\n", Reply::SimpleString(b"OK".to_vec())),
            ("-OOM no memory\r\n", Reply::Error("OOM no memory".to_owned())),
            (":-2\r\n", Reply::Integer(-2)),
            ("$3\r\n\r\n\0\r\n", Reply::BulkString(b"\r\n\0".to_vec())),
            ("$-1\r\n", Reply::Null),
            ("*-1\r\n", Reply::Null),
            ("*0\r\n", Reply::Array(Vec::new())),
            ("*2\r\n+OK\r\n*1\r\n*0\r\n", {
                let inner = Reply::Array(vec![Reply::Array(Vec::new())]);
                Reply::Array(vec![Reply::SimpleString(b"OK".to_vec()), inner])
            }),
        ] {
            let bytes = [text.as_bytes(), b"rest"].concat();
            assert_eq!(decode_reply(&bytes), Ok(Some((expected, text.len()))), "{text:?}");
            for length in 0..text.len() {
                assert_eq!(decode_reply(&bytes[..length]), Ok(None), "{length} bytes of {text:?}");
            }
        }
    }

    #[test]
    fn number_of_values_is_bounded() {
        let array = |length: usize| format!("*{length}\r\n") + &":1\r\n".repeat(length);
        let nested = |length: usize| format!("*2\r\n*0\r\n{}", array(length));
        for text in [array(MAX_VALUES - 1), nested(MAX_VALUES - 3)] {
            assert!(decode_reply(text.as_bytes()).unwrap().is_some());
        }
        for text in [array(MAX_VALUES), nested(MAX_VALUES - 2)] {
            assert_eq!(decode_reply(text.as_bytes()), Err(MalformedReply));
        }
    }

    #[test]
    fn malformed_reply_is_rejected() {
        for text in [
            "HTTP/1.1 400 Bad Request\r\n",
            "\u{15}\u{3}\u{3}\0\u{2}\u{2}(",
            ":x\r\n",
            "$-2\r\n",
            "$x\r\n",
            "*-2\r\n",
            "*x\r\n",
            "*00000000000000000000000000000000",
            "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*0\r\n",
            "%0\r\n",
        ] {
            assert_eq!(decode_reply(text.as_bytes()), Err(MalformedReply), "{text:?}");
        }
    }

    #[test]
    fn nested_arrays_do_not_exhaust_stack() {
        let nested = "*1\r\n".repeat(MAX_REPLIES_LEN / 4);
        assert_eq!(decode_reply(nested.as_bytes()), Err(MalformedReply));
        let announced = format!("*{}\r\n+OK\r\n", i64::MAX);
        assert_eq!(decode_reply(announced.as_bytes()), Ok(None));
        let announced = format!("${}\r\nx", i64::MAX);
        assert_eq!(decode_reply(announced.as_bytes()), Ok(None));
    }
}
