//! Redis servers of TokenCache that send anything but replies. The store never costs a token: the library requests one.

use crate::case::{Case, Expected, run_all};
use crate::server::Step;

const HEALTHY: Expected = Expected::Token("healthy");

/// A case in which the server is the Redis server.
fn redis(name: &str, steps: Vec<Step>) -> Case {
    Case::new(format!("Redis: {name}"), steps, HEALTHY)
        // Equal connections of the process share tokens, too.
        .options(format!(
            "ClientID={{{name}}};CacheScope=Process;TokenURI=http://127.0.0.1:{{healthy}}/token"
        ))
        .token_cache("redis://127.0.0.1:{port}")
}

#[test]
fn hostile_redis_servers_cost_no_token() {
    let mut cases = Vec::new();
    for (name, bytes) in [
        ("nothing", Vec::new()),
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("TLS alert", b"\x15\x03\x01\0\x02\x02\x0a".to_vec()),
        ("NUL bytes", vec![0; 1000]),
        ("0xff bytes", vec![0xff; 1000]),
        ("empty error", b"-\r\n".to_vec()),
        ("error with escapes", b"-ERR \x1b[2J\x07\r\n".to_vec()),
        ("error with direction of text", "-ERR \u{202e}\u{2066}\r\n".into()),
        ("error that is no UTF-8", b"-ERR \xff\xfe\r\n".to_vec()),
        ("MOVED", b"-MOVED 1 attacker.example:6379\r\n".to_vec()),
        ("LOADING", b"-LOADING Redis is loading the dataset in memory\r\n".to_vec()),
        ("NOAUTH", b"-NOAUTH Authentication required.\r\n".to_vec()),
        ("integer above 64 bits", b":99999999999999999999999\r\n".to_vec()),
        ("integer that is none", b":one\r\n".to_vec()),
        ("bulk of negative length", b"$-2\r\n".to_vec()),
        ("bulk of 4 GiB", b"$4294967296\r\nx".to_vec()),
        ("bulk of 2^64", b"$18446744073709551616\r\nx".to_vec()),
        ("bulk without line break", b"$3\r\nabcdef\r\n".to_vec()),
        ("array of 2^31", b"*2147483647\r\n:1\r\n".to_vec()),
        ("array of negative length", b"*-2\r\n".to_vec()),
        ("1 MiB of nested arrays", b"*1\r\n".repeat(1 << 18)),
        ("1 MiB of integers in an array", [b"*262000\r\n".as_slice(), &b":1\r\n".repeat(262_000)].concat()),
        ("RESP3 map", b"%1\r\n+a\r\n+b\r\n".to_vec()),
        ("RESP3 push", b">2\r\n+message\r\n+x\r\n".to_vec()),
        ("reply that was not asked for", b"+OK\r\n".repeat(100)),
        ("values of other types", b":1\r\n+OK\r\n*0\r\n$0\r\n\r\n$-1\r\n".repeat(20)),
    ] {
        cases.push(redis(&format!("{name}, then end"), vec![Step::Send(bytes.clone()), Step::Close]));
        cases.push(redis(&format!("{name}, then silence"), vec![Step::Send(bytes), Step::Hang]));
    }
    for (name, head, piece) in [
        ("line", "+", "x"),
        ("bulk", "$99999999999\r\n", "x"),
        ("array", "*99999999\r\n", ":1\r\n"),
        ("replies", "", "+OK\r\n"),
        ("errors", "", "-ERR no\r\n"),
        ("nested arrays", "", "*1\r\n"),
    ] {
        let steps = vec![Step::Send(head.into()), Step::Endless(piece.into())];
        cases.push(redis(&format!("endless {name}"), steps));
    }
    cases.push(redis("a byte each 100 ms", vec![Step::Drip(b"+OK\r\n".repeat(20))]));
    cases.push(redis("reset", vec![Step::Read(10), Step::Reset]));
    run_all(&cases);
}
