//! Recognizes a secret that was generated at random, so that it has at least 256 bits of entropy.
//!
//! A secret of an authorization server is text, and only its form shows how it was made. The checks are meant to
//! refuse whatever a person may have chosen: words, also with digits for letters, key sequences, repetitions, and
//! text in base64 or hexadecimal digits. They refuse fewer than one in 10,000 random secrets. They cannot
//! recognize a digest of a passphrase.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

/// The number of hexadecimal digits of 256 bits.
const MIN_HEX_DIGITS: usize = 64;

/// The number of base64 characters of 256 bits.
const MIN_BASE64_CHARS: usize = 43;

/// The number of characters that are examined. If the beginning is random, the whole has enough entropy.
const MAX_EXAMINED: usize = 128;

/// Whether `secret` has the form of at least 256 random bits: hexadecimal digits, or base64 in either alphabet.
pub(super) fn looks_random(secret: &str) -> bool {
    let text = secret.trim_end_matches('=');
    if secret.len().saturating_sub(text.len()) > 2 {
        return false;
    }
    if text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return text.len() == secret.len() && is_random_hex(text.as_bytes());
    }
    let uses =
        |symbols: [u8; 2]| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || symbols.contains(&byte));
    (uses([b'+', b'/']) || uses([b'-', b'_'])) && is_random_base64(text.as_bytes())
}

/// Whether random bytes would hardly be like these: they are UTF-8, as a passphrase is.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

fn is_random_hex(text: &[u8]) -> bool {
    let Some(text) = text.get(..MIN_HEX_DIGITS) else { return false };
    let text = Zeroizing::new(text.to_ascii_lowercase());
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes = Zeroizing::new(text.chunks_exact(2).filter_map(byte).collect::<Vec<_>>());
    // Random digits have 16 different ones and 56 different pairs.
    count_distinct(text.iter()) >= 11 && count_distinct(text.windows(2)) >= 40 && !is_text(&bytes)
}

fn is_random_base64(text: &[u8]) -> bool {
    if text.len() < MIN_BASE64_CHARS {
        return false;
    }
    let text = text.get(..MAX_EXAMINED).unwrap_or(text);
    // Symbols may separate words.
    let without_symbols = text.iter().copied().filter(u8::is_ascii_alphanumeric).collect::<Vec<_>>();
    let without_symbols = Zeroizing::new(without_symbols);
    let pairs = without_symbols.windows(2);
    let count = |is_match: fn(u8, u8) -> bool| {
        pairs.clone().filter(|pair| matches!(pair, [first, second] if is_match(*first, *second))).count()
    };
    // Random text of 43 characters has 32 different ones; of its pairs 64 % change between upper case, lower
    // case and others, 30 % occur in words, 15 % are neighbours, and hardly any occurs twice.
    let is_at_least =
        |count: usize, percent: usize| count.saturating_mul(100) >= pairs.len().saturating_mul(percent);
    text.iter().any(u8::is_ascii_lowercase)
        && text.iter().any(u8::is_ascii_uppercase)
        && count_distinct(text.iter()) >= 20
        && is_at_least(count_distinct(pairs.clone()), 80)
        && is_at_least(count(changes_class), 30)
        && !is_at_least(count(is_common_in_words), 68)
        && !is_at_least(count(are_neighbours), 50)
        && !is_encoded_text(text)
}

fn count_distinct<T: Ord>(items: impl Iterator<Item = T>) -> usize {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items.dedup();
    items.len()
}

fn changes_class(first: u8, second: u8) -> bool {
    let class = |byte: u8| (byte.is_ascii_lowercase(), byte.is_ascii_uppercase());
    class(first) != class(second)
}

/// Whether a pair is common in words, also with digits that replace similar letters.
fn is_common_in_words(first: u8, second: u8) -> bool {
    let letter = |byte: u8| match byte {
        b'0' => b'o',
        b'1' => b'i',
        b'3' => b'e',
        b'4' => b'a',
        b'5' => b's',
        b'7' => b't',
        b'8' => b'b',
        byte => byte.to_ascii_lowercase(),
    };
    common_successors(letter(first)).contains(&letter(second))
}

/// The letters that often follow `letter` in words of European languages.
fn common_successors(letter: u8) -> &'static [u8] {
    match letter {
        b'a' => b"bcdgiklmnprstuvy",
        b'b' => b"aeiloruy",
        b'c' => b"aehiklortu",
        b'd' => b"aeiosu",
        b'e' => b"acdefgilmnprstvwxy",
        b'f' => b"aefior",
        b'g' => b"aehior",
        b'h' => b"aeiot",
        b'i' => b"abcdefglmnorstv",
        b'k' => b"ei",
        b'l' => b"adeilostuy",
        b'm' => b"aeiopu",
        b'n' => b"acdegiosty",
        b'o' => b"cdflmnoprstuvw",
        b'p' => b"aeiloprtu",
        b'q' => b"u",
        b'r' => b"acdegikmnorstuy",
        b's' => b"acehiopstu",
        b't' => b"aehilorstuy",
        b'u' => b"acegilmnprst",
        b'v' => b"aei",
        b'w' => b"aehio",
        b'y' => b"os",
        _ => b"",
    }
}

