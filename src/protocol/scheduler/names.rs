//! Giving out the numbers in allocation names (Nomad `allocNameIndex`).

use crate::base::ordered::OrdSet;

/// Which numbers of a group are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    taken: Vec<bool>,
    count: u32,
}

impl Names {
    /// The numbers in use, of a group that wants `count`.
    pub fn new(count: u32, used: impl Iterator<Item = u32> + Clone) -> Self {
        let mut taken = bitmap(count, used.clone());
        for number in used {
            taken[number as usize] = true;
        }
        Self { taken, count }
    }

    /// Takes the `n` highest numbers in use out and returns them.
    pub fn highest(&mut self, n: usize) -> OrdSet<u32> {
        let mut highest = OrdSet::new();
        for at in (0..self.taken.len()).rev() {
            if highest.len() == n {
                break;
            }
            if std::mem::take(&mut self.taken[at]) {
                highest.insert(at as u32);
            }
        }
        highest
    }

    /// A number is no longer in use.
    pub fn release(&mut self, number: u32) {
        if let Some(taken) = self.taken.get_mut(number as usize) {
            *taken = false;
        }
    }

    /// `n` numbers: free ones below the count first, then 0, 1, 2 again.
    pub fn next(&mut self, n: usize) -> Vec<u32> {
        let free = self.range().filter(|at| !self.taken[*at as usize]);
        let mut next: Vec<u32> = free.take(n).collect();
        next.extend(0..(n - next.len()) as u32);
        for number in &next {
            if let Some(taken) = self.taken.get_mut(*number as usize) {
                *taken = true;
            }
        }
        next
    }

    /// The lowest free number below the count, which is taken from now on.
    pub fn next_free(&mut self) -> Option<u32> {
        let free = self.range().find(|at| !self.taken[*at as usize])?;
        self.taken[free as usize] = true;
        Some(free)
    }

    /// `n` numbers for canaries: those of allocations about to be replaced, then free ones, then from the count up
    /// without a look at who has them.
    pub fn next_canaries(&mut self, n: usize, canaries: &OrdSet<u32>, replaced: &OrdSet<u32>) -> Vec<u32> {
        let of_replaced = self.range().filter(|at| replaced.contains(at) && !canaries.contains(at));
        let mut next: Vec<u32> = of_replaced.take(n).collect();
        for number in &next {
            self.taken[*number as usize] = true;
        }
        let free = self.range().filter(|at| !self.taken[*at as usize] && !canaries.contains(at));
        let more: Vec<u32> = free.take(n - next.len()).collect();
        for number in &more {
            self.taken[*number as usize] = true;
        }
        next.extend(more);
        let left = (n - next.len()) as u32;
        next.extend(self.count..self.count + left);
        next
    }

    /// Numbers below the count; with a count of zero the whole bitmap (a quirk).
    fn range(&self) -> std::ops::Range<u32> {
        if self.count == 0 { 0..self.taken.len() as u32 } else { 0..self.count.min(self.taken.len() as u32) }
    }
}

/// Room for the count, the allocations and the highest number, in whole bytes.
fn bitmap(count: u32, used: impl Iterator<Item = u32> + Clone) -> Vec<bool> {
    let allocs = used.clone().count();
    let highest = used.max().map_or(0, |number| number as usize + 1);
    vec![false; (count as usize).max(allocs).max(highest).max(1).next_multiple_of(8)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_out_in_order() {
        let mut names = Names::new(3, [0, 2].into_iter());
        assert_eq!(names.next(1), [1]);
        assert_eq!(names.next(1), [0]);
        let mut names = Names::new(3, 0..5);
        assert_eq!(names.highest(2), OrdSet::from([3, 4]));
        let replaced = OrdSet::from([0, 1, 2]);
        assert_eq!(Names::new(3, 0..3).next_canaries(2, &OrdSet::new(), &replaced), [0, 1]);
        assert_eq!(Names::new(3, 0..3).next_canaries(5, &OrdSet::new(), &replaced), [0, 1, 2, 3, 4]);
    }
}
