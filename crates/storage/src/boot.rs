//! Which boot of the kernel this is.

use std::fs;
use std::io;

/// The kernel's id of this boot, 16 bytes. The same id means that the page cache has survived.
pub fn boot_id() -> io::Result<[u8; 16]> {
    parse(&fs::read_to_string("/proc/sys/kernel/random/boot_id")?)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the kernel's boot id is no UUID"))
}

fn parse(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.trim().chars().filter(|letter| *letter != '-').collect();
    let number = u128::from_str_radix(&digits, 16).ok()?;
    (digits.len() == 32).then_some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_is_sixteen_bytes() {
        let id = parse("00010203-0405-0607-0809-0a0b0c0d0e0f\n").unwrap();
        assert_eq!(id, std::array::from_fn(|index| index as u8));
        assert_eq!(parse("0001"), None);
        assert_eq!(boot_id().unwrap(), boot_id().unwrap());
    }
}