/// The rows of keys with letters and digits; a key is below the one with the same index in the row before.
const KEYBOARD: [&[u8]; 4] = [b"1234567890", b"qwertyuiop", b"asdfghjkl", b"zxcvbnm"];

/// Whether a pair of letters or digits is the same character twice, or has neighbours in the alphabet, among the
/// digits or on a keyboard.
fn are_neighbours(first: u8, second: u8) -> bool {
    let (first, second) = (first.to_ascii_lowercase(), second.to_ascii_lowercase());
    first.abs_diff(second) <= 1 || key_distance(first, second) == Some(1)
}

/// The number of steps between two keys, to the side and up or down.
fn key_distance(first: u8, second: u8) -> Option<usize> {
    let ((first_row, first_index), (second_row, second_index)) =
        (key_position(first)?, key_position(second)?);
    Some(first_row.abs_diff(second_row).saturating_add(first_index.abs_diff(second_index)))
}

/// The row of a key, and its index in the row.
fn key_position(key: u8) -> Option<(usize, usize)> {
    let mut rows = KEYBOARD.iter().enumerate();
    rows.find_map(|(row, keys)| Some((row, keys.iter().position(|other| *other == key)?)))
}

/// Whether `text` is base64 of text.
fn is_encoded_text(text: &[u8]) -> bool {
    let standard = |byte: &u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        byte => *byte,
    };
    // Without the last characters, which may be cut off.
    let groups = text.chunks_exact(4).flatten().map(standard);
    let bytes = STANDARD_NO_PAD.decode(Zeroizing::new(groups.collect::<Vec<u8>>()));
    bytes.map(Zeroizing::new).is_ok_and(|bytes| is_text(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    const WORDS: &str = "correct horse battery staple dragon monkey sunshine password summer winter autumn spring client \
        secret token access service account company server database network security letter number system window \
        public private market garden orange yellow purple silver golden river mountain ocean forest castle bridge \
        station picture kitchen machine coffee banana cherry tomato potato butter cheese chicken dinner morning \
        evening friday monday january october november december secretary president minister captain soldier \
        teacher student doctor nurse engineer lawyer driver pilot sailor singer dancer writer painter artist author";

    const FOREIGN_WORDS: &str = "schloss wasser strasse zeitung fahrrad apfel birne kirsche hund katze maus vogel fenster \
        schule lehrer garten blume baum wald fluss berg sonne mond stern himmel regen schnee bonjour maison fleur \
        soleil chien oiseau fenetre ecole professeur jardin arbre foret riviere montagne neige terre porte cuisine \
        caballo ventana ciudad corazon montana playa invierno verano primavera otono estrella camino";

    /// SplitMix64, so that each run has the same secrets.
    struct Generator(u64);

    impl Generator {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }

        fn below(&mut self, limit: usize) -> usize {
            (self.next() >> 16) as usize % limit
        }

        fn bytes(&mut self, length: usize) -> Vec<u8> {
            (0..length).map(|_| self.next().to_be_bytes()[0]).collect()
        }
    }

    /// A function that makes a secret.
    type Maker = fn(&mut Generator) -> String;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn fewer_than_one_in_10000_random_secrets_is_refused() {
        use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
        let makers: [(Maker, usize); 6] = [
            (|random| STANDARD.encode(random.bytes(32)), 30_000),
            (|random| URL_SAFE_NO_PAD.encode(random.bytes(32)), 30_000),
            (|random| STANDARD_NO_PAD.encode(random.bytes(64)), 10_000),
            (|random| (0..64).map(|_| char::from(ALPHABET[random.below(62)])).collect(), 10_000),
            (|random| hex(&random.bytes(32)), 15_000),
            (|random| hex(&random.bytes(64)).to_uppercase(), 5_000),
        ];
        let mut random = Generator(18);
        let refused =
            makers.map(|(make, count)| (0..count).filter(|_| !looks_random(&make(&mut random))).count());
        assert!(refused.iter().sum::<usize>() < 10, "{refused:?} of 100,000");
    }

    fn capitalized(word: &str) -> String {
        word[..1].to_uppercase() + &word[1..]
    }

    fn with_digits_for_letters(word: &str) -> String {
        let (first, rest) = word.split_at(1);
        let rest = rest.replace('a', "4").replace('e', "3").replace('i', "1").replace('o', "0");
        first.to_owned() + &rest.replace('s', "5").replace('t', "7")
    }

    /// Those of 10,000 passphrases that are taken for random.
    fn accepted_passphrases(words: &str) -> Vec<String> {
        let mut random = Generator(1);
        let words: Vec<_> = words.split_whitespace().collect();
        let passphrase = |number: usize| {
            let separator = ["", "-", "_", "/", "", ""][number % 6];
            let mut text = String::new();
            while text.len() < 43 + number % 40 {
                let word = capitalized(words[random.below(words.len())]);
                text += &if number.is_multiple_of(2) { word } else { with_digits_for_letters(&word) };
                text += separator;
            }
            text + &(number % 100).to_string()
        };
        (0..10_000).map(passphrase).filter(|text| looks_random(text)).collect()
    }

    #[test]
    fn passphrases_of_words_are_refused() {
        for (words, max) in [(WORDS, 20), (FOREIGN_WORDS, 500)] {
            let accepted = accepted_passphrases(words);
            assert!(accepted.len() <= max, "{} of 10,000: {:?}", accepted.len(), &accepted[..3]);
        }
    }

    #[test]
    fn chosen_and_short_secrets_are_refused() {
        let phrase = "It is a truth universally acknowledged, that a single man";
        let random = "Zt8xQ2bL0wYk5Rj7Vd1NcPf9Sg3HmTuA4eXoKqWz6Bs";
        assert!(looks_random(random) && looks_random(&format!("{random}==")));
        for text in [
            "",
            "hunter2",
            "changeit",
            "=",
            "correct horse battery staple correct horse battery staple",
            "ThisIsTheClientSecretOfOurProductionEnvironment2026",
            "Th1s1sTh3Cl13ntS3cr3t0f0urPr0duct10n3nv1r0nm3nt",
            "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9olpQAZWSXEDC",
            "QwertyuiopAsdfghjklZxcvbnmQwertyuiop1234567890",
            // Letters in one case and then in the other.
            "zkwqfbtxmgrvhdlpcysnjaDTKWZPQBXGMRFVHLSCJNYE",
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
            "3141592653589793238462643383279502884197169399375105820974944592",
            "550e8400-e29b-41d4-a716-446655440000-550e8400-e29b-41d4-a716-446655440000",
            &random[..42],
            &random[..24].repeat(2),
            &format!("{random}==="),
            &format!("{random}+-"),
            &format!("{random}\u{e4}"),
            &"A".repeat(43),
            &hex(phrase.as_bytes()),
            &STANDARD_NO_PAD.encode(phrase),
            &STANDARD_NO_PAD
                .encode("Falsches \u{dc}ben von Xylophonmusik qu\u{e4}lt jeden gr\u{f6}\u{df}eren Zwerg"),
            &hex(phrase.as_bytes()).to_uppercase(),
        ] {
            assert!(!looks_random(text), "{text}");
        }
    }

    #[test]
    fn pairs_of_words_are_common() {
        let words = "analysis baby capture chicken freedom garden holiday king library model quarter school \
            ulterior vivid white woman";
        for pair in words.split_whitespace().flat_map(|word| word.as_bytes().windows(2)) {
            let text = String::from_utf8_lossy(pair);
            assert!(is_common_in_words(pair[0], pair[1]), "{text}");
            let [first, second] = [pair[0], pair[1]].map(|letter| letter.to_ascii_uppercase());
            assert!(is_common_in_words(first, second), "{text} in upper case");
        }
        for pair in
            [b"bx", b"fq", b"gk", b"hz", b"jw", b"kd", b"mz", b"pf", b"qe", b"vx", b"wk", b"xj", b"zt"]
        {
            assert!(!is_common_in_words(pair[0], pair[1]), "{}", String::from_utf8_lossy(pair));
        }
    }

    #[test]
    fn adjacent_keys_letters_and_digits_are_neighbours() {
        let sequences = [
            "abcdefghijklmnopqrstuvwxyz",
            "0123456789",
            "1234567890",
            "qwertyuiop",
            "asdfghjkl",
            "zxcvbnm",
            "1qaz",
            "2wsx",
            "3edc",
            "4rfv",
            "5tgb",
            "6yhn",
            "7ujm",
            "8ik",
            "9ol",
            "0p",
            "aA",
        ];
        for pair in sequences.iter().flat_map(|sequence| sequence.as_bytes().windows(2)) {
            let (first, second) = (pair[0], pair[1]);
            let is_neighbour = are_neighbours(first, second)
                && are_neighbours(second, first)
                && are_neighbours(first.to_ascii_uppercase(), second);
            assert!(is_neighbour, "{}", String::from_utf8_lossy(pair));
        }
        // At the same index of other rows, in another column of the next row, at the ends of two rows.
        for pair in [b"1a", b"qz", b"wa", b"sq", b"ad", b"1w", b"4z", b"pa", b"lz", b"0q", b"a1"] {
            assert!(!are_neighbours(pair[0], pair[1]), "{}", String::from_utf8_lossy(pair));
        }
    }

    #[test]
    fn text_is_not_random_bytes() {
        assert!(is_text(&[b'x'; 32]) && is_text(&[0; 32]));
        assert!(!is_text(&Generator(2).bytes(32)));
    }
}
