//! The Rust peers: yup-oauth2, jsonwebtoken's `encode` with a plain ureq, and the raw signature of aws-lc-rs.
//!
//! Each line of standard input is a command with arguments, each line of standard output its result; see
//! benches/c/bench.h.

use std::error::Error;
use std::fs;
use std::io::{BufRead, Write, stdout};

mod clock;
mod fixture;
mod jsonwebtoken_encode;
mod raw_signature;
mod yup_oauth2_peer;

use fixture::Fixture;

pub type BenchResult<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> BenchResult<()> {
    let fixture = Fixture::from_env()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["first", store] => measure_first_token(&fixture, store),
        _ => run_commands(&fixture),
    }
}

/// Opens the key store, fetches one token, and prints the elapsed nanoseconds.
fn measure_first_token(fixture: &Fixture, store: &str) -> BenchResult<()> {
    let started = clock::wall_nanos();
    let key = fixture::pem_from_pkcs12(&fs::read(store)?)?;
    yup_oauth2_peer::YupPeer::new(fixture, key)?.fetch()?;
    println!("{}", clock::wall_nanos() - started);
    Ok(())
}

fn run_commands(fixture: &Fixture) -> BenchResult<()> {
    let mut raw = raw_signature::RawSigner::new(fixture)?;
    let encode = jsonwebtoken_encode::EncodePeer::new(fixture)?;
    let yup = yup_oauth2_peer::YupPeer::new(fixture, fs::read_to_string(fixture.file("rsa.pem"))?)?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let result = match line.split(' ').collect::<Vec<_>>()[..] {
            ["raw", algorithm, count] => clock::measure_each(count.parse()?, || raw.sign(algorithm))?,
            ["raw-threads", threads, count] => raw.sign_on_threads(threads.parse()?, count.parse()?)?,
            ["encode", algorithm, count] => {
                clock::measure_each(count.parse()?, || encode.sign(algorithm).map(drop))?
            }
            ["encode-fetch", count] => clock::measure_each(count.parse()?, || encode.fetch())?,
            ["yup-fetch", count] => clock::measure_each(count.parse()?, || yup.fetch())?,
            _ => format!("error {line}"),
        };
        writeln!(stdout(), "{result}")?;
    }
    Ok(())
}
