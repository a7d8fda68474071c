use super::*;
use stdx::Rng;

const SPARSE_MAX: usize = 3000;

fn empty() -> Vec<u8> {
    let mut hll = Vec::new();
    init(&mut hll);
    hll
}

#[track_caller]
fn check_opcodes(registers: &[(usize, u8)], expected: &[Opcode]) {
    let mut hll = empty();
    for &(index, value) in registers {
        raise(&mut hll, index, value, SPARSE_MAX).expect("it is whole");
    }
    assert_eq!(opcodes(&hll).collect::<Vec<_>>(), expected);
}

#[test]
fn opcodes_are_split_and_joined() {
    use Opcode::*;
    check_opcodes(&[], &[LongZeros(16384)]);
    check_opcodes(&[(0, 1)], &[Value(1, 1), LongZeros(16383)]);
    check_opcodes(&[(16383, 32)], &[LongZeros(16383), Value(32, 1)]);
    check_opcodes(&[(64, 2)], &[Zeros(64), Value(2, 1), LongZeros(16319)]);
    check_opcodes(&[(65, 2), (66, 2)], &[LongZeros(65), Value(2, 2), LongZeros(16317)]);
    let run: Vec<_> = (0..5).map(|index| (index, 3)).collect();
    check_opcodes(&run, &[Value(3, 4), Value(3, 1), LongZeros(16379)]);
    let split = [(0, 3), (1, 3), (2, 3), (1, 4)];
    check_opcodes(&split, &[Value(3, 1), Value(4, 1), Value(3, 1), LongZeros(16381)]);
    check_opcodes(&[(0, 3), (2, 3), (1, 3)], &[Value(3, 3), LongZeros(16381)]);
}

#[test]
fn both_encodings_agree_with_an_array_of_registers() {
    let mut rng = Rng::new(3);
    for round in 0..60 {
        let (mut sparse, mut dense) = (empty(), empty());
        assert_eq!(make_dense(&mut dense), Ok(true));
        let mut model = vec![0u8; REGISTERS];
        let sparse_max = if round % 3 == 0 { rng.index(400) } else { SPARSE_MAX };
        let crowd = if round % 2 == 0 { REGISTERS } else { 300 };
        for _ in 0..rng.index(3000) {
            let (index, value) = (rng.index(crowd), 1 + rng.below(if round % 5 == 0 { 51 } else { 4 }) as u8);
            let changed = model[index] < value;
            model[index] = value.max(model[index]);
            assert_eq!(raise(&mut sparse, index, value, sparse_max), Ok(changed));
            assert_eq!(raise(&mut dense, index, value, sparse_max), Ok(changed));
            assert!(encoding(&sparse) == Some(Encoding::Dense) || sparse.len() <= sparse_max.max(18));
        }
        for hll in [&sparse, &dense] {
            let mut registers = Registers::default();
            registers.merge(hll).expect("it is whole");
            assert_eq!(registers.values(), model);
            let mut copy = empty();
            assert_eq!(raise_all(&mut copy, &registers, sparse_max), Ok(()));
            let mut again = Registers::default();
            again.merge(&copy).expect("it is whole");
            assert_eq!(again.values(), model);
            assert_eq!(count(hll), Ok(registers.count()));
        }
    }
}

#[test]
fn estimates_are_near() {
    let mut hll = empty();
    for number in 1u64..=300_000 {
        add(&mut hll, &number.to_le_bytes(), SPARSE_MAX).expect("it is whole");
        if number <= 50 || number.is_multiple_of(10_000) {
            let estimate = count(&hll).expect("it is whole");
            // Three standard errors, or one collision.
            assert!(estimate.abs_diff(number) <= 1 + number * 244 / 10_000, "{estimate} instead of {number}");
        }
    }
    assert_eq!(encoding(&hll), Some(Encoding::Dense));
    assert_eq!(count(&empty()), Ok(0));
}

#[test]
fn the_count_is_kept_until_something_changes() {
    let mut hll = empty();
    assert_eq!(cached(&hll), Some(0));
    assert_eq!(add(&mut hll, b"a", SPARSE_MAX), Ok(true));
    assert_eq!(cached(&hll), None);
    set_cached(&mut hll, 1);
    assert_eq!(add(&mut hll, b"a", SPARSE_MAX), Ok(false));
    assert_eq!(cached(&hll), Some(1));
    make_dense(&mut hll).expect("it is whole");
    assert_eq!(cached(&hll), Some(1));
}

#[test]
fn what_is_no_hyperloglog() {
    let mut dense = empty();
    make_dense(&mut dense).expect("it is whole");
    dense.push(0);
    for bytes in [
        b"".as_slice(),
        b"HYLL",
        b"HYLL\x02aaabbbbbbbb",
        b"HYLL\0aaabbbbbbbb",
        b"HELL\x01aaabbbbbbbb",
        &dense,
    ] {
        assert_eq!(encoding(bytes), None);
    }
    assert_eq!(encoding(b"HYLL\x01aaabbbbbbbb"), Some(Encoding::Sparse));
    assert_eq!(count(b"HYLL\x01aaabbbbbbbb"), Err(Corrupt));
}

/// Whatever a client stores: answers or errors, no panic, and nothing but a HyperLogLog after a change.
#[test]
fn bytes_from_anywhere_do_no_harm() {
    let seconds = std::env::var("LACEWING_LONG_SECONDS").map_or(0, |text| text.parse().expect("seconds"));
    let end = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    let mut rng = Rng::new(4);
    let mut rounds = 0;
    while rounds < 3_000 || std::time::Instant::now() < end {
        rounds += 1;
        let mut hll = empty();
        if rng.one_in(3) {
            let mut opcodes = vec![0; rng.index(500)];
            rng.fill(&mut opcodes);
            hll.truncate(HEADER_BYTES);
            hll.extend(opcodes);
        } else {
            (0..rng.index(200)).for_each(|_| {
                raise(&mut hll, rng.index(REGISTERS), 1 + rng.below(32) as u8, SPARSE_MAX)
                    .expect("it is whole");
            });
            for _ in 0..rng.index(4) {
                let at = ENCODING_AT + rng.index(hll.len() - ENCODING_AT);
                hll[at] = rng.next_u64() as u8;
            }
            if rng.one_in(4) {
                hll.truncate(HEADER_BYTES + rng.index(hll.len() - HEADER_BYTES));
            }
        }
        if rng.one_in(8) {
            hll = [&hll[..HEADER_BYTES], &hll[HEADER_BYTES..].repeat(800)].concat();
            hll.truncate(DENSE_BYTES);
            hll[ENCODING_AT] = rng.below(2) as u8;
        }
        if encoding(&hll).is_none() {
            continue;
        }
        let is_whole = Registers::default().merge(&hll).is_ok();
        assert_eq!(count(&hll).is_ok(), is_whole);
        assert_eq!(make_dense(&mut hll.clone()).is_ok(), is_whole);
        if encoding(&hll) == Some(Encoding::Sparse) {
            assert!(opcodes(&hll).count() <= hll.len());
        }
        for _ in 0..40 {
            let raised = raise(&mut hll, rng.index(REGISTERS), 1 + rng.below(51) as u8, SPARSE_MAX);
            assert!(raised.is_ok() || !is_whole);
            assert!(encoding(&hll).is_some());
        }
    }
}
