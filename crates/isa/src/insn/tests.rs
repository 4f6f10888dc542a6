//! Encoding and decoding held against each other and against fixed bytes.

use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn bytes_round_trip(bytes: [u8; 8]) {
        prop_assert_eq!(Insn::from_bytes(bytes).to_bytes(), bytes);
    }
}
