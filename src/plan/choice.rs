//! Choices that ECS leaves to chance, made by a hash: the same world chooses the same. (PLACE-8, STRAT-2)

/// A number from the seed and the names of what is chosen among; the same on every machine and in every version.
#[must_use]
pub(super) fn draw(seed: u64, names: &[&str]) -> u64 {
    let begin = 0xcbf2_9ce4_8422_2325 ^ seed;
    finish(names.iter().fold(begin, |hash, name| with(hash, name)))
}

/// FNV-1a over a name, closed by a byte that no UTF-8 text has.
fn with(hash: u64, name: &str) -> u64 {
    let bytes = name.bytes().chain([0xff]);
    bytes.fold(hash, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn finish(hash: u64) -> u64 {
    // The finish of splitmix64, so that close names come out far apart.
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::draw;

    #[test]
    fn draws_are_repeatable_and_depend_on_seed_and_every_name() {
        assert_eq!(draw(1, &["a", "b"]), draw(1, &["a", "b"]));
        assert_ne!(draw(1, &["a", "b"]), draw(2, &["a", "b"]));
        assert_ne!(draw(1, &["ab", ""]), draw(1, &["a", "b"]));
    }
}
