//! The fuzzer's targets on stable Rust: with the corpus, and with random bytes. The fuzzer itself
//! goes deeper; see `fuzz`.

mod targets;

use proptest::prelude::*;

/// Runs a target with each file of its corpus.
fn corpus(name: &str, target: fn(&[u8])) {
    let folder = format!("{}/tests/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut count = 0;
    for file in files {
        target(&std::fs::read(file.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0, "{folder} is empty");
}

#[test]
fn each_target_holds_for_its_corpus() {
    corpus("decoder", targets::decoder);
    corpus("sanitizer", targets::sanitizer);
    corpus("transcript", targets::transcript);
    corpus("address", targets::address);
    corpus("network", targets::network);
    corpus("script", targets::script);
    corpus("check", targets::check);
}

/// Returns bytes of which many are part of `pattern`, the others random.
fn near(pattern: &str) -> impl Strategy<Value = Vec<u8>> {
    let texts = proptest::string::string_regex(pattern).unwrap();
    let pieces = prop_oneof![
        4 => texts.prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(pieces, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn decoder(data in near(r#"[a\u{fc}\u{1f468}\r\n]{1,40}|\{"name":"a","text":"b"\}\n|["\\{}:,]"#)) {
        targets::decoder(&data);
    }

    #[test]
    fn sanitizer(data in near(r"\PC|[ \n\t\r]|\u{1f468}\u{200d}|\p{M}|\p{C}")) {
        targets::sanitizer(&data);
    }

    #[test]
    fn transcript(data in near(concat!(
        r#"\{"time":"2026-01-01T00:00:0[0-9]Z","event":"(listening|connected|sent|received|left"#,
        r#"|lost|closed|call|error)","peer":"127.0.0.1:[1-3]","local":"127.0.0.1:[1-3]","#,
        r#""text":"[a-c\u{3248}]{0,30}","bytes":[0-9]\}\n"#,
    ))) {
        targets::transcript(&data);
    }

    #[test]
    fn address(data in near(r"localhost|[0-9.]{1,9}|:[0-9]{0,6}|[\[\]:]|::1|[a-f0-9:]{1,9}| ")) {
        targets::address(&data);
    }

    #[test]
    fn network(data in near(r"[0-9]{1,3}(\.[0-9]{1,3}){3}|(::|:|[0-9a-f]{1,4}){1,8}|/[0-9]{1,3}")) {
        targets::network(&data);
    }

    #[test]
    fn script(data in near(r"\*greeting\*|[a(\[.*+?^$]{1,4}|\t|\\[nrt\\q]|\n|# x\n")) {
        targets::script(&data);
    }
    #[test]
    fn check(data in near(concat!(
        r#"[a-z\u{fc}\u{c3}\u{bc}]{1,6}|gr\u{fc}ezi|b'|\\xc3\\xbc|[\n\r\t ]|Traceback \(most recent call last\)"#,
        r#"|  File "a.py", line [0-9]{1,12}\n|[A-Z][a-z]+Error: |\tat A.b\(A.java:[0-9]{1,12}\)\n|\{"text":"#,
    ))) {
        targets::check(&data);
    }
}
