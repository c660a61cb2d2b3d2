//! Which numbers have been seen, a bit each. Pure.

/// A set of numbers that count up from 0, in any order.
#[derive(Debug, Default)]
pub struct Seen {
    bits: Vec<u64>,
    different: u64,
    again: u64,
}

/// Above this, a number is taken for seen before: it is not one of a run's, which would last for days.
const NUMBER_MAX: u64 = 1 << 36;

impl Seen {
    /// Whether the number is seen for the first time.
    pub fn first_time(&mut self, number: u64) -> bool {
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if NUMBER_MAX <= number {
            self.again += 1;
            return false;
        }
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        let first = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        if first {
            self.different += 1;
        } else {
            self.again += 1;
        }
        first
    }

    /// How many different ones.
    pub fn different(&self) -> u64 {
        self.different
    }

    /// How often one came that had come before.
    pub fn again(&self) -> u64 {
        self.again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_new_once() {
        let mut seen = Seen::default();
        let first: Vec<bool> = [5, 0, 64, 5, 63, 64].map(|number| seen.first_time(number)).into();
        assert_eq!(first, [true, true, true, false, true, false]);
        assert_eq!((seen.different(), seen.again()), (4, 2));
        assert!(!seen.first_time(u64::MAX), "no room is made for it");
    }
}
