#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| organtwin_tests::decoders::decode("public_key", bytes));
