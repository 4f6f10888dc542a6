//! Where instructions begin: a breakpoint in the middle of one would change what the program does.

use iced_x86::{Decoder, DecoderOptions};

/// Whether an instruction begins `offset` bytes into code of which the first byte begins one.
///
/// Code that cannot be decoded up to there counts as if none did.
pub fn begins_instruction(code: &[u8], offset: u64) -> bool {
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    while decoder.ip() < offset && decoder.can_decode() {
        if decoder.decode().is_invalid() {
            return false;
        }
    }
    decoder.ip() == offset
}

#[cfg(test)]
mod tests {
    use super::begins_instruction;

    #[test]
    fn only_the_first_byte_of_each() {
        // push %rbp; mov %rsp,%rbp; ret
        let code = [0x55, 0x48, 0x89, 0xe5, 0xc3];
        let begin: Vec<u64> = (0..7).filter(|offset| begins_instruction(&code, *offset)).collect();
        assert_eq!(begin, [0, 1, 4, 5]);
        assert!(!begins_instruction(&[0x06, 0x06], 1), "not an instruction in this mode");
    }
}
