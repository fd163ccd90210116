//! Finds the place of a key in a list that only grows: open addressing with linear probing, at most half full. It holds
//! places, not keys; whoever owns the list says which place has the key. Nothing is ever walked in its order.

/// From hashes to places.
#[derive(Debug, Clone)]
pub struct Index {
    /// Places plus one; zero is free. A power of two long.
    table: Vec<u32>,
    len: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self { table: vec![0; 16], len: 0 }
    }
}

impl Index {
    /// The place whose key has this hash, if `is_it` finds it among those with such a hash.
    #[inline]
    pub fn find(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<u32> {
        let mut at = self.home(hash);
        loop {
            match self.table[at] {
                0 => return None,
                place if is_it(place as usize - 1) => return Some(place - 1),
                _ => at = (at + 1) & (self.table.len() - 1),
            }
        }
    }

    /// Adds the next place, which is the number of places so far, under its key's hash. `hash_of` gives the hashes of
    /// the earlier ones.
    pub fn push(&mut self, hash: u64, hash_of: impl Fn(usize) -> u64) -> u32 {
        let place = self.len;
        self.len += 1;
        if self.len * 2 > self.table.len() {
            self.table = vec![0; self.table.len() * 4];
            for earlier in 0..place {
                self.set(hash_of(earlier), earlier);
            }
        }
        self.set(hash, place);
        u32::try_from(place).expect("fewer than 2^32 places")
    }

    fn set(&mut self, hash: u64, place: usize) {
        let mut at = self.home(hash);
        while self.table[at] != 0 {
            at = (at + 1) & (self.table.len() - 1);
        }
        self.table[at] = place as u32 + 1;
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        hash as usize & (self.table.len() - 1)
    }
}

/// Hash of a pair of numbers; every bit of both reaches the low bits.
#[inline]
pub fn hash_pair(a: u32, b: u32) -> u64 {
    let mixed = (u64::from(a) << 32 | u64::from(b)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ mixed >> 32).wrapping_mul(0x2545_F491)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_at_its_place_and_no_other_is() {
        let (mut index, mut keys) = (Index::default(), Vec::new());
        for a in 0..40 {
            for b in 0..40 {
                let hash = hash_pair(a, b) & 0xFF;
                assert_eq!(index.find(hash, |place| keys[place] == (a, b)), None);
                let place = index.push(hash, |place| {
                    let (a, b): (u32, u32) = keys[place];
                    hash_pair(a, b) & 0xFF
                });
                keys.push((a, b));
                assert_eq!(place as usize, keys.len() - 1);
            }
        }
        for (place, &(a, b)) in keys.iter().enumerate() {
            let found = index.find(hash_pair(a, b) & 0xFF, |place| keys[place] == (a, b));
            assert_eq!(found, Some(place as u32));
        }
    }
}
